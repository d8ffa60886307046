"""`pehra ota tuf-client`: the device's client behind the command line of the TUF conformance suite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

if TYPE_CHECKING:
    from ota.trust.folder import TrustFolder
    from ota.trust.refresh import Catalogue
    from ota.trust.sources import Source

tuf_client_app = typer.Typer(
    no_args_is_help=True, help="The device's TUF client, as theupdateframework/tuf-conformance calls it."
)

OWN_FOLDER = "trust"
BOOTSTRAP = "bootstrap"
LONGEST_NAME = 200
"""Characters of a file name; a target's path that is longer is called by its hash."""


@dataclass(frozen=True)
class _Asked:
    metadata_dir: Path
    metadata_url: str
    target_name: str
    target_base_url: str
    target_dir: Path

    @property
    def own(self) -> Path:
        return self.metadata_dir / OWN_FOLDER

    @property
    def source(self) -> Source:
        from ota.trust.http import HttpSource

        return HttpSource(self.metadata_url, self.target_base_url or self.metadata_url)

    @property
    def destination(self) -> Path:
        name = quote(self.target_name, "")
        if len(name) > LONGEST_NAME:
            name = sha256(self.target_name.encode()).hexdigest()
        return self.target_dir / name


@tuf_client_app.callback()
def _options(
    context: typer.Context,
    metadata_dir: Annotated[Path, typer.Option(help="Folder of the trusted metadata.")],
    metadata_url: Annotated[str, typer.Option(help="Where the repository's metadata is.")] = "",
    target_name: Annotated[str, typer.Option(help="Path of the target to download.")] = "",
    target_base_url: Annotated[str, typer.Option(help="Where the repository's targets are.")] = "",
    target_dir: Annotated[Path, typer.Option(help="Folder to download to.")] = Path(),
) -> None:
    context.obj = _Asked(metadata_dir, metadata_url, target_name, target_base_url, target_dir)


@tuf_client_app.command()
def init(
    context: typer.Context,
    trusted_root: Annotated[Path, typer.Argument(help="Metadata of the root to begin with.")],
) -> None:
    """Begin to trust a root. Asks nobody."""
    from ota.trust.refresh import verify_root
    from ota.whole import write_whole

    asked: _Asked = context.obj
    with _one_line():
        content = trusted_root.read_bytes()
        verify_root(content)
        asked.own.mkdir(parents=True, exist_ok=True)
        write_whole(asked.own / BOOTSTRAP, content)
        if not asked.own.joinpath("current").is_dir():
            write_whole(asked.metadata_dir / "root.json", content)


@tuf_client_app.command()
def refresh(context: typer.Context) -> None:
    """Bring the trusted metadata up to date."""
    with _one_line():
        _refresh(context.obj)


@tuf_client_app.command()
def download(context: typer.Context) -> None:
    """Bring the trusted metadata up to date, and download a target by it."""
    from ota.errors import NotThere
    from ota.trust.download import download as fetch

    asked: _Asked = context.obj
    with _one_line():
        catalogue = _refresh(asked, [asked.target_name])
        target = catalogue.targets[asked.target_name]
        if target is None:
            raise NotThere(f"target {asked.target_name!r}")
        fetch(asked.source, target, asked.destination, prefixes_hash=catalogue.prefixes_hash)
        typer.echo(str(asked.destination))


def _refresh(asked: _Asked, wanted: Sequence[str] = ()) -> Catalogue:
    from ota.errors import FolderProblem
    from ota.trust.folder import TrustFolder
    from ota.trust.refresh import refresh as bring

    folder, bootstrap = TrustFolder(asked.own), asked.own / BOOTSTRAP
    if not bootstrap.is_file():
        raise FolderProblem(f"{asked.metadata_dir}: no root is trusted here yet; begin with init ROOT_FILE")
    try:
        return bring(folder, bootstrap.read_bytes(), asked.source, wanted)
    finally:
        _lay_out(folder, asked.metadata_dir)


def _lay_out(folder: TrustFolder, metadata_dir: Path) -> None:
    """Show the trusted metadata under its plain names, as the protocol wants it."""
    from ota.whole import write_whole

    for file in folder.current.glob("*.json") if folder.current.is_dir() else []:
        content = file.read_bytes()
        shown = metadata_dir / file.name
        if not shown.exists() or shown.read_bytes() != content:
            write_whole(shown, content)


@contextmanager
def _one_line() -> Iterator[None]:
    """Say an error in one line and end with 1, as the protocol wants it."""
    from ota.errors import TrustError

    try:
        yield
    except (TrustError, OSError) as error:
        typer.echo(f"pehra ota tuf-client: {error}", err=True)
        raise typer.Exit(1) from error
