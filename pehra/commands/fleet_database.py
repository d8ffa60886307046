"""What commands on a fleet's database share: the options, the session, one sentence on a fault."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sqlmodel import Session

Home = Annotated[Path | None, typer.Option(help="Folder that `pehra fleet init` made; else PEHRA_HOME.")]
Database = Annotated[
    str | None, typer.Option("--db", help="Database URL; else PEHRA_DB, else fleet.db in the home.")
]


@contextmanager
def fleet_session(home: Path | None, db: str | None) -> Iterator[Session]:
    """Give a session on the fleet's database; what is refused is said in a sentence, with exit code 2."""
    from sqlalchemy.exc import DBAPIError
    from sqlmodel import Session

    from fleet.errors import FleetError, SettingsError, first_line
    from fleet.settings import load_settings
    from fleet.store.database import open_database

    try:
        settings = load_settings(os.environ, home=home, database_url=db)
        if settings.home is None and db is None and not os.environ.get("PEHRA_DB"):
            raise SettingsError("say which fleet: --home DIR, or --db URL")
        engine = open_database(settings.database_url)
        try:
            with Session(engine) as session:
                yield session
        finally:
            engine.dispose()
    except FleetError as error:
        fail(str(error))
    except DBAPIError as error:
        fail(f"the database does not answer: {first_line(error)}")


def fail(sentence: str) -> None:
    """Say what is wrong and end with 2."""
    typer.echo(f"pehra fleet: {sentence}", err=True)
    raise typer.Exit(2)
