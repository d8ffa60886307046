"""The engine: reads where each rollout stands, asks `decide`, writes. A part of the fleet.

One transaction for each rollout and look; a kill at any line leaves the state of the look before. Two engines
take turns (`lead.py`), in one process or several.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

import msgspec
from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import Session, col

from fleet.access import audit
from fleet.errors import FleetError, first_line
from fleet.rollouts.apply import Pen
from fleet.rollouts.decide import decide
from fleet.rollouts.facts import FactsBook
from fleet.rollouts.filter import Facts, Test, compiled
from fleet.rollouts.filter_parser import parse_filter
from fleet.rollouts.gather import gather
from fleet.rollouts.lead import clock_ms, take_lead
from fleet.rollouts.members import renew
from fleet.rollouts.plan import LIVE, Decision
from fleet.rollouts.tell import Tell
from fleet.store.tables_rollouts import Release, Rollout

log = logging.getLogger(__name__)

TICK_S: Final = 2.0
JOINED: Final = ("running", "paused")
"""States of a rollout that devices join."""
JOIN_MS: Final = 60_000
"""How often all devices are asked whether they belong to a rollout."""

COSTLY_MS: Final = 150
REST: Final = 20
REST_MAX_MS: Final = 30_000
"""A look that took longer than `COSTLY_MS` and told nobody is followed by a rest of `REST` times its length.

Where 100,000 devices wait for another rollout, ingest must not wait every two seconds for us to see that.
"""


class Rollouts:
    """Lets rollouts go on; `run` is a part of the fleet.

    Args:
        engine: of the database.
        tell: where orders go.
        on_told: called after something else is wanted of devices.
        hears_devices: whether devices could answer us now; while they cannot, nobody is late.
    """

    def __init__(
        self,
        engine: Engine,
        tell: Tell,
        on_told: Callable[[], None] = lambda: None,
        hears_devices: Callable[[], bool] = lambda: True,
    ) -> None:
        self._engine = engine
        self._tell = tell
        self._on_told = on_told
        self._hears_devices = hears_devices
        self._news = threading.Event()
        self._book = FactsBook()
        self._joined_ms: dict[str, int] = {}
        self._rest_ms: dict[str, tuple[int, int]] = {}
        self._complaints: set[str] = set()
        self._complained: set[str] = set()

    def wake(self) -> None:
        """Say that somebody has made or changed a rollout, or a device's tags."""
        self._news.set()

    def run(self, stop: threading.Event) -> None:
        """Look at all rollouts again and again until `stop`."""
        while not stop.is_set():
            if self._news.wait(TICK_S):
                self._joined_ms.clear()
                self._rest_ms.clear()
            self._news.clear()
            try:
                self.tick(self._now_ms())
            except (DBAPIError, PoolTimeout) as error:
                self._complain(f"the database does not answer: {first_line(error)}")

    def _now_ms(self) -> int:
        with Session(self._engine) as session:
            return clock_ms(session)

    def tick(self, now_ms: int) -> bool:
        """Look at every rollout that lives, in the order of their start; return whether devices were told.

        Args:
            now_ms: Unix milliseconds.
        """
        self._complained, self._complaints = self._complaints, set()
        with Session(self._engine) as session:
            columns = (col(Rollout.id), col(Rollout.filter), col(Rollout.state))
            query = select(*columns).where(col(Rollout.state).in_(LIVE)).order_by(*_FIRST_COME)
            rows = session.execute(query).all()
            asks = {row.id: row.filter for row in rows if self._has_to_ask(row.id, row.state, now_ms)}
            facts = self._facts(session, asks.values()) if asks else []
        live = [row.id for row in rows]
        told = [self._serve(one, facts if one in asks else None, now_ms) for one in live]
        for gone in (self._joined_ms.keys() | self._rest_ms.keys()) - set(live):
            self._joined_ms.pop(gone, None)
            self._rest_ms.pop(gone, None)
        if any(told):
            self._on_told()
        return any(told)

    def _serve(self, rollout_id: str, facts: list[Facts] | None, now_ms: int) -> bool:
        """Let one rollout go on; one whose row cannot be read does not keep the others waiting."""
        try:
            while facts is not None and self._join(rollout_id, facts, now_ms):
                pass
            return not self._rests(rollout_id, now_ms) and self._look(rollout_id, now_ms)
        except (FleetError, msgspec.ValidationError) as error:
            self._complain(f"rollout {rollout_id}: {first_line(error)}")
            self._joined_ms[rollout_id] = now_ms
            return False

    def _has_to_ask(self, rollout: str, state: str, now_ms: int) -> bool:
        return state in JOINED and not 0 <= now_ms - self._joined_ms.get(rollout, -JOIN_MS) < JOIN_MS

    def _facts(self, session: Session, filters: Iterable[str]) -> list[Facts]:
        return self._book.read(session, with_tags=any("tag" in text.lower() for text in filters))

    def _join(self, rollout_id: str, facts: list[Facts], now_ms: int) -> bool:
        """Bring a rollout's devices up to date in one transaction; return whether it takes another one."""
        with Session(self._engine) as session:
            rollout = _take(session, rollout_id, JOINED)
            if rollout is None:
                return False
            release = session.get_one(Release, rollout.release)
            has_more = renew(session, rollout_id, release, _read_filter(rollout.filter), facts, now_ms)
            session.commit()
        if not has_more:
            self._joined_ms[rollout_id] = now_ms
        return has_more

    def _rests(self, rollout: str, now_ms: int) -> bool:
        """Whether the last look at a rollout was in vain and took so long that the next one has to wait."""
        since_ms, for_ms = self._rest_ms.get(rollout, (0, 0))
        return 0 <= now_ms - since_ms < for_ms

    def _look(self, rollout_id: str, now_ms: int) -> bool:
        began_s = time.perf_counter()
        told = self._look_once(rollout_id, now_ms)
        cost_ms = 1000 * (time.perf_counter() - began_s)
        is_costly = not told and cost_ms > COSTLY_MS
        self._rest_ms[rollout_id] = (now_ms, min(REST_MAX_MS, round(REST * cost_ms)) if is_costly else 0)
        return told

    def _look_once(self, rollout_id: str, now_ms: int) -> bool:
        with Session(self._engine) as session:
            rollout = _take(session, rollout_id, LIVE)
            if rollout is None:
                return False
            _read_filter(
                rollout.filter
            )  # one that cannot be read tells nobody, those who joined before neither
            release = session.get_one(Release, rollout.release)
            before = rollout.state
            view = gather(session, rollout, release, now_ms, hears_devices=self._hears_devices())
            decision = decide(view)
            told = Pen(session, rollout, release, self._tell, now_ms).write(decision)
            _note_change(session, rollout, before, decision, now_ms)
            session.commit()
            return told

    def _complain(self, reason: str) -> None:
        """Say what is wrong, once for as long as it lasts."""
        if reason not in self._complained:
            log.error("rollouts wait reason=%r", reason)
        self._complaints.add(reason)


_FIRST_COME: Final = (col(Rollout.started_ms), col(Rollout.id))


def _take(session: Session, rollout_id: str, states: tuple[str, ...]) -> Rollout | None:
    """Return a rollout in one of the states, with the lead; None where another engine has that now."""
    if not take_lead(session):
        return None
    rollout = session.get(Rollout, rollout_id, with_for_update=True)
    return rollout if rollout is not None and rollout.state in states else None


@lru_cache(maxsize=64)
def _read_filter(text: str) -> Test:
    """Return the filter of a row as a function.

    Raises:
        BadFilter: another version of Pehra has written it.
    """
    return compiled(parse_filter(text))


def _note_change(session: Session, rollout: Rollout, before: str, decision: Decision, now_ms: int) -> None:
    """Put into the log what a rollout has become by itself."""
    if decision.course.state == before:
        return
    log.info("rollout=%s state=%s why=%r", rollout.id, rollout.state, rollout.why)
    audit.record(
        session, "engine", f"rollout.{rollout.state}", rollout.name, {"why": rollout.why}, at_ms=now_ms
    )
