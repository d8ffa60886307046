"""The alarms of the cameras on the air: raised retained, cleared by zero bytes, both with a durable trace.

What stands is compared with what was told. What was told is kept over a restart, so that an alarm is raised
once and cleared once, whatever happens to the device in between. Decides nothing about pictures.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, get_args

from device.firmware.clock import clock_state
from device.firmware.eye import Eye
from device.firmware.outbox import Outbox
from device.firmware.remembered import keep_told
from ota.messages import Alarm, Channel, Event, Message, Topic, format_ts, new_id
from ota.messages.structs import AlarmKind, Severity

_log = logging.getLogger(__name__)

ALARM_KINDS: Final[tuple[AlarmKind, ...]] = get_args(AlarmKind)
SEVERITIES: Final[dict[AlarmKind, Severity]] = {
    "lost": "high",
    "covered": "high",
    "frozen": "high",
    "moved": "high",
    "blurred": "medium",
    "bright": "low",
    "dark": "low",
}
"""How soon a person should look; light comes and goes by itself."""
DEGRADING: Final = frozenset(kind for kind, severity in SEVERITIES.items() if severity != "low")
"""A device with one of these is not what it should be."""


class Alarms:
    """Tells the alarms of one device's cameras; used by the supervisor and, at a birth, by the link."""

    def __init__(
        self,
        device: str,
        outbox: Outbox,
        *,
        say: Callable[[Topic, Message], None],
        clear: Callable[[Topic], None],
    ) -> None:
        """Prepare; `say` and `clear` publish, or do nothing while there is no link."""
        self._device = device
        self._outbox = outbox
        self._say = say
        self._clear = clear

    def watch_over(self, eye: Eye) -> None:
        """Raise and clear what has changed on one camera."""
        standing = eye.standing()
        for kind in ALARM_KINDS:
            if (kind in standing) == (kind in eye.told):
                continue
            if kind in standing:
                eye.told[kind] = standing[kind]
            else:
                del eye.told[kind]
            self._leave_trace(eye, kind)
            self._tell(eye, kind)

    def tell_all(self, eye: Eye) -> None:
        """Say every alarm of a camera, those that do not stand as well: the broker may remember others."""
        for kind in ALARM_KINDS:
            self._tell(eye, kind)

    def _tell(self, eye: Eye, kind: AlarmKind) -> None:
        topic = Topic(self._device, Channel.ALARM, eye.section.id, kind)
        detail = eye.told.get(kind)
        if detail is None:
            self._clear(topic)
            return
        now_s = time.time()
        ts, clock = format_ts(now_s), clock_state(now_s)
        self._say(topic, Alarm(id=new_id(), ts=ts, clock=clock, kind=kind, detail=detail[:200]))

    def _leave_trace(self, eye: Eye, kind: AlarmKind) -> None:
        is_raised = kind in eye.told
        event = "alarm-raised" if is_raised else "alarm-cleared"
        topic = Topic(self._device, Channel.EVENT, eye.section.id, event)
        now_s = time.time()
        _log.log(
            logging.WARNING if is_raised else logging.INFO,
            "camera=%s %s=%s detail=%r",
            eye.section.id,
            event,
            kind,
            eye.told.get(kind, ""),
        )
        self._outbox.add(
            topic,
            lambda seq: Event(
                id=new_id(),
                ts=format_ts(now_s),
                clock=clock_state(now_s),
                seq=seq,
                cam=topic.camera,
                kind=topic.name,
                rule=kind,
                sev=SEVERITIES[kind] if is_raised else "low",
            ),
        )
        # After the event: a cut between the two tells it twice, the other way round never.
        keep_told(eye.section.id, eye.told, self._outbox)


def degraded_reasons(eyes: list[Eye]) -> list[str]:
    """Return why the cameras make the device less than it should be, for its status."""
    return [
        f"camera {kind}: {', '.join(cameras)}"
        for kind in ALARM_KINDS
        if kind in DEGRADING and (cameras := [eye.section.id for eye in eyes if kind in eye.told])
    ]
