"""One training run: network, optimiser, moving average and the loop over batches; saves each minute."""

from __future__ import annotations

import copy
import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from device.models.bundle import find_model
from device.models.training.augment import letterbox
from device.models.training.batches import Batch, BatchMaker, Wish, stack
from device.models.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from device.models.training.evaluate import Accuracy, measure
from device.models.training.loss import Truth, loss
from device.models.training.network import Network, cells
from device.models.training.pictures import Picture
from device.models.training.predict import float_detector
from device.models.training.progress import Progress, Tell, silently
from device.models.training.recipe import Recipe
from device.models.training.start import initialise_backbone, initialise_from_detector

_log = logging.getLogger(__name__)
_SAVE_EVERY_S = 60.0
_REPORT_EVERY_S = 20.0
_EVALUATE_EVERY_S = 360.0
_EVALUATED_PICTURES = 160
_NORM_PICTURES = 64
_GRADIENT_LIMIT = 10.0


@dataclass(slots=True)
class _Sums:
    """Losses since the last report."""

    score: float = 0.0
    box: float = 0.0
    batches: int = 0


class Run:
    """A run of one recipe on loaded pictures: `begin` or `resume`, then `learn`."""

    def __init__(
        self, recipe: Recipe, data: Path, file: Path, sources: list[list[Picture]], valid: list[Picture]
    ) -> None:
        torch.manual_seed(recipe.seed)
        self._recipe = recipe
        self._data = data
        self._file = file
        self._sources = sources
        self._valid = valid[:: max(1, len(valid) // _EVALUATED_PICTURES)]
        self._network = Network(len(recipe.labels), recipe.neck_channels)
        self._averaged = copy.deepcopy(self._network)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._optimiser = _optimiser(self._network, recipe)
        self._step = 0
        self._trained_s = 0.0
        self._first: dict[str, torch.Tensor] | None = None

    def begin(self) -> None:
        """Start anew, from the detector or the ImageNet backbone that the recipe names."""
        recipe = self._recipe
        if recipe.start:
            file = find_model(recipe.start)
            initialise_from_detector(self._network, file, self._pictures_for_norms())
        elif recipe.backbone:
            initialise_backbone(self._network, self._data / recipe.backbone, self._pictures_for_norms())
        self._network.to(self._device, memory_format=torch.channels_last)
        self._averaged.to(self._device).load_state_dict(self._network.state_dict())

    def _pictures_for_norms(self) -> torch.Tensor:
        rng = np.random.default_rng(self._recipe.seed)
        first = self._sources[0]
        chosen = [first[int(k)] for k in rng.integers(len(first), size=_NORM_PICTURES)]
        size = self._recipe.schedule.size_at(0.0)
        return as_input(torch.from_numpy(stack([letterbox(picture, size) for picture in chosen]).pixels))

    def resume(self) -> None:
        """Go on from the checkpoint.

        Raises:
            CheckpointMismatch: absent, unreadable, or of another recipe.
        """
        state = load_checkpoint(self._file, self._recipe)
        self._network.load_state_dict(state.weights)
        self._network.to(self._device, memory_format=torch.channels_last)
        self._averaged.to(self._device).load_state_dict(state.averaged)
        self._optimiser.load_state_dict(state.optimiser)
        self._step, self._trained_s, self._first = state.step, state.trained_s, state.first
        _log.info("resumed step=%d trained_s=%.0f", self._step, self._trained_s)

    def learn(self, minutes: float, tell: Tell = silently) -> Path:
        """Train until `minutes` of training are reached, counted from the run's very start.

        A checkpoint is written each minute, at the end, and when Ctrl-C interrupts.
        """
        maker = BatchMaker(
            self._sources,
            [source.share for source in self._recipe.train],
            batch=self._recipe.batch,
            seed=self._recipe.seed + self._step,
            wish=self._wish(self._trained_s / (60 * minutes)),
        )
        maker.start()
        try:
            self._loop(maker, 60 * minutes, tell)
        except KeyboardInterrupt:
            self._save()
            raise
        finally:
            maker.stop()
        self._save()
        self._evaluate()
        return self._file

    def _loop(self, maker: BatchMaker, total_s: float, tell: Tell) -> None:
        told = Progress(self._trained_s, total_s, self._recipe.size)
        sums, reported_s, saved_s, evaluated_s = _Sums(), self._trained_s, self._trained_s, self._trained_s
        while self._trained_s < total_s:
            began_s = time.monotonic()
            progress = self._trained_s / total_s
            if self._first is None and progress >= self._recipe.schedule.restart_at:
                self._first = copy.deepcopy(self._averaged.state_dict())
            self._learn_from(maker.next(self._wish(progress)), progress, sums)
            self._trained_s += time.monotonic() - began_s
            if self._trained_s - reported_s >= _REPORT_EVERY_S:
                told = self._report(sums, told, self._trained_s - reported_s)
                sums, reported_s = _Sums(), self._trained_s
            if self._trained_s - saved_s >= _SAVE_EVERY_S:
                self._save()
                saved_s = self._trained_s
            if self._trained_s - evaluated_s >= _EVALUATE_EVERY_S:
                found = self._evaluate()
                told = replace(told, map50=found.map50 if found else None)
                evaluated_s = self._trained_s
            told = replace(told, trained_s=self._trained_s, side=self._wish(progress).size)
            tell(told)

    def _wish(self, progress: float) -> Wish:
        schedule = self._recipe.schedule
        return Wish(schedule.size_at(progress), schedule.is_mosaic_at(progress))

    def _learn_from(self, batch: Batch, progress: float, sums: _Sums) -> None:
        self._set_learning_rate(progress)
        owners, classes, boxes, blind, pixels = (
            torch.from_numpy(part).to(self._device)
            for part in (batch.owners, batch.classes, batch.boxes, batch.blind, batch.pixels)
        )
        centres, strides = (part.to(self._device) for part in cells(batch.pixels.shape[1]))
        self._network.train()
        with torch.autocast(self._device.type, torch.bfloat16):
            logits, distances = self._network(as_input(pixels))
        score, box = loss(logits, distances, centres, strides, Truth(owners, classes, boxes), blind)
        self._optimiser.zero_grad(set_to_none=True)
        (score + box).backward()
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), _GRADIENT_LIMIT)
        self._optimiser.step()
        self._step += 1
        self._average()
        sums.score += score.item()
        sums.box += box.item()
        sums.batches += 1

    def _set_learning_rate(self, progress: float) -> None:
        wanted = self._recipe.optimiser
        warm = min(1.0, (self._step + 1) / wanted.warmup_steps)
        factor = self._recipe.schedule.rate_at(progress) * warm
        for group in self._optimiser.param_groups:
            group["lr"] = wanted.learning_rate * group["factor"] * factor

    def _average(self) -> None:
        decay = min(self._recipe.optimiser.ema_decay, (1 + self._step) / (10 + self._step))
        with torch.no_grad():
            pairs = zip(
                self._averaged.state_dict().values(), self._network.state_dict().values(), strict=True
            )
            for mean, value in pairs:
                if mean.dtype.is_floating_point:
                    mean.lerp_(value, 1 - decay)
                else:
                    mean.copy_(value)

    def _report(self, sums: _Sums, told: Progress, seconds: float) -> Progress:
        score, box = sums.score / sums.batches, sums.box / sums.batches
        told = replace(told, loss=score + box, pictures_per_s=sums.batches * self._recipe.batch / seconds)
        _log.info(
            "trained_s=%.0f step=%d side=%d loss_score=%.3f loss_box=%.3f pictures_per_s=%.1f",
            self._trained_s,
            self._step,
            told.side,
            score,
            box,
            told.pictures_per_s,
        )
        return told

    def _save(self) -> None:
        state = Checkpoint(
            fingerprint=self._recipe.fingerprint(),
            weights=self._network.state_dict(),
            averaged=self._averaged.state_dict(),
            optimiser=self._optimiser.state_dict(),
            step=self._step,
            trained_s=self._trained_s,
            first=self._first,
        )
        save_checkpoint(self._file, state)

    def _evaluate(self) -> Accuracy | None:
        if not self._valid:
            return None
        on_cpu = copy.deepcopy(self._averaged).cpu()
        detect = float_detector(on_cpu, self._recipe.size, self._recipe.thresholds.iou)
        found = measure(detect, self._valid, self._recipe.labels)
        each = " ".join(f"{name}={value:.3f}" for name, value in found.by_class.items())
        _log.info("step=%d trained_s=%.0f map50=%.3f %s", self._step, self._trained_s, found.map50, each)
        return found


def as_input(pixels: torch.Tensor) -> torch.Tensor:
    """Pictures uint8 (B,S,S,3) as the network takes them: float (B,3,S,S), (pixel - 128) / 128."""
    return (pixels.permute(0, 3, 1, 2).float() - 128) / 128


def _optimiser(network: Network, recipe: Recipe) -> torch.optim.Optimizer:
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    has_learned = bool(recipe.start or recipe.backbone)
    for node in network.nodes:
        if not node.is_weighted:
            continue
        factor = recipe.optimiser.backbone_factor if node.is_backbone and has_learned else 1.0
        for parameter in network.weighted[node.name].parameters():
            decay = recipe.optimiser.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((factor, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": params, "factor": f, "weight_decay": decay} for (f, decay), params in groups.items()],
        lr=recipe.optimiser.learning_rate,
    )
