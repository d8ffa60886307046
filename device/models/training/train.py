"""Train a detector from a recipe: the main road, top to bottom. It never exports; see `export.py`."""

from __future__ import annotations

import importlib.util
import logging
import os
from pathlib import Path

from device.models.training.errors import DataMissing, TrainingExtraMissing
from device.models.training.pictures import Picture, load_source
from device.models.training.recipe import Recipe, load_recipe

_log = logging.getLogger(__name__)
EXTRA = ("torch", "tensorflow", "pycocotools", "ai_edge_litert")
"""What training and export import beyond the device extra; asked for before a long run, not after it."""

_SMOKE_PICTURES = 24
_SMOKE_MINUTES = 0.15


def train(recipe: Path, data: Path, out: Path, *, minutes: float | None, smoke: bool, resume: bool) -> Path:
    """Train by `recipe` and return the checkpoint, `out`/checkpoint.pt, ready for `export`.

    Args:
        recipe: TOML file; see `Recipe`.
        data: folder that the recipe's folders and files are relative to.
        out: folder for the checkpoint, made if absent.
        minutes: time of training instead of the recipe's, from the run's very start even when resumed.
        smoke: a few pictures for a few seconds, to see that all parts work.
        resume: go on from `out`/checkpoint.pt; sources and schedule may have changed, the network may not.

    Raises:
        TrainingError: with what to do next; see `errors.py`.
    """
    chosen = load_recipe(recipe)
    # Threads that spin while they wait lose most of a machine that others use too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    require_extra(*EXTRA)
    if not data.is_dir():
        raise DataMissing(data, "is not a folder")
    limit = _SMOKE_PICTURES if smoke else 0
    sources = load_all(chosen, data, limit=limit)
    valid = [p for source in chosen.valid for p in load_source(source, data, chosen.labels, limit=limit)]
    out.mkdir(parents=True, exist_ok=True)

    from device.models.training.run import Run

    run = Run(chosen, data, out, sources, valid)
    run.resume() if resume else run.begin()
    return run.learn(_SMOKE_MINUTES if smoke and minutes is None else minutes or chosen.minutes)


def require_extra(*libraries: str) -> None:
    """See that the libraries of the [train] extra are there, without the seconds that importing them takes.

    Raises:
        TrainingExtraMissing: naming the first that is not.
    """
    for library in libraries:
        try:
            is_there = importlib.util.find_spec(library) is not None
        except ImportError:
            is_there = False
        if not is_there:
            raise TrainingExtraMissing(library)


def load_all(recipe: Recipe, data: Path, *, limit: int) -> list[list[Picture]]:
    """The training pictures of each of the recipe's sources."""
    loaded = []
    for source in recipe.train:
        pictures = load_source(source, data, recipe.labels, limit=limit)
        boxes = sum(len(picture.boxes) for picture in pictures)
        _log.info(
            "source=%s pictures=%d boxes=%d share=%.2f", source.name, len(pictures), boxes, source.share
        )
        loaded.append(pictures)
    return loaded
