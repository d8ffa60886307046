"""`pehra models train`: a detector made by a recipe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pehra.commands.models.shared import end


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
        end(str(error))
    print(f"bundle {bundle}: look at it with `pehra models inspect {bundle}`")
