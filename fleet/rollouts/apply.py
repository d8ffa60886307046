"""Writes what was decided, in the caller's transaction: devices, what is wanted of them, the rollout.

Each row is changed only from the state in which it was when it was decided, so a device that has answered
meanwhile keeps its answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from sqlalchemy import Table, bindparam, or_, select, update
from sqlmodel import Session

from fleet.rollouts.decide import seen_after
from fleet.rollouts.facts import read_running
from fleet.rollouts.gather import REVERTIBLE, settings_in
from fleet.rollouts.members import HAS_IT
from fleet.rollouts.plan import ENDED, ITSELF, OPEN, REASON_CHARS, Decision
from fleet.rollouts.tell import Order, Tell, chunks
from fleet.store.tables_rollouts import Release, Rollout, RolloutDevice
from ota.messages import new_id

_TABLE = cast(Table, RolloutDevice.__table__)  # type: ignore[attr-defined]
_OURS: Final = (_TABLE.c.rollout == bindparam("p_rollout")) & (_TABLE.c.device == bindparam("p_device"))


class Pen:
    """Writes decisions about one rollout at one moment.

    Args:
        session: in whose transaction.
        rollout: the row.
        release: that is rolled out.
        tell: where orders go.
        now_ms: Unix milliseconds.
    """

    def __init__(self, session: Session, rollout: Rollout, release: Release, tell: Tell, now_ms: int) -> None:
        self._session = session
        self._rollout = rollout
        self._release = release
        self._tell = tell
        self._now_ms = now_ms

    def write(self, decision: Decision) -> bool:
        """Write all of a decision; return whether something else is wanted of a device now."""
        course = decision.course
        self._fail(decision.fail)
        self._back_off(decision.back_off)
        told = self._tell_new(decision.tell, course.stage, course.run_ms)
        told += self._tell_again(decision.tell_again, course.run_ms)
        told += self._go_back(decision.go_back, course.run_ms)
        self._tell.withdraw(self._session, self._release.kind, self._rollout.id, decision.let_go)
        self._settle(decision.settle)
        if decision.withdraw:
            told += self.withdraw_open("the rollout stopped itself")
        if decision.end_waiting and course.state in (*ENDED, "reverting"):
            self.end_waiting(decision.end_waiting)
        self._write_course(decision)
        return bool(told or decision.fail or decision.settle)

    def withdraw_open(self, reason: str) -> int:
        """Take back what was told to those that have not answered; return how many they are."""
        devices = self._in_states(OPEN)
        self._tell.withdraw(self._session, self._release.kind, self._rollout.id, devices)
        self._move(devices, OPEN, state="withdrawn", reason=reason)
        return len(devices)

    def end_waiting(self, reason: str) -> None:
        """Leave out those that wait."""
        self._update_where(("waiting",), state="skipped", reason=reason)

    def wait_again(self) -> None:
        """Let those from whom it was taken back stand in line again."""
        self._update_where(("withdrawn",), state="waiting", reason="", stage=-1, tries=0, due_run_ms=None)

    def _fail(self, fail: Sequence[tuple[str, str]]) -> None:
        rows = [{"p_device": device, "v_reason": reason[:REASON_CHARS]} for device, reason in fail]
        values = {
            "state": "failed",
            "round": self._rollout.round,
            "changed_ms": self._now_ms,
            "due_run_ms": None,
        }
        self._each(rows, (*OPEN, "reverting"), values, ("reason",))
        self._tell.withdraw(
            self._session, self._release.kind, self._rollout.id, [device for device, _ in fail]
        )

    def _back_off(self, back_off: Sequence[tuple[str, int]]) -> None:
        rows = [{"p_device": device, "v_due_run_ms": due_ms} for device, due_ms in back_off]
        self._each(rows, ("retrying",), {}, ("due_run_ms",))

    def _tell_new(self, devices: Sequence[str], stage: int, run_ms: int) -> int:
        there = self._locked(devices, ("waiting",))
        running = read_running(self._session, self._release.kind, there)
        mark = self._release.mark
        had = [device for device in there if running.get(device) == mark]
        self._move(had, ("waiting",), state="skipped", reason=HAS_IT)
        return self._order(
            [device for device in there if running.get(device) != mark],
            ("waiting",),
            run_ms,
            {"stage": stage, "tries": 1},
            before=running,
        )

    def _tell_again(self, devices: Sequence[str], run_ms: int) -> int:
        there = self._locked(devices, ("retrying",))
        return self._order(there, ("retrying",), run_ms, {"tries": _TABLE.c.tries + 1})

    def _order(
        self,
        devices: Sequence[str],
        states: tuple[str, ...],
        run_ms: int,
        values: dict[str, object],
        before: dict[str, str] | None = None,
    ) -> int:
        settings = settings_in(self._rollout)
        due_ms = run_ms + 1000 * settings.deadline_s
        rows: list[dict[str, object]] = [{"p_device": device, "v_action": new_id()} for device in devices]
        names: tuple[str, ...] = ("action",)
        if before is not None:
            rows = [row | {"v_before": before.get(str(row["p_device"]), "")[:200]} for row in rows]
            names = ("action", "before")
        same = {"state": "told", "reason": "", "due_run_ms": due_ms, "changed_ms": self._now_ms}
        self._each(rows, states, same | values, names)
        orders = [
            self._as_order(str(row["p_device"]), self._release.id, str(row["v_action"]), settings.window)
            for row in rows
        ]
        self._tell.want(self._session, orders)
        return len(orders)

    def _go_back(self, go_back: Sequence[tuple[str, str]], run_ms: int) -> int:
        due_ms = run_ms + 1000 * settings_in(self._rollout).deadline_s
        wanted = dict(go_back)
        rows = [{"p_device": device, "v_action": new_id()} for device in self._locked(wanted, REVERTIBLE)]
        same = {"state": "reverting", "reason": "", "due_run_ms": due_ms, "changed_ms": self._now_ms}
        self._each(rows, REVERTIBLE, same, ("action",))
        self._tell.want(
            self._session,
            [self._as_order(row["p_device"], wanted[row["p_device"]], row["v_action"]) for row in rows],
        )
        return len(rows)

    def _settle(self, settle: Sequence[tuple[str, str, str]]) -> None:
        rows = [
            {"p_device": device, "v_state": state, "v_reason": reason[:REASON_CHARS]}
            for device, state, reason in settle
        ]
        same = {"changed_ms": self._now_ms, "due_run_ms": None, "round": self._rollout.round, "action": ""}
        self._each(rows, (*REVERTIBLE, "reverting"), same, ("state", "reason"))

    def _as_order(self, device: str, release: str, action: str, window: str = "") -> Order:
        """Return an order; going back has no window, because it is done when something is wrong."""
        rollout = self._rollout.id
        return Order(device, self._release.kind, release, rollout, action, window, self._now_ms)

    def _write_course(self, decision: Decision) -> None:
        course, rollout = decision.course, self._rollout
        if (rollout.state, course.state) == ("stopped", "reverting"):
            rollout.changed_by = ITSELF
        rollout.state, rollout.stage, rollout.why = course.state, course.stage, decision.why[:400]
        rollout.run_ms, rollout.seen_ms = course.run_ms, seen_after(rollout.seen_ms, self._now_ms)
        rollout.stage_run_ms, rollout.quiet_run_ms = course.stage_run_ms, course.quiet_run_ms
        if course.state in ENDED and rollout.ended_ms is None:
            rollout.ended_ms = self._now_ms
        self._session.add(rollout)
        self._session.flush()

    def _each(
        self,
        rows: Sequence[Mapping[str, object]],
        states: tuple[str, ...],
        values: Mapping[str, object],
        names: tuple[str, ...],
    ) -> None:
        """Change rows one by one, each with values of its own beside those that are the same for all.

        In the order of their devices, as ingest does: else each could wait for the other.
        """
        if not rows:
            return
        own = {name: bindparam(f"v_{name}", type_=_TABLE.c[name].type) for name in names}
        # Many rows in one call allow no IN whose length is known only when it runs.
        is_there = or_(*(_TABLE.c.state == state for state in states))
        statement = update(_TABLE).where(_OURS, is_there).values(dict(values) | own)
        self._session.connection().execute(
            statement,
            [{**row, "p_rollout": self._rollout.id} for row in sorted(rows, key=_device_of)],
        )

    def _move(self, devices: Iterable[str], states: tuple[str, ...], **values: object) -> None:
        for some in chunks(devices):
            self._update_where(states, some, **values)

    def _update_where(
        self, states: tuple[str, ...], devices: list[str] | None = None, **values: object
    ) -> None:
        statement = update(_TABLE).where(_TABLE.c.rollout == self._rollout.id, _TABLE.c.state.in_(states))
        if devices is not None:
            statement = statement.where(_TABLE.c.device.in_(devices))
        self._session.connection().execute(statement.values(values | {"changed_ms": self._now_ms}))

    def _in_states(self, states: tuple[str, ...]) -> list[str]:
        query = select(_TABLE.c.device).where(
            _TABLE.c.rollout == self._rollout.id, _TABLE.c.state.in_(states)
        )
        return list(self._session.execute(query.order_by(_TABLE.c.device).with_for_update()).scalars())

    def _locked(self, devices: Iterable[str], states: tuple[str, ...]) -> list[str]:
        """Return those that are in one of the states still; nobody else changes them until the end."""
        found: list[str] = []
        for some in chunks(devices):
            query = select(_TABLE.c.device).where(
                _TABLE.c.rollout == self._rollout.id, _TABLE.c.device.in_(some), _TABLE.c.state.in_(states)
            )
            found += self._session.execute(query.order_by(_TABLE.c.device).with_for_update()).scalars()
        return found


def _device_of(row: Mapping[str, object]) -> str:
    return str(row["p_device"])
