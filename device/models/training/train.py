"""Train a detector from a recipe: the main road, top to bottom. It never exports; see `export.py`."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from device.models.training.duplicates import without_repeats
from device.models.training.errors import CheckpointThere, DataMissing, TrainingExtraMissing
from device.models.training.pictures import Picture, load_source
from device.models.training.progress import Tell, silently
from device.models.training.recipe import Source, load_recipe

_log = logging.getLogger(__name__)
EXTRA = ("torch", "tensorflow", "pycocotools", "ai_edge_litert")
"""What training and export import beyond the device extra; asked for before a long run, not after it."""

CHECKPOINT = "checkpoint.pt"

_SMOKE_PICTURES = 24
_SMOKE_MINUTES = 0.15


def train(
    recipe: Path,
    data: Path,
    out: Path,
    *,
    minutes: float | None = None,
    smoke: bool = False,
    resume: bool = False,
    anew: bool = False,
    tell: Tell = silently,
) -> Path:
    """Train by `recipe` and return the checkpoint, `out`/checkpoint.pt, ready for `export`.

    Args:
        recipe: TOML file; see `Recipe`.
        data: folder that the recipe's folders and files are relative to.
        out: folder for the checkpoint, made if absent.
        minutes: time of training instead of the recipe's, from the run's very start even when resumed.
        smoke: a few pictures for a few seconds, to see that all parts work.
        resume: go on from `out`/checkpoint.pt; sources and schedule may have changed, the network may not.
        anew: begin again although `out` holds a checkpoint.
        tell: called after each batch.

    Raises:
        TrainingError: with what to do next; see `errors.py`.
    """
    chosen = load_recipe(recipe)
    # Threads that spin while they wait lose most of a machine that others use too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    require_extra(*EXTRA)
    if not data.is_dir():
        raise DataMissing(data, "is not a folder")
    if (out / CHECKPOINT).exists() and not (resume or anew):
        raise CheckpointThere(out / CHECKPOINT)
    limit = _SMOKE_PICTURES if smoke else 0
    valid = load_all(chosen.valid, chosen.labels, data, limit=limit)
    sources = [
        _held_apart(source, pictures, data, chosen.valid, valid)
        for source, pictures in zip(
            chosen.train, load_all(chosen.train, chosen.labels, data, limit=limit), strict=True
        )
    ]
    out.mkdir(parents=True, exist_ok=True)

    from device.models.training.run import Run

    run = Run(
        chosen, data, out / CHECKPOINT, sources, [picture for pictures in valid for picture in pictures]
    )
    run.resume() if resume else run.begin()
    wanted = chosen.minutes if minutes is None else minutes
    return run.learn(_SMOKE_MINUTES if smoke and minutes is None else wanted, tell)


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


def load_all(
    sources: Sequence[Source], labels: tuple[str, ...], data: Path, *, limit: int
) -> list[list[Picture]]:
    """The pictures of each of a recipe's sources, at most about `limit` of each (0 = all)."""
    loaded = []
    for source in sources:
        pictures = load_source(source, data, labels, limit=limit)
        boxes = sum(len(picture.boxes) for picture in pictures)
        empty = sum(not len(picture.boxes) for picture in pictures)
        _log.info("source=%s pictures=%d without_boxes=%d boxes=%d", source.name, len(pictures), empty, boxes)
        if others := set(source.classes) - set(labels):
            _log.info(
                "source=%s left_out=%s reason=no-label-of-the-model", source.name, ",".join(sorted(others))
            )
        loaded.append(pictures)
    return loaded


def _held_apart(
    source: Source,
    pictures: list[Picture],
    data: Path,
    valid: Sequence[Source],
    held_back: list[list[Picture]],
) -> list[Picture]:
    """Photographs without those that repeat a validation picture; simulated frames are apart by seeds."""
    if source.kind != "yolo":
        return pictures
    photographs = [
        picture
        for kept, part in zip(valid, held_back, strict=True)
        if kept.kind == "yolo"
        for picture in part
    ]
    kept = without_repeats(pictures, photographs)
    if not kept:
        raise DataMissing(data / source.folder, "holds only pictures that repeat a validation picture")
    if len(kept) < len(pictures):
        _log.info(
            "source=%s left_out=%d reason=repeats-a-validation-picture",
            source.name,
            len(pictures) - len(kept),
        )
    return kept
