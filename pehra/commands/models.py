"""`pehra models`: which detectors there are, what is in them, how good they are, and how they are made."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from device.models.bundle import Bundle
    from device.models.evaluation import Labelled, Report
    from device.models.interpreter import Interpreter

models_app = typer.Typer(help="Detectors: list, inspect, evaluate, train.", no_args_is_help=True)

BAD_INPUT = 2
DIFFERS = 1

ModelArgument = Annotated[
    str, typer.Argument(help="A shipped model's name, a bundle folder, or a .tflite file.")
]
Labels = Annotated[
    str | None, typer.Option(help="Labels of a .tflite without a card: a file, or names with commas.")
]


@models_app.callback()
def _models() -> None:
    """Detectors: list, inspect, evaluate, train."""


@models_app.command("list")
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
    _stdout().print(table)


@models_app.command("inspect")
def inspect_model(model: ModelArgument, labels: Labels = None) -> None:
    """Show a model's tensors and its card, and run its golden vectors."""
    from device.errors import PehraDeviceError
    from device.models.bundle import find_model, load_bundle, read_model
    from device.models.golden import mismatches
    from device.models.interpreter import Interpreter
    from pehra.commands.detect import read_labels

    stdout = _stdout()
    try:
        file = find_model(model)
        _show_tensors(stdout, Interpreter(file, read_model(file)))
        bundle = load_bundle(model, labels=read_labels(labels))
        _show_card(stdout, bundle)
        wrong = mismatches(bundle)
    except PehraDeviceError as error:
        _end(str(error))
    for one in wrong:
        at = f"{one.expected.output}[{one.expected.at}]"
        stdout.print(f"golden seed {one.seed}: {at} is {one.got:.5f}, the card says {one.expected.value:.5f}")
    if wrong:
        raise typer.Exit(DIFFERS)
    checked = sum(len(golden.expected) for golden in bundle.card.golden)
    stdout.print(f"golden: {checked} values as on the card" if checked else "golden: the card has none")


def _show_tensors(stdout: Console, interpreter: Interpreter) -> None:
    from rich.table import Column, Table

    table = Table("", Column("tensor", overflow="fold"), "shape", "type", "scale", "zero point", box=None)
    for kind, specs in (("input", interpreter.inputs), ("output", interpreter.outputs)):
        for spec in specs:
            shape = "x".join(str(size) for size in spec.shape)
            table.add_row(kind, spec.name, shape, spec.dtype.name, f"{spec.scale:.9g}", str(spec.zero_point))
    stdout.print(table)


def _show_card(stdout: Console, bundle: Bundle) -> None:
    import msgspec

    card = msgspec.to_builtins(bundle.card)
    card["golden"] = len(bundle.card.golden)
    card["sha256"] = bundle.sha256
    for key, value in card.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {one}" for name, one in value.items())  # noqa: PLW2901
        stdout.print(f"{key}: {value}", markup=False)
    for guess in bundle.guessed:
        stdout.print(f"guessed: {guess}", markup=False)


@models_app.command("evaluate")
def evaluate_model(
    model: ModelArgument,
    dataset: Annotated[Path, typer.Argument(help="Folder with images/ and labels/ in YOLO's form.")],
    *,
    classes: Annotated[
        str | None, typer.Option(help="The dataset's classes in order; else its data.yaml tells.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    conf: Annotated[float, typer.Option(min=0.0, max=1.0, help="Floor of the scores.")] = 0.001,
    iou: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Else the card's.")] = None,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    labels: Labels = None,
) -> None:
    """Score a model on labelled pictures: COCO's average precision, over the classes that both know."""
    import msgspec

    from device.errors import PehraDeviceError
    from device.models.bundle import load_bundle
    from device.models.detector import Detector
    from device.models.evaluation import evaluate, load_dataset
    from pehra.commands.detect import read_labels, remarks

    try:
        data = load_dataset(dataset, read_labels(classes))
        bundle = load_bundle(model, labels=read_labels(labels))
        for remark in remarks(bundle):
            print(remark, file=sys.stderr)
        report = evaluate(Detector(bundle, conf=conf, iou=iou, threads=threads), data, _with_bar)
    except (PehraDeviceError, OSError) as error:
        _end(str(error))
    print(f"averaged over {', '.join(report.classes)}: what both data and model know", file=sys.stderr)
    if as_json:
        print(msgspec.json.encode(report).decode())
    else:
        _show_report(report)


def _with_bar(pictures: Sequence[Labelled]) -> Iterator[Labelled]:
    """The same pictures, with a bar on stderr."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(pictures, "evaluating", console=console, transient=True, disable=not console.is_terminal)


def _show_report(report: Report) -> None:
    from rich.table import Table

    table = Table("class", "boxes", "AP50", "AP50-95", box=None)
    for name, row in report.per_class.items():
        table.add_row(name, f"{row['boxes']:.0f}", f"{row['ap50']:.4f}", f"{row['ap50_95']:.4f}")
    table.add_row("mean", "", f"{report.map50:.4f}", f"{report.map50_95:.4f}")
    stdout = _stdout()
    stdout.print(table)
    stdout.print(
        f"{report.model}: {report.images} pictures, {report.skipped} skipped, {report.size_bytes} bytes, "
        f"median {report.invoke_ms_p50:.1f} ms in the model"
    )


@models_app.command("train")
def train_model(
    *,
    recipe: Annotated[Path, typer.Option(help="TOML recipe, such as device/models/training/street-1.toml.")],
    data: Annotated[Path, typer.Option(help="Folder that the recipe's data folders are relative to.")],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint; the bundle goes to OUT/bundle.")],
    minutes: Annotated[float | None, typer.Option(min=0.0, help="In place of the recipe's time.")] = None,
    smoke: Annotated[
        bool, typer.Option(help="A few pictures for a few seconds, to see that all works.")
    ] = False,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in OUT.")] = False,
) -> None:
    """Train a detector by a recipe, quantise it to int8 and measure it."""
    import logging

    from device.models.training.errors import TrainingError
    from device.models.training.export import export
    from device.models.training.train import train

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    try:
        checkpoint = train(recipe, data, out, minutes=minutes, smoke=smoke, resume=resume)
        bundle = export(checkpoint, recipe=recipe, data=data, out=out / "bundle", smoke=smoke)
    except TrainingError as error:
        _end(str(error))
    print(f"bundle {bundle}: look at it with `pehra models inspect {bundle}`")


def _stdout() -> Console:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def _end(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    raise typer.Exit(BAD_INPUT)
