"""What pages ask of rollouts, on both databases: stages, pages, numbers before a deed, one rollout a form."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from fleet.errors import Conflict
from fleet.rollouts import acting
from fleet.rollouts.acting import NewRollout
from fleet.rollouts.facts import count_running
from fleet.rollouts.prospects import Prospects, look_ahead
from fleet.rollouts.show import count_devices, page_rollouts, show
from fleet.store.tables_identity import Identity
from ota.messages import new_id
from tests.rollout_fleet import NEW, OLD, Town, names


@pytest.fixture
def town(engine: Engine) -> Town:
    return Town(engine)


def test_stages_say_how_many_they_tell_themselves_and_where_each_device_is(town: Town) -> None:
    town.add(names(40))
    asked: list[str] = []

    def behave(device: str, _sha256: str) -> str:
        asked.append(device)
        return {10: "rejected:golden", 11: "failed:disk"}.get(len(asked), "runs")

    town.behave = behave
    rollout = town.rollout(stages="1,10%,100%", soak_s=0, stop_share_max=0.5)
    for _ in range(20):
        town.tick()
        town.answer()
    with Session(town.engine) as session:
        seen = show(session, town.row(rollout))
    assert [(one.size, one.own) for one in seen.stages] == [(1, 1), (4, 3), (40, 36)]
    assert [one.told for one in seen.stages] == [1, 3, 36]
    together = {state: sum(one.counts.get(state, 0) for one in seen.stages) for state in seen.counts}
    assert together == seen.counts == {"succeeded": 38, "failed": 1, "retrying": 1}
    assert [(one.reason, one.examples) for one in seen.errors] == [("rejected: golden", (asked[9],))]


def test_rollouts_come_in_pages_by_state(town: Town) -> None:
    town.add(names(3))
    made = [town.rollout(name=f"number {n}", stages="100%") for n in range(3)]
    town.act("abort", made[1])
    with Session(town.engine) as session:
        first = page_rollouts(session, limit=2)
        rest = page_rollouts(session, limit=2, cursor=first.next_cursor)
        assert [row.id for row in (*first.items, *rest.items)] == made[::-1]
        assert rest.next_cursor is None
        assert [row.id for row in page_rollouts(session, limit=9, states=("aborted",)).items] == [made[1]]


def test_what_runs_is_counted_and_those_who_left_are_not(town: Town) -> None:
    town.add(names(3))
    town.add(names(2, 3), sha256=NEW, firmware="0.3.0")
    with Session(town.engine) as session:
        session.add(Identity(device="cam-000000", state="revoked", since_ms=1, enrolled_ms=1))
        session.add(Identity(device="cam-000003", state="active", since_ms=1, enrolled_ms=1))
        session.commit()
        assert count_running(session) == {
            ("model", OLD): 2,
            ("model", NEW): 2,
            ("firmware", "0.2.0"): 2,
            ("firmware", "0.3.0"): 2,
        }


def test_the_numbers_before_a_deed(town: Town) -> None:
    town.add(names(8))
    town.add(names(2, 8), is_online=False)
    town.release(version="1.3.0", sha256=OLD)
    new = NewRollout("new eyes", town.release(), "all", stages="2,100%")
    with Session(town.engine) as session:
        made = acting.create(session, new, "noor", town.now_ms).id
        ahead = look_ahead(session, acting.get_rollout(session, made))
        assert ahead == Prospects("pending", waiting=10, first=2, offline=2)
        acting.approve(session, made, "zain", town.now_ms)
    town.behave = lambda *_: "silent"
    town.tick()
    town.says(next(iter(town.wanted())), NEW)
    with Session(town.engine) as session:
        ahead = look_ahead(session, town.row(made))
        assert ahead == Prospects("running", waiting=8, open=1, succeeded=1, returning=2)


def test_who_cannot_go_back_is_counted(town: Town) -> None:
    town.add(names(2))
    rollout = town.rollout(stages="100%")
    town.run_until(rollout, "done")
    with Session(town.engine) as session:
        assert look_ahead(session, town.row(rollout)).stranded == 2
        assert count_devices(session, [rollout, "none"])[rollout] == {"succeeded": 2}


def test_a_form_that_is_sent_twice_makes_one_rollout(town: Town) -> None:
    town.add(names(2))
    new = NewRollout("new eyes", town.release(), "all", id=new_id())
    at_once = threading.Barrier(4)
    found: list[str] = []

    def send() -> None:
        with Session(town.engine) as session:
            at_once.wait(20)
            found.append(acting.create(session, new, "noor", town.now_ms).id)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [new.id] * 4
    with Session(town.engine) as session:
        assert len(acting.list_rollouts(session)) == 1
        with pytest.raises(Conflict, match="has made the rollout new eyes already"):
            other = NewRollout("others", new.release, "all", id=new.id)
            acting.create(session, other, "noor", town.now_ms)
        with pytest.raises(Conflict, match="has made the rollout new eyes already"):
            another = NewRollout("new eyes", town.release("street-9"), "all", id=new.id)
            acting.create(session, another, "noor", town.now_ms)
