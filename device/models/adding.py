"""A bare `.tflite` becomes a bundle in the models folder, and goes from there again.

Only what passes every check of :mod:`device.models.verify` is put in place, whole or not at all. Never
changes a shipped model, and never asks: :mod:`pehra.commands.models.adding` does.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from device.errors import ModelRefused, ModelUnavailable
from device.models.bundle import (
    CARD_FILE,
    HOME,
    MODEL_FILE,
    Bundle,
    Card,
    Provenance,
    bundle_names,
    read_model,
)
from device.models.examine import examine
from device.models.verify import SLOT_BYTES, Check, verify

_GOLDEN_SEEDS = (0, 1)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a file cannot tell of itself.

    Attributes:
        name: Of the bundle; small letters, digits, dot, dash, underscore.
        version: Its maker's, or one's own.
        labels: In the order of the outputs; empty to find them beside or inside the file.
        licence: Of the weights.
        source: Where the file is from.
        description: What it is for.
        decoder: In place of the recognised one; empty to recognise it.
    """

    name: str
    version: str = "1"
    labels: tuple[str, ...] = ()
    licence: str = ""
    source: str = ""
    description: str = ""
    decoder: str = ""


def name_from(file: Path) -> str:
    """A bundle name made of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", file.stem.lower()).strip("-")[:64] or "model"


def check_name(name: str, folder: Path, *, may_replace: bool) -> None:
    """See that a name can be given to a new bundle.

    Raises:
        ModelRefused: It is no name, a shipped model has it, or it is taken and may not be replaced.
    """
    if not _NAME.fullmatch(name):
        raise ModelRefused(
            name, "it is no name of a model", "use small letters, digits, dash and dot, at most 64 of them"
        )
    if name in bundle_names():
        raise ModelRefused(name, "Pehra ships a model of that name", "choose another with --name")
    if not may_replace and (folder / name).exists():
        raise ModelRefused(
            name, f"there is one of that name in {folder}", "choose another name, or replace it with --force"
        )


def add(
    file: Path, wish: Wish, folder: Path, *, may_replace: bool = False, slot_bytes: int = SLOT_BYTES
) -> tuple[Path, list[Check]]:
    """Make a bundle of a `.tflite` file and put it into the models folder.

    Args:
        file: The model.
        wish: What its card shall say.
        folder: The models folder; made where it is not there.
        may_replace: Take the place of a bundle of that name.
        slot_bytes: Most bytes that a device has room for.

    Returns:
        The bundle's folder, and the checks that it passed.

    Raises:
        ModelUnavailable: The file cannot be read, or is no detector.
        ModelRefused: The name cannot be given, or a check went wrong.
        OSError: The folder cannot be written.
    """
    check_name(wish.name, folder, may_replace=may_replace)
    seen = examine(file, wish.labels)
    if seen.trial.trouble:
        raise ModelUnavailable(file, "it does not run", seen.trial.trouble)
    made = folder / f".{wish.name}.new"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    try:
        bundle = _write_bundle(made, read_model(file), card_of(file, wish))
        checks = verify(examine(bundle), slot_bytes)
        for check in checks:
            if check.state == "WRONG":
                raise ModelRefused(file, f"{check.name}: {check.says}", "nothing was added")
        _put(made, folder / wish.name)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder / wish.name, checks


def card_of(file: Path, wish: Wish) -> Card:
    """The card that recognition and a wish make together, without golden vectors.

    Raises:
        ModelUnavailable: It is no detector, or its labels cannot be told.
    """
    from device.models.recognise import recognise

    content = read_model(file)
    card, _ = recognise(file, content, wish.labels, wish.decoder)
    return msgspec.structs.replace(
        card,
        name=wish.name,
        version=wish.version,
        licence=wish.licence,
        description=wish.description,
        sha256=hashlib.sha256(content).hexdigest(),
        provenance=Provenance(initialised_from=wish.source),
    )


def remove(name: str, folder: Path) -> Path:
    """Take a pulled or added model away.

    Raises:
        ModelRefused: It is a shipped one.
        ModelUnavailable: There is none of that name.
    """
    if name in bundle_names(folder):
        shutil.rmtree(folder / name)
        return folder / name
    if name in bundle_names(HOME):
        raise ModelRefused(name, "Pehra ships it", "only pulled and added models can be removed")
    names = ", ".join(bundle_names(folder)) or "none"
    raise ModelUnavailable(name, f"there is no such model in {folder}", f"name one of those there: {names}")


def _write_bundle(folder: Path, content: bytes, card: Card) -> Path:
    from device.models.golden import golden_of
    from device.models.training.card import write_card

    (folder / MODEL_FILE).write_bytes(content)
    bundle = Bundle(folder / MODEL_FILE, card, card.sha256)
    golden = [golden_of(bundle, seed) for seed in _GOLDEN_SEEDS]
    write_card(msgspec.structs.replace(card, golden=golden), folder / CARD_FILE)
    return folder


def _put(made: Path, place: Path) -> None:
    """Rename a finished bundle into its place; the one that was there goes last."""
    old = place.with_name(f".{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    made.rename(place)
    shutil.rmtree(old, ignore_errors=True)
