"""`pehra models train`: a detector made by a recipe, quantised, measured and verified."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pehra.commands.models.shared import DIFFERS, end, stdout

if TYPE_CHECKING:
    from rich.console import Console

    from device.models.training.progress import Progress, Tell

INTERRUPTED = 130
_DATA = Path("../shared/data")
_RUNS = Path("runs")


def train_model(
    *,
    recipe: Annotated[Path, typer.Option(help="TOML recipe, such as device/models/training/street-2.toml.")],
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="PEHRA_DATA",
            help=f"Folder that the recipe's data folders are relative to; else {_DATA}.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help=f"Folder for checkpoint and bundles; else {_RUNS}/ and the recipe's name."),
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="In place of the recipe's time.")] = None,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="A few pictures for a few seconds, to see that all parts work.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in OUT.")] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Begin again although OUT holds a checkpoint, which is lost.")
    ] = False,
    export_only: Annotated[
        bool, typer.Option("--export-only", help="Train no more: make the bundles of the checkpoint in OUT.")
    ] = False,
) -> None:
    r"""Train a detector by a recipe, quantise it to int8, measure it and verify it.

    A checkpoint is kept each minute: after Ctrl-C or a power cut, --resume goes on from it. A GPU is used
    where PyTorch finds one.

    \b
    See that all parts work, in two minutes:
      pehra models train --recipe device/models/training/street-2.toml --smoke
    The real thing, and how good it became:
      pehra models train --recipe device/models/training/street-2.toml
      pehra models evaluate runs/street-2/street-2 ../shared/data/street/valid \\
        --classes bus,car,motorcycle,person,truck
    """
    from device.models.training.errors import TrainingError
    from device.models.training.export import export_all
    from device.models.training.train import train

    data = data or _DATA
    out = out or _RUNS / (f"{recipe.stem}-smoke" if smoke else recipe.stem)
    again = f"pehra models train --recipe {recipe} --data {data} --out {out} --resume"
    _stop_like_ctrl_c()
    try:
        with _shown() as tell:
            if not export_only:
                anew = anew or smoke
                train(recipe, data, out, minutes=minutes, smoke=smoke, resume=resume, anew=anew, tell=tell)
            bundles = export_all(recipe=recipe, data=data, out=out, smoke=smoke)
    except TrainingError as error:
        end(str(error))
    except KeyboardInterrupt:
        is_kept = (out / "checkpoint.pt").is_file()
        print(f"\ninterrupted; go on with: {again}" if is_kept else "\ninterrupted", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    verdicts = [_verified(bundle) for bundle in bundles]
    if not all(verdicts):
        raise typer.Exit(DIFFERS)


def _stop_like_ctrl_c() -> None:
    """A service manager's SIGTERM keeps the checkpoint, too."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


@contextlib.contextmanager
def _shown() -> Iterator[Tell]:
    """A bar on a terminal and the log above it; the log alone where nobody looks."""
    from rich.console import Console

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    console = Console(stderr=True)
    if console.is_terminal:
        with _bar(console) as tell:
            yield tell
        return
    from device.models.training.progress import silently

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    yield silently


@contextlib.contextmanager
def _bar(console: Console) -> Iterator[Tell]:
    from rich.logging import RichHandler
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    handler = RichHandler(console=console, show_path=False, show_level=False)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler])
    columns = (TextColumn("training"), BarColumn(), TaskProgressColumn(), TextColumn("left"))
    with Bar(*columns, TimeRemainingColumn(), TextColumn("{task.description}"), console=console) as bar:
        task = bar.add_task("loading pictures", total=None)

        def tell(now: Progress) -> None:
            found = "" if now.map50 is None else f"  mAP50 {now.map50:.3f}"
            said = f"{now.side} px  {now.pictures_per_s:.0f} pictures/s  loss {now.loss:.2f}{found}"
            is_done = now.trained_s >= now.total_s
            bar.update(
                task,
                total=now.total_s,
                completed=min(now.trained_s, now.total_s),
                description="making int8 files and measuring them" if is_done else said,
            )

        yield tell


def _verified(bundle: Path) -> bool:
    """Show what `pehra models verify` says of a bundle; whether all of it is right."""
    from device.models.examine import examine
    from device.models.verify import verify

    checks = verify(examine(str(bundle)))
    out = stdout()
    out.print(f"bundle {bundle}", markup=False)
    for check in checks:
        out.print(f"  {check.state:8} {check.name:8} {check.says}", markup=False)
    return all(check.state != "WRONG" for check in checks)
