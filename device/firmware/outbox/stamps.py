"""Messages from before the clock was set: what they need so that their moment can be told later.

A board without a battery wakes in 1970 and hears the time when its network is up. What it made until then
is kept with the id of this boot and the moment by the monotonic clock; once the wall clock can be believed,
`wall - monotonic` tells when it really was. That holds within one boot only: what is left of an earlier
boot keeps `clock: unsynced`, because nobody knows how long the board was off.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from device.firmware.clock import clock_state
from ota.messages import format_ts, parse_ts
from ota.messages.structs import Count, Durable, Event

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Stamps:
    """Knows the wall and the monotonic clock of this boot.

    Args:
        now: Unix seconds by the wall clock.
        mono: seconds by a monotonic clock that goes on while this boot lasts, also across processes.
        boot: id of this boot; empty where the system has none, then nothing is corrected.
        saved: what `saved` returned in an earlier process.
    """

    def __init__(
        self, now: Callable[[], float], mono: Callable[[], float], boot: str, saved: bytes | None
    ) -> None:
        self._now = now
        self._mono = mono
        self.boot = boot
        self._unset_offset_s = _offset_of(saved, boot)

    def is_set(self) -> bool:
        """Return whether the wall clock can be believed now; notes how it runs when it cannot."""
        now_s = self._now()
        if clock_state(now_s) == "synced":
            return True
        self._unset_offset_s = now_s - self._mono()
        return False

    def saved(self) -> bytes:
        """Return how the clock ran before it was set, for `Stamps(..., saved=)` of this boot."""
        return msgspec.json.encode([self.boot, self._unset_offset_s])

    def moment(self, message: Durable) -> float | None:
        """Return the monotonic moment of an unsynced message of this boot, None where it has none.

        A message may be unsynced though the clock has been set meanwhile: a bucket that began in 1970.
        """
        if message.clock == "synced" or not self.boot or self._unset_offset_s is None:
            return None
        return parse_ts(message.ts) - self._unset_offset_s

    def corrected(self, message: Durable, mono_s: float) -> Durable:
        """Return a message as it would have been made with the clock set; only while `is_set`.

        The bounds of a count move with its stamp and no longer fall on whole minutes, so that its bucket
        cannot be taken for one that was counted by the right clock.
        """
        shift_s = self.shift_s(message, mono_s)
        moved = {"ts": format_ts(parse_ts(message.ts) + shift_s), "clock": "synced"}
        if isinstance(message, Count):
            moved["from_ts"] = format_ts(parse_ts(message.from_ts) + shift_s)
            moved["to_ts"] = format_ts(parse_ts(message.to_ts) + shift_s)
        if isinstance(message, Event) and message.until is not None:
            moved["until"] = format_ts(parse_ts(message.until) + shift_s)
        return msgspec.structs.replace(message, **moved)

    def shift_s(self, message: Durable, mono_s: float) -> float:
        """Return by how many seconds the stamp of a message was wrong."""
        return mono_s + self._now() - self._mono() - parse_ts(message.ts)


def boot_id() -> str:
    """Return the kernel's id of this boot (Linux, proc(5)), empty where there is none."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _offset_of(saved: bytes | None, boot: str) -> float | None:
    if saved is None:
        return None
    of_boot, offset_s = msgspec.json.decode(saved, type=tuple[str, float | None])
    return offset_s if of_boot == boot else None
