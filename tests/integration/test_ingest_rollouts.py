"""What devices say reaches their rollouts within ingest's transaction, and costs others next to nothing."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text, update
from sqlmodel import Session

from fleet.reading import Received, read_message
from fleet.rollouts.apply import Pen
from fleet.rollouts.lead import take_lead
from fleet.store import tables
from fleet.store.database import open_database
from fleet.store.tables_rollouts import Release, Rollout, RolloutDevice
from fleet.store.write import write_batch
from ota.messages import Channel, Message, ModelInfo, Reported, Topic, Update, encode, format_ts, new_id
from tests.brokers import wait_until
from tests.rollout_fleet import NEW, OLD, Town, names

CAM = "cam-000000"


def received(device: str, channel: Channel, message: Message, *, is_retained: bool = False) -> Received:
    topic = str(Topic(device, channel))
    return read_message(
        topic, encode(message), is_retained=is_retained, received_ms=round(time.time() * 1000)
    )


def reported(device: str, sha256: str, ts: float | None = None, **options: Any) -> Received:
    model = ModelInfo("street-2", "1.4.0", sha256)
    values = {"id": new_id(), "ts": format_ts(ts or time.time()), "config_sha256": "", "firmware": "0.2.0"}
    return received(device, Channel.REPORTED, Reported(**values, model=model), **options)


def updated(device: str, state: str, action: str, reason: str = "") -> Received:
    said = Update(id=new_id(), ts=format_ts(time.time()), action=action, state=state, reason=reason)
    return received(device, Channel.UPDATE, said)


def write(engine: Engine, *batch: Received) -> None:
    with engine.begin() as connection:
        write_batch(connection, batch, round(time.time() * 1000))


def told(town: Town, number: int = 3) -> str:
    town.add(names(number))
    rollout = town.rollout(stages=str(number))
    town.tick()
    assert town.device(rollout, CAM).state == "told"
    return rollout


@pytest.fixture
def quick(tmp_path: Path) -> Any:
    opened = open_database(f"sqlite:///{tmp_path}/fleet.db")
    yield opened
    opened.dispose()


def test_progress_and_success_in_one_batch_reach_the_rollout(engine: Engine) -> None:
    town = Town(engine)
    rollout = told(town)
    action = town.device(rollout, CAM).action
    write(engine, updated(CAM, "downloading", action), updated("cam-000001", "switched", action))
    assert town.device(rollout, CAM).state == "downloading"
    assert town.device(rollout, "cam-000001").state == "told", "another's action is no word of its own"
    write(engine, updated(CAM, "switched", action), reported(CAM, NEW))
    assert town.device(rollout, CAM).state == "succeeded"
    with Session(engine) as session:
        row = session.get_one(tables.Device, CAM)
        assert row.update is not None
        assert (row.update["state"], row.reported is not None) == ("switched", True)


def test_a_failure_takes_the_order_back_and_lets_the_director_tell_it(quick: Engine) -> None:
    town = Town(quick)
    rollout = told(town)
    with Session(quick) as session:
        before = session.get_one(tables.Desired, CAM).seq
        session.execute(update(tables.Desired).values(is_due=False))
        session.commit()
    write(quick, updated(CAM, "rolled-back", town.device(rollout, CAM).action, "golden vectors"))
    assert town.device(rollout, CAM).state == "failed"
    assert CAM not in town.wanted()
    with Session(quick) as session:
        after = session.get_one(tables.Desired, CAM)
        assert after.is_due
        assert after.seq > before


def test_what_the_broker_remembers_from_before_is_no_answer(quick: Engine) -> None:
    town = Town(quick)
    rollout = told(town)
    write(quick, reported(CAM, NEW))
    assert town.device(rollout, CAM).state == "succeeded"
    write(quick, reported(CAM, OLD, time.time() - 3600, is_retained=True))
    assert town.device(rollout, CAM).state == "succeeded"


def test_a_batch_that_is_taken_back_changes_no_rollout(quick: Engine) -> None:
    town = Town(quick)
    rollout = told(town)
    with pytest.raises(RuntimeError), quick.begin() as connection:
        write_batch(connection, [reported(CAM, NEW)], 1)
        raise RuntimeError
    assert town.device(rollout, CAM).state == "told"


def test_devices_in_no_rollout_cost_one_look_up_a_batch(quick: Engine) -> None:
    town = Town(quick)
    rollout = told(town, 2)
    with Session(quick) as session:
        session.execute(update(RolloutDevice).values(state="succeeded"))
        session.commit()
    town.act("abort", rollout)
    town.add(names(500, 10))
    batch = [reported(device, OLD) for device in names(500, 10)] + [reported(CAM, NEW)]
    asked: list[str] = []
    event.listen(quick, "before_cursor_execute", lambda *args: asked.append(args[2].lower()))
    write(quick, *batch)
    assert len([one for one in asked if "rollout" in one]) == 1
    assert town.state(rollout) == "aborted"


def test_an_answer_that_comes_while_a_rollout_stops_is_not_lost(engine: Engine) -> None:
    town = Town(engine)
    rollout = told(town)
    with Session(engine) as session:
        take_lead(session)
        row = session.get_one(Rollout, rollout, with_for_update=True)
        pen = Pen(session, row, session.get_one(Release, row.release), town.tell, town.now_ms)
        pen.withdraw_open("the rollout stopped itself")
        ingest = threading.Thread(target=write, args=(engine, reported(CAM, NEW)))
        ingest.start()
        wait_until(lambda: waits_for_a_lock(engine), "ingest waits for the engine's transaction")
        session.commit()
    ingest.join(20)
    assert town.device(rollout, CAM).state == "succeeded"
    assert town.device(rollout, "cam-000001").state == "withdrawn"


def waits_for_a_lock(engine: Engine) -> bool:
    """On SQLite nobody can see it; there who writes second begins when the first has ended."""
    if engine.dialect.name == "sqlite":
        return True
    with engine.connect() as connection:
        return bool(connection.execute(text("select count(*) from pg_locks where not granted")).scalar())


def test_writers_take_devices_in_one_order_so_that_none_waits_for_another_in_a_circle(quick: Engine) -> None:
    town = Town(quick)
    told(town, 40)
    standing: list[str] = []
    rollouts: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, values: Any, *_: object) -> None:
        if statement.startswith("UPDATE device SET is_online"):
            standing.extend(row[-1] for row in values)
        elif statement.startswith("UPDATE rollout_device"):
            rollouts.append(next(one for one in values if str(one).startswith("cam-")))

    event.listen(quick, "before_cursor_execute", note)
    write(quick, *(reported(device, NEW) for device in names(40)[::-1]))
    assert (standing, rollouts) == (names(40), names(40))
