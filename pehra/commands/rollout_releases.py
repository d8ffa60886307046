"""`pehra rollout release ...`: what can be rolled out."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Final

import typer

from pehra.commands.fleet_claims import Json, show_rows
from pehra.commands.fleet_shared import DbOption, HomeOption, at_the_counter, home_of, who_am_i
from pehra.commands.owner import give_to_owner

if TYPE_CHECKING:
    from fleet.store.tables_rollouts import Release

PIECE_BYTES: Final = 1024 * 1024
release_app = typer.Typer(no_args_is_help=True, help="Releases that rollouts may hand out.")


@release_app.command("list")
def list_all(as_json: Json = False, home: HomeOption = None, db: DbOption = None) -> None:
    """List releases, newest first."""
    from fleet.rollouts.releases import list_releases

    with at_the_counter(home, db) as (_, session):
        rows = [
            {
                "id": one.id,
                "release": f"{one.name}@{one.version}",
                "kind": one.kind,
                "bytes": str(one.length),
                "boards": " ".join(one.hw) or "any",
                "sec_ver": str(one.sec_ver),
                "state": one.state,
                "sha256": one.sha256[:16],
            }
            for one in list_releases(session)
        ]
        show_rows(rows, as_json=as_json)


@release_app.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="The target as the image repository holds it.")],
    kind: Annotated[str, typer.Option(help="model, firmware or os.")],
    name: Annotated[str, typer.Option(help="For example street-3.")],
    version: Annotated[str, typer.Option(help="For example 1.0.0.")],
    model_sha256: Annotated[
        str, typer.Option(help="Of a model: digest of its .tflite, where FILE is not that.")
    ] = "",
    path: Annotated[str, typer.Option(help="Its name in the image repository; else KIND/NAME-VERSION.")] = "",
    hw: Annotated[list[str] | None, typer.Option(help="A board that it is for; any without.")] = None,
    sec_ver: Annotated[int, typer.Option(help="Security version.")] = 0,
    home: HomeOption = None,
    db: DbOption = None,
) -> None:
    """Make a release known. Devices install it only if the image repository has signed the same bytes.

    The image of an operating system is copied to the fleet, which hands it out itself; the engine on the
    device checks the signature inside.
    """
    if kind == "os":
        _add_image(file, name, version, tuple(hw or ()), sec_ver, home, db)
        return
    from fleet.rollouts.releases import NewRelease, add_release

    try:
        with file.open("rb") as source:
            sha256 = hashlib.file_digest(source, "sha256").hexdigest()
        length = file.stat().st_size
    except OSError as error:
        raise _unreadable(file, error) from error
    new = NewRelease(kind, name, version, sha256, length, model_sha256, path, tuple(hw or ()), sec_ver)
    with at_the_counter(home, db) as (_, session):
        _show(add_release(session, new, who_am_i(), _now_ms()))


@release_app.command("withdraw")
def withdraw(
    release: Annotated[str, typer.Argument(help="Id, or NAME@VERSION.")],
    home: HomeOption = None,
    db: DbOption = None,
) -> None:
    """Let no new rollout use a release; rollouts that run go on."""
    from fleet.rollouts.releases import withdraw_release

    with at_the_counter(home, db) as (_, session):
        row = withdraw_release(session, release, who_am_i())
        typer.echo(f"{row.name}@{row.version} is withdrawn")


def _add_image(
    file: Path,
    name: str,
    version: str,
    hw: tuple[str, ...],
    sec_ver: int,
    home: Path | None,
    db: str | None,
) -> None:
    """Copy an OS image into the fleet's folder and make it a release."""
    from fleet.hawkbit.images import ImageFolder
    from fleet.hawkbit.releases import NewImage, keep_image
    from fleet.settings import load_settings

    new = NewImage(name, version, file.name, hw, sec_ver)
    with at_the_counter(home, db) as (_, session), _opened(file) as source:
        new.check()
        settings = load_settings(os.environ, home=home_of(home), database_url=db)
        assert settings.image_folder is not None
        folder = ImageFolder(settings.image_folder)
        length = file.stat().st_size
        with folder.receiving(length) as received:
            with typer.progressbar(length=length, label=file.name, file=sys.stderr) as copied:
                while piece := source.read(PIECE_BYTES):
                    received.add(piece)
                    copied.update(len(piece))
            _show(keep_image(session, folder, received, new, who_am_i(), _now_ms()))
        give_to_owner(settings.image_folder)
        give_to_owner(home_of(home))


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    try:
        with file.open("rb") as source:
            yield source
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: OSError) -> typer.BadParameter:
    return typer.BadParameter(f"{file} cannot be read ({error.strerror})")


def _show(row: Release) -> None:
    typer.echo(f"{row.name}@{row.version}: {row.length} bytes, sha256 {row.sha256}, id {row.id}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
