"""A real device process that crashes, hangs or is killed, as a service manager sees it; the fleet listens."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
from contextlib import closing

import psutil
import pytest

from device.firmware.last_link import LAST_LINK_FILE
from device.firmware.starts import STARTS_FILE
from ota.messages import Channel, Topic, decode
from tests.brokers import as_user, running_mosquitto, wait_until
from tests.system.programs import Device, Program


class Board:
    """A device with its broker, and the part of the service manager that starts it again."""

    def __init__(self, broker, folder):
        self.broker, self.folder = broker, folder
        self.good = Device(broker.port, folder, password=broker.secrets["cam-01"])
        self.config, self.state = folder / "cam-01.toml", self.good.state
        self.program = None
        self.ear = as_user(broker, "fleet").start()
        assert self.ear.subscribe(Topic.filter(Channel.STATUS), Topic.filter(Channel.HEALTH))

    def start(self, sabotage, **environment):
        arguments = ["tests.system.short_life", str(self.config), sabotage]
        self.program = Program("cam-01", arguments, self.folder, environment)
        self.program.start()
        return self.program.process

    def live(self, sabotage):
        """One life to its end; how it ended."""
        return self.start(sabotage).wait(90)

    @property
    def log(self):
        return self.program.log.read_text()

    def statuses(self):
        messages = list(self.ear.heard)
        return [decode(Channel.STATUS, payload) for topic, payload in messages if topic.endswith("/status")]

    def wait_for_children(self):
        """The processes of its cameras, once there are some."""
        process = psutil.Process(self.program.process.pid)
        return wait_until(process.children, lambda: self.log, 60)

    def wait_for(self, state, since=0):
        return wait_until(
            lambda: next((s for s in self.statuses()[since:] if s.state == state), None),
            lambda: f"{state} is said: {self.statuses()[since:]}\n{self.log}",
            90,
        )

    def end(self):
        if self.program is not None:
            self.program.end()
        self.ear.stop()


@pytest.fixture
def board(tmp_path):
    with running_mosquitto(tmp_path / "broker") as broker:
        board = Board(broker, tmp_path)
        yield board
        board.end()


@pytest.mark.parametrize(
    ("sabotage", "ends_with", "words"),
    [
        ("raise", 1, "3 starts failed, the last in watch: ZeroDivisionError: what a frame"),
        ("segfault", -signal.SIGSEGV, "3 starts failed, the last without a word"),
        ("abort", -signal.SIGABRT, "3 starts failed, the last without a word"),
    ],
)
def test_a_crash_loop_ends_in_safe_mode_which_says_why_and_tries_again(board, sabotage, ends_with, words):
    for _ in range(3):
        assert board.live(sabotage) == ends_with, board.log
    before = len(board.statuses())
    board.start(sabotage)
    safe = board.wait_for("safe", before)
    assert safe.reason.startswith(words)
    assert "tries again in" in safe.reason
    assert board.program.process.wait(90) == ends_with  # it tried again, and one failure was enough
    before = len(board.statuses())
    board.start(sabotage)
    assert "failed again after 1 try" in board.wait_for("safe", before).reason
    (board.folder / "healed").touch()
    board.wait_for("online", before)
    wait_until(lambda: json.loads((board.state / STARTS_FILE).read_bytes())["attempts"] == [], "it lives", 60)
    assert board.program.stop() == 0


def test_safe_mode_speaks_but_opens_no_camera_and_loads_no_model_and_a_changed_file_ends_it(board):
    for _ in range(3):
        board.live("abort")
    before = len(board.statuses())
    board.start("abort")
    board.wait_for("safe", before)
    process = psutil.Process(board.program.process.pid)
    names = [line.path for line in process.memory_maps()]
    assert not [name for name in names if "model" in name and name.endswith(".tflite")]
    healths = [p for t, p in board.ear.heard if t.endswith("/health")]
    assert healths
    assert process.children() == []
    (board.folder / "healed").touch()
    board.config.write_text(board.config.read_text() + "\n# mended\n")
    board.wait_for("online", before)
    assert board.program.stop() == 0


def test_a_broken_configuration_ends_with_2_on_a_new_device_and_in_safe_mode_on_one_that_has_worked(board):
    good = board.config.read_text()
    bad = good.replace("[[camera]]", '[[camera]]\nnonsense = "x"')
    board.config.write_text(bad)
    assert board.live("none") == 2
    assert "unknown field `nonsense`" in board.log
    board.config.write_text(good)
    board.start("none")
    board.wait_for("online")
    wait_until((board.state / LAST_LINK_FILE).exists, "the link is kept", 30)
    assert (board.state / LAST_LINK_FILE).stat().st_mode & 0o777 == 0o600
    assert board.program.stop() == 0
    board.config.write_text(bad)
    before = len(board.statuses())
    board.start("none")
    safe = board.wait_for("safe", before)
    assert "nonsense" in safe.reason
    assert board.broker.secrets["cam-01"] not in safe.reason
    board.config.write_text(good)
    board.wait_for("online", before)
    assert board.program.stop() == 0


def test_a_model_that_is_gone_ends_in_safe_mode_on_a_device_that_has_worked(board):
    board.start("none")
    board.wait_for("online")
    wait_until((board.state / LAST_LINK_FILE).exists, "the link is kept", 30)
    assert board.program.stop() == 0
    board.config.write_text(
        '[model]\nname = "street-99"\n' + board.config.read_text().replace("health_s", "#")
    )
    before = len(board.statuses())
    board.start("none")
    assert "street-99" in board.wait_for("safe", before).reason
    assert board.program.stop() == 0


def test_the_service_manager_hears_of_the_start_the_beat_and_the_stop(board, tmp_path):
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000"}
        board.start("none", **environment)
        said = []
        while said.count("WATCHDOG=1") < 3:
            said.append(manager.recv(1000).decode())
        assert said[0] == "READY=1"
        assert any(line.startswith("STATUS=online, 1 camera(s)") for line in said)
        assert board.program.stop() == 0
        manager.setblocking(False)
        said = []
        with pytest.raises(BlockingIOError):
            while True:
                said.append(manager.recv(1000).decode())
        assert said[-1].startswith("STOPPING=1")


def test_a_device_whose_supervision_hangs_does_not_feed_the_watchdog(board, tmp_path):
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        board.start("hang", NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="600000")
        assert manager.recv(1000) == b"READY=1"
        board.wait_for("online")
        manager.settimeout(3)
        with pytest.raises(TimeoutError):
            manager.recv(1000)
        board.program.process.send_signal(signal.SIGABRT)  # what systemd does then
        assert board.program.process.wait(30) == -signal.SIGABRT
        assert "Fatal Python error: Aborted" in board.log  # with the stack of each thread


def test_a_device_killed_at_random_moments_leaves_no_torn_file_and_no_process(board):
    text = board.config.read_text().replace("fps = 12", "fps = 12\nprocess = true")
    board.config.write_text(text)
    moments, children = random.Random(4), set()
    for number in range(12):
        process = board.start("none")
        if number % 3:
            children |= {child.pid for child in board.wait_for_children()}
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(moments.uniform(0.0, 2.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
        for name in (STARTS_FILE, LAST_LINK_FILE):
            if (board.state / name).exists():
                json.loads((board.state / name).read_bytes())
        (board.state / STARTS_FILE).unlink(missing_ok=True)  # or it would be safe mode from the third on
    wait_until(lambda: not [pid for pid in children if _runs(pid)], "the cameras' processes are gone", 30)
    assert children
    assert not list(board.state.glob("*.broken*"))
    with closing(sqlite3.connect(board.state / "outbox.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_cameras_process_that_is_killed_again_and_again_raises_and_clears_the_alarm(board):
    board.config.write_text(board.config.read_text().replace("fps = 12", "fps = 12\nprocess = true"))
    board.start("none")
    board.wait_for("online")
    for _ in range(3):
        before = len(board.statuses())
        os.kill(board.wait_for_children()[0].pid, signal.SIGKILL)
        assert "camera lost: cam0" in board.wait_for("degraded", before).reason
        before = len(board.statuses())
        board.wait_for("online", before)
    assert board.program.stop() == 0
    assert board.log.count("state=lost") == board.log.count("state=ok") == 3
