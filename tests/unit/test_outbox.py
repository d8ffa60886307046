"""The outbox: what was written survives, what is dropped is counted."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from device.errors import StateUnavailable
from device.firmware.outbox import Outbox, OutboxSettings
from ota.messages import Channel, Count, Event, Topic, decode, format_ts, new_id
from tests.brokers import wait_until

TOPIC = Topic("cam-1", Channel.EVENT, "cam0", "line-cross")
COUNTS = Topic("cam-1", Channel.COUNT, "cam0", "gate")
NOW = 1_790_000_000.0


def event(sev="low"):
    return lambda seq: Event(
        id=new_id(), ts=format_ts(NOW), seq=seq, cam="cam0", kind="line-cross", rule="gate", sev=sev
    )


def count(seq):
    minute = format_ts(NOW)
    return Count(
        id=new_id(),
        ts=minute,
        seq=seq,
        cam="cam0",
        rule="gate",
        bucket_s=60,
        from_ts=minute,
        to_ts=minute,
        counts={},
    )


def opened(folder, **settings):
    return Outbox(folder / "outbox.db", OutboxSettings(**settings), now=lambda: NOW)


def test_what_was_written_is_there_after_reopening_and_numbers_go_on(tmp_path):
    first = opened(tmp_path)
    seqs = [first.add(TOPIC, event()) for _ in range(3)]
    first.close()
    second = opened(tmp_path)
    assert [waiting.seq for waiting in second.after(0, 10)] == seqs
    assert second.add(TOPIC, event()) == seqs[-1] + 1
    assert second.depth == 4
    second.close()


def test_numbers_rise_even_when_everything_was_acknowledged_before_the_restart(tmp_path):
    first = opened(tmp_path)
    seq = first.add(TOPIC, event())
    first.flush()
    first.acknowledge([(seq, seq)])
    first.close()
    second = opened(tmp_path)
    assert second.depth == 0
    assert second.add(TOPIC, event()) > seq
    second.close()


def test_acknowledged_ranges_go_and_the_rest_stays(tmp_path):
    outbox = opened(tmp_path)
    seqs = [outbox.add(TOPIC, event()) for _ in range(10)]
    outbox.flush()
    outbox.acknowledge([(seqs[0], seqs[3]), (seqs[7], seqs[8]), (seqs[7], seqs[8]), (1, 5)])
    outbox.flush()
    assert [w.seq for w in outbox.after(0, 99)] == [seqs[i] for i in (4, 5, 6, 9)]
    tally = outbox.tally(Channel.EVENT)
    assert (tally.made, tally.acked, outbox.depth) == (10, 6, 4)
    outbox.close()


def test_nothing_is_handed_out_before_it_is_durable(tmp_path):
    outbox = opened(tmp_path)
    outbox.add(TOPIC, event())
    assert outbox.after(0, 10) == []
    outbox.flush()
    (waiting,) = outbox.after(0, 10)
    assert decode(Channel.EVENT, waiting.payload).seq == waiting.seq
    outbox.close()


def test_a_full_disk_keeps_messages_in_memory_and_writes_them_when_there_is_room(tmp_path):
    outbox = opened(tmp_path)
    outbox.add(TOPIC, event())
    outbox.flush()
    # SQLite itself refuses as it does on a full disk: SQLITE_FULL, "database or disk is full".
    pages = outbox._db.execute("PRAGMA page_count").fetchone()[0]
    outbox._db.execute(f"PRAGMA max_page_count={pages}")
    seqs = [outbox.add(TOPIC, event()) for _ in range(200)]
    assert outbox.flush() is False
    assert "full" in outbox.fault
    assert outbox.depth == 201
    outbox._db.execute("PRAGMA max_page_count=100000")
    assert outbox.flush() is True
    assert outbox.fault == ""
    assert [w.seq for w in outbox.after(0, 999)][1:] == seqs
    outbox.close()


def test_memory_stays_bounded_while_the_disk_refuses_and_the_important_stays(tmp_path):
    outbox = opened(tmp_path, max_waiting=50)
    pages = outbox._db.execute("PRAGMA page_count").fetchone()[0]
    outbox._db.execute(f"PRAGMA max_page_count={pages}")
    high = [outbox.add(TOPIC, event("high")) for _ in range(5)]
    for _ in range(200):
        outbox.add(COUNTS, count)
    assert outbox.flush() is False
    assert outbox.depth == 50
    outbox._db.execute("PRAGMA max_page_count=100000")
    outbox.flush()
    assert high == [w.seq for w in outbox.after(0, 5)]
    assert outbox.tally(Channel.COUNT).dropped == 155
    outbox.close()


def test_a_broken_outbox_file_is_moved_aside_and_a_new_one_begins(tmp_path):
    (tmp_path / "outbox.db").write_bytes(b"not a database at all" * 500)
    outbox = opened(tmp_path)
    outbox.add(TOPIC, event())
    outbox.flush()
    assert outbox.depth == 1
    (aside,) = [p for p in tmp_path.iterdir() if "broken" in p.name]
    assert aside.name in outbox.put_aside
    outbox.close()


def test_a_state_folder_that_cannot_be_made_is_said_clearly(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StateUnavailable, match="state folder"):
        Outbox(tmp_path / "file" / "outbox.db")


def test_saved_values_come_back(tmp_path):
    first = opened(tmp_path)
    assert first.load("counts/cam0") is None
    first.save("counts/cam0", b"\x01\x02")
    first.close()
    second = opened(tmp_path)
    assert second.load("counts/cam0") == b"\x01\x02"
    second.close()


def test_what_is_no_message_waits_a_little_for_one_to_be_written_with(tmp_path):
    """Each transaction costs the card as much as all it holds; messages never wait for that."""
    outbox = opened(tmp_path, rest_s=2.0)
    assert outbox.is_due(100.0)
    outbox.acknowledge([(1, 1)])
    outbox.save("counts", b"1")
    assert not outbox.is_due(101.9)
    assert outbox.is_due(102.0)
    outbox.add(TOPIC, event())
    assert outbox.is_due(102.1)
    outbox.close()


def test_the_writer_thread_writes_soon_and_on_stop(tmp_path):
    outbox, stop = opened(tmp_path, group_s=0.01), threading.Event()
    writer = threading.Thread(target=outbox.run, args=(stop,))
    writer.start()
    outbox.add(TOPIC, event())
    assert outbox.written.wait(10)
    outbox.add(TOPIC, event("high"))
    stop.set()
    outbox.wake()
    writer.join(10)
    assert len(outbox.after(0, 10)) == 2
    outbox.close()


WRITE_UNTIL_KILLED = """
import sys
from pathlib import Path
from tests.unit.test_outbox import TOPIC, event
from device.firmware.outbox import Outbox
outbox = Outbox(Path(sys.argv[1]))
while True:
    seq = outbox.add(TOPIC, event())
    outbox.flush()
    print(seq, flush=True)
"""


def test_sigkill_at_any_moment_loses_nothing_that_was_written(tmp_path):
    said = []
    for _ in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITE_UNTIL_KILLED, str(tmp_path / "outbox.db")],
            stdout=subprocess.PIPE,
            text=True,
        )
        said += [int(writer.stdout.readline()) for _ in range(7)]
        os.kill(writer.pid, signal.SIGKILL)
        said += [int(line) for line in writer.stdout.read().splitlines() if line]
        writer.wait()
        writer.stdout.close()
    with sqlite3.connect(tmp_path / "outbox.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
    outbox = opened(tmp_path)
    kept = [waiting.seq for waiting in outbox.after(0, 10_000)]
    assert set(said) <= set(kept)
    assert len(kept) == len(set(kept))
    outbox.close()


def test_what_is_being_written_is_still_counted_as_waiting(tmp_path):
    outbox = opened(tmp_path)
    outbox.add(TOPIC, event())
    with outbox._disk:
        writer = threading.Thread(target=outbox.flush)
        writer.start()
        wait_until(lambda: not outbox._batch, "the writer took the batch")
        assert outbox.depth == 1
    writer.join(10)
    assert outbox.depth == 1
    outbox.close()


def test_only_as_much_is_dropped_as_is_needed_even_of_high_severity(tmp_path, caplog):
    outbox = opened(tmp_path, max_bytes=20_000)
    made = 0
    while outbox.dropped == 0:
        outbox.add(TOPIC, event("high"))
        outbox.flush()
        made += 1
        assert made < 1000
    assert outbox.dropped == 1
    assert "outbox dropped messages total=1" in caplog.text
    outbox.close()


def test_a_folder_in_the_place_of_the_outbox_is_said_without_blaming_the_disk(tmp_path):
    (tmp_path / "outbox.db").mkdir()
    with pytest.raises(StateUnavailable, match="that it is a file"):
        opened(tmp_path)
