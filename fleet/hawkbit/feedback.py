"""What a client's feedback means; pure.

hawkBit's words are in eclipse.dev/hawkbit, "Direct Device Integration API" (DdiStatus, DdiResult). A client
says `closed` with a result at the end, everything else on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Execution = Literal[
    "closed", "proceeding", "canceled", "scheduled", "rejected", "resumed", "downloaded", "download"
]
Finished = Literal["success", "failure", "none"]

ENDED: Final = ("succeeded", "failed", "cancelled", "withdrawn")
"""States of an action of which no more is heard."""
SAID_CHARS: Final = 200
NEVER_SENT: Final = "says that it is installed, but the image was never sent to it"


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a client has said of an action.

    Attributes:
        details: its own sentences, joined.
    """

    execution: Execution
    finished: Finished
    details: str = ""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What becomes of an action.

    Attributes:
        state: of the action then (`OsAction`); empty for the same as before.
        word: for the rollout, one of its updaters' words (`fleet.rollouts.answers`).
        reason: why.
    """

    state: str
    word: str
    reason: str = ""


def meaning_of(said: Feedback, *, is_sent: bool) -> Meaning:
    """Return what feedback on a deployment means.

    DDI does not say why an installation failed. Before the whole image was sent it may have been the road,
    and the rollout tells it again, as often as it tells anybody; after that the device has refused it or gone
    back to what it ran before, and would do so again. `closed` without success is none, nor is a success
    without the image: SWUpdate says it of what it has skipped.

    Args:
        said: by the client.
        is_sent: the whole image was sent to it.
    """
    if said.execution == "closed":
        return _closed(said, is_sent=is_sent)
    if said.execution == "canceled":
        return Meaning("cancelled", "cancelled", said.details)
    if said.execution == "rejected":
        return Meaning("failed", "rejected", said.details)
    return Meaning("", "verified" if said.execution == "downloaded" else "downloading")


def meaning_of_cancel(said: Feedback) -> Meaning:
    """Return what feedback on the wish to cancel means."""
    is_refusal = said.execution == "rejected" or (said.execution == "closed" and said.finished == "failure")
    if is_refusal:
        return Meaning("refused", "", said.details)
    if said.execution in ("closed", "canceled"):
        return Meaning("cancelled", "cancelled", said.details)
    return Meaning("", "")


def as_said(said: Feedback) -> str:
    """Return feedback in one line, to be kept."""
    result = "" if said.finished == "none" else f" {said.finished}"
    return f"{said.execution}{result}{': ' if said.details else ''}{said.details}"[:SAID_CHARS]


def _closed(said: Feedback, *, is_sent: bool) -> Meaning:
    if said.finished == "success" and is_sent:
        return Meaning("succeeded", "committed")
    if said.finished == "success":
        return Meaning("failed", "failed", f"{NEVER_SENT}: {said.details}".rstrip(": "))
    reason = said.details or f"closed, result {said.finished}"
    return Meaning("failed", "rejected" if is_sent else "failed", reason)
