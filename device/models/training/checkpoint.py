"""Checkpoints: all that a run needs to go on, written whole or not at all."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from device.models.training.errors import CheckpointMismatch
from device.models.training.network import Network
from device.models.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State of a run.

    Attributes:
        fingerprint: of its recipe.
        weights: state of the network.
        averaged: state of the network's moving average, which is what is exported.
        optimiser: state of the optimiser.
        step: batches learned from.
        trained_s: seconds of training.
        first: `averaged` as it was at the end of the first of two cycles; None before.
    """

    fingerprint: str
    weights: dict[str, Any]
    averaged: dict[str, Any]
    optimiser: dict[str, Any]
    step: int
    trained_s: float
    first: dict[str, Any] | None = None


def save_checkpoint(file: Path, checkpoint: Checkpoint) -> None:
    """Write new, fsync, rename: a cut leaves the old one or the new one."""
    new = file.with_suffix(".new")
    with new.open("wb") as sink:
        torch.save({name: getattr(checkpoint, name) for name in Checkpoint.__slots__}, sink)
        sink.flush()
        os.fsync(sink.fileno())
    new.replace(file)


def load_checkpoint(file: Path, recipe: Recipe) -> Checkpoint:
    """Read a checkpoint that fits the recipe.

    Raises:
        CheckpointMismatch: absent, unreadable, or of another recipe.
    """
    try:
        checkpoint = Checkpoint(**torch.load(file, map_location="cpu", weights_only=True))
    except FileNotFoundError as error:
        raise CheckpointMismatch(file, "is not there") from error
    except Exception as error:  # torch raises whatever its unpickler met
        raise CheckpointMismatch(file, f"cannot be read ({error})") from error
    if checkpoint.fingerprint != recipe.fingerprint():
        reason = f"was made by recipe {checkpoint.fingerprint!r}, this one is {recipe.fingerprint()!r}"
        raise CheckpointMismatch(file, reason)
    return checkpoint


def network_of(checkpoint: Checkpoint, recipe: Recipe) -> Network:
    """The averaged network of a checkpoint, in evaluation mode; after two cycles, the mean of both ends.

    Means of weights generalise better than either end: model soups, Wortsman et al. 2022, arXiv:2203.05482.
    """
    network = Network(len(recipe.labels), recipe.neck_channels)
    network.load_state_dict(_mixed(checkpoint, recipe.schedule.share_of_last))
    network.eval()
    return network


def _mixed(checkpoint: Checkpoint, share_of_last: float) -> dict[str, Any]:
    first = checkpoint.first
    if first is None:
        return checkpoint.averaged
    return {
        name: first[name].lerp(last, share_of_last) if last.dtype.is_floating_point else last
        for name, last in checkpoint.averaged.items()
    }
