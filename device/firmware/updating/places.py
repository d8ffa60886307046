"""Where releases are fetched from: sticks that are in, and the image repository on the network.

A stick is only another source of bytes. What is installed is what the director names, and what comes from a
stick is verified as what comes from the network is.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from device.errors import PehraDeviceError, UpdateHindered
from device.firmware.claim_file import CERTIFICATE, IDENTITY
from device.firmware.fleet_https import trusting
from device.firmware.identity import ROOT, own_certificate, read_identity
from device.firmware.trust_roots import IMAGE_ROOT
from ota.trust.http import HttpSource
from ota.trust.limits import Limits
from ota.trust.sources import USB_FOLDER, FolderSource, Source

UPDATES: Final = "/updates"
MOST_STICKS: Final = 8
"""More folders are not asked: one stick may hold any number of them."""


@dataclass(frozen=True, slots=True)
class Place:
    """One source.

    Attributes:
        name: for people.
        source: it.
        is_network: what comes from there may cost something, and has its hours.
    """

    name: str
    source: Source
    is_network: bool = False


Open = Callable[[], Iterable[Place]]
"""Gives the places to ask, best first.

Raises:
    UpdateHindered: when it comes to one that cannot be opened.
"""


def sticks(roots: Iterable[str]) -> list[Path]:
    """Return the folders of sticks that are in, below where sticks are mounted."""
    found: list[Path] = []
    for root in map(Path, roots):
        for depth in ("*", "*/*"):
            try:
                found += sorted(root.glob(f"{depth}/{USB_FOLDER}/metadata"))[:MOST_STICKS]
            except OSError:
                continue  # pulled out while we looked
    return [folder.parent for folder in found[:MOST_STICKS]]


class Places:
    """The places of one device.

    Args:
        state: its state folder.
        url: of the image repository; where it is empty, the fleet's.
        roots: folders below which sticks are mounted.
        limits: what a source may do.
    """

    def __init__(self, state: Path, url: str, roots: Iterable[str], limits: Limits) -> None:
        self._state = state
        self._url = url.rstrip("/")
        self._roots = list(roots)
        self._limits = limits
        self._network: HttpSource | None = None

    def __call__(self) -> Iterator[Place]:
        """See `Open`."""
        for folder in sticks(self._roots):
            yield Place(f"stick {folder.parent}", FolderSource(folder))
        self._network = self._open_network()
        yield Place("the image repository", self._network, is_network=True)

    def hang_up(self) -> None:
        """End what is being fetched over the network, from another thread."""
        if self._network is not None:
            self._network.hang_up()

    def _open_network(self) -> HttpSource:
        try:
            identity = read_identity(self._state)
            url = self._url or (f"{identity.url}{UPDATES}" if identity else "")
            if not url:
                raise UpdateHindered("nobody says where the image repository is: [update] url, or enrol")
            is_fleet = identity is not None and url == f"{identity.url}{UPDATES}"
            tls = self._fleet_tls() if is_fleet else ssl.create_default_context()
        except (PehraDeviceError, OSError, ValueError) as error:
            raise UpdateHindered(f"the image repository cannot be asked: {error}") from error
        return HttpSource(f"{url}/metadata", f"{url}/targets", self._limits, tls=tls)

    def _fleet_tls(self) -> ssl.SSLContext:
        """Mutual TLS with the board's own certificate, which may have been renewed since."""
        folder = self._state / IDENTITY
        begun_s = own_certificate(self._state).not_valid_before_utc.timestamp()
        root_pem = (folder / ROOT).read_text()
        return trusting(root_pem, valid_from_s=begun_s, identity=folder / CERTIFICATE)


def image_root(state: Path) -> bytes:
    """Return the root of the image repository that is trusted from the beginning.

    Raises:
        UpdateHindered: there is none.
    """
    file = state / IDENTITY / IMAGE_ROOT
    try:
        return file.read_bytes()
    except OSError as error:
        raise UpdateHindered(f"no root of the image repository is known ({file.name}): enrol anew") from error
