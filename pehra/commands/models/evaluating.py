"""`pehra models evaluate`: how good a detector is on labelled pictures, alone or beside others."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pehra.commands.models.shared import Labels, ModelArgument, end, stdout

if TYPE_CHECKING:
    from rich.console import Console

    from device.models.bundle import Bundle
    from device.models.evaluation import Dataset, Evaluation, Labelled, Report


def evaluate_model(
    model: ModelArgument,
    dataset: Annotated[
        Path,
        typer.Argument(help="Folder with images/ and labels/ in YOLO's form, or a data.yaml."),
    ],
    *,
    classes: Annotated[
        str | None,
        typer.Option(help="What the dataset's class numbers mean, in order; else its data.yaml, or a guess."),
    ] = None,
    split: Annotated[str, typer.Option(help="Of a data.yaml: train, valid or test.")] = "valid",
    limit: Annotated[
        int | None, typer.Option(min=1, help="About so many pictures, evenly spread, in place of all.")
    ] = None,
    beside: Annotated[
        list[str] | None,
        typer.Option(help="Another model, shown the same pictures in turns; may be given again."),
    ] = None,
    float_file: Annotated[
        Path | None,
        typer.Option(
            "--float",
            help="The float32 file the model was quantised from, to measure what int8 loses; else the "
            "float.tflite beside it.",
        ),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(help="Folder for precision-recall.png and worst-misses.png."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    conf: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Floor of the scores that average precision is measured from."),
    ] = 0.001,
    iou: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Overlap from which boxes are one; else the card's."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    labels: Labels = None,
) -> None:
    r"""Score a model on labelled pictures, as COCO does, over the classes that both know.

    Precision, recall and confusion are counted at the card's threshold, as the model runs in use.

    \b
    Where no data.yaml names a folder's class numbers, name them (else they are guessed from what MODEL sees):
      pehra models evaluate street-2 ../shared/data/street/valid --classes bus,car,motorcycle,person,truck
    Beside another model, in the same run, with pictures of the errors:
      pehra models evaluate street-2 my-street/data.yaml --beside yolov8n_int8.tflite --pictures looks
    """
    import msgspec

    from device.errors import PehraDeviceError
    from device.models.bundle import load_bundle
    from device.models.detector import Detector
    from device.models.evaluation import evaluate_together
    from device.models.evaluation.drawings import prepare
    from device.models.evaluation.run import compared
    from pehra.commands.detect import read_labels, remarks

    try:
        if pictures is not None:
            prepare(pictures)
        bundles = [
            load_bundle(model, labels=read_labels(labels)),
            *(load_bundle(one) for one in beside or ()),
        ]
        data = _dataset(dataset, bundles[0], read_labels(classes), split, limit)
        parent = _float_parent(bundles[0], float_file)
        asked = [*bundles, parent] if parent else bundles
        for remark in [*data.remarks, *(said for bundle in bundles for said in remarks(bundle))]:
            print(remark, file=sys.stderr)
        detectors = [Detector(bundle, conf=conf, iou=iou, threads=threads) for bundle in asked]
        found = evaluate_together(detectors, data, _with_bar)
        _say_unreadable(found[0])
        reports = [one.report for one in found]
        as_float = reports.pop() if parent else None
        report = compared(reports[0], reports[1:], as_float)
        drawn = _drawn(found[0], pictures)
    except (PehraDeviceError, OSError) as error:
        end(str(error))
    print(f"averaged over {', '.join(report.classes)}: what data and models know", file=sys.stderr)
    if as_json:
        print(msgspec.json.encode(report).decode())
    else:
        _show(report)
    for file in drawn:
        print(f"wrote {file}", file=sys.stderr)


def _dataset(place: Path, bundle: Bundle, labels: tuple[str, ...], split: str, limit: int | None) -> Dataset:
    """The dataset; where nothing names its classes, they are guessed from what the model sees."""
    from device.models.evaluation import NamesMissing, load_dataset, load_guessed

    try:
        return load_dataset(place, labels, split=split, limit=limit)
    except NamesMissing:
        return load_guessed(bundle, place, split=split, limit=limit)


def _float_parent(bundle: Bundle, asked: Path | None) -> Bundle | None:
    from device.models.evaluation.run import FLOAT_FILE, float_parent

    place = asked or bundle.path.parent / FLOAT_FILE
    return float_parent(bundle, place) if asked or (place.is_file() and place != bundle.path) else None


def _drawn(evaluation: Evaluation, folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    from device.models.evaluation.drawings import draw

    return draw(evaluation, folder)


def _say_unreadable(evaluation: Evaluation) -> None:
    for _, said in evaluation.unreadable[:5]:
        print(f"left out: {said}", file=sys.stderr)
    if (more := len(evaluation.unreadable) - 5) > 0:
        print(f"left out: {more} more pictures that cannot be read", file=sys.stderr)


def _with_bar(pictures: Sequence[Labelled]) -> Iterator[Labelled]:
    """The same pictures, with a bar on stderr."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(pictures, "evaluating", console=console, transient=True, disable=not console.is_terminal)


def _show(report: Report) -> None:
    out = stdout()
    _show_classes(out, report)
    _show_sizes(out, report)
    _show_confusion(out, report)
    width, height = report.input
    out.print(
        f"\n{report.model}: {report.images} pictures, {report.skipped} left out, "
        f"{report.size_bytes:,} bytes, {width}x{height}, "
        f"{report.invoke_ms_p50:.2f} ms an invoke (median; 19 of 20 below "
        f"{report.invoke_ms_p95:.2f} ms)"
    )
    if report.int8_loss is not None:
        out.print(f"float parent: mAP50 {report.float_map50:.4f}; int8 loses {report.int8_loss:.4f}")
    for told in report.float_from_card if report.int8_loss is None else ():
        out.print(
            f"the card says: int8 loses {told.int8_loss:.4f} of {told.float_map50:.4f} on {told.pictures}",
            markup=False,
        )
    _show_others(out, report)


def _show_classes(out: Console, report: Report) -> None:
    from rich.table import Table

    table = Table("class", "boxes", "AP50", "AP50-95", "precision", "recall", box=None)
    for name, row in report.per_class.items():
        table.add_row(
            name,
            f"{row.boxes}",
            f"{row.ap50:.4f}",
            f"{row.ap50_95:.4f}",
            _share(row.precision),
            _share(row.recall),
        )
    table.add_row(
        "mean",
        "",
        f"{report.map50:.4f}",
        f"{report.map50_95:.4f}",
        _share(report.precision),
        _share(report.recall),
    )
    out.print(table)
    out.print(
        f"precision and recall at a score of {report.conf:g}; those of the last line count all together",
        style="dim",
    )


def _show_sizes(out: Console, report: Report) -> None:
    from rich.table import Table

    table = Table("side in the input, px", "boxes", "found", "recall", box=None)
    for row in report.recall_by_size:
        upper = "" if row.side_below_px is None else str(row.side_below_px - 1)
        side = f"{row.side_from_px} to {upper}" if upper else f"{row.side_from_px} and more"
        table.add_row(side, f"{row.boxes}", f"{row.found}", _share(row.recall))
    out.print()
    out.print(table)


def _show_confusion(out: Console, report: Report) -> None:
    from rich.table import Table

    *kinds, _ = report.confusion.predicted
    table = Table("what it was", *(f"as {kind}" for kind in kinds), "missed", box=None)
    *rows, background = report.confusion.counts
    for name, row in zip(report.confusion.truth, rows, strict=False):
        table.add_row(name, *map(str, row))
    table.add_row("nothing labelled", *map(str, background[:-1]), "")
    out.print()
    out.print(table)


def _show_others(out: Console, report: Report) -> None:
    from rich.table import Column, Table

    if not report.against:
        return
    table = Table(
        Column("model", overflow="fold"),
        "bytes",
        "input",
        "mAP50",
        "mAP50-95",
        "invoke ms",
        "ratio",
        box=None,
    )
    for one in (report, *report.against):
        table.add_row(
            one.model,
            f"{one.size_bytes:,}",
            f"{one.input[0]}x{one.input[1]}",
            f"{one.map50:.4f}",
            f"{one.map50_95:.4f}",
            f"{one.invoke_ms_p50:.2f}",
            "" if one.invoke_ratio is None else f"{one.invoke_ratio:.3f}",
        )
    out.print()
    out.print(table)
    out.print(f"ratio: the time of {report.model} divided by that model's, in this run", style="dim")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
