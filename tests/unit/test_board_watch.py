"""The board under watch: what becomes of its readings on the wire, and what the cameras do about warmth."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.firmware.board_watch import READ_S, BoardWatch
from device.firmware.config import parse_config
from device.firmware.eye import LONGEST_WAIT_S, make_eye
from device.firmware.health import HEALTH_BYTES, Pace, health_message, within_limit
from device.firmware.outbox import Outbox
from device.firmware.voice import Voice, _Due
from hardware.camera.frame import Frame
from ota.messages import CardInfo, Channel, Health, ModelInfo, encode, new_id
from tests.device_toml import head
from tests.fake_board import ORIN, PI_4, FakeBoard

TS = "2026-11-23T09:30:00.125Z"


class Watched:
    """A fake board under watch, with a clock of its own."""

    def __init__(self, folder, kind=PI_4):
        self.fake = FakeBoard(folder, *kind)
        self.watch, self.now_s = BoardWatch(self.fake.board(), folder), 100.0

    def go(self, seconds):
        for _ in range(int(seconds / READ_S)):
            self.now_s += READ_S
            self.watch.watch(self.now_s)
        return [complaint.words for complaint in self.watch.complaints]


@pytest.fixture
def watched(tmp_path):
    return Watched(tmp_path)


def test_a_cool_board_has_nothing_to_complain_of(watched):
    watched.fake.zone(0, "cpu-thermal", 52_000)
    watched.fake.throttled("0")
    assert watched.go(60) == []
    assert watched.watch.warmth.factor == 1.0


def test_a_hot_board_complains_with_temperature_and_rate_and_stops_when_it_is_cool(watched):
    zone = watched.fake.zone(0, "cpu-thermal", 75_500)
    assert watched.go(60) == ["hot: 76 C, frame rate at 50 %"]
    zone.write_text("60000")
    assert watched.go(120) == []


def test_a_board_that_throttles_without_a_sensor_is_hot_too(watched):
    watched.fake.throttled("4")
    assert watched.go(60) == ["hot: throttled, frame rate at 50 %"]


def test_a_short_dip_of_the_supply_stands_for_a_minute(watched):
    watched.fake.throttled("50001")
    watched.go(10)
    watched.fake.throttled("50000")
    assert watched.go(30) == ["under-voltage: power supply or cable too weak"]
    assert watched.go(60) == []


def test_a_sensor_that_dies_is_told_once_it_had_worked(watched):
    zone = watched.fake.zone(0, "cpu-thermal", 50_000)
    watched.go(30)
    zone.write_text("garbage\n")
    assert watched.go(120) == ["temperature sensor gone"]


def test_a_board_without_a_sensor_does_not_complain_of_it(watched):
    assert watched.go(600) == []


@pytest.mark.parametrize(("life", "end"), [("0x0a 0x01", "0x01"), ("0x01 0x01", "0x03")])
def test_storage_that_is_nearly_worn_out_is_told(watched, life, end):
    watched.fake.write("sys/block/mmcblk0/device/life_time", life)
    watched.fake.write("sys/block/mmcblk0/device/pre_eol_info", end)
    assert watched.go(10) == ["storage nearly worn out: replace it"]


def test_the_board_is_not_read_more_often_than_it_need_be(watched):
    zone = watched.fake.zone(0, "cpu-thermal", 50_000)
    watched.watch.watch(1.0)
    zone.write_text("60000")
    watched.watch.watch(1.0 + READ_S / 2)
    assert watched.watch.reading.temp_c == pytest.approx(50.0)
    watched.watch.watch(1.0 + READ_S)
    assert watched.watch.reading.temp_c == pytest.approx(60.0)


def test_the_health_tells_what_the_board_tells(tmp_path):
    watched = Watched(tmp_path, ORIN)
    watched.fake.zone(0, "tj-thermal", 93_000)
    watched.fake.monitor(0, "ina3221", in1_label="VDD_IN", in1_input=5_000, curr1_input=2_000)
    watched.fake.write("sys/block/mmcblk0/device/life_time", "0x03 0x02")
    watched.go(60)
    message = health_message(
        state=tmp_path,
        board=watched.watch,
        utc_s=1.8e9,
        uptime_s=1.0,
        pace=Pace(),
        outbox_depth=0,
        outbox_dropped=0,
        frames_dropped=0,
        cameras={},
    )
    assert (message.temp_c, message.thermal_step, message.power_mw) == (93.0, 2, 10_000)
    assert (message.sd_wear_pct, message.throttled, message.under_voltage) == (30.0, None, None)


LARGEST = Health(
    id=new_id(),
    ts=TS,
    clock="unsynced",
    uptime_s=99_999_999.9,
    cpu_pct=100.0,
    mem_pct=100.0,
    disk_pct=100.0,
    fps=9_999.99,
    skipped_pct=100.0,
    infer_ms_p50=99_999.99,
    infer_ms_p95=99_999.99,
    temp_c=-39.9,
    throttled=False,
    under_voltage=False,
    thermal_step=3,
    sd_wear_pct=100.0,
    power_mw=300_000,
    outbox=999_999_999,
    outbox_dropped=999_999_999_999,
    dropped=999_999_999_999,
    cameras={f"cam{number}": "lost" for number in range(8)},
)


def test_health_with_the_largest_values_is_at_most_400_bytes_and_keeps_what_people_act_on():
    assert len(encode(LARGEST)) > HEALTH_BYTES
    short = within_limit(LARGEST)
    assert len(encode(short)) <= HEALTH_BYTES
    assert (short.temp_c, short.under_voltage, short.disk_pct) == (-39.9, False, 100.0)


def test_health_that_is_short_enough_stays_whole():
    usual = Health(
        id=new_id(), ts=TS, uptime_s=1.0, cpu_pct=1.0, mem_pct=1.0, disk_pct=1.0, fps=1.0, power_mw=5
    )
    assert within_limit(usual) is usual


@given(st.lists(st.from_regex(r"\A[a-z0-9][a-z0-9-]{0,39}\Z"), max_size=8), st.integers(0, 10**15))
def test_health_of_any_cameras_fits_the_wire(names, dropped):
    message = Health(
        id=new_id(), ts=TS, clock="unsynced", uptime_s=99_999_999.9, cpu_pct=100.0, mem_pct=100.0,
        disk_pct=100.0, fps=9_999.99, temp_c=-39.9, throttled=False, under_voltage=False, thermal_step=3,
        dropped=dropped, cameras=dict.fromkeys(names, "lost"),
    )  # fmt: skip
    assert len(encode(within_limit(message))) <= HEALTH_BYTES


CAMERA = """\
[[camera]]
source = "street"
fps = 10
"""


class Clock:
    """A monotonic clock that the test sets."""

    def __init__(self):
        self.now_s = 1000.0

    def monotonic(self):
        return self.now_s

    def time(self):
        return 1.8e9 + self.now_s


class Road:
    """Counts what goes down it."""

    def __init__(self):
        self.frames = 0

    def step(self, frame):
        self.frames += 1

    def idle(self, utc_s):
        """No frame came."""


@pytest.fixture
def slow_eye(tmp_path, monkeypatch):
    """A function: how many of 600 frames, 10 a second, an eye looks at when slowed by a factor."""
    import numpy as np

    clock = Clock()
    monkeypatch.setattr("device.firmware.eye.time", clock)
    config = parse_config(head(tmp_path) + CAMERA, tmp_path / "device.toml")
    outbox = Outbox(tmp_path / "outbox.db")
    eye = make_eye("cam-01", config.camera[0], None, outbox, on_news=lambda: None)
    pixels = np.zeros((48, 64, 3), np.uint8)

    def looked(factor):
        eye.slow_down(factor)
        eye.pipeline = Road()
        for seq in range(600):
            clock.now_s += 0.1
            frame = Frame(pixels, "rgb", 64, 48, mono_s=clock.now_s, utc_s=clock.time(), seq=seq)
            eye.capture = type("Capture", (), {"newest": lambda self, wait_s, frame=frame: frame})()
            eye.look()
        return eye.pipeline.frames

    yield looked
    outbox.close()


@pytest.mark.parametrize(("factor", "frames"), [(1.0, 600), (0.5, 300), (0.25, 150), (0.1, 60)])
def test_a_slowed_camera_looks_at_its_share_of_the_frames(slow_eye, factor, frames):
    assert slow_eye(factor) == pytest.approx(frames, abs=2)


def test_a_slowed_camera_looks_often_enough_that_its_counts_stay_whole(slow_eye):
    assert slow_eye(0.001) >= 60 / LONGEST_WAIT_S


def test_a_camera_that_is_let_go_looks_at_every_frame_again(slow_eye):
    slow_eye(0.1)
    assert slow_eye(1.0) == 600


def test_a_hot_device_says_so_in_its_status_and_slows_its_cameras(tmp_path, monkeypatch):
    fake = FakeBoard(tmp_path / "board", *PI_4)
    fake.zone(0, "cpu-thermal", 79_500)
    fake.throttled("50001")
    config = parse_config(head(tmp_path) + CAMERA, tmp_path / "device.toml")
    outbox = Outbox(tmp_path / "outbox.db")
    eye = make_eye("cam-01", config.camera[0], None, outbox, on_news=lambda: None)
    monkeypatch.setattr("device.firmware.voice.board", fake.board)
    clock = Clock()
    monkeypatch.setattr("device.firmware.voice.time", clock)
    voice = Voice(config, ModelInfo("m", "1", "0" * 64), [eye], outbox, Pace())
    said = []

    class Ear:
        def say(self, topic, message):
            said.append((topic.channel, message))

        def say_status(self, state, reason=""):
            said.append((Channel.STATUS, (state, reason)))

        def clear(self, topic):
            """Nothing stands."""

    voice.link = Ear()
    due = _Due()
    for _ in range(4):
        voice._speak(due)
        clock.now_s += READ_S
    outbox.close()
    reasons = "hot: 80 C, frame rate at 10 %; under-voltage: power supply or cable too weak"
    assert [status for channel, status in said if channel == Channel.STATUS][-1] == ("degraded", reasons)
    health = [message for channel, message in said if channel == Channel.HEALTH][-1]
    assert (health.thermal_step, health.throttled, health.under_voltage) == (3, False, True)
    assert eye._factor == 0.1


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (None, None),
        ({"result": "ok"}, CardInfo("ab" * 32)),
        ({"result": "failed", "step": "install", "reason": "no space"}, CardInfo("ab" * 32, "install")),
    ],
)
def test_the_birth_certificate_tells_what_the_first_boot_made_of_the_card(tmp_path, record, told):
    if record is not None:
        applied = {"v": 1, "sha256": "ab" * 32, "format": "firstrun", "at": "now"} | record
        (tmp_path / "customisation.json").write_text(json.dumps(applied))
    config = parse_config(head(tmp_path) + CAMERA, tmp_path / "device.toml")
    outbox = Outbox(tmp_path / "outbox.db")
    voice = Voice(config, ModelInfo("m", "1", "0" * 64), [], outbox, Pace())
    said = []

    class Ear:
        def say(self, topic, message):
            said.append(message)

    voice.link = Ear()
    voice.say_info()
    outbox.close()
    assert [info.card for info in said] == [told]
