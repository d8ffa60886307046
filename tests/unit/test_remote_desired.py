"""A desired document on its way: checked, tried, confirmed, taken back; whatever is cut, old or new holds."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from device.firmware.config import parse_config
from device.firmware.remote import ConfigStore, Remote
from device.firmware.remote.store import Kept, Verdict
from ota.messages import Desired, Target, encode, format_ts, new_id

NOW = 1_790_000_000.0
BASE = parse_config(
    """\
[device]
id = "cam-01"

[mqtt]
host = "fleet.example"

[remote]
confirm_s = 60

[[camera]]
source = "street"
""",
    Path("device.toml"),
)
FAST = "[[camera]]\nid = 'cam0'\nfps = 20"
SLOW = "[[camera]]\nid = 'cam0'\nfps = 2"
NOBODY = frozenset()


def document(overlay, /, seq=1, **fields):
    values = {
        "id": new_id(),
        "ts": format_ts(NOW),
        "device": "cam-01",
        "action": new_id(),
        "seq": seq,
        "expires": format_ts(NOW + 3600),
        "config": hashlib.sha256(overlay.encode()).hexdigest(),
        "overlay": overlay.splitlines(),
    }
    return encode(Desired(**(values | fields)))


class Board:
    """A device that only follows documents; `start` is what a start of the daemon does."""

    def __init__(self, folder, base=BASE):
        self.store, self.base, self.mono_s = ConfigStore(folder / "config"), base, 0.0
        self.start()

    def start(self):
        self.remote = Remote(self.base, self.store, now=lambda: NOW)

    def hear(self, payload):
        """Hear and work; what a daemon does when it is to start anew."""
        self.remote.hear(payload)
        return self.live(0.0)

    def live(self, for_s, *, is_linked=True, lost=NOBODY):
        is_new = False
        for _ in range(int(for_s) + 1):
            if self.remote.work(self.mono_s, is_linked=is_linked, lost=lost):
                is_new = True
                self.remote.begin()
            self.mono_s += 1.0
        return is_new

    @property
    def fps(self):
        return self.remote.config.camera[0].fps

    @property
    def said(self):
        standing = self.remote.standing
        return standing.outcome, standing.seq, [error.path for error in standing.errors()]


@pytest.fixture
def board(tmp_path):
    return Board(tmp_path)


def test_a_good_document_is_tried_confirmed_and_holds_after_a_restart(board):
    assert board.hear(document(FAST, seq=7))
    assert (board.fps, board.said) == (20, ("trial", 7, []))
    board.live(65)
    assert board.said == ("applied", 7, [])
    board.start()
    assert (board.fps, board.said) == (20, ("applied", 7, []))
    assert board.remote.standing.overlay_sha256 == hashlib.sha256(FAST.encode()).hexdigest()


def test_the_same_document_twice_starts_nothing_anew(board):
    payload = document(FAST)
    assert board.hear(payload)
    assert not board.hear(payload)
    board.live(65)
    assert not board.hear(payload)
    board.start()
    assert not board.hear(payload)
    assert board.said == ("applied", 1, [])


def test_a_document_that_asks_for_what_already_runs_is_applied_without_a_restart(board):
    assert not board.hear(document("health_s = 20.0"))
    assert board.said == ("applied", 1, [])


def test_without_a_link_a_trial_is_taken_back_and_the_last_good_one_runs_again(board):
    board.hear(document(FAST, seq=1))
    board.live(65)
    board.hear(document(SLOW, seq=2))
    assert board.live(500, is_linked=False) is False
    assert board.fps == 2
    assert board.live(150, is_linked=False)
    assert board.fps == 20
    assert board.said == ("rolled-back", 2, [""])
    assert "no link" in board.remote.standing.faults[0][1]
    board.start()
    assert (board.fps, board.said) == (20, ("rolled-back", 2, [""]))


def test_a_camera_that_is_lost_with_it_takes_a_trial_back_and_one_lost_before_does_not(board):
    board.remote.hear(document(FAST))
    assert board.live(0, lost=frozenset({"cam0"}))
    board.live(65, lost=frozenset({"cam0"}))
    assert board.said[0] == "applied"
    board.hear(document(SLOW, seq=2))
    assert board.live(700, lost=frozenset({"cam0"}))
    assert "cam0" in board.remote.standing.faults[0][1]
    assert board.fps == 20


def test_a_trial_that_kills_the_device_at_each_start_is_taken_back(board):
    board.hear(document(FAST))
    for _ in range(3):
        assert board.fps == 20
        board.start()
    assert (board.fps, board.said) == (10, ("rolled-back", 1, [""]))


def test_a_trial_that_cannot_be_started_with_is_taken_back_at_once(board):
    board.hear(document(FAST))
    assert board.remote.give_up("no such model")
    assert (board.fps, board.said[0]) == (10, "rolled-back")
    assert not board.remote.give_up("a fault of the device's own file")


@pytest.mark.parametrize(
    ("overlay", "path", "words"),
    [
        ("[[camera]]\nid = 'cam0'\nzoom = 2", "camera[0].zoom", "unknown field"),
        ("[mqtt]\nhost = 'evil.example'", "mqtt", "own file"),
        (
            "[[camera]]\nid = 'cam0'\n[[camera.rule]]\nname = 'z'\nkind = 'zone'\n"
            "points = [[0,0],[1,1],[1,0],[0,1]]",
            "camera[0].rule[0].points",
            "crosses",
        ),
        ("[[camera]]\nid = 'cam0'\n[[camera.rule]]\nname = 'z'\nkind = 'zzz'", "camera[0].rule[0].kind", ""),
        ("[model]\nname = 'street-99'", "model.name", "street-2"),
    ],
)
def test_a_bad_one_is_refused_with_path_and_reason_and_the_last_good_one_stays(board, overlay, path, words):
    board.hear(document(FAST, seq=1))
    board.live(65)
    assert not board.hear(document(overlay, seq=2))
    assert (board.fps, board.said) == (20, ("refused", 2, [path]))
    assert words in board.remote.standing.faults[0][1]
    assert board.remote.standing.overlay_sha256 == hashlib.sha256(FAST.encode()).hexdigest()
    board.start()
    assert (board.fps, board.said) == (20, ("refused", 2, [path]))
    assert board.hear(document(SLOW, seq=3)), "the next good one is taken"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"device": "cam-02"}, "device"),
        ({"seq": 4}, "seq"),
        ({"seq": 5}, "seq"),
        ({"expires": format_ts(NOW - 1)}, "expires"),
    ],
)
def test_a_document_for_another_device_an_older_and_an_expired_one_change_nothing(board, fields, path):
    board.hear(document(FAST, seq=5))
    board.live(65)
    assert not board.hear(document(SLOW, **({"seq": 6} | fields)))
    assert (board.fps, board.said) == (20, ("applied", 5, [path]))
    board.start()
    assert board.said == ("applied", 5, [])


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\xfe",
        b"[" * 60_000,
        b"{}",
        b'{"v":9}',
        b"x" * 5_000_000,
        document(FAST, expires="2026-13-40T25:61:61.000Z"),
        document(FAST).replace(b'"fps', b'"' + b"f" * 300),
    ],
)
def test_hostile_bytes_are_reported_and_change_nothing(board, payload):
    assert not board.hear(payload)
    assert (board.fps, board.said) == (10, ("none", None, [""]))
    assert all(len(error.message) <= 200 for error in board.remote.standing.errors())
    assert board.hear(document(FAST))


def test_an_unknown_field_of_a_document_is_of_a_newer_fleet_and_does_no_harm(board):
    newer = document(FAST).replace(b'{"v":1,', b'{"v":1,"colour":"red",')
    assert board.hear(newer)


def test_an_overlay_that_is_not_the_one_that_was_named_is_refused(board):
    assert not board.hear(document(FAST, overlay=SLOW.splitlines()))
    assert board.said == ("refused", 1, ["config"])


def test_a_document_about_releases_alone_leaves_the_configuration_alone(board):
    target = Target("models/street-3.tflite", 1000, {"sha256": "ef" * 32})
    assert not board.hear(document("", config="", targets=[target]))
    assert board.said == ("none", 1, [])


def test_no_document_any_more_changes_nothing(board):
    board.hear(document(FAST))
    board.live(65)
    assert not board.hear(b"")
    assert board.fps == 20


def test_a_device_whose_own_file_forbids_it_takes_none(tmp_path):
    closed = msgspec.structs.replace(BASE, remote=msgspec.structs.replace(BASE.remote, enabled=False))
    board = Board(tmp_path, closed)
    assert not board.hear(document(FAST))
    assert board.said == ("none", None, ["config"])


def test_an_overlay_that_no_longer_fits_a_changed_file_is_left_out_and_told(tmp_path):
    board = Board(tmp_path)
    board.hear(document(FAST))
    board.live(65)
    other = [msgspec.structs.replace(BASE.camera[0], id="front")]
    changed = Board(tmp_path, msgspec.structs.replace(BASE, camera=other))
    assert (changed.fps, changed.said) == (10, ("refused", 1, ["camera[0].id"]))


def test_a_newer_document_replaces_one_that_is_still_on_trial(board):
    board.hear(document(FAST, seq=1))
    assert board.hear(document(SLOW, seq=2))
    board.live(65)
    assert (board.fps, board.said) == (2, ("applied", 2, []))


def test_a_bad_newer_document_does_not_end_a_good_trial(board):
    board.hear(document(FAST, seq=1))
    board.hear(document("wheels = 4", seq=2))
    board.start()
    assert board.fps == 20
    board.live(65)
    board.start()
    assert board.fps == 20


def test_a_full_disk_refuses_a_document_and_takes_it_when_it_comes_again(board, monkeypatch):
    def full(fd):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as refusing:
        refusing.setattr(os, "fsync", full)
        assert not board.hear(document(FAST))
        assert board.said == ("none", None, [""])
        assert "No space" in board.remote.standing.faults[0][1]
    assert board.hear(document(FAST))


def test_a_torn_file_counts_as_absent(board, caplog):
    board.hear(document(FAST))
    board.live(65)
    file = board.store._folder / "good.json"
    file.write_bytes(file.read_bytes()[:-9])
    board.start()
    assert (board.fps, board.said) == (10, ("none", None, []))
    assert "damaged" in caplog.text


CUT = """
import os, sys
from pathlib import Path
from device.firmware.remote import store as module
from device.firmware.remote.store import ConfigStore, Kept, Verdict
from ota import whole

OLD, NEW = Kept(1, "a", "01", "old"), Kept(2, "b", "02", "new")
DEEDS = {
    "begin": (lambda s: s.begin_trial(NEW), lambda s: s.trial in (None, NEW)),
    "confirm": (lambda s: s.confirm(NEW), lambda s: s.good in (OLD, NEW) and s.trial in (None, NEW)
                and (s.good == NEW or s.trial == NEW)),
    "condemn": (lambda s: s.condemn(Verdict(2, "b", "02", "rolled-back", [])),
                lambda s: (s.trial is None) == (s.verdict is not None)),
}

def cut_at(line, store, deed):
    seen = 0
    def trace(frame, event, _):
        nonlocal seen
        if frame.f_code.co_filename not in (module.__file__, whole.__file__):
            return None
        if event == "line":
            seen += 1
            if seen == line:
                os._exit(9)
        return trace
    sys.settrace(trace)
    deed(store)
    os._exit(0)

for name, (deed, holds) in DEEDS.items():
    line, cuts = 0, 0
    while True:
        line += 1
        folder = Path(sys.argv[1]) / f"{name}-{line}"
        store = ConfigStore(folder)
        store.confirm(OLD)
        if name != "begin":
            store.begin_trial(NEW)
        child = os.fork()
        if child == 0:
            cut_at(line, store, deed)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert store.good is not None, (name, line)
        assert holds(store), (name, line, store.good, store.trial, store.verdict)
        if code == 0:
            break
        cuts += 1
    print(name, cuts)
"""


def test_a_cut_at_any_line_leaves_the_old_or_the_new(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CUT, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    cuts = {name: int(number) for name, number in (line.split() for line in done.stdout.splitlines())}
    assert set(cuts) == {"begin", "confirm", "condemn"}
    assert min(cuts.values()) >= 10


def test_what_is_kept_can_be_read_by_the_next_firmware(tmp_path):
    store = ConfigStore(tmp_path)
    kept, verdict = (
        Kept(3, new_id(), "ab" * 32, FAST, ["cam1"], 2),
        Verdict(2, "x", "", "refused", [("a", "b")]),
    )
    store.begin_trial(kept)
    store.condemn(verdict)
    assert (ConfigStore(tmp_path).trial, ConfigStore(tmp_path).verdict) == (kept, verdict)
