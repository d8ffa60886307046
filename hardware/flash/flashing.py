"""The road from an image to a sealed card, top to bottom."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hardware.errors import ImageUnusable, NotCustomised
from hardware.flash.card import Card
from hardware.flash.customising import Customised, customise
from hardware.flash.image import AGAIN, Image
from hardware.flash.os_format import PLAIN
from hardware.flash.partitions import boot_partition, partitions
from hardware.flash.reading_back import read_back
from hardware.flash.settings import Setup
from hardware.flash.writing import Written, too_large, write_image


class Watcher(Protocol):
    """Is told how far it is."""

    def stage(self, name: str, total_bytes: int | None) -> None:
        """A stage begins: `write`, `verify` or `customise`."""

    def done(self, done_bytes: int) -> None:
        """So much of it is done."""


@dataclass(frozen=True, slots=True)
class Flashed:
    """A card that is done.

    Attributes:
        written: what the image was.
        customised: what was put beside it; None where nothing was asked for.
    """

    written: Written
    customised: Customised | None


def flash(image: Image, card: Card, setup: Setup | None, expected_sha256: str, watcher: Watcher) -> Flashed:
    """Write an image to a card, verify it, put the first-boot files on it and seal it.

    Until the last step the card does not boot, whatever happens. The one exception is an image that is good
    but that Pehra cannot set up: it is sealed as it is, and the error says so.

    Args:
        image: what is written.
        card: onto what.
        setup: for the first boot; None for the plain image.
        expected_sha256: of the image file; empty where nobody told.
        watcher: is told how far it is.

    Raises:
        ImageUnusable: the image is damaged, cut off, too large or not the one that was promised.
        CardFailed: the card failed.
        NotCustomised: the first-boot files could not be put on it.
    """
    refuse_too_large(image, card)
    card.unseal()
    watcher.stage("write", image.size_bytes)
    written = write_image(image, card, expected_sha256, watcher.done)
    _refuse_cut_off(image, card, written)
    watcher.stage("verify", written.size_bytes)
    read_back(card, written, watcher.done)
    customised = None
    if setup is not None:
        watcher.stage("customise", None)
        customised = _customise(card, written, setup)
    card.seal(written.head)
    return Flashed(written, customised)


def refuse_too_large(image: Image, card: Card) -> None:
    """Raise `ImageUnusable` where it is known already that the card is too small; nothing is written."""
    if card.size_bytes is not None and image.size_bytes is not None and image.size_bytes > card.size_bytes:
        raise too_large(image, image.size_bytes, card)


def _customise(card: Card, written: Written, setup: Setup) -> Customised:
    boot = boot_partition(lambda at, count: _read(card, written, at, count))
    if boot is None:
        card.seal(written.head)
        raise NotCustomised(card.path, "there is no FAT boot partition on it", PLAIN)
    try:
        return customise(card, boot.begin_bytes, setup)
    except NotCustomised as error:
        if error.what_to_do == PLAIN:
            card.seal(written.head)
        raise


def _refuse_cut_off(image: Image, card: Card, written: Written) -> None:
    """A raw image or a broken-off download ends before its last partition does."""
    ends = [one.end_bytes for one in partitions(lambda at, count: _read(card, written, at, count))]
    if ends and max(ends) > written.size_bytes:
        raise ImageUnusable(
            image.path,
            f"it is cut off: its partitions need {max(ends)} bytes and it has {written.size_bytes}",
            AGAIN,
        )


def _read(card: Card, written: Written, at: int, count: int) -> bytes:
    """What the card will have there: its beginning is still with us."""
    count = max(0, min(count, written.size_bytes - at))
    found = bytearray(count)
    card.read_all(memoryview(found), at)
    head = written.head[at : at + count]
    return head + bytes(found[len(head) :])


def expected_sha256_beside(image: Path) -> str:
    """Return the hash that a file `IMAGE.sha256` beside an image tells; empty where there is none.

    Raises:
        ImageUnusable: there is one, but no hash of this image is in it.
    """
    beside = image.with_name(image.name + ".sha256")
    if not beside.exists():
        return ""
    for line in beside.read_text("utf-8", "replace").splitlines():
        words = line.split()
        if words and is_sha256(words[0]) and (len(words) == 1 or words[-1].lstrip("*").endswith(image.name)):
            return words[0].lower()
    raise ImageUnusable(
        beside, f"there is no SHA-256 of {image.name} in it", "download it again, or remove it"
    )


def is_sha256(text: str) -> bool:
    """Whether a text is a SHA-256 in hexadecimal."""
    return len(text) == 64 and all(character in "0123456789abcdef" for character in text.lower())
