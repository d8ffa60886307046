"""What goes when the outbox is full: sums stay, the important stays, and all that went is counted."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from device.firmware.counts import Counts
from device.firmware.outbox import Outbox, OutboxSettings
from device.firmware.outbox import file as outbox_file
from ota.messages import Channel, Count, Topic, decode, encode, format_ts, new_id
from tests.unit.test_outbox import COUNTS, TOPIC, event, opened

QUARTER = 1_790_001_000 // 900 * 900


def bucket(bucket_s, from_s, cars=1, rule="gate"):
    return lambda seq: Count(
        id=new_id(),
        ts=format_ts(from_s + bucket_s),
        seq=seq,
        cam="cam0",
        rule=rule,
        bucket_s=bucket_s,
        from_ts=format_ts(from_s),
        to_ts=format_ts(from_s + bucket_s),
        counts={"car": {"in": cars}},
    )


def waiting(outbox, channel=Channel.COUNT):
    found = [(Topic.parse(entry.topic), entry) for entry in outbox.after(0, 100_000)]
    return [decode(topic.channel, entry.payload) for topic, entry in found if topic.channel is channel]


def test_minutes_go_first_and_their_quarter_hour_keeps_the_sum(tmp_path):
    outbox = opened(tmp_path, max_bytes=24_000)
    for quarter in range(20):
        from_s = QUARTER + 900 * quarter
        for minute in range(15):
            outbox.add(COUNTS, bucket(60, from_s + 60 * minute, cars=minute))
        outbox.add(COUNTS, bucket(900, from_s, cars=sum(range(15))))
        outbox.flush()
    left = waiting(outbox)
    assert sum(c.counts["car"]["in"] for c in left if c.bucket_s == 900) == 20 * sum(range(15))
    tally = outbox.tally(Channel.COUNT)
    assert (tally.dropped, tally.made) == (0, 320)
    assert tally.merged == 320 - len(left) > 200
    assert outbox.size_bytes <= 24_000
    outbox.close()


def test_a_minute_whose_quarter_hour_does_not_wait_is_dropped_and_not_called_merged(tmp_path):
    outbox = opened(tmp_path, max_bytes=5_000)
    for minute in range(100):
        outbox.add(COUNTS, bucket(60, QUARTER + 60 * minute))
    outbox.flush()
    tally = outbox.tally(Channel.COUNT)
    assert tally.merged == 0
    assert tally.dropped == 100 - len(waiting(outbox)) > 0
    assert outbox.dropped_by_kind == {"count": tally.dropped}
    outbox.close()


def test_low_goes_before_quarter_hours_medium_after_them_and_alarms_and_high_last(tmp_path):
    outbox = opened(tmp_path, max_bytes=40_000)
    alarms = Topic("cam-1", Channel.EVENT, "cam0", "alarm-raised")
    for number in range(400):
        outbox.add(TOPIC, event("low"))
        outbox.add(COUNTS, bucket(900, QUARTER + 900 * number))
        outbox.add(TOPIC, event("medium"))
        if number % 10 == 0:
            outbox.add(TOPIC, event("high"))
            kept = event("low")
            outbox.add(alarms, lambda seq, make=kept: msgspec.structs.replace(make(seq), kind="alarm-raised"))
        outbox.flush()
    left = Counter((e.kind, e.sev) for e in waiting(outbox, Channel.EVENT))
    assert left["line-cross", "low"] == 0
    assert waiting(outbox) == []
    assert 0 < left["line-cross", "medium"] < 400
    assert (left["line-cross", "high"], left["alarm-raised", "low"]) == (40, 40)
    lost = outbox.dropped_by_kind
    assert lost == {"count": 400, "line-cross": 400 + 400 - left["line-cross", "medium"]}
    assert sum(lost.values()) == outbox.dropped
    outbox.close()


def test_of_one_rank_the_oldest_goes(tmp_path):
    outbox = opened(tmp_path, max_bytes=10_000)
    seqs = [outbox.add(TOPIC, event("medium")) for _ in range(100)]
    outbox.flush()
    left = [entry.seq for entry in outbox.after(0, 1000)]
    assert left == seqs[-len(left) :]
    outbox.close()


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(1, 400), st.integers(0, 5)), min_size=1, max_size=60),
    limit=st.integers(2_000, 20_000),
)
def test_every_count_that_was_made_is_in_the_quarter_hours_however_full_it_was(
    tmp_path_factory, steps, limit
):
    """The counts of the pipeline, an outbox that is far too small for its minutes, and a fleet that adds."""
    outbox = Outbox(
        tmp_path_factory.mktemp("room") / "outbox.db",
        OutboxSettings(max_bytes=max(limit, 400 * len(steps))),
        now=lambda: QUARTER,
    )
    counts, made, utc_s = Counts(("gate",)), 0, float(QUARTER)
    for step_s, number in steps:
        utc_s += step_s
        report(outbox, counts.watch(utc_s))
        for _ in range(number):
            counts.add("gate", "car", "in", utc_s)
            made += 1
        outbox.flush()
    report(outbox, counts.watch(utc_s + 1000))
    outbox.flush()
    assert outbox.tally(Channel.COUNT).dropped == 0
    told = {c.from_ts: c.counts for c in waiting(outbox) if c.bucket_s == 900}
    assert sum(tally.get("car", {}).get("in", 0) for tally in told.values()) == made
    outbox.close()


def report(outbox, buckets):
    for closed in buckets:
        cars = closed.counts.get("car", {}).get("in", 0)
        outbox.add(COUNTS, bucket(closed.bucket_s, closed.from_s, cars))


def test_a_file_of_the_first_firmware_goes_on_with_its_messages_and_their_worth(tmp_path):
    messages = [
        (7, TOPIC, event("high")(7)),
        (8, COUNTS, bucket(60, QUARTER)(8)),
        (9, COUNTS, bucket(900, QUARTER)(9)),
        (10, TOPIC, event("low")(10)),
    ]
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as db, db:
        db.executescript(
            "CREATE TABLE message (seq INTEGER PRIMARY KEY, topic TEXT NOT NULL, rank INTEGER NOT NULL,"
            "made_s REAL NOT NULL, payload BLOB NOT NULL);"
            "CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);"
            "CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB NOT NULL);"
            "INSERT INTO counter VALUES ('seq', 10);"
        )
        db.executemany(
            "INSERT INTO message VALUES (?, ?, 0, 0.0, ?)",
            [(seq, str(topic), encode(message)) for seq, topic, message in messages],
        )
    outbox = opened(tmp_path, max_bytes=600)
    assert outbox.add(TOPIC, event("high")) == 11
    outbox.flush()
    assert outbox.tally(Channel.COUNT).merged == 1
    assert {entry.seq for entry in outbox.after(0, 10)} >= {7, 11}
    outbox.close()


def test_room_for_damaged_files_is_bounded(tmp_path, monkeypatch):
    for number in range(5):
        (tmp_path / "outbox.db").write_bytes(b"damaged %d" % number * 300)
        opened(tmp_path).close()
    kept = sorted(file for file in tmp_path.iterdir() if "broken" in file.name)
    assert [file.read_bytes()[:9] for file in kept] == [b"damaged 3", b"damaged 4"]
    monkeypatch.setattr(outbox_file, "ASIDE_MAX_BYTES", 1000)
    (tmp_path / "outbox.db").write_bytes(b"damaged 9" * 300)
    opened(tmp_path).close()
    assert not [file for file in tmp_path.iterdir() if "broken" in file.name]


def test_a_page_torn_in_the_middle_of_the_file_is_noticed_at_the_next_start(tmp_path):
    outbox = opened(tmp_path)
    for _ in range(2000):
        outbox.add(TOPIC, event())
    outbox.close()
    file = tmp_path / "outbox.db"
    torn = bytearray(file.read_bytes())
    torn[4096 * 3 : 4096 * 6] = b"\xa5" * 4096 * 3
    file.write_bytes(torn)
    again = opened(tmp_path)
    assert again.put_aside
    seq = again.add(TOPIC, event())
    assert again.flush()
    assert [entry.seq for entry in again.after(0, 10)] == [seq]
    again.close()
