"""The chain of the audit log: what a row's hash covers, and what is wrong with a log. Pure.

Each hash covers the hash before it, so that no row can be changed, removed or moved without all later
hashes changing too. Whoever can write the database could compute them anew: that shows only against a copy
of a head (number and hash) that was kept elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

FIRST: Final = "0" * 64
"""What the first row has instead of a hash before it."""


@dataclass(frozen=True, slots=True)
class Link:
    """One row of the log as the chain sees it."""

    n: int
    at_ms: int
    who: str
    action: str
    target: str
    detail: str
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a log: how many rows it has, and the hash of the last."""

    n: int
    hash: str

    def __str__(self) -> str:
        return f"{self.n}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, and at which row."""

    n: int
    what: str

    def __str__(self) -> str:
        return f"row {self.n}: {self.what}"


def canonical(value: dict[str, Any]) -> str:
    """Return JSON of which there is exactly one for a value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def chained_hash(previous: str, n: int, at_ms: int, who: str, action: str, target: str, detail: str) -> str:
    """Return SHA-256 over the hash before and the canonical JSON of a row, hexadecimal."""
    row = {"n": n, "at_ms": at_ms, "who": who, "action": action, "target": target, "detail": detail}
    return hashlib.sha256(f"{previous}\n{canonical(row)}".encode()).hexdigest()


def check_chain(links: Iterable[Link], heads: Iterable[Head]) -> Iterator[Finding]:
    """Find what is wrong with a log.

    Args:
        links: all rows, by number.
        heads: ends that are known from elsewhere; each must still be a row of the log.
    """
    wanted = {head.n: head.hash for head in heads if head.n > 0}
    n, previous = 0, FIRST
    for link in links:
        if link.n != n + 1:
            yield Finding(n + 1, f"missing{f', and all to row {link.n - 1}' if link.n > n + 2 else ''}")
        elif link.previous != previous:
            yield Finding(link.n, "does not follow the row before it: one of the two was changed or moved")
        if link.hash != _hash_of(link):
            yield Finding(link.n, "was changed: its hash does not fit what it says")
        if wanted.pop(link.n, link.hash) != link.hash:
            yield Finding(link.n, "is not the row that a known head names: the log was written anew")
        n, previous = link.n, link.hash
    for head_n in sorted(wanted):
        yield Finding(n + 1, f"missing: the log ends at row {n}, but a known head is row {head_n}")


def _hash_of(link: Link) -> str:
    return chained_hash(link.previous, link.n, link.at_ms, link.who, link.action, link.target, link.detail)
