"""`pehra models evaluate`: how good a detector is on labelled pictures."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pehra.commands.models.shared import Labels, ModelArgument, end, stdout

if TYPE_CHECKING:
    from device.models.evaluation import Labelled, Report


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
        end(str(error))
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
        table.add_row(name, f"{row.boxes}", f"{row.ap50:.4f}", f"{row.ap50_95:.4f}")
    table.add_row("mean", "", f"{report.map50:.4f}", f"{report.map50_95:.4f}")
    out = stdout()
    out.print(table)
    out.print(
        f"{report.model}: {report.images} pictures, {report.skipped} skipped, {report.size_bytes} bytes, "
        f"median {report.invoke_ms_p50:.1f} ms in the model"
    )
