"""`pehra models add`, `pull` and `remove`: models of others in this installation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pehra.commands.models.shared import end, stdout

if TYPE_CHECKING:
    from device.models.adding import Wish
    from device.models.verify import Check
    from device.models.zoo import Entry

Force = Annotated[bool, typer.Option("--force", help="Replace an added or pulled model of that name.")]


def add_model(
    file: Annotated[Path, typer.Argument(help="A bare .tflite detector.")],
    *,
    name: Annotated[str | None, typer.Option(help="To call it by; else made of the file's name.")] = None,
    version: Annotated[str, typer.Option(help="Its maker's, or one's own.")] = "1",
    labels: Annotated[
        str | None, typer.Option(help="A file of labels, one a line, or names with commas, in order.")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Of the weights, such as Apache-2.0.")] = None,
    source: Annotated[str | None, typer.Option(help="Where it is from: an address, a person.")] = None,
    description: Annotated[str, typer.Option(help="What it is for, in a sentence.")] = "",
    decoder: Annotated[
        str, typer.Option(help="Layout of its outputs, where it is not recognised: see inspect.")
    ] = "",
    force: Force = False,
) -> None:
    r"""Make a card for a bare `.tflite` and keep both, so that cameras can use it by name.

    What can be read from the file is read; what cannot is asked for, or given as options in a script. The
    model must pass `pehra models verify` first. `pehra models remove` undoes it.

    \b
    On a terminal, answering questions:
      pehra models add bus-stop.tflite
    In a script:
      pehra models add bus-stop.tflite --licence MIT --source "our own" --labels person,bus
    """
    from device.errors import PehraDeviceError
    from device.models.adding import add, check_name, name_from
    from device.models.bundle import models_folder

    chosen = name or name_from(file)
    try:
        check_name(chosen, models_folder(), may_replace=force)
        wish = _wish(file, chosen, version, labels, licence, source, description, decoder)
        bundle, checks = add(file, wish, models_folder(), may_replace=force)
    except (PehraDeviceError, OSError) as error:
        end(str(error))
    _show(chosen, bundle, checks)


def _wish(
    file: Path,
    name: str,
    version: str,
    labels: str | None,
    licence: str | None,
    source: str | None,
    description: str,
    decoder: str,
) -> Wish:
    from device.models.adding import Wish
    from device.models.bundle import read_model
    from device.models.recognise import licence_inside
    from pehra.commands.detect import read_labels

    known = licence_inside(read_model(file))
    named = read_labels(labels) or _asked_labels(file, decoder)
    return Wish(
        name=name,
        version=version,
        labels=named,
        licence=licence if licence is not None else _asked("Licence of the weights", "--licence", known),
        source=source if source is not None else _asked("Where the file is from", "--source"),
        description=description,
        decoder=decoder,
    )


def _asked_labels(file: Path, decoder: str) -> tuple[str, ...]:
    """Labels asked of a person, if the file holds none and none lie beside it; () where they are found."""
    from device.errors import ModelUnavailable
    from device.models.bundle import read_model
    from device.models.recognise import recognise
    from pehra.commands.detect import read_labels

    try:
        recognise(file, read_model(file), (), decoder)
    except ModelUnavailable as error:
        if "label" not in str(error):
            raise
        return read_labels(_asked(f"{error}\nLabels, with commas", "--labels"))
    return ()


def _asked(question: str, option: str, known: str = "") -> str:
    """An answer from the terminal; where there is none, what is known, or the end with the option's name."""
    if sys.stdin.isatty():
        answer: str = typer.prompt(question, default=known or None, err=True)
        return answer
    if not known:
        end(f"{question}: nobody is there to be asked, so say it with {option}")
    return known


def pull_model(
    name: Annotated[
        str | None, typer.Argument(help="Of a model in the zoo; without it, they are listed.")
    ] = None,
    *,
    manifest: Annotated[Path | None, typer.Option(help="A zoo of one's own in place of Pehra's.")] = None,
    force: Force = False,
) -> None:
    r"""Fetch a well-known openly licensed detector, check its sha256, and keep it with a card.

    A download that breaks off goes on from there when it is pulled again.

    \b
      pehra models pull
      pehra models pull efficientdet-lite0
    """
    from device.errors import PehraDeviceError
    from device.models.adding import Wish, add, check_name
    from device.models.bundle import models_folder
    from device.models.zoo import MANIFEST, find, load_manifest

    try:
        entries = load_manifest(manifest or MANIFEST)
        if name is None:
            _list_zoo(entries)
            return
        entry = find(entries, name)
        check_name(entry.name, models_folder(), may_replace=force)
        file = _download_with_bar(entry, models_folder() / ".downloads")
        wish = Wish(entry.name, entry.version, entry.labels, entry.licence, entry.url, entry.description)
        bundle, checks = add(file, wish, models_folder(), may_replace=force)
        file.unlink()
    except (PehraDeviceError, OSError) as error:
        end(str(error))
    _show(entry.name, bundle, checks)


def _download_with_bar(entry: Entry, folder: Path) -> Path:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from device.models.zoo import download

    console = Console(stderr=True)
    columns = (
        TextColumn(entry.name),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=None)
        return download(entry, folder, lambda done, whole: bar.update(task, completed=done, total=whole))


def _list_zoo(entries: list[Entry]) -> None:
    from rich.table import Table

    table = Table("model", "licence", "what it is", box=None)
    for entry in entries:
        table.add_row(entry.name, entry.licence, entry.description)
    stdout().print(table)


def remove_model(
    name: Annotated[str, typer.Argument(help="Of an added or pulled model.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete an added or pulled model. Models that Pehra ships stay."""
    from device.errors import PehraDeviceError
    from device.models.adding import remove
    from device.models.bundle import bundle_names, models_folder

    folder = models_folder()
    if name in bundle_names(folder) and not yes:
        if not sys.stdin.isatty():
            end(f"{folder / name} would be deleted: say --yes where nobody can be asked")
        typer.confirm(f"Delete {folder / name}?", abort=True, err=True)
    try:
        gone = remove(name, folder)
    except (PehraDeviceError, OSError) as error:
        end(str(error))
    print(f"deleted {gone}")


def _show(name: str, bundle: Path, checks: list[Check]) -> None:
    out = stdout()
    for check in checks:
        out.print(f"{check.state:8} {check.name:8} {check.says}", markup=False)
    out.print(
        f"{name} is in {bundle}: pehra models evaluate {name} DATASET tells how good it is", markup=False
    )
