"""Frames of the simulated street with their ground truth, as training pictures. Knows no files."""

from __future__ import annotations

import numpy as np

from device.models.training.pictures import Picture, parse_no_rows, shrink
from device.models.training.recipe import Source
from hardware.camera.street import Actor, Street

_NIGHT_EVERY = 2


def render_source(source: Source, labels: tuple[str, ...], *, limit: int = 0) -> list[Picture]:
    """Frames of every seed of the source, by day and every second seed by night, deterministic.

    Args:
        source: of kind `simulated`.
        labels: the model's class names; actors of other classes are left out.
        limit: 0 = all; else so many seeds less that about this many frames remain.
    """
    first, last = source.seeds
    seeds = list(range(first, last))
    if limit:
        seeds = seeds[:: max(1, len(seeds) * source.frames_per_seed // limit)]
    return [picture for seed in seeds for picture in _frames(source, seed, labels)]


def _frames(source: Source, seed: int, labels: tuple[str, ...]) -> list[Picture]:
    street = Street(seed, source.frame_width, source.frame_height, night=seed % _NIGHT_EVERY == 1)
    start_s = float(np.random.default_rng(seed).uniform(0, source.frame_every_s))
    times_s = [start_s + number * source.frame_every_s for number in range(source.frames_per_seed)]
    return [_picture(shrink(street.render(t_s)), street.truth(t_s), labels) for t_s in times_s]


def _picture(pixels: np.ndarray, actors: list[Actor], labels: tuple[str, ...]) -> Picture:
    ours = [actor for actor in actors if actor.name in labels]
    if not ours:
        return Picture(pixels, *parse_no_rows())
    classes = np.array([labels.index(actor.name) for actor in ours], np.int64)
    return Picture(pixels, classes, np.array([actor.box for actor in ours], np.float32))
