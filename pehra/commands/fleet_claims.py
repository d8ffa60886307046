"""`pehra fleet claim ...` and `pehra fleet enrolment ...`: who may enrol, and who waits to."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pehra.commands.fleet_shared import DbOption, HomeOption, at_the_counter, who_am_i

if TYPE_CHECKING:
    from fleet.store.tables_identity import Claim
    from ota.enrolment import Ticket

claim_app = typer.Typer(no_args_is_help=True, help="Tickets with which boards enrol.")
enrolment_app = typer.Typer(no_args_is_help=True, help="Boards that wait for an administrator.")

DAYS_MAX = 365
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@claim_app.command("new")
def new_claim(
    site: Annotated[str, typer.Option(help="Where its devices hang, or anywhere below.")] = "",
    anywhere: Annotated[bool, typer.Option("--anywhere", help="For any site.")] = False,
    timezone: Annotated[str, typer.Option(help="IANA name of the site's timezone.")] = "UTC",
    device: Annotated[str, typer.Option(help="Id of the one device that it is for.")] = "",
    serial: Annotated[str, typer.Option(help="Serial number of the one board that it is for.")] = "",
    uses: Annotated[int, typer.Option(help="How many boards may enrol with it.")] = 1,
    boards: Annotated[
        Path | None, typer.Option(help="CSV with serial, id, site: only these boards may enrol.")
    ] = None,
    days: Annotated[float, typer.Option(help="Until it expires.")] = 7.0,
    approve: Annotated[bool, typer.Option("--approve", help="An administrator must agree to each.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write claim.json here instead of showing a line.")] = None,
    as_json: Json = False,
    home: HomeOption = None,
    db: DbOption = None,
) -> None:
    """Make a ticket. It is shown once: carry it to the board on its card, by cable, or as a line of text.

    Example: pehra fleet claim new --site lahore/gulberg --timezone Asia/Karachi --device cam-liberty-01
    """
    from fleet.errors import BadClaim
    from fleet.identity.claims import Terms, read_boards

    with at_the_counter(home, db) as (office, session):
        if not 0 < days <= DAYS_MAX:
            raise BadClaim(f"a claim lives from one minute to {DAYS_MAX} days")
        if not (site or anywhere or boards):
            raise BadClaim("say where: --site lahore/gulberg, or --anywhere")
        terms = Terms(
            site=site,
            timezone=timezone,
            device=device,
            serial=serial,
            uses=uses,
            life=timedelta(days=days),
            needs_approval=approve,
            boards=read_boards(_text_of(boards)) if boards else (),
        )
        claim, ticket = office.new_ticket(session, terms, who_am_i())
        show_ticket(claim, ticket, out, as_json=as_json)


@claim_app.command("list")
def list_all(as_json: Json = False, home: HomeOption = None, db: DbOption = None) -> None:
    """List claims, newest first. Their secrets are not kept and cannot be shown again."""
    from fleet.identity.claims import claim_state, list_claims

    with at_the_counter(home, db) as (_, session):
        rows = [
            {
                "id": claim.id,
                "state": claim_state(claim, datetime.now(UTC)),
                "site": claim.site,
                "device": claim.device,
                "serial": claim.serial,
                "used": f"{claim.used}/{claim.uses}",
                "expires": _moment(claim.expires_ms),
                "by": claim.made_by,
            }
            for claim in list_claims(session)
        ]
        show_rows(rows, as_json=as_json)


@claim_app.command("cancel")
def cancel(
    claim: Annotated[str, typer.Argument(help="Id of the claim.")],
    home: HomeOption = None,
    db: DbOption = None,
) -> None:
    """End a claim that is not to be used any more; devices that enrolled with it stay."""
    from fleet.identity.claims import cancel_claim

    with at_the_counter(home, db) as (_, session):
        cancel_claim(session, claim, who_am_i())
        typer.echo(f"claim {claim} is cancelled")


@enrolment_app.command("list")
def list_waiting(
    state: Annotated[
        str, typer.Option(help="waiting, approved, refused, enrolled; empty for all.")
    ] = "waiting",
    as_json: Json = False,
    home: HomeOption = None,
    db: DbOption = None,
) -> None:
    """List boards that asked to be let in."""
    from fleet.identity.enrolment import list_enrolments

    with at_the_counter(home, db) as (_, session):
        rows = [
            {
                "id": one.id,
                "state": one.state,
                "device": one.device,
                "site": one.site,
                "serial": one.serial,
                "board": one.board,
                "asked": _moment(one.asked_ms),
                "key": one.key_sha256[:16],
            }
            for one in list_enrolments(session, state)
        ]
        show_rows(rows, as_json=as_json)


@enrolment_app.command("approve")
def approve(
    enrolment: Annotated[str, typer.Argument(help="Id of the enrolment.")],
    home: HomeOption = None,
    db: DbOption = None,
) -> None:
    """Let a board in that waits; it asks again within a quarter of a minute."""
    _decide(enrolment, "approved", home, db)


@enrolment_app.command("refuse")
def refuse(
    enrolment: Annotated[str, typer.Argument(help="Id of the enrolment.")],
    home: HomeOption = None,
    db: DbOption = None,
) -> None:
    """Refuse a board that waits, for good: it needs another ticket."""
    _decide(enrolment, "refused", home, db)


def show_ticket(claim: Claim, ticket: Ticket, out: Path | None, *, as_json: bool) -> None:
    """Show a ticket, or write it to a file that only its owner reads."""
    from ota.enrolment import ticket_json, ticket_text

    if out is not None:
        _write_secret(out, ticket_json(ticket))
    if as_json:
        print(
            json.dumps({"id": claim.id, "ticket": ticket_text(ticket), "expires": _moment(claim.expires_ms)})
        )
    elif out is not None:
        typer.echo(f"{out}: claim {claim.id}, until {_moment(claim.expires_ms)}")
    else:
        typer.echo(
            f"claim {claim.id}, until {_moment(claim.expires_ms)}; the ticket, shown only now:", err=True
        )
        typer.echo(ticket_text(ticket))


def _write_secret(file: Path, content: bytes) -> None:
    """Write what only its owner may read, also over a file that everybody could.

    Raises:
        SettingsError: the disk refuses.
    """
    from fleet.errors import SettingsError

    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
            os.fchmod(opened.fileno(), 0o600)
            opened.write(content)
    except OSError as error:
        words = f"{file} cannot be written ({error.strerror}): the ticket is lost, cancel its claim"
        raise SettingsError(words) from error


def show_rows(rows: list[dict[str, str]], *, as_json: bool) -> None:
    """Show rows as a table or as JSON."""
    from rich.console import Console
    from rich.table import Table

    if as_json:
        print(json.dumps(rows))
        return
    table = Table(box=None)
    for name in rows[0] if rows else ("nothing",):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row.values())
    Console(markup=False).print(table)


def _decide(enrolment: str, state: str, home: Path | None, db: str | None) -> None:
    from fleet.identity.enrolment import decide

    with at_the_counter(home, db) as (_, session):
        decided = decide(session, enrolment, state, who_am_i(), datetime.now(UTC))
        typer.echo(f"{decided.device}: {decided.state}")


def _text_of(file: Path) -> str:
    from fleet.errors import SettingsError

    try:
        return file.read_text("utf-8-sig")
    except OSError as error:
        words = f"{file} cannot be read ({error.strerror}): name a CSV file with serial, id, site"
        raise SettingsError(words) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file}: {error}") from error


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
