"""What the commands of `pehra ota` share: the repository's folder, errors in one line, secrets from files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pehra.commands.fleet_shared import secret_of

if TYPE_CHECKING:
    from ota.images.home import Home, Settings
    from ota.images.keys import AskSecret

LOCK_S: Final = 15.0
"""A fleet that signs in the same repository is done long before."""
HomeOption = Annotated[
    Path | None, typer.Option(help="Folder that `pehra ota init` made; else PEHRA_OTA_HOME.")
]
PassphraseOption = Annotated[
    list[str] | None,
    typer.Option(
        help="[KEY=]FILE with a passphrase or PIN in its first line, for one key or for all; repeat. "
        "Else it is asked for.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def now() -> datetime:
    """Return our clock's time."""
    return datetime.now(UTC)


@contextmanager
def one_line() -> Iterator[None]:
    """Say an error in one line on stderr and end with 2.

    Raises:
        typer.Exit: Something is wrong; it has been said.
    """
    from ota.errors import TrustError

    try:
        yield
    except TrustError as error:
        typer.echo(f"pehra ota: {error}", err=True)
        raise typer.Exit(2) from error


@contextmanager
def at_work(home: Path | None) -> Iterator[tuple[Home, Settings]]:
    """Open an image repository for one command, alone.

    Raises:
        typer.Exit: Something is wrong; it has been said.
    """
    from ota.errors import BadRelease
    from ota.images.home import Home

    with one_line():
        named = home or (Path(os.environ["PEHRA_OTA_HOME"]) if os.environ.get("PEHRA_OTA_HOME") else None)
        if named is None:
            raise BadRelease("say which repository: --home FOLDER, or PEHRA_OTA_HOME")
        place = Home(named)
        with place.locked(LOCK_S) as settings:
            yield place, settings


def asking(files: list[str] | None) -> AskSecret:
    """Return what finds a key's passphrase: in its file, in the file for all, or by asking."""
    of_key = dict(_named(given) for given in files or [])

    def ask(name: str, is_new: bool) -> str:
        what = f"New passphrase of key {name}" if is_new else f"Passphrase of key {name}"
        return secret_of(of_key.get(name, of_key.get("")), what, is_new=is_new)

    return ask


def _named(given: str) -> tuple[str, Path]:
    name, equals, file = given.partition("=")
    return (name, Path(file)) if equals else ("", Path(given))
