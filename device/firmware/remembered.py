"""What a camera's eye remembers over a restart, in the outbox's store of small values.

Which alarms were told, and how its view usually is. Nothing of it is worth a failed start: what cannot be
read is forgotten.
"""

from __future__ import annotations

import zlib
from typing import Protocol

import msgspec

from device.firmware.config import CameraSection
from ota.messages.structs import AlarmKind


class Store(Protocol):
    """What is needed of the outbox."""

    def save(self, key: str, value: bytes) -> None:
        """Keep a small value."""
        ...

    def load(self, key: str) -> bytes | None:
        """Return a kept value, or None."""
        ...


def told_before(camera: str, store: Store) -> dict[AlarmKind, str]:
    """Return the alarms of a camera that stood when the device was stopped, with their details."""
    kept = store.load(_told_key(camera))
    try:
        return msgspec.json.decode(kept, type=dict[AlarmKind, str]) if kept else {}
    except msgspec.DecodeError:
        return {}


def keep_told(camera: str, told: dict[AlarmKind, str], store: Store) -> None:
    """Remember which alarms of a camera stand."""
    store.save(_told_key(camera), msgspec.json.encode(told))


def view_before(section: CameraSection, store: Store) -> bytes:
    """Return what was learnt of a camera's view; nothing if its source was another."""
    kept, mark = store.load(_view_key(section.id)) or b"", _mark(section)
    return kept[len(mark) :] if kept.startswith(mark) else b""


def keep_view(section: CameraSection, state: bytes, store: Store) -> None:
    """Remember what was learnt of a camera's view."""
    store.save(_view_key(section.id), _mark(section) + state)


def _told_key(camera: str) -> str:
    return f"alarms/{camera}"


def _view_key(camera: str) -> str:
    return f"view/{camera}"


def _mark(section: CameraSection) -> bytes:
    """What tells one source from another: their views have nothing in common."""
    return zlib.crc32(section.source.encode()).to_bytes(4, "big")
