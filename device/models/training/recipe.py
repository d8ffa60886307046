"""The recipe of a training run: one TOML file, read once, checked, then passed as an argument.

It decides what is trained on what and for how long. It never touches pictures or weights.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import msgspec

from device.models.training.errors import RecipeError


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Pictures of one origin.

    Attributes:
        name: how reports call it.
        kind: `yolo` = a folder with images/ and labels/; `simulated` = frames of the simulated street.
        share: how often a training picture comes from here, relative to the other sources' shares.
        folder: of a yolo source, relative to the data folder.
        classes: class map of a yolo source: what its class numbers 0, 1, 2 ... are for the model. A name may
            stand twice (two kinds of one label) or be none of the model's labels (its boxes are left out).
            Labels of the model that are not among them count as not labelled there, and their scores are left
            out of the loss (see `loss.py`).
        leave_out: of a yolo source, n = every n-th picture by name is not used; 0 = all are.
        only: of a yolo source, n = only every n-th picture by name, those that `leave_out` = n does not use;
            0 = all.
        seeds: of a simulated source, first (included) and last (excluded) seed.
        frames_per_seed: of a simulated source.
        frame_every_s: of a simulated source, seconds of the scene between two frames.
        frame_width: of a simulated source, pixels.
        frame_height: of a simulated source, pixels.
    """

    name: str
    kind: Literal["yolo", "simulated"]
    share: float = 1.0
    folder: str = ""
    classes: tuple[str, ...] = ()
    leave_out: int = 0
    only: int = 0
    seeds: tuple[int, int] = (0, 0)
    frames_per_seed: int = 0
    frame_every_s: float = 1.5
    frame_width: int = 640
    frame_height: int = 360

    def part_of(self, files: list[Path]) -> list[Path]:
        """The files of a sorted list that this source uses."""
        if self.only:
            return files[:: self.only]
        return [f for k, f in enumerate(files) if k % self.leave_out] if self.leave_out else files


class Optimiser(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """AdamW with a linear warm-up and a cosine over the run's time."""

    learning_rate: float = 2e-3
    backbone_factor: float = 0.5
    weight_decay: float = 0.02
    warmup_steps: int = 150
    ema_decay: float = 0.998


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What changes over the run: each cycle begins with mosaics and a high learning rate, which falls.

    Attributes:
        sizes: pairs (until this share of the time, side in pixels).
        mosaic_until: share of a cycle's time.
        restart_at: share of the time at which a second cycle begins, 1 = there is only one; as in Loshchilov
            and Hutter 2017, arXiv:1608.03983.
        restart_rate: learning rate of the second cycle's start, as a share of the first one's.
        share_of_last: weight of the second cycle's end in the exported mean of both ends, 0..1.
    """

    sizes: tuple[tuple[float, int], ...]
    mosaic_until: float = 0.8
    restart_at: float = 1.0
    restart_rate: float = 0.3
    share_of_last: float = 1.0

    def size_at(self, progress: float) -> int:
        """Side of the training pictures in pixels at `progress` in 0..1 of the run."""
        return next((size for until, size in self.sizes if progress < until), self.sizes[-1][1])

    def rate_at(self, progress: float) -> float:
        """Learning rate at `progress` in 0..1 of the run, as a share of the recipe's: from 1 down to 0.01."""
        peak = 1.0 if self._is_first(progress) else self.restart_rate
        return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * self._of_cycle(progress))))

    def is_mosaic_at(self, progress: float) -> bool:
        """Whether pictures are put together at `progress` in 0..1 of the run."""
        return self._of_cycle(progress) < self.mosaic_until

    def _of_cycle(self, progress: float) -> float:
        first, last = (0.0, self.restart_at) if self._is_first(progress) else (self.restart_at, 1.0)
        return min(1.0, (progress - first) / (last - first))

    def _is_first(self, progress: float) -> bool:
        return progress < self.restart_at or self.restart_at >= 1.0


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the detector starts with: least score, and IoU above which a weaker box is dropped."""

    conf: float = 0.25
    iou: float = 0.6


class Provenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the card tells about origins and limits, in sentences."""

    trained_on: tuple[str, ...]
    initialised_from: str
    intended_use: str
    not_for: str
    known_failures: tuple[str, ...] = ()


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Another bundle of the same weights, at another side.

    Attributes:
        name: of the model.
        size: side of its input in pixels, a multiple of 32.
        description: first sentence of its card.
    """

    name: str
    size: int
    description: str


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole recipe; see the fields' own classes.

    Attributes:
        labels: names of the model's outputs, in their order.
        size: side of the exported model's input in pixels, a multiple of 32.
        neck_channels: width of the feature pyramid and the heads.
        backbone: quantised MobileNet file to start from, relative to the data folder; empty = random.
        start: detector to go on from in place of a backbone: a name from `pehra models list`, a bundle folder
            or an int8 file that `pehra models train` made with the same labels and neck width.
        minutes: time of training, not counting loading and evaluation.
        variants: further bundles of the same weights.
    """

    name: str
    version: str
    description: str
    licence: str
    labels: tuple[str, ...]
    size: int
    neck_channels: int
    backbone: str
    minutes: float
    batch: int
    seed: int
    optimiser: Optimiser
    schedule: Schedule
    thresholds: Thresholds
    provenance: Provenance
    train: tuple[Source, ...]
    valid: tuple[Source, ...]
    start: str = ""
    variants: tuple[Variant, ...] = ()

    def bundles(self) -> list[Recipe]:
        """The recipe itself and, for each variant, the recipe that makes it of the same checkpoint."""
        of_variants = [
            msgspec.structs.replace(self, name=v.name, size=v.size, description=v.description)
            for v in self.variants
        ]
        return [self, *of_variants]

    def fingerprint(self) -> str:
        """What must be equal for a checkpoint to fit: name, labels and shape of the network."""
        return f"{self.name} {','.join(self.labels)} neck={self.neck_channels}"


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises:
        RecipeError: the file is absent, is no TOML, has unknown or missing keys, or contradicts itself.
    """
    try:
        recipe = msgspec.toml.decode(path.read_bytes(), type=Recipe)
    except OSError as error:
        raise RecipeError(path, f"cannot be read ({error.strerror}); name an existing .toml file") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecipeError(path, str(error)) from error
    fault = _fault(recipe)
    if fault:
        raise RecipeError(path, fault)
    return recipe


def _fault(recipe: Recipe) -> str:
    sides = [recipe.size, *(side for _, side in recipe.schedule.sizes), *(v.size for v in recipe.variants)]
    names = [source.name for source in (*recipe.train, *recipe.valid)]
    models = [recipe.name, *(variant.name for variant in recipe.variants)]
    if not recipe.labels or len(set(recipe.labels)) != len(recipe.labels):
        return "labels must be named, each once"
    if not recipe.schedule.sizes or any(side <= 0 or side % 32 for side in sides):
        return f"size and schedule.sizes must be multiples of 32, got {sides}"
    if recipe.minutes <= 0 or recipe.batch < 1 or recipe.neck_channels < 8:
        return "minutes, batch and neck_channels must be positive (neck_channels at least 8)"
    if not recipe.train or sum(source.share for source in recipe.train) <= 0:
        return "at least one [[train]] source with a share above 0 is needed"
    if len(set(names)) != len(names) or len(set(models)) != len(models):
        twice = next(name for name in [*names, *models] if [*names, *models].count(name) > 1)
        return f"two sources or two models have the name {twice!r}: give each its own"
    return next(filter(None, (_source_fault(s) for s in (*recipe.train, *recipe.valid))), "")


def _source_fault(source: Source) -> str:
    if source.kind == "yolo" and not (source.folder and source.classes):
        return f"source {source.name}: a yolo source needs folder and classes"
    if source.kind == "simulated" and (source.seeds[1] <= source.seeds[0] or source.frames_per_seed < 1):
        return f"source {source.name}: a simulated source needs seeds = [first, last) and frames_per_seed"
    return ""
