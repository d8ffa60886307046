"""How the actors of a script move: ways as (seconds, X, Z) keyframes; no pixels, no chance.

World axes are those of `hardware.camera.street_scene`: X along the street, Z away from the camera, in metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from hardware.camera.street_traffic import Keyframes

_STEPS: Final = 8
"""Straight pieces into which a speeding-up or a braking is cut."""
_LEAST_MPS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Leg:
    """A place that a walker goes to.

    Attributes:
        x_m: where along the street.
        z_m: where across it.
        wait_s: how long they stand there.
    """

    x_m: float
    z_m: float
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on a vehicle's lane.

    Attributes:
        x_m: where along the street.
        speed_mps: how fast it is there, at least 0; between two marks the speed changes evenly.
        wait_s: how long it stands there; only where it has stopped.
    """

    x_m: float
    speed_mps: float
    wait_s: float = 0.0


def walk(start_s: float, legs: list[Leg], speed_mps: float) -> Keyframes:
    """Go from leg to leg in straight lines at one speed (> 0), from `start_s` at the first."""
    first = legs[0]
    way: Keyframes = [(start_s, first.x_m, first.z_m)]
    at_s = start_s
    for before, leg in zip([first, *legs], legs, strict=False):
        distance_m = ((leg.x_m - before.x_m) ** 2 + (leg.z_m - before.z_m) ** 2) ** 0.5
        if distance_m > 0:
            at_s += distance_m / speed_mps
            way.append((at_s, leg.x_m, leg.z_m))
        if leg.wait_s > 0:
            at_s += leg.wait_s
            way.append((at_s, leg.x_m, leg.z_m))
    return way


def drive(start_s: float, marks: list[Mark], z_m: float) -> Keyframes:
    """Follow a lane from mark to mark, from `start_s` at the first.

    Raises:
        ValueError: two marks follow each other at which the vehicle stands, or it waits while it moves.
    """
    at_s = start_s
    way: Keyframes = [(at_s, marks[0].x_m, z_m)]
    for before, mark in pairwise(marks):
        if before.speed_mps + mark.speed_mps < _LEAST_MPS or (mark.wait_s and mark.speed_mps):
            raise ValueError(f"nobody gets from {before} to {mark}")
        way += _between(at_s, before, mark, z_m)
        at_s = way[-1][0]
        if mark.wait_s > 0:
            at_s += mark.wait_s
            way.append((at_s, mark.x_m, z_m))
    return way


def _between(start_s: float, before: Mark, mark: Mark, z_m: float) -> Keyframes:
    """Even acceleration: the time over a distance is that of the mean of both speeds."""
    distance_m = mark.x_m - before.x_m
    takes_s = abs(distance_m) / ((before.speed_mps + mark.speed_mps) / 2)
    steps = 1 if before.speed_mps == mark.speed_mps else _STEPS
    way: Keyframes = []
    for step in range(1, steps + 1):
        share = step / steps
        gone_m = takes_s * (before.speed_mps * share + (mark.speed_mps - before.speed_mps) * share**2 / 2)
        way.append((start_s + takes_s * share, before.x_m + gone_m * (1 if distance_m > 0 else -1), z_m))
    return way
