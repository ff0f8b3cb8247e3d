# SPDX-License-Identifier: GPL-3.0-or-later
"""`smoke`: boots an image without a screen and judges it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import typer

from bootproof.build import predict
from bootproof.cli import machines
from bootproof.cli.machines import DEFAULT_MEMORY, Wishes
from bootproof.console import out, say
from bootproof.errors import BootproofError, ExitCode, HostError
from bootproof.launch.image import Image
from bootproof.launch.leftovers import PrivateFolder, ended_politely, private_folder
from bootproof.launch.machine import Machine
from bootproof.launch.session import WATCHED, Places, running_machine
from bootproof.smoke.evidence import evidence
from bootproof.smoke.judge import CHECKS, judge
from bootproof.smoke.phases import Limits
from bootproof.smoke.results import Result, summary, write_results
from bootproof.smoke.watch import Boot, Captures, watch

_MARKS = {True: "✓", False: "✗", None: "-"}


def smoke(
    *,
    target: str = machines.TARGET,
    vtpm: str = machines.VTPM,
    tpm: str = machines.TPM,
    firmware: str = machines.FIRMWARE,
    media: str = machines.MEDIA,
    accel: str = machines.ACCEL,
    memory: int = machines.MEMORY,
    output: Path = machines.OUTPUT,
    as_json: bool = typer.Option(False, "--json", help="print result.json on standard output"),
) -> None:
    """Boot an image, follow it to its login, and judge what it reports; out/NAME/smoke has the results."""
    wishes = Wishes(
        target=target, vtpm=vtpm, tpm=tpm, firmware=firmware, media=media, accel=accel, memory=memory,
        display="none",
    )  # fmt: skip
    image = machines.locate(wishes, output)
    recipe = machines.recipe_of(image)
    machine, line = machines.settle(
        wishes,
        image,
        memory=recipe.smoke.memory if recipe else DEFAULT_MEMORY,
        display="none",
        network=False,
    )
    checks = recipe.smoke.checks if recipe else tuple(CHECKS)
    limits = Limits(machine.accel, recipe.smoke.login_seconds if recipe else None)
    with ended_politely(), private_folder(_made(image), prefix=".smoke-") as folder:
        results = folder.path / "results"
        results.mkdir()
        result = _test(machine, line, checks, limits, folder)
        write_results(result, results)
        _replace(image.folder / "smoke", results, folder.path)
    _tell(result, image, as_json=as_json)
    if result.code is not ExitCode.PASS:
        page = image.folder / "smoke" / "report.html"
        raise result.boot.failure or BootproofError(result.message, f"see {page}", result.code)


def _made(image: Image) -> Path:
    try:
        image.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(f"cannot make {image.folder}: {error.strerror}", "the results go there") from None
    return image.folder


def _test(
    machine: Machine, line: str, checks: Sequence[str], limits: Limits, folder: PrivateFolder
) -> Result:
    results = folder.path / "results"
    forecast = predict.of_boot(machine.iso, machine.firmware, machine.media)
    started = datetime.now(UTC)
    places = Places(folder.path / "vtpm", results / "qemu.log", results / "vtpm.log", folder.lease)
    captures = Captures(results / "serial.log", results / "screen.png")
    with running_machine(machine, places, watched=WATCHED) as session:
        boot: Boot = watch(session, captures, checks, limits)
        argv = session.argv
    found = None if boot.report is None else evidence(machine.vtpm, boot.report, boot.outside, forecast)
    judged = [] if found is None else judge(found, checks, machine.tpm)
    return Result(machine, line, argv, boot, found, judged, started)


def _replace(target: Path, results: Path, private: Path) -> None:
    """Put the new results where the old ones are, as a whole."""
    if target.is_symlink() or target.is_file():
        target.unlink()
    elif target.exists():
        target.rename(private / "old")
    results.rename(target)


def _tell(result: Result, image: Image, *, as_json: bool) -> None:
    for check in result.checks:
        say(f"{_MARKS[check.ok]} {check.name:<16} {check.detail}")
    say(f"results: {image.folder / 'smoke'}")
    if as_json:
        import json

        out().print(json.dumps(summary(result), indent=2), markup=False, soft_wrap=True)
    elif result.code is ExitCode.PASS:
        say(f"PASS {image.name}: {result.message}")
