"""The people of the demo's fleet at their desk: they make a rollout, approve it, watch it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from sqlalchemy import Engine
from sqlmodel import Session, select

from fleet.access.caller import Caller
from fleet.access.roles import Role
from fleet.access.sessions import grants_of
from fleet.access.users import get_user
from fleet.rollouts import acting
from fleet.rollouts.acting import NewRollout
from fleet.rollouts.plan import RUNS_BEFORE, Settings
from fleet.rollouts.show import RolloutShown, show
from fleet.store.tables import Device
from fleet.store.tables_rollouts import Release, Rollout
from pehra.demo.plan import CannotStart, DemoOptions

STAGES: Final = "1,10%,50%,100%"
CHAPTER_S: Final = 420.0
"""No rollout of the demo takes longer."""
LOOK_S: Final = 0.5
SETTINGS: Final = Settings(soak_s=2, at_once=10, backoff_s=5, revert_on_stop=True)

Say = Callable[[str], None]


class Desk:
    """The people of this fleet: who makes rollouts, and who approves them."""

    def __init__(self, engine: Engine, options: DemoOptions) -> None:
        self._engine = engine
        self.options = options
        self._rollout = ""
        self._reasons: set[tuple[str, str]] = set()
        with Session(engine) as session:
            self._maker, self._approver = (_caller(session, role) for role in (Role.FLEET_ADMIN, Role.OWNER))

    def roll_out(
        self, version: str, name: str, rollout: str, ends: set[str], stop: threading.Event, say: Say
    ) -> RolloutShown:
        """Make a rollout, approve it, and wait until its state is one of `ends`."""
        self._wait_for_release(version, stop)
        self._rollout = rollout
        wish = NewRollout(name, f"{self.options.model}@{version}", "all", STAGES, SETTINGS, id=rollout)
        with Session(self._engine) as session:
            acting.create(session, wish, self._maker, _now_ms())
            acting.approve(session, rollout, self._approver, _now_ms())
        say(f"{self._maker.name} has made the rollout, {self._approver.name} has approved it.")
        return self.follow(ends, stop, say)

    def running(self) -> dict[str, int]:
        """Return how many cameras report which version."""
        with Session(self._engine) as session:
            told = [device.reported or {} for device in session.exec(select(Device))]
        return dict(Counter(one["model"]["version"] for one in told if "model" in one))

    def follow(self, ends: set[str], stop: threading.Event, say: Say) -> RolloutShown:
        """Say what becomes of the last rollout until its state is one of `ends`."""
        until_s, said = time.monotonic() + CHAPTER_S, ""
        while True:
            with Session(self._engine) as session:
                shown = show(session, session.get_one(Rollout, self._rollout))
                words = _words(shown)
                session.expunge_all()
            if words != said:
                say(words)
                said = words
            for one in shown.errors:
                reason = one.reason.removesuffix(f"; {RUNS_BEFORE}")
                if (self._rollout, reason) not in self._reasons:
                    self._reasons.add((self._rollout, reason))
                    say(f"    {one.devices} failed ({', '.join(one.examples[:3])}): {reason}")
            if shown.rollout.state in ends or stop.wait(LOOK_S) or time.monotonic() > until_s:
                return shown

    def _wait_for_release(self, version: str, stop: threading.Event) -> None:
        until_s = time.monotonic() + CHAPTER_S
        while not stop.wait(LOOK_S):
            with Session(self._engine) as session:
                named = select(Release).where(Release.name == self.options.model, Release.version == version)
                if session.exec(named).first() is not None:
                    return
            if time.monotonic() > until_s:
                raise CannotStart(f"the fleet manager does not notice that {version} was published")


def _words(shown: RolloutShown) -> str:
    told = [f"{number} {state}" for state, number in sorted(shown.counts.items()) if number]
    counts = ", ".join(told) or "nobody yet"
    return f"  stage {shown.rollout.stage + 1} of {len(shown.stages)}, {shown.rollout.state}: {counts}"


def _caller(session: Session, role: Role) -> Caller:
    user = get_user(session, role)
    return Caller(user.name, "session", user_id=user.id, grants=grants_of(session, user.id))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
