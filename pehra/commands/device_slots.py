"""`pehra device slots` and `pehra device self-test`: what there is, and whether this one works."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pehra.commands.device_enrol import become_owner

if TYPE_CHECKING:
    from device.firmware.updating.standing import Slot, Standing

CONFIG: Final = Path("/etc/pehra/device.toml")
PLACES: Final = ("a", "b", "factory")


def slots(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="TOML file of this device; its usual place may be empty.")
    ] = CONFIG,
    state: Annotated[
        Path | None, typer.Option(help="State folder; else as the configuration says, else /var/lib/pehra.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    use: Annotated[
        str, typer.Option(metavar="a|b|factory", help="Turn the next start to this firmware.")
    ] = "",
    *,
    force: Annotated[bool, typer.Option("--force", help="With --use: end a release's trial, too.")] = False,
) -> None:
    """Show which firmware and models this board holds, what runs, what was gone back from and why.

    With --use a technician turns the board back by hand. It takes effect when the service is started anew.
    Ends with 0; 1 when --use is refused, with what to do.

    Example: sudo pehra device slots --use factory
    """
    from device.errors import PehraDeviceError
    from device.firmware.last_link import state_folder
    from device.firmware.updating import by_hand
    from device.firmware.updating.standing import firmware_standing, model_standing, running_place

    folder = state or state_folder(config)
    if not use:
        stand = [firmware_standing(folder), model_standing(folder)]
        runs = running_place(folder)
        _print_json(stand, runs) if as_json else _print_table(stand, runs)
        return
    if use not in PLACES:
        typer.echo(f"--use {use}: say one of {', '.join(PLACES)}", err=True)
        raise typer.Exit(2)
    try:
        become_owner(folder)
        before = by_hand.use(folder, "" if use == "factory" else use, is_forced=force)
    except (OSError, PehraDeviceError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(f"The next start takes {use} (before: {before}). Now: systemctl restart pehra-device")


def self_test(
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="TOML file of this device, which must be understood."),
    ] = None,
) -> None:
    """Say whether this program could work on this board: its libraries, the configuration, the model.

    No camera is opened and nothing is written. A device asks a new firmware this before it starts it.
    Ends with 0, or 1 with what does not work.
    """
    from device.check.run import run_checks
    from device.check.self_test import self_test as checks_of

    outcome = run_checks(checks_of(config))
    for finding in outcome.findings:
        word = "ERROR" if finding.result == "fail" else finding.result
        print(f"{word} {finding.check}: {finding.found}" + (f"; {finding.do}" if finding.do else ""))
    code = 0 if outcome.is_good else 1
    if outcome.hung:
        sys.stdout.flush()
        os._exit(code)
    raise typer.Exit(code)


def _print_json(stand: list[Standing], runs: str) -> None:
    import msgspec

    told: dict[str, object] = {"runs": runs}
    print(msgspec.json.encode(told | {one.kind: one for one in stand}).decode())


def _print_table(stand: list[Standing], runs: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("kind", "slot", "holds", "state", box=None, pad_edge=False, header_style="bold")
    for one in stand:
        table.add_row(one.kind, "factory", Text("what the card brought"), Text(_mark(one, "factory")))
        for slot in one.slots:
            holds = f"{slot.version} {slot.sha256[:12]}".strip() or "-"
            table.add_row(one.kind, slot.slot, Text(holds), Text(_mark(one, slot.slot, slot)))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    console.print(table)
    console.print(f"Now the firmware of {runs} runs." if runs else "No firmware runs now.")
    for one in stand:
        if one.refused:
            console.print(Text(f"{one.kind}: {one.refused}"))
        if one.reason:
            console.print(Text(f"{one.kind}: {one.fell_back} was left: {one.reason}"))


def _mark(stands: Standing, place: str, slot: Slot | None = None) -> str:
    words = ["the next start takes it"] if stands.current == place else []
    if stands.trial == place:
        words.append(f"on trial, {stands.starts} of {stands.limit} starts")
    if slot is not None:
        words.append(f"{slot.state}: {slot.why}" if slot.why else slot.state)
    return ", ".join(words)
