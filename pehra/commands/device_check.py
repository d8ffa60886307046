"""The device half of `pehra device check`: runs the checks and prints their table."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from device.check.run import Outcome
    from device.firmware.config import Config

FAILED: Final = 1
_STYLES: Final = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def check_device(config: Config, *, with_cameras: bool, as_json: bool) -> None:
    """Check this device, print what was found, and end with 1 if anything failed.

    Args:
        config: a good configuration.
        with_cameras: false leaves the cameras out.
        as_json: one JSON object instead of the table.
    """
    from device.check import checks_of, run_checks
    from hardware.board import board

    checks = checks_of(config, board(), with_cameras=with_cameras)
    outcome = run_checks(checks, _note)
    _print_json(config.device.id, outcome) if as_json else _print_table(outcome)
    code = 0 if outcome.is_good else FAILED
    if outcome.hung:
        # A thread that hangs in a driver would hold up the interpreter's own way out.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    if code:
        raise typer.Exit(code)


def _note(name: str) -> None:
    """Say on a terminal what takes its time; a file or a pipe is not told."""
    if sys.stderr.isatty():
        print(f"looking at {name} ...", file=sys.stderr)


def _print_table(outcome: Outcome) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("check", "result", "found", "what to do", box=None, pad_edge=False, header_style="bold")
    for finding in outcome.findings:
        result = Text(finding.result, style=_STYLES[finding.result])
        table.add_row(Text(finding.check), result, Text(finding.found), Text(finding.do))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    console.print(table)
    bad = sum(finding.result == "fail" for finding in outcome.findings)
    doubtful = sum(finding.result == "warn" for finding in outcome.findings)
    console.print(f"{len(outcome.findings)} lines: {bad} failed, {doubtful} to look at.")


def _print_json(device: str, outcome: Outcome) -> None:
    import msgspec

    told = {"device": device, "ok": outcome.is_good, "findings": outcome.findings}
    print(msgspec.json.encode(told).decode())
