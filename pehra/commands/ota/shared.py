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
from pehra.commands.owner import give_to_owner

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
KeysOption = Annotated[
    list[Path] | None,
    typer.Option(help="Folder with key files, as on a stick; repeat."),
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
    """Open an image repository for one command, alone; what root writes there is its owner's afterwards.

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
            try:
                yield place, settings
            finally:
                for folder in (named, *map(Path, settings.published)):
                    give_to_owner(folder)


def asking(files: list[str] | None, whose: str = "") -> AskSecret:
    """Return what finds a key's passphrase: in its file, in the file for all, or by asking.

    Args:
        files: `[KEY=]FILE`.
        whose: keys they are, where people may have others of the same name.
    """
    of_key = dict(_named(given) for given in files or [])

    def ask(name: str, is_new: bool) -> str:
        key = f"{whose} key {name}".strip()
        what = f"New passphrase of {key}" if is_new else f"Passphrase of {key}"
        return secret_of(of_key.get(name, of_key.get("")), what, is_new=is_new)

    return ask


def sticks(folders: list[Path] | None) -> list[Path]:
    """Return folders with key files.

    Raises:
        BadRelease: one is not there.
    """
    from ota.errors import BadRelease

    for folder in folders or []:
        if not folder.is_dir():
            raise BadRelease(f"--keys {folder}: no such folder; is the stick in, and mounted?")
    return folders or []


def _named(given: str) -> tuple[str, Path]:
    name, equals, file = given.partition("=")
    return (name, Path(file)) if equals else ("", Path(given))
