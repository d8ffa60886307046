"""What the commands of `pehra fleet` share: errors in one line, secrets never on the command line."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sqlmodel import Session

    from fleet.identity.office import Office

HomeOption = Annotated[
    Path | None, typer.Option(help="Folder that `pehra fleet init` made; else PEHRA_HOME.")
]
DbOption = Annotated[str | None, typer.Option(help="Database URL; else PEHRA_DB, else the home's own.")]


class Refusals:
    """Turns an error of the fleet into one line on stderr and exit code 2."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        from fleet.errors import FleetError

        if isinstance(error, FleetError):
            typer.echo(f"pehra fleet: {error}", err=True)
            raise typer.Exit(2) from error


@contextmanager
def at_the_counter(home: Path | None, db: str | None) -> Iterator[tuple[Office, Session]]:
    """Open a fleet's home and database for one command.

    Raises:
        typer.Exit: something is wrong; it has been said.
    """
    from sqlmodel import Session

    from fleet.identity.home import Home
    from fleet.identity.office import Office
    from fleet.settings import load_settings
    from fleet.store.database import open_database

    with Refusals():
        folder = home_of(home)
        settings = load_settings(os.environ, home=folder, database_url=db)
        office = Office(Home(folder))
        engine = open_database(settings.database_url)
        try:
            with Session(engine) as session:
                yield office, session
        finally:
            engine.dispose()


def home_of(given: Path | None) -> Path:
    """Return the folder of the fleet that a command is for.

    Raises:
        SettingsError: none is named.
    """
    from fleet.errors import SettingsError

    named = given or (Path(os.environ["PEHRA_HOME"]) if os.environ.get("PEHRA_HOME") else None)
    if named is None:
        raise SettingsError("say which fleet: --home FOLDER, or PEHRA_HOME (`pehra fleet init` makes one)")
    return named


def who_am_i() -> str:
    """Return whom the log names for what is done at this terminal: who logged in, also under sudo."""
    from fleet.rollouts.acting import TERMINAL

    return (os.environ.get("SUDO_USER") or getpass.getuser()) + TERMINAL


def secret_of(file: Path | None, prompt: str, *, is_new: bool) -> str:
    """Return a secret from a file's first line, or ask for it (twice when it is new).

    Raises:
        SettingsError: the file cannot be read.
    """
    from fleet.errors import SettingsError

    if file is None:
        return str(typer.prompt(prompt, hide_input=True, confirmation_prompt=is_new))
    try:
        return file.read_text("utf-8").split("\n", 1)[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: {error}") from error
