# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m bootproof.recipe docs/recipes.md` makes the reference table of that document anew."""

import sys
from pathlib import Path

from bootproof.recipe.reference import refresh

document = Path(sys.argv[1])
document.write_text(refresh(document.read_text()))
