"""What is signed about a release beside its length and hashes: the `custom` part of a TUF target."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from tuf.api.metadata import TargetFile

from ota.errors import Untrusted

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$(?!\n)")]
Version = Annotated[str, Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,39}$(?!\n)")]
ANY_BOARD = "any"
_PARTS = re.compile(r"\d+|[^\d.+_-]+")


class Release(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a device needs to know before it takes a release.

    Attributes:
        kind: What it is.
        name: Of the model or of the firmware; versions of one name replace each other.
        version: Of this one.
        hw: Boards that it is for, as `hardware.board` names them; `any` for all.
        sec_ver: Security version; a device takes nothing below the highest that it has committed.
        min_agent: Oldest firmware that can install it; empty for any.
        requires: Other releases that must be there, name by version at least.
        slot: Which slots it goes to.
        golden_sha256: Of a model's golden vectors (see `golden_digest`); empty for firmware.
        card: What a fleet needs of a model's card: labels, decoder, input, licence.
    """

    kind: Literal["model", "firmware"]
    name: Name
    version: Version
    hw: list[str]
    sec_ver: Annotated[int, Meta(ge=0)] = 0
    min_agent: str = ""
    requires: dict[str, str] = {}
    slot: str = ""
    golden_sha256: str = ""
    card: dict[str, Any] = {}


def release_of(target: TargetFile) -> Release:
    """Return what was signed about a target.

    Raises:
        Untrusted: It is no release, or of a kind that this version does not know.
    """
    try:
        return msgspec.convert(target.custom, type=Release)
    except msgspec.ValidationError as error:
        raise Untrusted(f"{target.path}: what is signed about it is no release ({error})") from error


def golden_digest(golden: object) -> str:
    """Return the digest of a card's golden vectors, as `tomllib` reads them; empty without any."""
    if not golden:
        return ""
    return hashlib.sha256(msgspec.json.encode(golden, order="sorted")).hexdigest()


def version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Return what sorts versions as people count them: 1.9 before 1.10, 2.0rc1 before 2.0."""
    key = [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in _PARTS.findall(version)]
    return (*key, (1, -1, ""))
