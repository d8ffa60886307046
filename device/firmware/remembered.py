"""What a camera's eye remembers over a restart, in the outbox's store of small values.

Which alarms were told, and how its view usually is. Nothing of it is worth a failed start: what cannot be
read is forgotten.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from device.firmware.config import CameraSection
from ota.messages.structs import AlarmKind

_log = logging.getLogger(__name__)

_VIEWS: Final = "view/"
_MARK_BYTES: Final = 8


class Store(Protocol):
    """What is needed of the outbox."""

    def save(self, key: str, value: bytes) -> None:
        """Keep a small value."""
        ...

    def load(self, key: str) -> bytes | None:
        """Return a kept value, or None."""
        ...

    def saved_keys(self, prefix: str) -> list[str]:
        """Return the keys of kept values that begin so."""
        ...

    def forget(self, key: str) -> None:
        """Remove a kept value at once."""
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
    """Return what was learnt of a camera's view; nothing if its source or its masks were others."""
    kept, mark = store.load(_view_key(section.id)) or b"", _mark(section)
    return kept[len(mark) :] if kept.startswith(mark) else b""


def keep_view(section: CameraSection, state: bytes, store: Store) -> None:
    """Remember what was learnt of a camera's view."""
    store.save(_view_key(section.id), _mark(section) + state)


def forget_other_views(sections: Sequence[CameraSection], store: Store) -> None:
    """Remove at once what was learnt of views that no camera has now.

    Another source or other privacy masks, a view that is switched off, a camera that is gone: the edges of
    what is hidden now must not lie on the disk any longer.
    """
    usable = {_view_key(one.id) for one in sections if one.view.enabled and view_before(one, store)}
    for key in store.saved_keys(_VIEWS):
        if key not in usable:
            store.forget(key)
            _log.info("view reference removed key=%s", key)


def _told_key(camera: str) -> str:
    return f"alarms/{camera}"


def _view_key(camera: str) -> str:
    return f"{_VIEWS}{camera}"


def _mark(section: CameraSection) -> bytes:
    """What tells one view from another: its source, and what of it is hidden."""
    seen = msgspec.json.encode([section.source, [mask.points for mask in section.mask]])
    return hashlib.sha256(seen).digest()[:_MARK_BYTES]
