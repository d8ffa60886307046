"""`pehra fleet audit`: check that the log is whole, and take it out as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pehra.commands.fleet_database import Database, Home, fail, fleet_session

if TYPE_CHECKING:
    from fleet.access.chain import Head

audit_app = typer.Typer(help="The log of who did and saw what.", no_args_is_help=True)

SHOWN_MAX = 20


@audit_app.command("verify")
def verify(
    head: Annotated[
        list[str] | None,
        typer.Option(help="N:HASH that an earlier check printed; proves that nothing since is gone."),
    ] = None,
    home: Home = None,
    db: Database = None,
) -> None:
    """Follow the chain from first row to last; ends with 1 when a row was changed, moved or removed."""
    from fleet.access import audit

    with fleet_session(home, db) as session:
        known = [_head(one) for one in head or []]
        findings, now = audit.verify(session, known), audit.read_head(session)
    if not findings:
        typer.echo(f"the audit log is whole: {now.n} rows, head {now}")
        return
    for one in findings[:SHOWN_MAX]:
        typer.echo(str(one))
    typer.echo(f"the audit log is damaged: {len(findings)} findings", err=True)
    raise typer.Exit(1)


@audit_app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="CSV file to write; `-` for stdout.")],
    home: Home = None,
    db: Database = None,
) -> None:
    """Write the whole log as CSV, oldest row first; safe to open in a spreadsheet."""
    from fleet.access import audit
    from fleet.access.caller import SYSTEM
    from fleet.access.export import csv_lines

    with fleet_session(home, db) as session:
        audit.record(session, SYSTEM, "audit.export")
        session.commit()
        lines = csv_lines(session)
        if str(file) == "-":
            for line in lines:
                typer.echo(line, nl=False)
            return
        try:
            with file.open("w", encoding="utf-8", newline="") as out:
                out.writelines(lines)
        except OSError as error:
            fail(f"cannot write {file}: {error.strerror}")
        typer.echo(f"{file} written")


def _head(text: str) -> Head:
    from fleet.access.chain import Head
    from fleet.errors import BadInput

    number, _, hashed = text.partition(":")
    if not (number.isascii() and number.isdecimal() and len(hashed) == 64):
        raise BadInput(f"--head {text[:80]!r}: write N:HASH as an earlier check printed it")
    return Head(int(number), hashed)
