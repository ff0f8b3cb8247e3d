# SPDX-License-Identifier: GPL-3.0-or-later
"""Text files with jinja2 in them: a name that is not known is an error, and lines with only a statement
leave nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bootproof.errors import BootproofError

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def _environment() -> Environment:
    from jinja2 import Environment, StrictUndefined

    return Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - configuration files, not HTML
    )  # fmt: skip


def render(template: Path, values: Mapping[str, Any]) -> str:
    """Return the text of a template file; whatever is wrong with it is one error with its name and line."""
    try:
        return _environment().from_string(template.read_text(encoding="utf-8")).render(values)
    except Exception as error:  # a template is a program: it can fail in any way
        line = getattr(error, "lineno", None)
        where = f"{template}, line {line}" if line else str(template)
        said = str(error).split("\n", 1)[0]
        raise BootproofError(f"{where}: {type(error).__name__}: {said}", "mend the template") from None
