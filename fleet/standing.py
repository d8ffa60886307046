"""Where a device stands, folded from what it says: pure, one message after the other.

A status is paired by its session: the will of an earlier connection is not the death of this one,
and a birth that the broker merely remembered does not bring a dead device back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from ota.messages import Health, Message, Status

GONE_STATES: Final = frozenset({"lost", "stopped"})


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a device stands, as folded from its messages (columns of `Device`)."""

    is_online: bool = False
    state: str = "unknown"
    reason: str = ""
    session: str = ""
    session_ended: bool = False
    status_ms: int = 0


def after_message(now: Standing, message: Message | None, at_ms: int, *, is_retained: bool) -> Standing:
    """Return where a device stands after one more message, in the order the broker gave them.

    Args:
        now: where it stood.
        message: what it said; None for a cleared alarm.
        at_ms: when we believe it was said (`Received.at_ms`): a wrong clock must not freeze the state.
        is_retained: it came out of the broker's memory.
    """
    if isinstance(message, Status):
        return _after_status(now, message, at_ms, is_retained=is_retained)
    if is_retained:
        return now
    if now.state not in GONE_STATES:
        return replace(now, is_online=True, state="online" if now.state == "unknown" else now.state)
    # Health is QoS 0: the broker never keeps it for us, so a live one proves that the device is there.
    if isinstance(message, Health):
        return replace(now, is_online=True, state="online", reason="", session_ended=False)
    return now


def _after_status(now: Standing, status: Status, at_ms: int, *, is_retained: bool) -> Standing:
    if status.state in GONE_STATES:
        return _after_death(now, status, at_ms)
    is_same = status.session == now.session
    # Inside one session the broker keeps the order, so no clock is asked: it may be set in between.
    if is_same and now.session_ended:
        return now
    # UUIDv7 rises with time: an older session told later is history, unless the clock cannot be trusted.
    is_older = not is_same and status.session < now.session and at_ms <= now.status_ms
    if is_older and (is_retained or status.clock == "synced"):
        return now
    return Standing(
        # A retained birth we knew already proves nothing: the broker may have missed the death.
        is_online=now.is_online if is_same and is_retained else True,
        state=status.state,
        reason=status.reason,
        session=status.session,
        status_ms=at_ms,
    )


def _after_death(now: Standing, status: Status, at_ms: int) -> Standing:
    # The will of an earlier connection arrives after the next one's birth: not this one's death.
    if status.session != now.session and status.session < now.session:
        return now
    if status.session == now.session and now.session_ended and now.state == "stopped":
        return now
    return Standing(
        is_online=False,
        state=status.state,
        reason=status.reason,
        session=status.session,
        session_ended=True,
        # The will was written at connect: its ts is older than what came after it.
        status_ms=max(at_ms, now.status_ms) if status.session == now.session else at_ms,
    )
