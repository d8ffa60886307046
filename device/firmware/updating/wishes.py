"""What a document wants installed, one wish a kind; what cannot be meant is an answer instead. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import get_args

from device.firmware.updating.kind import KindName
from ota.messages import Desired, parse_ts
from ota.messages.desired import Target

KINDS: tuple[KindName, ...] = get_args(KindName)


@dataclass(frozen=True, slots=True)
class Wish:
    """One release that is wanted.

    Attributes:
        target: it.
        action: id of what it belongs to.
        seq: number of the document.
        window: when it may be switched to; empty for any time.
        deadline_s: Unix seconds after which it has failed; 0 for none.
    """

    target: Target
    action: str
    seq: int
    window: str
    deadline_s: float

    @property
    def content(self) -> str:
        """SHA-256 of the release's file."""
        return self.target.hashes.get("sha256", "")


@dataclass(frozen=True, slots=True)
class Wishes:
    """All that a document wants.

    Attributes:
        by_kind: what may be looked at.
        refused: what makes no sense, with the reason.
    """

    by_kind: dict[KindName, Wish] = field(default_factory=dict)
    refused: tuple[tuple[Wish, str], ...] = ()


def wishes_of(document: Desired) -> Wishes:
    """Return what a document wants.

    Raises:
        BadMessage: its deadline is no moment.
    """
    deadline_s = parse_ts(document.deadline) if document.deadline else 0.0
    found: dict[KindName, list[Wish]] = {}
    refused: list[tuple[Wish, str]] = []
    for target in document.targets:
        window = document.window if target.window is None else target.window
        wish = Wish(target, target.action or document.action, document.seq, window, deadline_s)
        named = target.custom.get("kind")
        kind = next((one for one in KINDS if one == named), None)
        if kind is None:
            refused.append((wish, f"releases of the kind {str(named)[:40]!r} are not installed here"))
        else:
            found.setdefault(kind, []).append(wish)
    for kind, wishes in found.items():
        if len(wishes) > 1:
            refused += [
                (wish, f"{len(wishes)} releases for one kind ({kind}): which is meant?") for wish in wishes
            ]
    by_kind = {kind: wishes[0] for kind, wishes in found.items() if len(wishes) == 1}
    return Wishes(by_kind, tuple(refused))
