"""Lets the updater fill and try slots of firmware: `firmware_slot.py`, in the words of a `Builder`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from device.errors import FirmwareUnusable, UpdateHindered, UpdateRefused
from device.firmware.updating.firmware_slot import build, check, check_launched


class FirmwareBuilder:
    """See `Builder`.

    Args:
        config: of this device, which a new firmware must understand; None leaves that out.
    """

    def __init__(self, config: Path | None) -> None:
        self._config = config

    def obstacle(self) -> str:
        """See `Builder`: without the launcher a firmware would never be started, or never be left."""
        try:
            check_launched()
        except FirmwareUnusable as error:
            return str(error)
        return ""

    def build(
        self, archive: Path, slot: Path, notes: Mapping[str, object], is_over: Callable[[], bool]
    ) -> None:
        """See `Builder`."""
        with _told_as_updates_are():
            build(archive, slot, notes=notes, is_over=is_over)

    def check(self, slot: Path, version: str, is_over: Callable[[], bool]) -> None:
        """See `Builder`."""
        with _told_as_updates_are():
            check(slot, version, config=self._config, is_over=is_over)


@contextmanager
def _told_as_updates_are() -> Iterator[None]:
    try:
        yield
    except FirmwareUnusable as error:
        if error.is_final:
            raise UpdateRefused(error.reason) from error
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from error
        raise UpdateHindered(str(error)) from error
