"""Which cell shall answer for which box, and how wrong the answers are. Pure functions of tensors.

Task-aligned assignment after TOOD (Feng et al. 2021, arXiv:2108.07755), GIoU after Rezatofighi et al. 2019
(arXiv:1902.09630).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from device.models.training.layout import STRIDES
from device.models.training.network import boxes_of

_TOP = 10
_ALPHA = 0.5
_BETA = 6.0
_LEAST_HALF_SIDE_PX = 4.0  # so that even the smallest box holds the centre of a cell
_BOX_WEIGHT = 5.0


@dataclass(frozen=True, slots=True)
class Truth:
    """Boxes of a batch.

    Attributes:
        owners: int64 (T,) index of the picture in the batch.
        classes: int64 (T,).
        boxes: float32 (T,4) left, top, right, bottom in pixels.
    """

    owners: torch.Tensor
    classes: torch.Tensor
    boxes: torch.Tensor


@dataclass(frozen=True, slots=True)
class Assignment:
    """Cells that answer for a box, flattened.

    Attributes:
        owners: int64 (K,) picture in the batch.
        cells: int64 (K,) cell.
        truths: int64 (K,) index into the truth.
        targets: float32 (K,) score that the cell shall give, 0..1.
    """

    owners: torch.Tensor
    cells: torch.Tensor
    truths: torch.Tensor
    targets: torch.Tensor


def iou(a: torch.Tensor, b: torch.Tensor, *, generalised: bool = False) -> torch.Tensor:
    """Intersection over union of boxes (...,4) with boxes (...,4), or GIoU, by broadcasting."""
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    common = (high - low).clamp(min=0).prod(-1)
    area_a = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1)
    area_b = (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1)
    union = area_a + area_b - common + 1e-7
    if not generalised:
        return common / union
    hull_low, hull_high = torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:])
    hull = (hull_high - hull_low).clamp(min=0).prod(-1) + 1e-7
    return common / union - (hull - union) / hull


def assign(scores: torch.Tensor, boxes: torch.Tensor, centres: torch.Tensor, truth: Truth) -> Assignment:
    """The cells that answer for each true box.

    Args:
        scores: (B,A,C) in 0..1.
        boxes: (B,A,4) predicted, pixels.
        centres: (A,2) of the cells, pixels.
        truth: T > 0 boxes.
    """
    low, high = truth.boxes[:, None, :2], truth.boxes[:, None, 2:]
    middle, half = (low + high) / 2, ((high - low) / 2).clamp(min=_LEAST_HALF_SIDE_PX)
    inside = ((centres - middle).abs() <= half).all(-1)  # (T,A)
    overlap = iou(boxes[truth.owners], truth.boxes[:, None]) * inside
    score = scores[truth.owners, :, truth.classes]
    metric = score.pow(_ALPHA) * overlap.pow(_BETA) * inside
    best, cell = metric.topk(_TOP, dim=1)
    truths = torch.arange(len(truth.boxes), device=boxes.device).unsqueeze(1).expand_as(cell)
    keep = best > 0
    cell, truths, best = cell[keep], truths[keep], best[keep]
    overlap_kept = overlap[truths, cell]
    alone = _wins(truth.owners[truths] * len(centres) + cell, overlap_kept, scores.shape[0] * len(centres))
    cell, truths, best, overlap_kept = cell[alone], truths[alone], best[alone], overlap_kept[alone]
    empty = torch.zeros(len(truth.boxes), device=boxes.device)
    best_of = empty.scatter_reduce(0, truths, best, "amax")
    overlap_of = empty.scatter_reduce(0, truths, overlap_kept, "amax")
    targets = best / (best_of[truths] + 1e-9) * overlap_of[truths]
    return Assignment(truth.owners[truths], cell, truths, targets)


def _wins(keys: torch.Tensor, values: torch.Tensor, count: int) -> torch.Tensor:
    """True for one entry of each key, that with the largest value: a cell answers for one box only."""
    largest = torch.zeros(count, device=keys.device).scatter_reduce(0, keys, values, "amax")
    best = values >= largest[keys]
    # Small boxes inside two true boxes tie: the first entry wins.
    entries = torch.arange(len(keys), device=keys.device)
    first = torch.full((count,), len(keys), device=keys.device).scatter_reduce(
        0, keys[best], entries[best], "amin"
    )
    return best & (first[keys] == entries)


def seen(blind: torch.Tensor, centres: torch.Tensor, classes: int) -> torch.Tensor:
    """Which scores the truth can judge, float (B,A,C) of 0 and 1: all but classes not labelled there.

    Args:
        blind: int64 (B,S/8,S/8), bit k set where class k was not labelled.
        centres: (A,2) of the cells, pixels.
        classes: C.
    """
    column, row = (centres / STRIDES[0]).long().unbind(-1)
    bits = blind[:, row, column].unsqueeze(-1) >> torch.arange(classes, device=blind.device)
    return 1.0 - (bits & 1).float()


def loss(
    logits: torch.Tensor,
    distances: torch.Tensor,
    centres: torch.Tensor,
    strides: torch.Tensor,
    truth: Truth,
    blind: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of the scores and loss of the boxes, both scalars; their sum is what is learned from.

    Args:
        logits: (B,A,C).
        distances: (B,A,4) in strides.
        centres: (A,2) pixels.
        strides: (A,) pixels.
        truth: boxes, possibly none.
        blind: int64 (B,S/8,S/8), as `seen` takes it. A cell that answers for a box is judged on all classes.
    """
    boxes = boxes_of(distances, centres, strides)
    targets = torch.zeros_like(logits)
    box_loss = distances.sum() * 0
    judged = seen(blind, centres, logits.shape[-1])
    total = torch.ones((), device=logits.device)
    if len(truth.boxes):
        with torch.no_grad():
            found = assign(logits.sigmoid(), boxes, centres, truth)
        targets[found.owners, found.cells, truth.classes[found.truths]] = found.targets
        judged[found.owners, found.cells] = 1.0
        total = found.targets.sum().clamp(min=1)
        fit = iou(boxes[found.owners, found.cells], truth.boxes[found.truths], generalised=True)
        box_loss = ((1 - fit) * found.targets).sum() / total
    wrong = functional.binary_cross_entropy_with_logits(logits, targets, judged, reduction="sum")
    score_loss = wrong / total
    return score_loss, _BOX_WEIGHT * box_loss
