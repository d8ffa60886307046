"""Fetches one picture after the other while somebody looks; the newest is in memory and nowhere else."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from hardware.cable.line import is_loopback, remote_host
from ota.cable import Picture
from pehra.provision.errors import PictureUnwanted
from pehra.provision.session import Session

LEAST_S: Final = 0.1
"""No more than ten pictures a second, however fast the cable."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture.

    Attributes:
        number: from 1.
        about: what the board said of it.
        jpeg: the picture.
    """

    number: int
    about: Picture
    jpeg: bytes


class Watching:
    """The newest picture, for whoever looks.

    Args:
        session: with the board; only used by `run`.
        camera: its id; empty for the first.
    """

    def __init__(self, session: Session, camera: str = "") -> None:
        self._session = session
        self._camera = camera
        self._changed = threading.Condition()
        self._shot: Shot | None = None
        self._lookers = 0
        self._is_over = False

    def run(self, stop: threading.Event) -> None:
        """Fetch pictures until `stop` is set; none while nobody looks.

        Raises:
            ProvisionError: as `Session.picture`.
            CableLost: as `Session.picture`.
        """
        number = 0
        try:
            while not stop.wait(LEAST_S):
                with self._changed:
                    if not self._changed.wait_for(lambda: self._lookers > 0, LEAST_S):
                        continue
                about, jpeg = self._session.picture(self._camera)
                number += 1
                with self._changed:
                    self._shot = Shot(number, about, jpeg)
                    self._changed.notify_all()
        finally:
            with self._changed:
                self._is_over, self._shot = True, None
                self._changed.notify_all()

    def begin_to_look(self) -> None:
        """Somebody looks from now on."""
        with self._changed:
            self._lookers += 1
            self._changed.notify_all()

    def end_to_look(self) -> None:
        """One fewer looks; with the last one the picture is forgotten."""
        with self._changed:
            self._lookers -= 1
            if not self._lookers:
                self._shot = None

    def after(self, number: int, wait_s: float) -> Shot | None:
        """Return the newest picture if it is later than one, waiting so long; None where none came."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._is_later(number), wait_s)
            return self._shot if self._is_later(number) else None

    @property
    def is_over(self) -> bool:
        """Whether no picture will come any more."""
        return self._is_over

    def _is_later(self, number: int) -> bool:
        return self._shot is not None and self._shot.number > number


def refuse_networks(port: str) -> None:
    """Let pictures come over a cable of this machine, or from this machine, only.

    Raises:
        PictureUnwanted: the port lies on another machine.
    """
    host = remote_host(port)
    if host is not None and not is_loopback(host):
        raise PictureUnwanted(
            f"{port}: a live picture goes over a cable of this machine only, never over a network; "
            "put the cable into this laptop"
        )
