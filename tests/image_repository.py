"""A real image repository for tests, made once a module: `ota.images` with keys that need no questions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from ota.images.adding import Wish, add, remove
from ota.images.founding import found
from ota.images.home import Home
from ota.images.publishing import publish
from ota.images.signing import sign_staged
from tests.small_releases import model

PASSPHRASE = "a passphrase for tests"


def ask(_name: str, _is_new: bool) -> str:
    return PASSPHRASE


class Images:
    """A repository, and the folder to which it is published.

    Attributes:
        clock: the moment of what is signed.
    """

    def __init__(self, folder: Path, clock: datetime | None = None) -> None:
        self.home, self.folder, self._sources = (
            Home(folder / "repository"),
            folder / "published",
            folder / "sources",
        )
        self.clock = clock or datetime.now(UTC)
        found(self.home, ask, self.clock)

    def model(
        self, version: str, *, weights: bytes = b"weights", sec_ver: int = 0, hw: str = "raspberry-pi-4"
    ) -> None:
        """Add a model, and sign."""
        source = self._sources / f"{version}-{len(weights)}-{hw}"
        if not source.exists():
            model(source, version, weights)
        self.do(lambda: add(self.home, source, Wish(hw=(hw,), sec_ver=sec_ver)))

    def remove(self, path: str) -> None:
        self.do(lambda: remove(self.home, path))

    def do(self, change: object) -> None:
        with self.home.locked() as settings:
            change()  # type: ignore[operator]
            sign_staged(self.home, settings, ask, self.clock)

    def publish(self) -> None:
        with self.home.locked() as settings:
            publish(self.home, settings, self.folder, ask, self.clock)

    def age(self, span: timedelta) -> datetime:
        """A moment later than what was signed."""
        return self.clock + span
