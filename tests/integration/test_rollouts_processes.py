"""Engines as processes: two at once, killed at every statement and at random moments, on both databases."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlmodel import Session

from fleet.access import audit
from fleet.rollouts.lead import take_lead
from fleet.rollouts.stages import parse_stages
from tests.brokers import wait_until
from tests.rollout_engine import fast_ms, orders_in, run_fast, start, tick_once
from tests.rollout_fleet import OLD, Town, names

Everything = list[list[tuple[Any, ...]]]
TABLES = ("rollout", "rollout_device", "wanted_release", "audit_head")


@pytest.fixture
def town(engine: Engine) -> Town:
    return Town(engine)


def url_of(town: Town) -> str:
    return town.engine.url.render_as_string(hide_password=False)


def everything(town: Town) -> Everything:
    def rows(table: str) -> list[tuple[Any, ...]]:
        return sorted(map(tuple, connection.execute(text(f"select * from {table}"))), key=repr)

    with town.engine.connect() as connection:
        return [rows(table) for table in TABLES]


def kill_at_every_statement(town: Town) -> list[Everything]:
    """Let an engine die after each statement of a look in turn; return what was there after each death."""
    now_ms, seen = town.now_ms + 60_000, []
    for statement in range(1, 200):
        process = start(tick_once, url_of(town), now_ms, statement)
        process.join(60)
        if process.exitcode == 0 and is_looked_at(town, now_ms):
            return seen
        assert process.exitcode in (-signal.SIGKILL, 0), process.exitcode
        seen.append(everything(town))
    raise AssertionError("it never came to its end")


def is_looked_at(town: Town, now_ms: int) -> bool:
    """Not if the transaction of the engine that died before still held the lead."""
    with town.engine.connect() as connection:
        return connection.execute(text("select max(seen_ms) from rollout")).scalar() == now_ms


def test_an_engine_killed_at_any_statement_leaves_the_state_before(town: Town) -> None:
    town.release("street-2", "1.3.0", OLD)
    town.add(names(12))
    rollout = town.rollout(stages="3,100%", soak_s=0)
    town.act("pause", rollout)
    town.tick()
    town.act("resume", rollout)
    before = everything(town)
    deaths = kill_at_every_statement(town)
    assert len(deaths) >= 10
    assert all(state == before for state in deaths), "half of a look was kept"
    assert town.counts(rollout) == {"waiting": 9, "told": 3}
    town.now_ms += 60_000
    town.answer()
    town.act("revert", rollout)
    before = everything(town)
    deaths = kill_at_every_statement(town)
    assert len(deaths) >= 8
    assert all(state == before for state in deaths), "half of a look was kept"
    town.run_until(rollout, "reverted")
    with Session(town.engine) as session:
        assert audit.verify(session) == []


def test_an_engine_killed_while_devices_join_leaves_all_of_a_transaction_or_none(town: Town) -> None:
    town.add(names(12))
    rollout = town.rollout(stages="3,100%")
    rows = [len(state[TABLES.index("rollout_device")]) for state in kill_at_every_statement(town)]
    assert set(rows) == {0, 12}
    assert rows == sorted(rows)
    assert town.counts(rollout) == {"waiting": 9, "told": 3}


def play(town: Town, rollout: str, base_s: float, limit_s: float = 90.0, **engines: Any) -> None:
    """Let devices answer until a rollout is done; check at each look that no stage is overrun."""
    base_ms, until_s = town.now_ms, time.monotonic() + limit_s
    stages = parse_stages(town.row(rollout).stages)
    while town.state(rollout) != "done":
        assert time.monotonic() < until_s, (town.why(rollout), town.counts(rollout))
        town.now_ms = fast_ms(base_ms, base_s)
        town.answer()
        row, counts = town.row(rollout), town.counts(rollout)
        told = sum(counts.values()) - counts["waiting"]
        reach = [stage.size(sum(counts.values())) for stage in stages]
        assert told in {0, *reach} or told <= reach[min(row.stage + 1, len(reach) - 1)]
        if engines:
            engines["between"]()


def test_two_engines_at_once_tell_each_device_once(town: Town, tmp_path: Path) -> None:
    town.add(names(60))
    rollout = town.rollout(stages="1,10%,50%,100%", soak_s=60)
    orders, base_s = tmp_path / "orders", time.time()
    processes = [start(run_fast, url_of(town), town.now_ms, base_s, str(orders)) for _ in range(2)]
    try:
        play(town, rollout, base_s)
        assert all(process.is_alive() for process in processes)
    finally:
        for process in processes:
            process.kill()
            process.join(20)
    assert town.counts(rollout) == {"succeeded": 60}
    assert sorted(orders_in(orders)) == names(60), "each was told once"


def test_two_engines_that_are_killed_at_random_moments_bring_it_to_its_end(
    town: Town, tmp_path: Path
) -> None:
    town.add(names(60))
    rollout = town.rollout(stages="1,10%,50%,100%", soak_s=300)
    orders, base_s, dice = tmp_path / "orders", time.time(), random.Random(6)
    base_ms = town.now_ms

    def begin() -> Any:
        return start(run_fast, url_of(town), base_ms, base_s, str(orders))

    processes = [begin(), begin()]
    killed = 0

    def between() -> None:
        nonlocal killed
        time.sleep(dice.uniform(0.0, 0.15))
        if killed < 30:
            victim = dice.randrange(2)
            assert processes[victim].is_alive(), "it died by itself"
            processes[victim].kill()
            processes[victim].join(20)
            processes[victim] = begin()
            killed += 1

    try:
        play(town, rollout, base_s, between=between)
    finally:
        for process in processes:
            process.kill()
            process.join(20)
    assert town.counts(rollout) == {"succeeded": 60}
    assert all(town.device(rollout, device).tries == 1 for device in names(60))
    assert killed >= 20
    with Session(town.engine) as session:
        assert audit.verify(session) == []


def test_only_one_has_the_lead_and_it_ends_with_the_transaction(town: Town) -> None:
    with Session(town.engine) as one, Session(town.engine) as other:
        assert take_lead(one)
        if town.engine.dialect.name == "sqlite":
            other.connection().exec_driver_sql("PRAGMA busy_timeout=50")
        assert not take_lead(other)
        other.rollback()
        one.rollback()
        assert wait_until(lambda: take_lead(other), "the lead is free")
