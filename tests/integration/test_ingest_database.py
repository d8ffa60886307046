"""The tables on both databases, and what a commit survives."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text
from sqlmodel import Session, SQLModel

from fleet.errors import DatabaseUnusable
from fleet.queries.counts import CountFilter, list_counts, sum_by_class
from fleet.queries.devices import DeviceFilter, list_devices
from fleet.queries.events import EventFilter, list_events
from fleet.reading import Received, read_message
from fleet.store.database import connect_database, open_database
from fleet.store.write import Stored, write_batch
from ota.messages import Alarm, Channel, Message, Status, Topic, encode, format_ts, new_id
from tests.brokers import free_port
from tests.fake_device import count, event, health, info, now, topic_of

NOW_MS = 1_800_000_000_000


def received(device: str, message: Message, *, retained: bool = False) -> Received:
    return read_message(
        str(topic_of(device, message)), encode(message), is_retained=retained, received_ms=NOW_MS
    )


def write(engine: Engine, *batch: Received) -> Stored:
    with engine.begin() as connection:
        return write_batch(connection, batch, NOW_MS)


def rows(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_the_migrations_make_exactly_the_tables_of_the_models(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, SQLModel.metadata) == []


def modes(folder: Path) -> dict[str, int]:
    return {one.name: one.stat().st_mode & 0o777 for one in folder.iterdir()}


PRIVATE = {"fleet.db": 0o600, "fleet.db-wal": 0o600, "fleet.db-shm": 0o600}


@pytest.fixture
def open_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder into which all can look, for a process that closes nothing by itself."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o755)
    before = os.umask(0)
    yield folder
    os.umask(before)


def test_a_database_in_a_folder_that_is_open_to_all_is_its_owners_alone(open_folder: Path) -> None:
    engine = open_database(f"sqlite:///{open_folder}/fleet.db")
    with engine.connect() as connection:
        connection.execute(text("select count(*) from event"))
        assert modes(open_folder) == PRIVATE
    engine.dispose()


def test_a_database_that_was_open_to_all_is_closed_when_it_is_opened(open_folder: Path) -> None:
    url = f"sqlite:///{open_folder}/fleet.db"
    first = open_database(url)
    with first.connect() as connection:
        connection.execute(text("select count(*) from event"))
        for one in open_folder.iterdir():
            one.chmod(0o666)
        second = open_database(url)
        assert modes(open_folder) == PRIVATE
    first.dispose()
    second.dispose()


def test_opening_a_database_twice_in_a_process_leaves_the_lock_of_the_first(open_folder: Path) -> None:
    url = f"sqlite:///{open_folder}/fleet.db"
    first = open_database(url)
    other = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=0); c.execute('begin immediate')"
    with first.connect() as connection:
        connection.exec_driver_sql("begin immediate")
        connect_database(url).dispose()
        done = subprocess.run(
            [sys.executable, "-c", other, f"{open_folder}/fleet.db"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert "database is locked" in done.stderr
    first.dispose()


def test_opening_twice_changes_nothing(engine: Engine) -> None:
    write(engine, received("cam-01", event(1)))
    again = open_database(engine.url.render_as_string(hide_password=False))
    assert rows(again, "select count(*) from event") == [(1,)]
    again.dispose()


def test_a_batch_is_stored_once_and_its_repeat_is_acknowledged(engine: Engine) -> None:
    batch = [received(f"cam-{n % 3:02d}", event(n // 3 + 1)) for n in range(30)]
    first, second = write(engine, *batch), write(engine, *batch)
    assert (first.fresh, first.duplicates) == (30, 0)
    assert (second.fresh, second.duplicates, second.events) == (0, 30, [])
    assert first.acks == second.acks == {f"cam-{n:02d}": list(range(1, 11)) for n in range(3)}
    assert rows(engine, "select id, events_stored from device order by id") == [
        (f"cam-{n:02d}", 10) for n in range(3)
    ]


def test_a_repeat_and_a_clash_inside_one_batch_are_told_apart(engine: Engine) -> None:
    said = event(1)
    stored = write(engine, received("cam-01", said), received("cam-01", said), received("cam-01", event(1)))
    assert (stored.fresh, stored.duplicates, stored.clashes) == (1, 1, [("cam-01", 1)])
    assert stored.acks == {"cam-01": [1]}


def test_a_batch_that_is_rolled_back_leaves_nothing(engine: Engine) -> None:
    with pytest.raises(RuntimeError), engine.begin() as connection:
        write_batch(connection, [received("cam-01", event(1)), received("cam-01", count(2, 1e9))], NOW_MS)
        raise RuntimeError
    assert rows(engine, "select (select count(*) from event) + (select count(*) from device)") == [(0,)]


def test_one_status_from_a_clock_in_the_future_does_not_break_the_device_for_good(engine: Engine) -> None:
    earlier, later = new_id(), new_id()

    def say(state: Any, session: str, ts: str) -> None:
        said = Status(id=new_id(), ts=ts, state=state, session=session)
        item = read_message("pehra/v1/cam-01/status", encode(said), is_retained=False, received_ms=NOW_MS)
        write(engine, item)

    state = "select state, is_online from device"
    say("online", earlier, "2099-01-01T00:00:00.000Z")
    say("stopped", earlier, "2027-01-15T07:59:00.000Z")
    assert [(name, bool(is_online)) for name, is_online in rows(engine, state)] == [("stopped", False)]
    say("online", later, "2027-01-15T08:00:01.000Z")
    assert [(name, bool(is_online)) for name, is_online in rows(engine, state)] == [("online", True)]
    say("lost", later, "2027-01-15T08:00:00.000Z")
    assert [(name, bool(is_online)) for name, is_online in rows(engine, state)] == [("lost", False)]


def test_an_amendment_is_kept_with_the_event_that_it_amends_and_is_no_event_of_its_own(
    engine: Engine,
) -> None:
    first, other = event(7, kind="speeding"), event(8)
    amendment = event(9, kind="speeding", amends=7, n=4, until=format_ts(NOW_MS / 1000), speed_mps=16.5)
    assert dict(write(engine, received("cam-01", first), received("cam-01", other)).acks) == {
        "cam-01": [7, 8]
    }
    assert dict(write(engine, received("cam-01", amendment)).acks) == {"cam-01": [9]}
    assert dict(write(engine, received("cam-01", amendment)).acks) == {"cam-01": [9]}, (
        "a repeat is acknowledged and changes nothing"
    )
    with Session(engine) as session:
        page = list_events(session, EventFilter(), limit=10, cursor=None)
        rows = {row.seq: (row.n, row.speed_mps, row.until_ms) for row in page.items}
    assert rows == {7: (4, 16.5, NOW_MS), 8: (1, None, None)}


def test_an_amendment_whose_event_was_dropped_stands_for_itself(engine: Engine) -> None:
    write(engine, received("cam-01", event(9, amends=7, n=4, until=now())))
    with Session(engine) as session:
        assert [row.n for row in list_events(session, EventFilter(), limit=10, cursor=None).items] == [4]


def test_a_heat_map_is_kept_by_the_hour(engine: Engine) -> None:
    write(engine, received("cam-01", count(3, NOW_MS / 1000, bucket_s=3600, counts={}, heat=[*range(144)])))
    with Session(engine) as session:
        (row,) = list_counts(session, CountFilter(bucket_s=3600), limit=10, cursor=None).items
    assert row.heat == [*range(144)]
    assert row.counts == {}


def test_only_a_higher_seq_replaces_a_bucket(engine: Engine) -> None:
    five, seven, six = (count(seq, 1e9, cars=seq) for seq in (5, 7, 6))
    write(engine, received("cam-01", five))
    stored = write(engine, received("cam-01", seven), received("cam-01", six))
    assert (stored.fresh, stored.duplicates, sorted(stored.acks["cam-01"])) == (1, 1, [6, 7])
    write(engine, received("cam-01", five))
    assert rows(engine, "select seq from count") == [(7,)]
    clash = write(engine, received("cam-01", count(7, 1e9)))
    assert (clash.clashes, clash.acks) == ([("cam-01", 7)], {})


def test_an_alarm_is_raised_again_and_cleared(engine: Engine) -> None:
    topic = str(Topic("cam-01", Channel.ALARM, "cam0", "dark"))
    for detail in ("first", "second"):
        payload = encode(Alarm(id=new_id(), ts=now(), kind="dark", detail=detail))
        write(engine, read_message(topic, payload, is_retained=True, received_ms=NOW_MS))
    assert rows(engine, "select detail from alarm") == [("second",)]
    write(engine, read_message(topic, b"", is_retained=False, received_ms=NOW_MS))
    assert rows(engine, "select * from alarm") == []


def test_cursors_give_every_row_once_in_order(engine: Engine) -> None:
    same_ts = "2026-11-23T09:30:00.125Z"
    batch = [received(f"cam-{n % 3:02d}", event(n + 1, ts=same_ts)) for n in range(25)]
    batch += [received("cam-00", count(100 + n, 1e9 + 60 * (n // 2), rule=f"gate-{n % 2}")) for n in range(9)]
    write(engine, *batch)
    with Session(engine) as session:
        seqs, buckets, names = [], [], []
        page = list_events(session, EventFilter(), limit=4, cursor=None)
        seqs += [row.seq for row in page.items]
        while page.next_cursor:
            page = list_events(session, EventFilter(), limit=4, cursor=page.next_cursor)
            seqs += [row.seq for row in page.items]
        counts = list_counts(session, CountFilter(), limit=2, cursor=None)
        buckets += [row.seq for row in counts.items]
        while counts.next_cursor:
            counts = list_counts(session, CountFilter(), limit=2, cursor=counts.next_cursor)
            buckets += [row.seq for row in counts.items]
        devices = list_devices(session, DeviceFilter(), limit=2, cursor=None)
        names += [row.id for row in devices.items]
        names += [
            r.id for r in list_devices(session, DeviceFilter(), limit=2, cursor=devices.next_cursor).items
        ]
    assert sorted(seqs) == list(range(1, 26))
    assert sorted(buckets) == list(range(100, 109))
    assert names == ["cam-00", "cam-01", "cam-02"]


def test_a_chart_sums_all_buckets_of_its_span_and_not_one_page_of_them(engine: Engine) -> None:
    minutes, rules = 180, 4
    buckets = [(minute, rule) for minute in range(minutes) for rule in range(rules)]
    batch = [
        received(
            "cam-01", count(seq, 1e9 + 60 * minute, rule=f"gate-{rule}", counts={"car": {"in": 1, "out": 1}})
        )
        for seq, (minute, rule) in enumerate(buckets, start=1)
    ]
    write(engine, *batch)
    with Session(engine) as session:
        sums = sum_by_class(session, CountFilter(device="cam-01", bucket_s=60))
    assert sums == {"car": {round((1e9 + 60 * minute) * 1000): 2 * rules for minute in range(minutes)}}


def test_a_device_that_went_silent_while_degraded_is_not_listed_as_degraded(engine: Engine) -> None:
    for device in ("cam-01", "cam-02"):
        said = Status(id=new_id(), ts=now(), state="degraded", session=new_id())
        write(engine, received(device, said))
    with engine.begin() as connection:
        connection.execute(text("update device set is_online = false where id = 'cam-02'"))
    with Session(engine) as session:
        found = list_devices(session, DeviceFilter(state="degraded"), limit=9, cursor=None).items
    assert [row.id for row in found] == ["cam-01"]


def test_search_does_not_read_wildcards(engine: Engine) -> None:
    write(engine, received("cam-01", info("lahore/100%_wide")), received("cam-02", health()))
    with Session(engine) as session:
        found = {
            q: [row.id for row in list_devices(session, DeviceFilter(q=q), limit=9, cursor=None).items]
            for q in ("%", "_w", "CAM-0", "lahore", "'; drop table device; --")
        }
    assert found == {
        "%": ["cam-01"],
        "_w": ["cam-01"],
        "CAM-0": ["cam-01", "cam-02"],
        "lahore": ["cam-01"],
        "'; drop table device; --": [],
    }


def test_sqlite_runs_so_that_an_acknowledged_commit_survives_a_power_cut(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/fleet.db")
    assert rows(engine, "pragma journal_mode") == [("wal",)]
    assert rows(engine, "pragma synchronous") == [(2,)]
    engine.dispose()


def test_a_database_that_cannot_be_opened_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="folder must exist"):
        open_database(f"sqlite:///{tmp_path}/nowhere/fleet.db")
    (tmp_path / "garbage.db").write_bytes(b"not a database" * 100)
    with pytest.raises(DatabaseUnusable, match="not a database"):
        open_database(f"sqlite:///{tmp_path}/garbage.db")
    with pytest.raises(DatabaseUnusable):
        open_database(f"postgresql+psycopg://x@127.0.0.1:{free_port()}/x?connect_timeout=2")


KILLED_MIDWAY = """
import os, signal, sys
from sqlalchemy import Engine, event
from fleet.store.database import connect_database, open_database

made = 0

@event.listens_for(Engine, "after_cursor_execute")
def kill(_c, _cursor, statement, *_rest):
    global made
    made += statement.lstrip().upper().startswith("CREATE")
    if made == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

open_database(sys.argv[1])
"""


@pytest.mark.parametrize("statements", [2, 5])
def test_a_first_start_that_is_killed_midway_can_be_started_again(tmp_path: Path, statements: int) -> None:
    url = f"sqlite:///{tmp_path}/fleet.db"
    done = subprocess.run(
        [sys.executable, "-c", KILLED_MIDWAY, url, str(statements)], timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL
    engine = open_database(url)
    assert write(engine, received("cam-01", event(1))).fresh == 1
    engine.dispose()


def test_a_database_of_a_newer_version_is_refused_with_a_sentence(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/fleet.db"
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    engine.dispose()
    with pytest.raises(DatabaseUnusable, match="another version"):
        open_database(url)


def test_mosquitto_and_postgresql_are_named_when_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_args, **_options: None)
    monkeypatch.setenv("CI", "true")
    from tests.brokers import Mosquitto

    with pytest.raises(pytest.fail.Exception, match="mosquitto"):
        Mosquitto(Path("unused"))
