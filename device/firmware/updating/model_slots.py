"""The models that a device has: two slots, and the factory's, which its configuration names.

Reads, chooses and stages; never runs a model (`model_check.py` does, in a child, and `model_kind.py`).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from device.errors import PehraDeviceError, UpdateRefused
from device.firmware.updating.kind import FACTORY, SLOTS
from device.firmware.updating.slot_folder import SlotFolder, packed
from device.models.bundle import CARD_FILE, MODEL_FILE, Bundle, find_model, load_bundle
from device.models.detector import Detector
from ota.errors import WrongContent
from ota.messages.desired import Target
from ota.packing import unpack

FOLDER: Final = "slots/model"
MOST_BYTES: Final = 16_000_000
"""Of a model's release, packed and unpacked."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The model that a start takes.

    Attributes:
        slot: where it lies.
        detector: it, loaded.
        complaint: why it is not the one that the link names; empty where it is.
    """

    slot: str
    detector: Detector
    complaint: str = ""


class ModelSlots(SlotFolder):
    """The slots of one device.

    Args:
        state: its state folder.
        factory: the model that came with it: a name, a folder, or a `.tflite` file.
    """

    def __init__(self, state: Path, factory: str) -> None:
        super().__init__(state / FOLDER)
        self._factory = factory
        self._factory_contents: frozenset[str] | None = None

    def bundle(self, slot: str) -> Bundle:
        """Return the model in a slot, checked against its manifest and its card.

        Raises:
            ModelUnavailable: it cannot be read, or is not what its card says.
            ModelRefused: it is no int8 model.
            UpdateRefused: the slot is not whole.
        """
        if slot == FACTORY:
            return load_bundle(self._factory, int8_only=True)
        if fault := self.fault(slot):
            raise UpdateRefused(fault)
        return load_bundle(self.path(slot), int8_only=True)

    def choose(self, is_good: Callable[[str], bool], load: Callable[[Bundle], Detector]) -> Chosen:
        """Return the model to start with: the current slot's, else the other's, else the factory's.

        Args:
            is_good: whether a release, by its SHA-256, was committed once; no other is gone back to.
            load: makes a detector of a model.

        Raises:
            ModelUnavailable: not even the factory's can be used.
            ModelRefused: the factory's is no int8 model.
        """
        current = self.current()
        complaints: list[str] = []
        for slot in sorted(SLOTS, key=lambda slot: slot != current) if current != FACTORY else []:
            manifest = self.manifest(slot)
            if slot != current and not (manifest is not None and is_good(manifest.content)):
                continue
            try:
                return Chosen(slot, load(self.bundle(slot)), "; ".join(complaints))
            except PehraDeviceError as error:
                complaints.append(str(error))
                _log.error("model: slot %s is not used reason=%r", slot, str(error))
        if complaints:
            complaints.append("the factory's model looks")
        return Chosen(FACTORY, load(self.bundle(FACTORY)), "; ".join(complaints))

    def factory_contents(self) -> frozenset[str]:
        """Return the SHA-256 of the factory's model as a release: of its folder, packed, and of its file."""
        if self._factory_contents is None:
            self._factory_contents = self._hash_factory()
        return self._factory_contents

    def pack(self, slot: str) -> bytes:
        """Return the file of a release again; empty where it cannot be made."""
        if slot != FACTORY:
            return packed(self.path(slot))
        file = _factory_file(self._factory)
        is_bundle = file is not None and file.name == MODEL_FILE and (file.parent / CARD_FILE).is_file()
        return packed(file.parent) if file is not None and is_bundle else b""

    def stage(self, archive: Path, slot: str, target: Target) -> None:
        """See `Kind.stage`."""
        self.wipe(slot)
        place = self.path(slot)
        try:
            unpack(archive, place, MOST_BYTES)
        except WrongContent as error:
            raise UpdateRefused(f"{target.path}: {error.reason}") from error
        for name in (MODEL_FILE, CARD_FILE):
            if not (place / name).is_file():
                raise UpdateRefused(f"{target.path} holds no {name}")
        self.seal(slot, target)

    def _hash_factory(self) -> frozenset[str]:
        file, folder = _factory_file(self._factory), self.pack(FACTORY)
        contents = [content for content in (folder, file.read_bytes() if file else b"") if content]
        return frozenset(hashlib.sha256(content).hexdigest() for content in contents)


def _factory_file(factory: str) -> Path | None:
    try:
        return find_model(factory)
    except PehraDeviceError:
        return None
