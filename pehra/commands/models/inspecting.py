"""`pehra models list` and `inspect`: which detectors there are and what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.markup import escape

from pehra.commands.models.shared import Labels, ModelArgument, end, stdout

if TYPE_CHECKING:
    from rich.console import Console

    from device.models.bundle import Card
    from device.models.examine import Anatomy, Examination

_LISTED_LABELS = 10


def list_models(
    *, as_json: Annotated[bool, typer.Option("--json", help="One JSON list on stdout.")] = False
) -> None:
    """Name the models of this installation: those that Pehra ships, and those pulled or added."""
    from rich.table import Table

    from device.models.bundle import HOME, bundle_names, models_folder

    found = [
        _listed(home / name, origin)
        for home, origin in ((HOME, "shipped"), (models_folder(), "added"))
        for name in bundle_names(home)
    ]
    if as_json:
        print(msgspec.json.encode(found).decode())
        return
    table = Table("model", "version", "origin", "input", "labels", "kB", "licence", box=None)
    for one in found:
        labels = " ".join(one.labels) if len(one.labels) <= _LISTED_LABELS else f"{len(one.labels)} classes"
        table.add_row(
            one.name,
            one.version,
            one.origin,
            one.input,
            one.trouble or labels,
            f"{one.bytes // 1000}",
            one.licence,
        )
    stdout().print(table)


class _Listed(msgspec.Struct, frozen=True):
    name: str
    origin: str
    path: str
    version: str = ""
    input: str = ""
    labels: list[str] = []
    bytes: int = 0
    licence: str = ""
    sha256: str = ""
    trouble: str = ""


def _listed(folder: Path, origin: str) -> _Listed:
    from device.errors import PehraDeviceError
    from device.models.bundle import load_bundle

    try:
        bundle = load_bundle(folder)
    except PehraDeviceError as error:
        return _Listed(folder.name, origin, str(folder), trouble=str(error))
    card = bundle.card
    return _Listed(
        name=folder.name,
        origin=origin,
        path=str(folder),
        version=card.version,
        input=f"{card.input.width}x{card.input.height} {card.input.dtype}",
        labels=list(card.labels),
        bytes=bundle.size_bytes,
        licence=card.licence.partition(" ")[0],
        sha256=bundle.sha256,
    )


def inspect_model(
    model: ModelArgument,
    *,
    labels: Labels = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show what is in a model: tensors, operators, card. Judge it with `pehra models verify`.

    Works on any `.tflite`, a detector or not. The model runs in a process of its own, so a damaged file does
    no harm. Ends with 2 when the file cannot be read.

    Example: pehra models inspect street-2
    """
    from device.errors import PehraDeviceError
    from device.models.examine import examine
    from pehra.commands.detect import read_labels

    try:
        seen = examine(model, read_labels(labels))
    except (PehraDeviceError, OSError) as error:
        end(str(error))
    if seen.anatomy is None:
        end(f"model {seen.path}: {seen.trial.trouble}")
    if as_json:
        print(msgspec.json.encode(seen, enc_hook=str).decode())
        return
    out = stdout()
    _show_tensors(out, seen.anatomy)
    _show_facts(out, seen, seen.anatomy)
    if seen.trial.card is not None:
        _show_card(out, seen.trial.card)


def _show_tensors(out: Console, anatomy: Anatomy) -> None:
    from rich.table import Column, Table

    table = Table("", Column("tensor", overflow="fold"), "shape", "type", "scale", "zero point", box=None)
    for kind, tensors in (("input", anatomy.inputs), ("output", anatomy.outputs)):
        for one in tensors:
            shape = "x".join(str(size) for size in one.shape)
            table.add_row(kind, escape(one.name), shape, one.dtype, f"{one.scale:.9g}", str(one.zero_point))
    out.print(table)


def _show_facts(out: Console, seen: Examination, anatomy: Anatomy) -> None:
    """What the file itself tells, one line a fact."""
    trial = seen.trial
    floats = sum(anatomy.float_operators.values())
    classes = "" if trial.classes is None else f", {trial.classes} classes"
    facts = {
        "file": f"{seen.path}, {seen.size_bytes} bytes, sha256 {seen.sha256}",
        "operators": f"{sum(anatomy.operators.values())}: "
        + ", ".join(f"{count} {name}" for name, count in anatomy.operators.items()),
        "multiplications": f"{anatomy.macs / 1e6:.1f} million an invoke",
        "integers": "all that computes" if not floats else f"no, {floats} operators compute in float",
        "runs": trial.trouble or f"{trial.invoke_ms:.1f} ms an invoke with {anatomy.runtime}, 1 thread",
        "layout": f"{trial.decoder}{classes}" if trial.decoder else "not that of a detector Pehra knows",
        "card": trial.no_card or ("read" if seen.has_card else "; ".join(trial.guessed)),
    }
    for key, value in facts.items():
        if value:
            out.print(f"{key}: {value}", markup=False)


def _show_card(out: Console, card: Card) -> None:
    values = msgspec.to_builtins(card)
    values["golden"] = f"{len(card.golden)} vectors; `pehra models verify` compares them"
    for key, value in values.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {one}" for name, one in value.items())  # noqa: PLW2901
        out.print(f"{key}: {value}", markup=False)
