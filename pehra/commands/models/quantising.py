"""`pehra models quantise`: a float detector becomes a full-int8 one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from pehra.commands.models.shared import DIFFERS, Labels, end, stdout

_COMPARED = 50


def quantise_model(
    model: Annotated[Path, typer.Argument(help="A float32 .tflite detector.")],
    pictures: Annotated[Path, typer.Argument(help="Folder of photographs as its camera will see them.")],
    *,
    out: Annotated[Path, typer.Option(help="The int8 .tflite to write.")],
    limit: Annotated[int, typer.Option(min=10, help="Photographs to calibrate on, evenly spread.")] = 200,
    labels: Labels = None,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT where it is there.")] = False,
) -> None:
    r"""Quantise a float detector to full int8 and tell how far the two agree.

    The photographs set the ranges of its numbers: take them from the street it will watch, by day and by
    night. Ends with 1 when the result would not pass `pehra models verify`.

    \b
      pehra models quantise runs/street-2/street-2/float.tflite my-street/images --out my-street.tflite \\
        --labels person,bicycle,motorcycle,car,bus,truck
      pehra models add my-street.tflite
    """
    from device.errors import PehraDeviceError
    from device.models.bundle import load_bundle
    from device.models.conversion import agreement, to_int8
    from device.models.detector import Detector
    from device.models.examine import examine
    from device.models.verify import verify
    from hardware.camera.stills import SUFFIXES
    from pehra.commands.detect import read_labels

    if out.exists() and not force:
        end(f"{out} is there already: choose another --out, or replace it with --force")
    if not model.is_file() or model.suffix != ".tflite":
        end(
            f"{model}: give a float32 .tflite file; Keras and SavedModel become one with "
            "tensorflow.lite.TFLiteConverter"
        )
    if not pictures.is_dir():
        end(f"{pictures}: there is no such folder of photographs")
    files = sorted(file for file in pictures.iterdir() if file.suffix.lower() in SUFFIXES)
    files = [files[number * len(files) // limit] for number in range(limit)] if len(files) > limit else files
    named = read_labels(labels)
    try:
        parent = load_bundle(model, labels=named)
        content = to_int8(parent, files, _with_bar)
        new = out.with_name(f".{out.name}.new")
        new.write_bytes(content)
        new.replace(out)
        known = tuple(parent.card.labels)
        checks = verify(examine(str(out), known))
        made = Detector(load_bundle(out, labels=known))
        found, of = agreement(Detector(parent), made, files[:_COMPARED])
    except (PehraDeviceError, OSError) as error:
        end(str(error))
    shown = stdout()
    for check in checks:
        shown.print(f"{check.state:8} {check.name:8} {check.says}", markup=False)
    shown.print(
        f"{out}: {len(content):,} bytes of {model.stat().st_size:,}; finds {found} of the {of} objects that "
        f"the float model finds in {min(len(files), _COMPARED)} of the photographs",
        markup=False,
    )
    if any(check.state == "WRONG" for check in checks):
        raise typer.Exit(DIFFERS)


def _with_bar(files: Sequence[Path]) -> Iterator[Path]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(files, "calibrating", console=console, transient=True, disable=not console.is_terminal)
