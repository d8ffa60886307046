"""Which devices a rollout is for: a filter as a tree of conditions, and the facts that it asks. Pure.

`filter_parser.py` makes it of a text such as `site:lahore/* board:pi4 model<1.4 not tag:night`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from fleet.rollouts.versions import Key, version_key

Field = Literal["device", "site", "board", "tag", "model", "firmware", "is"]
Operator = Literal[":", "=", "!=", "<", "<=", ">", ">="]
FIELDS: Final[dict[str, str]] = {
    "device": "the device's id",
    "site": "its site; a site without a star means all below it, too",
    "board": "its board: raspberry-pi-4, or pi3 pi4 pi5 zero2 nano orin for short",
    "tag": "a tag that somebody gave it",
    "model": "its model: `:` asks for the name, `= != < <= > >=` for the version",
    "firmware": "its firmware's version",
    "is": "online or offline",
}
SHORT_BOARDS: Final = {
    "pi3": "raspberry-pi-3",
    "pi4": "raspberry-pi-4",
    "pi5": "raspberry-pi-5",
    "zero2": "raspberry-pi-zero-2-w",
    "nano": "jetson-nano",
    "orin": "jetson-orin",
}
STANDINGS: Final = ("online", "offline")
VERSIONED: Final = ("model", "firmware")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a device when a filter is asked.

    Attributes:
        model: name of the model that runs; empty while nothing is known.
        model_version: its version.
        model_sha256: its digest, as the device reported it last.
        firmware: version of the firmware.
        system: digest of the OS image that was installed last, as far as we know it.
        timezone: IANA name of the site's timezone.
    """

    device: str
    site: str = ""
    board: str = ""
    model: str = ""
    model_version: str = ""
    model_sha256: str = ""
    firmware: str = ""
    system: str = ""
    timezone: str = "UTC"
    is_online: bool = False
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class All:
    """Every device."""


@dataclass(frozen=True, slots=True)
class Term:
    """One condition; it holds if it holds for one of the values."""

    field: Field
    operator: Operator
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """What holds where the other does not."""

    other: Filter


@dataclass(frozen=True, slots=True)
class And:
    """What holds where all hold."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """What holds where one holds."""

    parts: tuple[Filter, ...]


Filter: TypeAlias = All | Term | Not | And | Or
Test = Callable[[Facts], bool]


def compiled(wanted: Filter) -> Test:
    """Return the filter as a function, for many devices."""
    match wanted:
        case All():
            return lambda _facts: True
        case Not(other):
            inner = compiled(other)
            return lambda facts: not inner(facts)
        case And(parts):
            tests = [compiled(part) for part in parts]
            return lambda facts: all(test(facts) for test in tests)
        case Or(parts):
            tests = [compiled(part) for part in parts]
            return lambda facts: any(test(facts) for test in tests)
        case Term():
            return _term(wanted)


def matches(wanted: Filter, facts: Facts) -> bool:
    """Whether a device is one of those that a filter means."""
    return compiled(wanted)(facts)


def as_text(wanted: Filter) -> str:
    """Return a filter as it can be written; read again it is the same filter."""
    match wanted:
        case All():
            return "all"
        case Not(other):
            return f"not {_inner(other)}"
        case And(parts):
            return " ".join(_inner(part) for part in parts)
        case Or(parts):
            return " or ".join(_inner(part) for part in parts)
        case Term(field, operator, values):
            return f"{field}{operator}{','.join(_quoted(value) for value in values)}"


def fields_of(wanted: Filter) -> frozenset[str]:
    """Return the fields that a filter asks for."""
    match wanted:
        case Term(field):
            return frozenset({field})
        case Not(other):
            return fields_of(other)
        case And(parts) | Or(parts):
            return frozenset[str]().union(*(fields_of(part) for part in parts))
        case All():
            return frozenset()


def _term(term: Term) -> Test:
    if term.field == "is":
        wants_online = "online" in term.values
        wants_offline = "offline" in term.values
        return lambda facts: wants_online if facts.is_online else wants_offline
    if term.field in VERSIONED and term.operator != ":":
        return _version_test(term)
    if term.field == "tag":
        patterns = [_pattern(value) for value in term.values]
        return lambda facts: any(p.fullmatch(tag) is not None for tag in facts.tags for p in patterns)
    return _text_test(term)


def _text_test(term: Term) -> Test:
    name = term.field
    texts = [text for value in term.values for text in _spellings(name, value)]
    pattern = re.compile("|".join(_pattern(text).pattern for text in texts), re.IGNORECASE | re.DOTALL)

    def test(facts: Facts) -> bool:
        return pattern.fullmatch(getattr(facts, name)) is not None

    return test


def _spellings(name: str, value: str) -> list[str]:
    if name == "board":
        return [SHORT_BOARDS.get(value.lower(), value)]
    if name == "site" and "*" not in value:
        site = value.strip("/")
        return [site, f"{site}/*"]
    return [value]


def _version_test(term: Term) -> Test:
    """A version that is not known or cannot be read is neither smaller nor greater nor equal nor another."""
    wanted = [key for value in term.values if (key := version_key(value)) is not None]
    name = "model_version" if term.field == "model" else "firmware"
    holds = _COMPARED[term.operator]
    is_every = term.operator == "!="

    def test(facts: Facts) -> bool:
        own = _cached_key(getattr(facts, name))
        if own is None:
            return False
        found = (holds(own, one) for one in wanted)
        return all(found) if is_every else any(found)

    return test


_COMPARED: Final[dict[str, Callable[[Key, Key], bool]]] = {
    "=": lambda own, other: own == other,
    "!=": lambda own, other: own != other,
    "<": lambda own, other: own < other,
    "<=": lambda own, other: own <= other,
    ">": lambda own, other: own > other,
    ">=": lambda own, other: own >= other,
}


@lru_cache(maxsize=4096)
def _cached_key(text: str) -> Key | None:
    return version_key(text)


def _pattern(text: str) -> re.Pattern[str]:
    """Return the expression of a text in which `*` stands for any letters, none among them.

    What lies between two stars is taken where it comes first and never looked for anew (an atomic group), so
    that no text takes longer than its length times the pattern's.
    """
    first, *rest = (re.escape(part) for part in text.split("*"))
    if not rest:
        return re.compile(first, re.IGNORECASE)
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1] if part)
    return re.compile(f"{first}{middle}.*{rest[-1]}", re.IGNORECASE | re.DOTALL)


def _inner(part: Filter) -> str:
    return f"({as_text(part)})" if isinstance(part, And | Or) else as_text(part)


def _quoted(value: str) -> str:
    is_plain = re.fullmatch(r"[^\s()\",:=<>!]+", value) is not None
    return value if is_plain and value.lower() not in ("and", "or", "not", "all") else f'"{value}"'
