"""The daemon as a whole without a broker: full disk, dying parts, many cameras, two programs on one state."""

from __future__ import annotations

import json
import re
import resource
import signal
import threading
import time

import msgspec
import numpy as np
import psutil
import pytest

from device.errors import PartDied, StateUnavailable
from device.firmware.config import parse_config
from device.firmware.daemon import RESTARTS, Daemon
from device.firmware.parts import Situation
from device.firmware.supervisor import Supervisor
from ota.messages import Channel, encode
from tests.brokers import free_port, wait_until
from tests.device_toml import head
from tests.system.programs import Device
from tests.tiny_tflite import Constant, tiny_tflite

CAMERA = """\
[[camera]]
id = "{id}"
source = "{source}"
width = 320
height = 240
fps = 10
motion = {{ enabled = false }}

[[camera.rule]]
name = "middle"
kind = "line"
points = [[0.5, 0.1], [0.5, 1.0]]

"""


def config(folder, *sources):
    text = head(folder / "state", free_port())
    text += "".join(CAMERA.format(id=f"cam{n}", source=source) for n, source in enumerate(sources))
    return parse_config(text, folder / "device.toml")


class Running:
    """A daemon in a thread of the test."""

    def __init__(self, daemon):
        self.daemon, self.stop, self.result = daemon, threading.Event(), []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            self.result.append(self.daemon.run(self.stop))
        except PartDied as error:
            self.result.append(error)

    def end(self):
        self.stop.set()
        self.thread.join(60)
        assert not self.thread.is_alive()
        return self.result[0]


@pytest.fixture
def start():
    """Starts daemons, and ends them whatever becomes of the test."""
    started = []

    def run(daemon):
        started.append(Running(daemon))
        return started[-1]

    yield run
    for running in started:
        running.stop.set()
        running.thread.join(60)


def test_a_disk_that_is_full_to_the_end_is_told_and_the_daemon_stops_in_order(
    start, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr("device.firmware.daemon.DRAIN_S", 0.2)
    daemon = Daemon(config(tmp_path, "street:seed=5"))
    pages = daemon._outbox._db.execute("PRAGMA page_count").fetchone()[0]
    daemon._outbox._db.execute(f"PRAGMA max_page_count={pages}")
    running = start(daemon)
    wait_until(lambda: "full" in daemon._outbox.fault, "the disk is full", 90)
    summary = running.end()
    assert summary.outbox_left > 0
    assert "outbox not writable" in caplog.text
    (lost,) = re.findall(r"lost_in_memory=(\d+)", caplog.text)
    assert 0 < int(lost) <= summary.outbox_left


def test_a_part_that_ends_by_itself_ends_the_daemon_so_that_it_is_started_again(start, tmp_path, monkeypatch):
    monkeypatch.setattr("device.firmware.daemon.DRAIN_S", 0.2)
    daemon, deaths = Daemon(config(tmp_path, "street:seed=5")), []

    def dying(stop):
        deaths.append(time.monotonic())
        raise OSError("the card is gone")

    monkeypatch.setattr(daemon._outbox, "run", dying)
    daemon._supervisor = Supervisor(daemon._parts(), Situation())
    running = start(daemon)
    running.thread.join(60)
    (error,) = running.result
    assert isinstance(error, PartDied)
    assert (error.name, error.reason) == ("outbox", "OSError: the card is gone")
    assert len(deaths) == 1 + RESTARTS
    assert not [t for t in threading.enumerate() if t.name in {"outbox", "voice", "watch", "link", "capture"}]


def test_a_frame_that_fails_the_watching_does_not_end_the_device(start, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("device.firmware.daemon.DRAIN_S", 0.2)
    daemon = Daemon(config(tmp_path, "street:seed=5"))
    (eye,) = daemon._eyes
    step = eye.pipeline.step

    def failing(frame):
        monkeypatch.setattr(eye.pipeline, "step", step)
        raise ValueError("what a frame")

    monkeypatch.setattr(eye.pipeline, "step", failing)
    running = start(daemon)
    wait_until(lambda: eye.pipeline.tallies.frames > 5, "it watches on", 60)
    assert running.end().frames > 5
    assert "part ended by itself part=watch it is started again restarts=1" in caplog.text
    assert "what a frame" in caplog.text


def test_a_detector_that_hangs_ends_the_device_in_order(start, tmp_path, monkeypatch):
    """The lock is given back and the outbox closed: a fresh start finds everything."""
    monkeypatch.setattr("device.firmware.daemon.DRAIN_S", 0.2)
    monkeypatch.setattr("device.firmware.daemon.BEAT_LIMIT_S", 2.0)
    monkeypatch.setattr("device.firmware.worker._STOP_S", 0.5)
    release = threading.Event()
    daemon = Daemon(config(tmp_path, "street:seed=5"))
    daemon._supervisor = Supervisor(daemon._parts(), Situation())
    monkeypatch.setattr(daemon._detector, "detect", lambda frame: release.wait())
    running = start(daemon)
    running.thread.join(60)
    (error,) = running.result
    assert (error.name, error.reason) == ("watch", "no sign of life for 2 s")
    Daemon(config(tmp_path, "street"))._end()
    release.set()


def test_a_second_program_on_the_same_state_folder_is_refused(tmp_path):
    first = Daemon(config(tmp_path, "street"))
    with pytest.raises(StateUnavailable, match="another Pehra"):
        Daemon(config(tmp_path, "street"))
    first._end()
    Daemon(config(tmp_path, "street"))._end()


def test_eight_cameras_of_which_seven_are_lost_do_not_slow_the_eighth(start, tmp_path, monkeypatch):
    monkeypatch.setattr("device.firmware.daemon.DRAIN_S", 0.2)
    sources = ["street:seed=5", *(str(tmp_path / f"none-{n}.mp4") for n in range(7))]
    daemon = Daemon(config(tmp_path, *sources))
    running = start(daemon)
    good, *bad = daemon._eyes
    wait_until(lambda: all(eye.capture.state == "lost" for eye in bad), "seven are lost", 30)
    wait_until(lambda: good.pipeline.tallies.frames > 40, "the eighth is watched", 60)
    looked, dropped = good.pipeline.tallies.frames, good.capture.frames_dropped
    running.end()
    assert dropped <= 0.3 * (looked + dropped)


def test_the_birth_and_health_of_eight_cameras_fit_the_wire(tmp_path):
    daemon = Daemon(config(tmp_path, *["street"] * 8))
    said = {}

    class Ear:
        def say(self, topic, message):
            said[topic.channel] = encode(message)

        def say_status(self, state, reason=""):
            said[Channel.STATUS] = reason

        def clear(self, topic):
            """Nothing stands."""

    daemon._voice.link = Ear()
    daemon._voice.say_birth()
    daemon._end()
    assert len(said[Channel.HEALTH]) <= 400
    assert len(json.loads(said[Channel.INFO])["cameras"]) == 8


def test_a_birth_that_fails_in_the_middle_is_said_again_in_full(tmp_path, monkeypatch):
    daemon, said = Daemon(config(tmp_path, "street")), []

    class Ear:
        def say(self, topic, message):
            said.append(topic.channel)

        def say_status(self, state, reason=""):
            said.append(Channel.STATUS)

        def clear(self, topic):
            said.append(topic.channel)

    def failing(**facts):
        monkeypatch.undo()
        raise OSError("no such sensor")

    daemon._voice.link = Ear()
    monkeypatch.setattr("device.firmware.voice.health_message", failing)
    with pytest.raises(OSError, match="no such sensor"):
        daemon._voice.say_birth()
    assert Channel.ALARM not in said
    stop = threading.Event()
    supervisor = threading.Thread(target=daemon._voice.supervise, args=(stop,), daemon=True)
    supervisor.start()
    wait_until(lambda: Channel.ALARM in said, "the whole birth")
    stop.set()
    supervisor.join(10)
    daemon._end()
    assert said.count(Channel.INFO) == 2


def test_a_file_that_ends_leaves_the_device_running_and_says_so(start, tmp_path, monkeypatch, data_dir):
    monkeypatch.setattr("device.firmware.daemon.DRAIN_S", 0.2)
    wide = config(tmp_path, str(data_dir / "videos" / "otc_cars_cyclist.mp4"))
    square = msgspec.structs.replace(wide.camera[0], height=320)
    daemon = Daemon(msgspec.structs.replace(wide, camera=[square]))
    running = start(daemon)
    (eye,) = daemon._eyes
    wait_until(lambda: eye.capture.state == "ended", "the file ends", 60)
    frames = eye.pipeline.tallies.frames
    assert running.thread.is_alive()
    assert (eye.info().width, eye.info().height) == (320, 240)
    assert running.end().frames == frames > 10


def test_sigterm_during_the_start_and_a_second_one_end_the_device_cleanly(tmp_path):
    device = Device(free_port(), tmp_path)
    device.start()
    wait_until(lambda: device.log.exists() and "link starting" in device.log.read_text(), "it starts", 60)
    device.process.send_signal(signal.SIGTERM)
    device.process.send_signal(signal.SIGTERM)
    assert device.process.wait(60) == 0, device.log.read_text()
    assert "Traceback" not in device.log.read_text()


def test_a_crash_of_the_device_leaves_no_core_dump_with_a_frame_in_it(tmp_path):
    device = Device(free_port(), tmp_path)
    device.start()
    wait_until(lambda: device.log.exists() and "link starting" in device.log.read_text(), "it starts", 60)
    assert psutil.Process(device.process.pid).rlimit(resource.RLIMIT_CORE) == (0, 0)
    assert device.stop() == 0


def test_a_float_model_is_refused_by_the_device_with_exit_code_2(tmp_path):
    model = tmp_path / "float.tflite"
    real = np.zeros((1, 84, 84), np.float32)
    model.write_bytes(tiny_tflite([Constant("out", real)], size=64, dtype="float32", scale=0.0))
    device = Device(free_port(), tmp_path)
    file = tmp_path / "cam-01.toml"
    file.write_text(file.read_text().replace("[mqtt]", f'[model]\nname = "{model}"\n\n[mqtt]'))
    device.start()
    assert device.process.wait(60) == 2
    assert "float" in device.log.read_text()


def test_the_birth_certificate_of_a_coco_model_can_be_read_by_the_fleet(tmp_path, data_dir):
    from ota.messages import decode

    text = head(tmp_path / "state", free_port())
    text += f'[model]\nname = "{data_dir}/models/yolov8n_full_integer_quant_416.tflite"\n\n'
    text += CAMERA.format(id="cam0", source="street")
    daemon = Daemon(parse_config(text, tmp_path / "device.toml"))
    heard = []
    daemon._voice.link = type("Ear", (), {"say": lambda self, topic, message: heard.append(message)})()
    daemon._voice.say_info()
    daemon._end()
    info = decode(Channel.INFO, encode(heard[0]))
    assert set(info.model.labels) == {"person", "bicycle", "motorcycle", "car", "bus", "truck"}
