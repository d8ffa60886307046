"""`pehra fleet device ...`: identities, their certificates, and how they end."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pehra.commands.fleet_claims import Json, show_rows, show_ticket
from pehra.commands.fleet_shared import DbOption, HomeOption, at_the_counter, who_am_i

device_app = typer.Typer(no_args_is_help=True, help="Devices that were let in, and how that ends.")

Device = Annotated[str, typer.Argument(help="Id of the device.")]


@device_app.command("list")
def list_all(as_json: Json = False, home: HomeOption = None, db: DbOption = None) -> None:
    """List all devices that were ever let in."""
    from fleet.identity.revocation import list_identities

    with at_the_counter(home, db) as (_, session):
        rows = [
            {
                "device": one.device,
                "state": one.state,
                "since": _day(one.since_ms),
                "site": one.site,
                "serial": one.serial,
                "board": one.board,
                "reason": one.reason,
            }
            for one in list_identities(session)
        ]
        show_rows(rows, as_json=as_json)


@device_app.command("certificates")
def certificates(device: Device, as_json: Json = False, home: HomeOption = None, db: DbOption = None) -> None:
    """List a device's certificates, newest first."""
    from fleet.identity.revocation import get_identity, list_certificates

    with at_the_counter(home, db) as (_, session):
        get_identity(session, device)
        rows = [
            {
                "number": one.number,
                "from": _day(one.begin_ms),
                "until": _day(one.end_ms),
                "revoked": _day(one.revoked_ms) if one.revoked_ms else "",
                "reason": one.reason,
            }
            for one in list_certificates(session, device)
        ]
        show_rows(rows, as_json=as_json)


@device_app.command("tag")
def tag(
    device: Device,
    tags: Annotated[
        list[str] | None, typer.Argument(help="All tags that it is to have; shows them without.")
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Take all tags from it.")] = False,
    home: HomeOption = None,
    db: DbOption = None,
) -> None:
    """Hang words on a device, so that filters of rollouts can mean it: tag:night."""
    from fleet.rollouts.tags import set_tags, tags_of

    with at_the_counter(home, db) as (_, session):
        kept = set_tags(session, device, tags or [], who_am_i()) if tags or none else tags_of(session, device)
        typer.echo(f"{device}: {' '.join(kept) or 'no tags'}")


@device_app.command("token")
def token(
    device: Device,
    revoke: Annotated[bool, typer.Option("--revoke", help="End it instead.")] = False,
    home: HomeOption = None,
    db: DbOption = None,
) -> None:
    """Make the token with which SWUpdate or RAUC on a device proves itself; the one before it ends.

    It is shown now and never again. A device that comes with its certificate needs none.
    """
    from fleet.hawkbit.entry import make_token, revoke_token

    with at_the_counter(home, db) as (_, session):
        now_ms = round(datetime.now(UTC).timestamp() * 1000)
        if revoke:
            had = revoke_token(session, device, who_am_i(), now_ms)
            typer.echo(f"{device}: its token has ended" if had else f"{device} has no token")
        else:
            typer.echo(make_token(session, device, who_am_i(), now_ms))


@device_app.command("revoke")
def revoke(
    device: Device,
    reason: Annotated[
        str, typer.Option(help="keyCompromise, cessationOfOperation, superseded or unspecified.")
    ] = "keyCompromise",
    home: HomeOption = None,
    db: DbOption = None,
) -> None:
    """Trust a device no longer: a stolen one, for example. Broker and API follow within a minute."""
    from fleet.identity.revocation import revoke_device

    with at_the_counter(home, db) as (_, session):
        ended = revoke_device(session, device, reason, datetime.now(UTC), who_am_i())
        typer.echo(f"{device} is {ended.state}; its history stays. A claim made for it would bring it back.")


@device_app.command("move")
def move(
    device: Device,
    site: Annotated[str, typer.Option(help="Where it hangs from now on.")],
    home: HomeOption = None,
    db: DbOption = None,
) -> None:
    """Say that a device hangs elsewhere; who may see and change it follows at once."""
    from fleet.identity.revocation import move_device

    with at_the_counter(home, db) as (_, session):
        move_device(session, device, site, datetime.now(UTC), who_am_i())
        typer.echo(f"{device} hangs at {site}")


@device_app.command("replace")
def replace(
    device: Device,
    serial: Annotated[str, typer.Option(help="Serial number of the new board, if you know it.")] = "",
    out: Annotated[Path | None, typer.Option(help="Write claim.json here instead of showing a line.")] = None,
    as_json: Json = False,
    home: HomeOption = None,
    db: DbOption = None,
) -> None:
    """Make the ticket with which a new board takes over: id, site, configuration, rules and history.

    When it enrols, the old board's certificates end. Until then the old one goes on.
    """
    from fleet.identity.office import replacement_terms

    with at_the_counter(home, db) as (office, session):
        terms = replacement_terms(session, device, serial)
        claim, ticket = office.new_ticket(session, terms, who_am_i())
        show_ticket(claim, ticket, out, as_json=as_json)


@device_app.command("decommission")
def decommission(
    device: Device,
    now: Annotated[
        bool, typer.Option("--now", help="Do not wait for the device to wipe itself: it is gone or broken.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    home: HomeOption = None,
    db: DbOption = None,
) -> None:
    """Take a device out of service: it is told to wipe its key and its state, then it is retired.

    The running fleet manager tells it as soon as it is online. Its history stays until it expires.
    """
    from fleet.identity.revocation import begin_leaving, get_identity, retire_device

    with at_the_counter(home, db) as (_, session):
        get_identity(session, device)
        if not yes:
            typer.confirm(f"{device}: wipe it and retire it?", abort=True)
        if now:
            why = "decommissioned without its answer"
            left = retire_device(session, device, why, datetime.now(UTC), who_am_i())
        else:
            left = begin_leaving(session, device, datetime.now(UTC), who_am_i())
        told = "will be told to wipe itself" if left.state == "leaving" else f"is {left.state}"
        typer.echo(f"{device} {told}")


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M")
