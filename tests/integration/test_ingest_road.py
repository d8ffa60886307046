"""From a device's message over a real Mosquitto to the database, and back as an ack."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.exc import InternalError, OperationalError

from fleet.services import Services, build_services, running
from fleet.settings import Settings
from fleet.store.write import write_batch
from ota.messages import Channel, Status, Topic, encode, format_ts, new_id
from tests.brokers import Mosquitto, running_mosquitto, wait_until
from tests.fake_device import FakeDevice, count, event, health, info, now


@contextlib.contextmanager
def running_fleet(broker: Any, database: Path | str, **options: Any) -> Iterator[Services]:
    url = database if isinstance(database, str) else f"sqlite:///{database}"
    settings = Settings(
        database_url=url,
        mqtt_port=broker.port,
        mqtt_username="fleet",
        mqtt_password=broker.secrets["fleet"],
        **options,
    )
    services = build_services(settings)
    with running(services):
        wait_until(lambda: services.link.is_up, "the fleet hears the broker")
        yield services


def rows(services: Services, query: str) -> list[Any]:
    with services.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def device_row(services: Services, device: str = "cam-01") -> dict[str, Any]:
    with services.engine.connect() as connection:
        found = (
            connection.execute(text("select * from device where id = :id"), {"id": device}).mappings().first()
        )
    return dict(found) if found else {}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with running_mosquitto(
        tmp_path_factory.mktemp("mosquitto"), message_max_bytes=64 * 1024 * 1024
    ) as running:
        yield running


@pytest.fixture
def fleet(broker: Mosquitto, tmp_path: Path) -> Iterator[Services]:
    with running_fleet(broker, tmp_path / "fleet.db") as services:
        yield services


@pytest.fixture
def device(broker: Mosquitto) -> Iterator[FakeDevice]:
    with FakeDevice(broker, "cam-01") as running:
        yield running


def test_events_are_stored_and_then_acknowledged(fleet: Services, device: FakeDevice) -> None:
    for seq in range(1, 51):
        device.say(event(seq))
    wait_until(lambda: device.acked == set(range(1, 51)), "all are acknowledged")
    assert rows(fleet, "select count(*), min(seq), max(seq) from event") == [(50, 1, 50)]
    assert device_row(fleet)["events_stored"] == 50
    assert fleet.tally.view().latency_ms_p95 is not None


def test_a_repeat_is_stored_once_and_acknowledged_again(fleet: Services, device: FakeDevice) -> None:
    said = event(1)
    device.say(said)
    wait_until(lambda: device.acked == {1}, "the first is acknowledged")
    device.acked.clear()
    device.say(said)
    wait_until(lambda: device.acked == {1}, "the repeat is acknowledged")
    assert rows(fleet, "select count(*) from event") == [(1,)]
    assert fleet.tally.view().duplicates == 1
    assert device_row(fleet)["events_stored"] == 1


def test_an_out_of_order_seq_is_stored(fleet: Services, device: FakeDevice) -> None:
    for seq in (9, 3, 7, 1):
        device.say(event(seq))
    wait_until(lambda: device.acked == {1, 3, 7, 9}, "all are acknowledged")
    assert rows(fleet, "select seq from event order by seq") == [(1,), (3,), (7,), (9,)]


def test_a_seq_under_another_id_is_counted_and_not_acknowledged(fleet: Services, device: FakeDevice) -> None:
    first = event(1)
    device.say(first)
    wait_until(lambda: device.acked == {1}, "the first is acknowledged")
    device.acked.clear()
    device.say(event(1))
    device.say(event(2))
    wait_until(lambda: device.acked, "the next is acknowledged")
    assert device.acked == {2}
    assert fleet.tally.view().refused == {"clash": 1}
    assert rows(fleet, "select id from event where seq = 1") == [(first.id,)]


def test_a_count_is_replaced_only_by_a_higher_seq(fleet: Services, device: FakeDevice) -> None:
    from_s = time.time() // 60 * 60 - 60
    device.say(count(5, from_s, cars=5))
    device.say(count(7, from_s, cars=7))
    device.say(count(6, from_s, cars=6))
    wait_until(lambda: device.acked == {5, 6, 7}, "all are acknowledged")
    assert rows(fleet, "select seq, counts from count") == [
        (7, '{"car": {"in": 7, "out": 1}, "person": {"in": 2}}')
    ]


@pytest.mark.parametrize(
    ("tail", "payload", "reason"),
    [
        ("cam0/event/line-cross", b"\xff not json", "bad-message"),
        ("cam0/event/line-cross", b"[" * 60_000, "bad-message"),
        ("cam0/event/line-cross", b'{"v":1,"id":"x"}', "bad-message"),
        ("cam0/event/line-cross", b"x" * 10_000_000, "too-large"),
        ("cam0/event/dwell", encode(event(1)), "mismatch"),
        ("cam1/event/line-cross", encode(event(1)), "mismatch"),
        ("cam0/count/parking", encode(count(1, 1e9)), "mismatch"),
        ("cam0/event/line-cross", encode(event(1, ts="2026-13-45T99:00:00.000Z")), "bad-message"),
        ("cam0/event/line-cross", b"", "empty"),
        ("status", b"", "empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)}-bytes",
)
def test_a_message_that_is_not_ours_is_counted_and_kept_out_and_ingest_goes_on(
    fleet: Services, device: FakeDevice, tail: str, payload: bytes, reason: str
) -> None:
    device.raw(tail, payload)
    device.say(event(2))
    wait_until(lambda: device.acked == {2}, "the good one after it is acknowledged")
    assert fleet.tally.view().refused == {reason: 1}
    assert rows(fleet, "select seq from event") == [(2,)]


@pytest.mark.parametrize(
    "topic",
    [
        "pehra/v1/../status",
        "pehra/v1/..%2f..%2fetc/status",
        "pehra/v1//status",
        "pehra/v1/CAM-01/status",
        "pehra/v1/cam-01/cam0/event/" + "x" * 300,
        "pehra/v1/cam-01\n/status",
        "pehra/v1/#/status",
        "pehra/v1/+/status",
        "",
    ],
)
def test_a_device_id_that_tries_dots_or_wildcards_is_refused(fleet: Services, topic: str) -> None:
    fleet.ingest.on_message(topic, encode(health()), False)
    assert fleet.tally.view().refused == {"bad-topic": 1}
    assert rows(fleet, "select id from device") == []


def test_a_message_on_a_channel_of_the_fleet_is_refused(fleet: Services) -> None:
    fleet.ingest.on_message("pehra/v1/cam-01/ack", b"{}", False)
    assert fleet.tally.view().refused == {"fleet-only": 1}


def test_what_the_database_cannot_hold_is_refused_alone(fleet: Services, device: FakeDevice) -> None:
    seen = event(1).object
    assert seen is not None
    device.say(event(1))
    huge = encode(event(2)).replace(b'"track":2', b'"track":' + b"9" * 19)
    assert huge != encode(event(2))
    device.raw("cam0/event/line-cross", huge)
    device.say(event(3))
    wait_until(lambda: device.acked == {1, 3}, "the others are acknowledged")
    wait_until(lambda: sum(fleet.tally.view().refused.values()) == 1, "it is counted")


def test_a_stamp_in_the_far_future_or_past_breaks_nothing(fleet: Services, device: FakeDevice) -> None:
    for seq, ts in enumerate(("9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00.000Z", now()), start=1):
        device.say(event(seq, ts=ts))
    wait_until(lambda: device.acked == {1, 2, 3}, "all are acknowledged")
    stored = rows(fleet, "select seq, at_ms <= stored_ms + 60000 from event order by seq")
    assert [bool(is_sane) for _, is_sane in stored] == [True, True, True]


def test_health_and_info_describe_the_device(fleet: Services, device: FakeDevice) -> None:
    device.birth()
    device.say(info("lahore/anarkali"))
    device.say(health(temp_c=61.25))
    wait_until(lambda: device_row(fleet).get("health"), "the health is stored")
    row = device_row(fleet)
    assert (row["site"], row["is_online"], row["state"]) == ("lahore/anarkali", 1, "online")
    assert '"temp_c": 61.25' in row["health"]


def test_an_alarm_stands_until_zero_bytes_clear_it(fleet: Services, device: FakeDevice) -> None:
    device.raise_alarm("covered", "flat picture")
    device.raise_alarm("dark")
    wait_until(lambda: len(rows(fleet, "select * from alarm")) == 2, "both stand")
    device.clear_alarm("covered")
    wait_until(lambda: rows(fleet, "select kind from alarm") == [("dark",)], "one is cleared")
    device.say(event(1, kind="alarm-cleared", rule="dark", object=None, direction=None))
    wait_until(lambda: rows(fleet, "select kind from alarm") == [], "its lasting trace clears the other")
    device.clear_alarm("dark")


def test_the_will_marks_a_device_offline_at_once(broker: Mosquitto, fleet: Services) -> None:
    with FakeDevice(broker, "cam-02") as device:
        device.birth()
        wait_until(lambda: device_row(fleet, "cam-02").get("is_online"), "it is online")
        device.client.vanish()
        wait_until(lambda: device_row(fleet, "cam-02")["state"] == "lost", "the will arrives")
        assert not device_row(fleet, "cam-02")["is_online"]


def test_a_retained_birth_does_not_resurrect_a_silent_device(broker: Mosquitto, tmp_path: Path) -> None:
    with FakeDevice(broker, "cam-03") as device, running_fleet(broker, tmp_path / "fleet.db") as first:
        device.birth()
        wait_until(lambda: device_row(first, "cam-03").get("is_online"), "it is online")
        assert first.presence.tick(time.monotonic() + 1) == []
    with running_fleet(broker, tmp_path / "fleet.db") as second:
        # What the first had not acknowledged to the broker comes once more, and not as remembered.
        wait_for_all_before(broker, 1)
        assert "cam-03" in silence(second)
        seen_before = second.tally.view().received
        reconnect(second)
        wait_until(lambda: second.tally.view().received > seen_before, "retained messages came again")
        wait_for_all_before(broker, 2)
        assert not device_row(second, "cam-03")["is_online"]


def wait_for_all_before(broker: Mosquitto, seq: int) -> None:
    with FakeDevice(broker, "cam-04") as fence:
        fence.say(event(seq))
        wait_until(lambda: fence.acked == {seq}, "all before it is written")


def silence(fleet: Services) -> list[str]:
    """Judge from a future in which nobody said anything; two ticks, because the first looks like a stall."""
    later_s = time.monotonic() + 100
    fleet.presence.tick(later_s)
    found: list[str] = []
    for step_s in range(1, 60):
        found += fleet.presence.tick(later_s + step_s)
    return found


def reconnect(fleet: Services) -> None:
    connection: Any = fleet.link._client.socket()
    connection.shutdown(2)
    wait_until(lambda: not fleet.link.is_up, "the link is down")
    wait_until(lambda: fleet.link.is_up, "the link is up")


def test_while_our_link_is_down_nobody_is_declared_offline(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "mosquitto").start()
    try:
        with FakeDevice(broker, "cam-01") as device, running_fleet(broker, tmp_path / "fleet.db") as fleet:
            device.birth()
            wait_until(lambda: device_row(fleet).get("is_online"), "it is online")
            broker.stop()
            wait_until(lambda: not fleet.link.is_up, "the link is down")
            assert silence(fleet) == []
            assert device_row(fleet)["is_online"]
            broker.start()
            wait_until(lambda: fleet.link.is_up, "the link is up")
            assert fleet.presence.tick(time.monotonic()) == []
    finally:
        broker.stop()


def test_a_broker_that_is_down_at_start_is_waited_for(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "mosquitto")
    settings = Settings(
        database_url=f"sqlite:///{tmp_path}/fleet.db",
        mqtt_port=broker.port,
        mqtt_username="fleet",
        mqtt_password=broker.secrets["fleet"],
    )
    services = build_services(settings)
    services.link.start()
    try:
        assert not services.link.is_up
        broker.start()
        wait_until(lambda: services.link.is_up, "the fleet hears the broker")
    finally:
        services.link.stop()
        services.close()
        broker.stop()


def test_what_comes_while_the_database_is_locked_waits_and_nothing_is_acknowledged_early(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.store.database.BUSY_TIMEOUT_MS", 100)
    with running_fleet(broker, tmp_path / "fleet.db") as fleet, FakeDevice(broker, "cam-01") as device:
        lock = sqlite3.connect(tmp_path / "fleet.db", isolation_level=None)
        lock.execute("begin immediate")
        received = fleet.tally.view().received
        for seq in range(1, 11):
            device.say(event(seq))
        wait_until(lambda: fleet.tally.view().received >= received + 10, "all ten came in")
        wait_until(lambda: fleet.ingest.is_database_away, "the writer noticed")
        assert device.acked == set()
        lock.execute("rollback")
        lock.close()
        wait_until(lambda: device.acked == set(range(1, 11)), "all are acknowledged after the lock is gone")


def test_a_full_disk_is_waited_out_and_nothing_is_acknowledged_early(
    broker: Mosquitto, tmp_path: Path
) -> None:
    """`max_page_count` makes SQLite answer as it does on a full disk."""
    pages = {"max": 1_000_000}
    settings = Settings(
        database_url=f"sqlite:///{tmp_path}/fleet.db",
        mqtt_port=broker.port,
        mqtt_username="fleet",
        mqtt_password=broker.secrets["fleet"],
    )
    services = build_services(settings)

    @sqlalchemy_event.listens_for(services.writer_engine, "begin")
    def limit(connection: Connection) -> None:
        connection.exec_driver_sql(f"pragma max_page_count = {pages['max']}")

    with running(services), FakeDevice(broker, "cam-01") as device:
        wait_until(lambda: services.link.is_up, "the fleet hears the broker")
        pages["max"] = 1
        for seq in range(1, 401):
            device.say(event(seq))
        wait_until(lambda: services.ingest.is_database_away, "the writer noticed")
        few = len(device.acked)
        assert few < 400
        pages["max"] = 1_000_000
        wait_until(lambda: len(device.acked) == 400, "all are acknowledged once there is room")
        assert rows(services, "select count(*) from event") == [(400,)]
        assert services.tally.view().refused == {}


def test_a_stop_waits_a_few_seconds_for_a_locked_database_however_much_is_queued(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.store.database.BUSY_TIMEOUT_MS", 50)
    monkeypatch.setattr("fleet.ingest.GIVE_UP_S", 0.5)
    tries: list[int] = []
    services = build_services(Settings(database_url=f"sqlite:///{tmp_path}/fleet.db"))
    monkeypatch.setattr(services.ingest, "_note_away", lambda _error: tries.append(1))
    for seq in range(1, 5001):
        topic = "pehra/v1/cam-01/cam0/event/line-cross"
        services.ingest.on_message(topic, encode(event(seq)), False)
    lock = sqlite3.connect(tmp_path / "fleet.db", isolation_level=None)
    lock.execute("begin immediate")
    stop = threading.Event()
    stop.set()
    services.ingest.run(services.link, stop)
    lock.execute("rollback")
    lock.close()
    assert len(tries) <= 5  # ten batches, each with a wait of its own, would be thirty
    assert rows(services, "select count(*) from event") == [(0,)]
    services.close()


def test_what_a_full_queue_dropped_and_the_broker_remembers_is_told_again(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.ingest.QUEUE_MAX", 5)
    monkeypatch.setattr("fleet.ingest.BATCH_MAX", 2)
    monkeypatch.setattr("fleet.ingest.ROOM_WAIT_S", 0.5)
    monkeypatch.setattr("fleet.store.database.BUSY_TIMEOUT_MS", 100)
    with running_fleet(broker, tmp_path / "fleet.db") as fleet, FakeDevice(broker, "cam-05") as device:
        lock = sqlite3.connect(tmp_path / "fleet.db", isolation_level=None)
        lock.execute("begin immediate")
        device.say(event(1))
        wait_until(lambda: fleet.ingest.is_database_away, "the writer noticed")
        received = fleet.tally.view().received
        for seq in range(2, 21):
            device.say(event(seq))
        device.say(info("lahore/dropped"))
        device.birth()
        device.raise_alarm("dark")
        said = len(range(2, 21)) + 3
        wait_until(lambda: fleet.tally.view().received >= received + said, "all came in")
        assert fleet.tally.view().refused["queue-full"] >= said - 6, "the last ones are among the dropped"
        lock.execute("rollback")
        lock.close()
        wait_until(lambda: device_row(fleet, "cam-05").get("site") == "lahore/dropped", "the info is there")
        wait_until(lambda: device_row(fleet, "cam-05").get("session") == device.session, "the birth is there")
        alarm = "select kind from alarm where device = 'cam-05'"
        wait_until(lambda: rows(fleet, alarm) == [("dark",)], "the alarm is there")
        device.clear_alarm("dark")


def test_a_read_only_server_and_an_error_without_words_are_waited_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """psycopg calls a server that became a standby `InternalError`."""
    faults = [
        InternalError("insert", {}, Exception("read-only")),
        OperationalError("insert", {}, Exception()),
    ]

    def fail_twice(*arguments: Any) -> Any:
        if faults:
            raise faults.pop()
        return write_batch(*arguments)

    monkeypatch.setattr("fleet.ingest.write_batch", fail_twice)
    services = build_services(Settings(database_url=f"sqlite:///{tmp_path}/fleet.db"))
    services.ingest.on_message("pehra/v1/cam-01/cam0/event/line-cross", encode(event(1)), False)
    stop = threading.Event()
    stop.set()
    services.ingest.run(services.link, stop)
    assert rows(services, "select count(*) from event") == [(1,)]
    assert services.tally.view().refused == {}
    services.close()


def test_one_noisy_device_does_not_silence_the_log_about_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    services = build_services(Settings(database_url=f"sqlite:///{tmp_path}/fleet.db"))
    for _ in range(5):
        services.ingest.on_message("pehra/v1/cam-01/ack", b"{}", False)
    services.ingest.on_message("pehra/v1/cam-02/ack", b"{}", False)
    said = [record.getMessage() for record in caplog.records if "kept out" in record.getMessage()]
    assert [("cam-01" in line, "cam-02" in line) for line in said] == [(True, False)] * 3 + [(False, True)]
    services.close()


def test_a_full_queue_drops_unacknowledged_and_takes_the_resend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.ingest.QUEUE_MAX", 5)
    monkeypatch.setattr("fleet.ingest.ROOM_WAIT_S", 0.0)
    services = build_services(Settings(database_url=f"sqlite:///{tmp_path}/fleet.db"))
    said = [event(seq) for seq in range(1, 9)]
    for one in said:
        services.ingest.on_message("pehra/v1/cam-01/cam0/event/line-cross", encode(one), False)
    assert services.tally.view().refused == {"queue-full": 3}
    stop = threading.Event()
    stop.set()
    services.ingest.run(services.link, stop)
    assert rows(services, "select count(*) from event") == [(5,)]
    for one in said:
        services.ingest.on_message("pehra/v1/cam-01/cam0/event/line-cross", encode(one), False)
        services.ingest.run(services.link, stop)
    assert rows(services, "select count(*) from event") == [(8,)]
    services.close()


def test_frames_of_the_live_view_are_never_stored(fleet: Services, device: FakeDevice) -> None:
    from ota.messages import LiveFrame

    seen = event(1).object
    assert seen is not None
    device.say(LiveFrame(id=new_id(), ts=now(), cam="cam0", objects=[seen]))
    device.say(event(1))
    wait_until(lambda: device.acked == {1}, "what came after it is stored")
    assert fleet.live.newest("cam-01", "cam0") is None
    fleet.live.look("cam-01", "cam0", fleet.link.publish, now_s=time.monotonic(), utc_s=time.time())
    wait_until(lambda: device.leases == ["cam0"], "the device is asked")
    fleet.live.look("cam-01", "cam0", fleet.link.publish, now_s=time.monotonic(), utc_s=time.time())
    device.say(LiveFrame(id=new_id(), ts=now(), cam="cam0", objects=[seen]))
    wait_until(lambda: fleet.live.newest("cam-01", "cam0"), "the frame is shown")
    assert device.leases == ["cam0"]
    assert rows(fleet, "select count(*) from event") == [(1,)]


def test_the_will_of_an_earlier_connection_is_not_the_death_of_this_one(
    fleet: Services, device: FakeDevice
) -> None:
    earlier = new_id()
    device.session = new_id()
    device.birth()
    lost = Status(id=new_id(), ts=format_ts(time.time() - 5), state="lost", session=earlier)
    device.client.publish(Topic("cam-01", Channel.STATUS), encode(lost))
    device.say(event(1))
    wait_until(lambda: device.acked == {1}, "all before it is written")
    assert device_row(fleet)["is_online"]
