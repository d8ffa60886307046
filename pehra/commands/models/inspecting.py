"""`pehra models list` and `inspect`: which detectors there are and what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from pehra.commands.models.shared import DIFFERS, Labels, ModelArgument, end, stdout

if TYPE_CHECKING:
    from rich.console import Console

    from device.models.bundle import Bundle
    from device.models.interpreter import Interpreter


def list_models() -> None:
    """Name the models that lie in this installation."""
    from rich.table import Table

    from device.errors import PehraDeviceError
    from device.models.bundle import bundle_names, load_bundle

    table = Table("model", "version", "input", "labels", "kB", box=None)
    for name in bundle_names():
        try:
            bundle = load_bundle(name)
        except PehraDeviceError as error:
            table.add_row(name, "", "", str(error), "")
            continue
        card = bundle.card
        shape = f"{card.input.width}x{card.input.height} {card.input.dtype}"
        table.add_row(name, card.version, shape, " ".join(card.labels), str(bundle.size_bytes // 1000))
    stdout().print(table)


def inspect_model(model: ModelArgument, labels: Labels = None) -> None:
    """Show a model's tensors and its card, and run its golden vectors."""
    from device.errors import PehraDeviceError
    from device.models.bundle import find_model, load_bundle, read_model
    from device.models.golden import mismatches
    from device.models.interpreter import Interpreter
    from pehra.commands.detect import read_labels

    out = stdout()
    try:
        file = find_model(model)
        _show_tensors(out, Interpreter(file, read_model(file)))
        bundle = load_bundle(model, labels=read_labels(labels))
        _show_card(out, bundle)
        wrong = mismatches(bundle)
    except PehraDeviceError as error:
        end(str(error))
    for one in wrong:
        at = f"{one.expected.output}[{one.expected.at}]"
        out.print(f"golden seed {one.seed}: {at} is {one.got:.5f}, the card says {one.expected.value:.5f}")
    if wrong:
        raise typer.Exit(DIFFERS)
    checked = sum(len(golden.expected) for golden in bundle.card.golden)
    out.print(f"golden: {checked} values as on the card" if checked else "golden: the card has none")


def _show_tensors(out: Console, interpreter: Interpreter) -> None:
    from rich.table import Column, Table

    table = Table("", Column("tensor", overflow="fold"), "shape", "type", "scale", "zero point", box=None)
    for kind, specs in (("input", interpreter.inputs), ("output", interpreter.outputs)):
        for spec in specs:
            shape = "x".join(str(size) for size in spec.shape)
            table.add_row(kind, spec.name, shape, spec.dtype.name, f"{spec.scale:.9g}", str(spec.zero_point))
    out.print(table)


def _show_card(out: Console, bundle: Bundle) -> None:
    import msgspec

    card = msgspec.to_builtins(bundle.card)
    card["golden"] = len(bundle.card.golden)
    card["sha256"] = bundle.sha256
    for key, value in card.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {one}" for name, one in value.items())  # noqa: PLW2901
        out.print(f"{key}: {value}", markup=False)
    for guess in bundle.guessed:
        out.print(f"guessed: {guess}", markup=False)
