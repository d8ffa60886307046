"""Reads a card again and compares it with what was written, from the card itself and not from memory."""

from __future__ import annotations

import hashlib

from hardware.errors import CardFailed
from hardware.flash.card import Card
from hardware.flash.writing import BLOCK_BYTES, Progress, Written


def read_back(card: Card, written: Written, progress: Progress = lambda _: None) -> None:
    """Compare all but the beginning, which is not on the card yet.

    Raises:
        CardFailed: the card reads otherwise than it was written, or not at all.
    """
    card.forget()
    hashed = hashlib.sha256(written.head)
    block = memoryview(bytearray(BLOCK_BYTES))
    at = len(written.head)
    while at < written.size_bytes:
        part = block[: min(len(block), written.size_bytes - at)]
        card.read_all(part, at)
        hashed.update(part)
        at += len(part)
        progress(at)
    if hashed.hexdigest() != written.sha256:
        raise CardFailed(
            card.path,
            "it reads otherwise than it was written",
            "it does not boot now: the card or the reader is bad, use another",
        )
