"""`pehra fleet user`: people, straight on the fleet's database. Passwords are asked or come from stdin."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from pehra.commands.fleet_database import Database, Home, fleet_session

user_app = typer.Typer(help="People of a fleet: who may log in, and what for.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="User's name.")]
Grants = Annotated[
    list[str] | None,
    typer.Argument(help="ROLE or ROLE@SITE, for example operator@lahore/gulberg; several are allowed."),
]
PASSWORD_BYTES: Final = 1024
PAGE: Final = 200


@user_app.command("add")
def add(name: Name, grants: Grants = None, home: Home = None, db: Database = None) -> None:
    """Add a user; the password is asked for, or read from stdin."""
    from fleet.access.caller import SYSTEM
    from fleet.access.users import add_user, grant_of

    with fleet_session(home, db) as session:
        wanted = [grant_of(one) for one in grants or []]
        add_user(session, SYSTEM, name, _read_password(), wanted, now_ms=_now_ms())
        typer.echo(f"{name} can log in")


@user_app.command("list")
def show(home: Home = None, db: Database = None) -> None:
    """List users with their roles."""
    from fleet.access.lists import page_users
    from fleet.queries.paging import pages

    with fleet_session(home, db) as session:
        for one in pages(lambda cursor: page_users(session, _now_ms(), limit=PAGE, cursor=cursor)):
            marks = [
                *(["disabled"] if one.is_disabled else []),
                *(["totp"] if one.has_totp else []),
                *(["single sign-on"] if one.is_single_sign_on else []),
                *(["waits after wrong log-ins"] if one.waits_until_ms else []),
            ]
            roles = " ".join(map(str, one.grants)) or "(no role)"
            typer.echo(f"{one.name:24} {roles}{'  [' + ', '.join(marks) + ']' if marks else ''}")


@user_app.command("grant")
def grant(name: Name, grants: Grants = None, home: Home = None, db: Database = None) -> None:
    """Give a user exactly these roles; none takes all away."""
    from fleet.access.caller import SYSTEM
    from fleet.access.users import grant_of, set_grants

    with fleet_session(home, db) as session:
        wanted = [grant_of(one) for one in grants or []]
        set_grants(session, SYSTEM, name, wanted, now_ms=_now_ms())
        typer.echo(f"{name}: {' '.join(map(str, sorted(wanted))) or 'no role'}")


@user_app.command("disable")
def disable(name: Name, home: Home = None, db: Database = None) -> None:
    """Let a user in no more, and end all sessions."""
    from fleet.access.caller import SYSTEM
    from fleet.access.users import disable_user

    with fleet_session(home, db) as session:
        disable_user(session, SYSTEM, name, now_ms=_now_ms())
        typer.echo(f"{name} is disabled")


@user_app.command("enable")
def enable(name: Name, home: Home = None, db: Database = None) -> None:
    """Let a disabled user in again."""
    from fleet.access.caller import SYSTEM
    from fleet.access.users import enable_user

    with fleet_session(home, db) as session:
        enable_user(session, SYSTEM, name, now_ms=_now_ms())
        typer.echo(f"{name} can log in again")


@user_app.command("password")
def password(name: Name, home: Home = None, db: Database = None) -> None:
    """Set a user's password (asked for, or from stdin) and end all sessions."""
    from fleet.access.caller import SYSTEM
    from fleet.access.users import reset_password

    with fleet_session(home, db) as session:
        reset_password(session, SYSTEM, name, _read_password(), now_ms=_now_ms())
        typer.echo(f"{name} has a new password; all sessions have ended")


@user_app.command("unlock")
def unlock(name: Name, home: Home = None, db: Database = None) -> None:
    """Forget a user's wrong log-ins, so that the next try is looked at now."""
    from fleet.access.caller import SYSTEM
    from fleet.access.users import unlock_user

    with fleet_session(home, db) as session:
        unlock_user(session, SYSTEM, name, now_ms=_now_ms())
        typer.echo(f"{name} may try again")


@user_app.command("totp-reset")
def totp_reset(name: Name, home: Home = None, db: Database = None) -> None:
    """Take the second factor from a user who has lost it."""
    from fleet.access.caller import SYSTEM
    from fleet.access.users import reset_totp

    with fleet_session(home, db) as session:
        reset_totp(session, SYSTEM, name, now_ms=_now_ms())
        typer.echo(f"{name} logs in with the password alone")


@user_app.command("token")
def token(
    name: Name,
    label: Annotated[str, typer.Argument(help="What the token is for.")],
    may: Annotated[list[str], typer.Option(help="A permission; several are allowed.")],
    site: Annotated[list[str] | None, typer.Option(help="Only at this site; several are allowed.")] = None,
    days: Annotated[int, typer.Option(help="How long it holds.")] = 90,
    home: Home = None,
    db: Database = None,
) -> None:
    """Make an API token for a user and print it, this once."""
    from fleet.access.caller import Caller
    from fleet.access.sessions import grants_of
    from fleet.access.tokens import make_token
    from fleet.access.users import get_user

    with fleet_session(home, db) as session:
        user = get_user(session, name)
        owner = Caller(user.name, "system", user_id=user.id, grants=grants_of(session, user.id))
        row, made = make_token(session, owner, label, may, site or [], days=days, now_ms=_now_ms())
        until = datetime.fromtimestamp(row.expires_ms / 1000, tz=UTC)
        typer.echo(f"for {user.name} until {until:%Y-%m-%d}, not shown again:", err=True)
        typer.echo(made)


def _read_password() -> str:
    """Ask twice at a terminal, else read the first line of stdin."""
    from fleet.errors import BadInput

    if sys.stdin.isatty():
        asked: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return asked
    line = sys.stdin.readline(PASSWORD_BYTES + 1)
    if len(line) > PASSWORD_BYTES:
        raise BadInput("the password is too long")
    return line.rstrip("\r\n")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
