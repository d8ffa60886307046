"""What the device says of itself: birth, status, health, alarms, occupancy. Events are the pipeline's.

Everything here is replaceable by its next message; with the broker away it is not said, and all that is
retained is said again at the next birth.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from device.firmware.alarms import Alarms, degraded_reasons
from device.firmware.board_watch import BoardWatch
from device.firmware.clock import clock_state
from device.firmware.config import Config
from device.firmware.customised import read_applied
from device.firmware.duties import blind_rules
from device.firmware.eye import Eye
from device.firmware.health import Pace, health_message
from device.firmware.link import Link
from device.firmware.outbox import Outbox
from hardware.board import board
from ota.messages import CardInfo, Channel, Info, Message, ModelInfo, Occupancy, Topic, format_ts, new_id
from ota.messages.structs import DeviceState

_log = logging.getLogger(__name__)

SUPERVISE_S = 0.5
STATUS_REPEAT_S = 60.0


@dataclass(slots=True)
class _Due:
    """When the device speaks next, and of what it spoke last."""

    health_s: float = 0.0
    status_s: float = 0.0
    said: object = None


class Voice:
    """Speaks for one device; `supervise` runs in a thread of its own, the rest is called by any.

    Attributes:
        model: that it looks with.
        link: given before anything is said.
    """

    def __init__(
        self,
        config: Config,
        model: ModelInfo,
        eyes: list[Eye],
        outbox: Outbox,
        pace: Pace,
        *,
        safe_reason: str = "",
        fleet_says: Callable[[], str] = str,
    ) -> None:
        """Prepare; `link` is given before anything is said.

        Args:
            config: of the device.
            model: that it looks with.
            eyes: its cameras.
            outbox: where it writes.
            pace: of its frames.
            safe_reason: of safe mode, if it is in it.
            fleet_says: why the fleet trusts this board no longer; empty while it does.
        """
        self._config = config
        self._id = config.device.id
        self.model = model
        self._eyes = eyes
        self._outbox = outbox
        self._pace = pace
        self._board = BoardWatch(board(), Path(config.device.state))
        self._safe_reason = safe_reason
        self._fleet_says = fleet_says
        self._started_s = time.monotonic()
        self._is_born = True
        self._alarms = Alarms(self._id, outbox, say=self._say, clear=self._clear)
        self.link: Link | None = None

    def supervise(self, stop: threading.Event) -> None:
        """Speak at intervals, and when a camera or the disk changes its state."""
        due = _Due()
        while not stop.wait(SUPERVISE_S):
            try:
                self._speak(due)
            except Exception:  # noqa: BLE001 (whatever failed, the next round must still be told)
                _log.exception("voice: one round failed")

    def say_birth(self) -> None:
        """Everything that is retained, after each connection; the supervisor repeats one that failed."""
        self._is_born = False
        self.say_info()
        self._say_status()
        self._say_health()
        for eye in self._eyes:
            self._alarms.tell_all(eye)
            eye.forget_occupancy()
        self._is_born = True

    def say_info(self) -> None:
        """The birth certificate; again when a camera turns out to have another size."""
        now_s = time.time()
        info = Info(
            id=new_id(),
            ts=format_ts(now_s),
            clock=clock_state(now_s),
            firmware=version("pehra"),
            board=self._board.board.name,
            profile=self._board.board.profile.name,
            model=self.model,
            cameras=[eye.info() for eye in self._eyes],
            site=self._config.device.site,
            timezone=self._config.device.timezone,
            config_sha256=self._config.sha256(),
            card=_card(Path(self._config.device.state)),
        )
        self._say(Topic(self._id, Channel.INFO), info)

    def say_occupancy(self, eye: Eye, news: list[Occupancy]) -> None:
        """How many are in the zones of a camera."""
        for occupancy in news:
            self._say(Topic(self._id, Channel.OCCUPANCY, eye.section.id, occupancy.rule), occupancy)

    def _speak(self, due: _Due) -> None:
        for eye in self._eyes:
            self._alarms.watch_over(eye)
        if not self._is_born:
            self.say_birth()
        now_s = time.monotonic()
        self._watch_board(now_s)
        cameras = tuple((eye.capture.state, *eye.told) for eye in self._eyes)
        state = (cameras, bool(self._outbox.fault), self._board.kinds)
        has_changed, due.said = state != due.said, state
        if has_changed or now_s >= due.health_s:
            due.health_s = now_s + self._config.health_s
            self._say_health()
        if has_changed or now_s >= due.status_s:
            due.status_s = now_s + STATUS_REPEAT_S
            self._say_status()

    def _watch_board(self, now_s: float) -> None:
        """Read the board now and then, and let the cameras look as often as its warmth allows."""
        self._board.watch(now_s)
        for eye in self._eyes:
            eye.slow_down(self._board.warmth.factor)

    def standing(self) -> tuple[DeviceState, str]:
        """How the device stands, and why it is not `online`."""
        reasons = [said] if (said := self._fleet_says()) else []
        reasons += degraded_reasons(self._eyes)
        if self._outbox.fault:
            reasons.append(f"disk refuses the outbox: {self._outbox.fault}")
        reasons += [complaint.words for complaint in self._board.complaints]
        for eye in self._eyes:
            reasons += blind_rules(eye.section.rule, self.model.labels)
        if self._safe_reason:
            return "safe", "; ".join([self._safe_reason, *reasons])
        return ("degraded" if reasons else "online"), "; ".join(reasons)

    def _say_status(self) -> None:
        state, reason = self.standing()
        if self.link is not None:
            self.link.say_status(state, reason[:200])

    def _say_health(self) -> None:
        now_s = time.monotonic()
        self._pace.measure(total(self._eyes, "frames"), total(self._eyes, "skipped"), now_s)
        message = health_message(
            state=Path(self._config.device.state),
            board=self._board,
            utc_s=time.time(),
            uptime_s=now_s - self._started_s,
            pace=self._pace,
            outbox_depth=self._outbox.depth,
            outbox_dropped=self._outbox.dropped,
            frames_dropped=sum(eye.capture.frames_dropped for eye in self._eyes),
            cameras={eye.section.id: eye.capture.state for eye in self._eyes},
        )
        self._say(Topic(self._id, Channel.HEALTH), message)

    def _clear(self, topic: Topic) -> None:
        if self.link is not None:
            self.link.clear(topic)

    def _say(self, topic: Topic, message: Message) -> None:
        if self.link is not None:
            self.link.say(topic, message)


def total(eyes: list[Eye], tally: str) -> int:
    """Return a tally (`frames`, `inferences`, `skipped`) of all cameras together."""
    return sum(int(getattr(eye.pipeline.tallies, tally)) for eye in eyes)


def _card(state: Path) -> CardInfo | None:
    """Return what the first boot made of the card, where `pehra flash` prepared it."""
    applied = read_applied(state)
    if applied is None:
        return None
    return CardInfo(applied.sha256, "" if applied.result == "ok" else applied.step or "an unknown step")
