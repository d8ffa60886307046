"""From a checkpoint to bundle folders: convert to int8, measure, write the card. Open `export_all` below.

It never trains. What it writes on the card it has measured on the very file that it writes.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from device.models.bundle import CARD_FILE, MODEL_FILE, load_bundle
from device.models.evaluation.run import FLOAT_FILE
from device.models.training.errors import DataMissing, ExportError
from device.models.training.pictures import Picture, load_source
from device.models.training.recipe import Recipe, load_recipe
from device.models.training.train import CHECKPOINT, EXTRA, require_extra

if TYPE_CHECKING:
    from device.models.training.checkpoint import Checkpoint

_log = logging.getLogger(__name__)
_CALIBRATION_PICTURES = 200
_SMOKE_PICTURES = 12
_MOST_BYTES = 2_000_000
_GOLDEN_SEEDS = (0, 1)


@dataclass(frozen=True, slots=True)
class _Sets:
    calibration: list[Picture]
    valid: dict[str, list[Picture]]


def export_all(*, recipe: Path, data: Path, out: Path, smoke: bool = False) -> list[Path]:
    """Make the bundles of a recipe, `out`/NAME, of the checkpoint in `out`, and return their folders.

    Args:
        recipe: the recipe it was trained by.
        data: folder that the recipe's folders are relative to.
        out: where `train` wrote its checkpoint. In each bundle folder `model.tflite`, `model.toml` and
            `float.tflite`, the float parent for comparison, are replaced.
        smoke: calibrate and measure on a few pictures only.

    Raises:
        TrainingError: with what to do next; see `errors.py`.
    """
    chosen = load_recipe(recipe)
    require_extra(*EXTRA)
    if not data.is_dir():
        raise DataMissing(data, "is not a folder")

    from device.models.training.checkpoint import load_checkpoint

    state = load_checkpoint(out / CHECKPOINT, chosen)
    sets = _load_sets(chosen, data, smoke=smoke)
    made = chosen.bundles()
    if smoke:
        made = [msgspec.structs.replace(one, version=f"{one.version}-smoke") for one in made]
    return [_export(one, recipe.name, state, sets, out / one.name) for one in made]


def _export(recipe: Recipe, recipe_name: str, state: Checkpoint, sets: _Sets, out: Path) -> Path:
    from device.models.golden import golden_of
    from device.models.training.card import make_card, write_card
    from device.models.training.checkpoint import network_of
    from device.models.training.convert import to_float, to_int8
    from device.models.training.measured import measured_on_card

    network = network_of(state, recipe)
    content = to_int8(network, recipe.size, sets.calibration)
    if len(content) > _MOST_BYTES:
        raise ExportError(f"the file has {len(content)} bytes, over {_MOST_BYTES}: choose a narrower network")
    card = make_card(
        recipe,
        sha256=hashlib.sha256(content).hexdigest(),
        recipe_name=recipe_name,
        trained_at=datetime.now(UTC).date().isoformat(),
    )
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch)
        (made / MODEL_FILE).write_bytes(content)
        (made / FLOAT_FILE).write_bytes(to_float(network, recipe.size))
        write_card(card, made / CARD_FILE)
        measured = measured_on_card(network, load_bundle(made), sets.valid)
        measured["trained_minutes"] = round(state.trained_s / 60, 1)
        golden = [golden_of(load_bundle(made), seed) for seed in _GOLDEN_SEEDS]
        write_card(msgspec.structs.replace(card, measured=measured, golden=golden), made / CARD_FILE)
        load_bundle(made)
        _put(made, out)
    _log.info("bundle=%s bytes=%d measured=%s", out, len(content), measured)
    return out


def _load_sets(recipe: Recipe, data: Path, *, smoke: bool) -> _Sets:
    wanted = _SMOKE_PICTURES if smoke else _CALIBRATION_PICTURES
    total = sum(source.share for source in recipe.train)
    calibration = [
        picture
        for source in recipe.train
        for picture in load_source(
            source, data, recipe.labels, limit=max(1, round(wanted * source.share / total))
        )
    ]
    limit = _SMOKE_PICTURES if smoke else 0
    valid = {s.name: load_source(s, data, recipe.labels, limit=limit) for s in recipe.valid}
    return _Sets(calibration, valid)


def _put(made: Path, out: Path) -> None:
    """Replace the files of a bundle folder, each whole; the card last, as its sha256 guards the pair."""
    out.mkdir(parents=True, exist_ok=True)
    for name in (FLOAT_FILE, MODEL_FILE, CARD_FILE):
        new = out / f"{name}.new"
        shutil.copyfile(made / name, new)
        new.replace(out / name)
