"""What is installed at all: decided before anything is fetched, from what is signed about a release. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from device.firmware.config import CameraSection
from device.firmware.updating.kind import KindName
from device.firmware.updating.ledger import Ledger
from device.models.labels import CLASSES, class_of
from ota.messages.desired import Target
from ota.trust.release import ANY_BOARD, Release, version_key

MOST_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known of the device.

    Attributes:
        boards: the words by which its board is known.
        firmware: version that runs.
        installed: versions of what runs, by name, the firmware's among them.
        ledger: what it remembers.
        cameras: with their rules.
        sees: classes that the model that runs can see; empty where none runs.
        max_bytes: of a release's file, by kind.
        forbidden: why nothing is installed on it; empty where it may be.
    """

    boards: frozenset[str]
    firmware: str
    ledger: Ledger
    installed: dict[str, str] = field(default_factory=dict)
    cameras: Sequence[CameraSection] = ()
    sees: frozenset[str] = frozenset()
    max_bytes: dict[KindName, int] = field(default_factory=dict)
    forbidden: str = ""


def release_in(target: Target) -> Release | str:
    """Return what a document says about a release, or why it cannot be read."""
    try:
        return msgspec.convert(target.custom, type=Release)
    except msgspec.ValidationError as error:
        return f"what is said about it is no release: {error}"


def refusal(target: Target, release: Release, now: Situation) -> str:
    """Return why a release is not installed on this device; empty where nothing speaks against it."""
    words = [
        now.forbidden,
        _not_whole(target, release, now),
        _not_for(release, now),
        _too_old(release, now),
        _unmet(release, now),
        dropped_classes(labels_of(release.card), now.cameras, now.sees) if release.kind == "model" else "",
    ]
    return next((word for word in words if word), "")


def _not_whole(target: Target, release: Release, now: Situation) -> str:
    content = target.hashes.get("sha256", "")
    if len(content) != 64:
        return "its document names no sha256"
    most = now.max_bytes.get(release.kind, 0)
    if target.length > most:
        return f"{target.length} bytes; a {release.kind} has at most {most} here"
    if ban := now.ledger.ban(content):
        return f"quarantined on this device: {ban}"
    return ""


def _not_for(release: Release, now: Situation) -> str:
    if ANY_BOARD in release.hw or now.boards & set(release.hw):
        return ""
    return f"for {', '.join(release.hw[:MOST_NAMED]) or 'no board'}; this is {min(now.boards, key=len)}"


def _too_old(release: Release, now: Situation) -> str:
    floor = now.ledger.floor(release)
    if release.sec_ver < floor:
        return f"security version {release.sec_ver}; {floor} was committed before"
    return ""


def _unmet(release: Release, now: Situation) -> str:
    if release.min_agent and not _reaches(now.firmware, release.min_agent):
        return f"needs firmware {release.min_agent} or later; {now.firmware} runs"
    for name, least in sorted(release.requires.items()):
        there = now.installed.get(name, "")
        if not there or not _reaches(there, least):
            return f"needs {name} {least} or later; {there or 'none'} is there"
    return ""


def _reaches(version: str, least: str) -> bool:
    return version_key(version) >= version_key(least)


def labels_of(card: dict[str, object]) -> list[str]:
    """Return the labels that a release's words name; empty where they name none."""
    labels = card.get("labels")
    return [label for label in labels if isinstance(label, str)] if isinstance(labels, list) else []


def dropped_classes(labels: Sequence[str], cameras: Sequence[CameraSection], sees: frozenset[str]) -> str:
    """Return which rule would go blind with a model; empty where none would.

    Args:
        labels: of the model; nothing is said where there are none.
        cameras: with their rules.
        sees: what the model that runs can see; a class that is not seen now is not lost. Empty: all count.
    """
    if not labels:
        return ""
    known = {CLASSES[cls] for cls in map(class_of, labels) if cls >= 0}
    for camera in cameras:
        for rule in camera.rule:
            lost = sorted((set(rule.classes) - known) & (sees or set(CLASSES)))
            if lost:
                return f"it cannot see {', '.join(lost)}, which rule {rule.name} of {camera.id} waits for"
    return ""
