"""Notices devices that went silent.

A pure part (`find_silent`) and one small thread, `Presence`, that marks them by its own monotonic
clock; what devices say about themselves is read in `standing.py`. While our own link to the broker
is down nobody is declared offline; after it is back every device gets a fresh grace period.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import Engine, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from fleet.link import Link
from fleet.store.tables import Device

log = logging.getLogger(__name__)

TICK_S: Final = 1.0
STALL_S: Final = 10.0
"""A tick this late means that we slept, not the devices: grace for all."""


def find_silent(
    online: Iterable[str], heard_s: Mapping[str, float], *, now_s: float, grace_from_s: float, after_s: float
) -> list[str]:
    """Return those devices not heard for more than `after_s`; all seconds are monotonic.

    A device is never judged by silence before `grace_from_s`.
    """
    return [name for name in online if now_s - max(heard_s.get(name, 0.0), grace_from_s) > after_s]


class LastHeard:
    """When something live last came from each device, in monotonic seconds; for any thread."""

    def __init__(self) -> None:
        self._heard_s: dict[str, float] = {}

    def note(self, device: str) -> None:
        """Note that something live came from a device just now."""
        self._heard_s[device] = time.monotonic()

    def view(self) -> Mapping[str, float]:
        """Return the moments by device."""
        return self._heard_s


class Presence:
    """Marks silent devices offline, in its own thread."""

    def __init__(self, engine: Engine, link: Link, last_heard: LastHeard, *, offline_after_s: float) -> None:
        self._engine = engine
        self._link = link
        self._last_heard = last_heard
        self._offline_after_s = offline_after_s
        self._grace_from_s = 0.0
        self._last_tick_s = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Judge once a second until `stop`."""
        while not stop.wait(TICK_S):
            try:
                self.tick(time.monotonic())
            except SQLAlchemyError as error:
                log.warning("presence not judged reason=%s", type(error).__name__)

    def tick(self, now_s: float) -> list[str]:
        """Judge once; return the devices that were marked offline.

        Args:
            now_s: monotonic seconds; an argument, so that a test can be in the future.
        """
        was_asleep = now_s - self._last_tick_s > STALL_S
        self._last_tick_s = now_s
        up_since_s = self._link.up_since_s
        if was_asleep:
            self._grace_from_s = now_s
        if up_since_s is None:
            return []
        grace_from_s = max(self._grace_from_s, up_since_s)
        with self._engine.connect() as connection:
            online = connection.scalars(select(col(Device.id)).where(col(Device.is_online))).all()
        silent = find_silent(
            online,
            self._last_heard.view(),
            now_s=now_s,
            grace_from_s=grace_from_s,
            after_s=self._offline_after_s,
        )
        if silent:
            self._mark_offline(silent)
        return silent

    def _mark_offline(self, silent: list[str]) -> None:
        now_ms = time.time_ns() // 1_000_000
        with self._engine.begin() as connection:
            connection.execute(
                update(Device).where(col(Device.id).in_(silent)).values(is_online=False, offline_ms=now_ms)
            )
        for name in silent:
            log.info("device offline device=%s reason=silent", name)
