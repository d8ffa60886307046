"""`pehra device check`: each thing that can be wrong is found, told with what to do, and holds nothing up."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import numpy as np
import psutil
import pytest
from typer.testing import CliRunner

from device.check.board import look_at_board
from device.check.camera import focus_number, look_at_camera
from device.check.checks import checks_of, is_running
from device.check.clock import is_kept, look_at_clock
from device.check.disk import Room, judge_room, look_at_disk, time_write
from device.check.finding import Finding, ok
from device.check.model import judge_pace, look_at_model
from device.check.run import Check, run_checks
from device.firmware.config import parse_config
from device.models.bundle import load_bundle
from hardware.board.profile import profiles
from hardware.camera.frame import Frame
from hardware.camera.isolated import IsolatedCamera
from hardware.camera.sharing import Order
from hardware.camera.sources import open_camera
from hardware.errors import CameraUnavailable
from pehra.cli import app
from tests.device_toml import head
from tests.fake_board import ORIN, PI_4, FakeBoard

ROOT = Path(__file__).resolve().parent.parent.parent
REST = """\
[model]
name = "{model}"

[[camera]]
source = "{source}"
fps = {fps}
"""


def config(folder, *, model="street-2", source="street", fps=10):
    text = head(folder / "state") + REST.format(model=model, source=source, fps=fps)
    file = folder / "device.toml"
    file.write_text(text)
    return parse_config(text, file)


def results(findings):
    return {finding.check: finding.result for finding in findings}


# --- running -----------------------------------------------------------------------------------------------


def test_a_check_that_hangs_is_failed_at_its_deadline_and_the_next_one_runs():
    let_go = threading.Event()

    def hang(stop):
        yield ok("first", "half of it")
        let_go.wait(60)

    outcome = run_checks(
        [Check("hang", 0.2, hang), Check("next", 10, lambda stop: [ok("next", "fine")])], grace_s=0.0
    )
    let_go.set()
    assert [(f.check, f.result) for f in outcome.findings] == [
        ("first", "ok"),
        ("hang", "fail"),
        ("next", "ok"),
    ]
    assert outcome.hung == 1
    assert not outcome.is_good


def test_a_check_that_hears_that_its_time_is_over_does_not_count_as_hung():
    def slow(stop):
        stop.wait(60)
        yield ok("slow", "too late to be told")

    outcome = run_checks([Check("slow", 0.2, slow)], grace_s=60)
    assert [(finding.result, outcome.hung) for finding in outcome.findings] == [("fail", 0)]


def test_a_check_that_breaks_is_told_and_hides_no_other():
    def broken(stop):
        yield ok("broken", "one thing")
        raise ZeroDivisionError("a defect of ours")

    outcome = run_checks([Check("broken", 10, broken), Check("next", 10, lambda stop: [ok("next", "fine")])])
    assert [finding.result for finding in outcome.findings] == ["ok", "fail", "ok"]
    assert "a defect of ours" in outcome.findings[1].found


def test_a_warning_is_no_failure():
    outcome = run_checks([Check("x", 10, lambda stop: [Finding("x", "warn", "doubtful", "look")])])
    assert outcome.is_good


# --- board -------------------------------------------------------------------------------------------------


def board_findings(folder, kind, *, temp=50_000, bits="0", zone="cpu-thermal"):
    fake = FakeBoard(folder, *kind)
    fake.zone(0, zone, temp)
    if bits is not None:
        fake.throttled(bits)
    fake.write("proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 600 kB\n")
    return list(look_at_board(fake.board(), folder))


def test_a_board_that_is_well_is_ok_in_every_line(tmp_path):
    findings = board_findings(tmp_path, PI_4)
    assert results(findings) == {
        "board": "ok", "board: temperature": "ok", "board: power": "ok", "board: memory": "ok"
    }  # fmt: skip
    assert "Raspberry Pi 4 Model B Rev 1.4" in findings[0].found


@pytest.mark.parametrize(
    ("temp", "result"), [(73_000, "ok"), (75_000, "warn"), (81_000, "fail"), ("garbage", "warn"), (0, "warn")]
)
def test_the_temperature_is_judged_by_the_boards_own_limits(tmp_path, temp, result):
    assert results(board_findings(tmp_path, PI_4, temp=temp))["board: temperature"] == result


@pytest.mark.parametrize(
    ("bits", "result", "words"),
    [
        ("50005", "fail", "under-voltage now"),
        ("50000", "warn", "under-voltage since the start"),
        ("4", "warn", "throttled now"),
        ("80000", "warn", "soft temperature limit since the start"),
        (None, "warn", "does not say"),
        ("nonsense", "warn", "does not say"),
    ],
)
def test_a_weak_supply_and_a_throttled_board_are_told_with_what_to_do(tmp_path, bits, result, words):
    (power,) = [f for f in board_findings(tmp_path, PI_4, bits=bits) if f.check == "board: power"]
    assert power.result == result
    assert words in power.found
    assert power.do


def test_the_supply_to_use_is_the_profiles(tmp_path):
    (power,) = [f for f in board_findings(tmp_path, PI_4, bits="1") if f.check == "board: power"]
    assert "5.1 V, 3 A" in power.do


def test_a_jetson_tells_what_it_draws(tmp_path):
    FakeBoard(tmp_path).monitor(4, "ina3221", in1_label="VDD_IN", in1_input=5_000, curr1_input=2_000)
    findings = board_findings(tmp_path, ORIN, bits=None, zone="tj-thermal")
    assert "draws 10.0 W" in [finding.found for finding in findings]


def test_worn_storage_is_told(tmp_path):
    FakeBoard(tmp_path).write("sys/block/mmcblk0/device/life_time", "0x0b 0x01")
    assert results(board_findings(tmp_path, PI_4))["board: storage"] == "warn"


# --- clock -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "kept", "result"),
    [
        (datetime(1970, 1, 1, 0, 3, tzinfo=UTC), True, "fail"),
        (datetime(2019, 5, 1, tzinfo=UTC), None, "fail"),
        (datetime(2106, 2, 7, tzinfo=UTC), True, "fail"),
        (datetime(2026, 11, 25, tzinfo=UTC), True, "ok"),
        (datetime(2026, 11, 25, tzinfo=UTC), False, "warn"),
        (datetime(2026, 11, 25, tzinfo=UTC), None, "warn"),
    ],
)
def test_a_clock_is_good_when_its_year_makes_sense_and_somebody_keeps_it(moment, kept, result):
    (finding,) = look_at_clock(moment.timestamp(), kept)
    assert finding.result == result
    assert (finding.result == "ok") == (not finding.do)


def test_this_machines_kernel_says_whether_its_clock_is_kept():
    assert is_kept() in {True, False, None}


# --- disk --------------------------------------------------------------------------------------------------


def test_a_disk_with_room_is_ok_and_nothing_is_left_on_it(tmp_path):
    assert results(look_at_disk(tmp_path))["disk: write"] in {"ok", "warn"}
    assert list(tmp_path.iterdir()) == []


def test_a_state_folder_that_is_not_made_yet_is_looked_at_where_it_will_be(tmp_path):
    findings = list(look_at_disk(tmp_path / "var" / "lib" / "pehra"))
    assert "not made yet" in findings[-1].found
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_refuses_the_write_with_its_own_error():
    with pytest.raises(OSError) as caught:
        time_write(Path("/dev/full"))
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize(
    ("room", "result"),
    [
        (Room(10_000_000_000, 30_000_000_000, None), "ok"),
        (Room(10_000_000_000, 30_000_000_000, 1), "ok"),
        (Room(100_000_000, 30_000_000_000, 5), "warn"),
        (Room(1_000_000, 30_000_000_000, 5), "fail"),
        (Room(0, 0, None), "fail"),
        (Room(10_000_000_000, 30_000_000_000, 0), "fail"),
    ],
)
def test_little_room_is_a_warning_and_none_a_failure(room, result):
    (finding,) = judge_room(room)
    assert finding.result == result


def test_a_state_folder_that_is_a_file_is_told(tmp_path):
    (tmp_path / "state").write_text("")
    *_, last = look_at_disk(tmp_path / "state")
    assert (last.result, "no folder" in last.found) == ("fail", True)


def test_a_folder_that_cannot_be_written_is_told():
    *_, last = look_at_disk(Path("/proc"))
    assert last.result == "fail"
    assert last.do


def _has_mounts():
    return os.geteuid() == 0 and subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
    ).returncode == 0  # fmt: skip


FULL = """
import sys
from pathlib import Path
from device.check.disk import look_at_disk
for finding in look_at_disk(Path(sys.argv[1])):
    print(finding.check, finding.result, finding.found)
"""


@pytest.mark.parametrize(
    ("prepare", "words"),
    [("head -c 1M /dev/zero > $0/big || true", "the disk is full"), ("mount -o remount,ro $0", "read-only")],
)
def test_a_disk_that_is_really_full_or_read_only_is_told(tmp_path, prepare, words):
    if not (shutil.which("unshare") and _has_mounts()):
        pytest.skip("needs root and mounts")
    script = f'mount -t tmpfs -o size=256k tmpfs $0; {prepare}; exec {sys.executable} -c "$1" $0'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, str(tmp_path), FULL],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60,
    )  # fmt: skip
    assert f"disk: write fail {tmp_path}" in done.stdout, done.stderr
    assert words in done.stdout


def test_a_program_that_runs_on_the_state_is_seen(tmp_path):
    import fcntl

    state = tmp_path / "state"
    assert not is_running(state)
    state.mkdir()
    with (state / "lock").open("ab") as lock:
        assert not is_running(state)
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert is_running(state)
        busy = run_checks(checks_of_camera(tmp_path, "webcam")).findings
        assert [(finding.result, "has the camera" in finding.found) for finding in busy] == [("warn", True)]


def checks_of_camera(folder, source):
    checks = checks_of(config(folder, source=source), FakeBoard(folder).board(), with_cameras=True)
    return [check for check in checks if check.name.startswith("camera")]


# --- model -------------------------------------------------------------------------------------------------


def test_the_shipped_model_is_verified_and_timed(tmp_path):
    findings = list(look_at_model(config(tmp_path, fps=1), profiles()["generic"], threading.Event()))
    assert results(findings)["model"] == "ok"
    assert "ms an invoke" in findings[1].found


def test_a_model_that_was_damaged_is_failed(tmp_path):
    shutil.copytree(load_bundle("street-2-fast").path.parent, tmp_path / "model")
    card = (tmp_path / "model" / "model.toml").read_text().splitlines()
    changed = [f'sha256 = "{"0" * 64}"' if line.startswith("sha256") else line for line in card]
    (tmp_path / "model" / "model.toml").write_text("\n".join(changed))
    wanted = config(tmp_path, model=str(tmp_path / "model"))
    findings = list(look_at_model(wanted, profiles()["generic"], threading.Event()))
    assert [finding.result for finding in findings] == ["fail"]


def test_a_model_that_is_not_there_is_failed(tmp_path):
    (finding,) = look_at_model(config(tmp_path, model="street-99"), profiles()["generic"], threading.Event())
    assert finding.result == "fail"


def test_a_model_that_is_too_slow_for_the_cameras_is_told_with_a_rate_that_fits(tmp_path):
    finding = judge_pace(config(tmp_path, fps=20), profiles()["raspberry-pi-zero-2-w"], 140.0)
    assert finding.result == "warn"
    assert "fps to 5.0" in finding.do
    assert "street-2-fast" in finding.do
    assert judge_pace(config(tmp_path, fps=4), profiles()["raspberry-pi-zero-2-w"], 140.0).result == "ok"


# --- camera ------------------------------------------------------------------------------------------------


class Still:
    """A camera in memory that shows one picture, 20 frames a second by its stamps."""

    name, is_live = "still", True

    def __init__(self, picture, fps=20.0):
        self.picture, self.fps, self.closed = picture, fps, False

    def frames(self, stop):
        height, width = self.picture.shape[:2]
        start_s = time.monotonic()
        for seq in count():
            if stop.is_set():
                return
            yield Frame(
                self.picture, "rgb", width, height, mono_s=start_s + seq / self.fps, utc_s=0.0, seq=seq
            )

    def close(self):
        self.closed = True


NOISE = np.random.default_rng(5).integers(0, 256, (480, 640, 3), dtype=np.uint8)


def look(folder, camera, look_s=0.05, **changes):
    section = config(folder, **changes).camera[0]
    return list(look_at_camera(section, lambda: camera, threading.Event(), look_s))


def test_a_good_camera_is_ok_with_its_numbers_and_is_closed(tmp_path):
    camera = Still(NOISE)
    (finding,) = look(tmp_path, camera)
    assert finding.result == "ok"
    assert finding.found.startswith("640x480, 20.0 fps, brightness 12")
    assert camera.closed


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.zeros_like(NOISE), "dark"),
        (np.full_like(NOISE, 250), "too bright"),
        (np.full_like(NOISE, 120), "without an edge"),
        (NOISE[:240, :320], "640x480 was asked"),
    ],
)
def test_a_doubtful_picture_is_told(tmp_path, picture, words):
    (finding,) = look(tmp_path, Still(np.ascontiguousarray(picture)))
    assert (finding.result, words in finding.found) == ("warn", True)
    assert finding.do


def test_a_slow_camera_is_told(tmp_path):
    (finding,) = look(tmp_path, Still(NOISE, fps=5.0))
    assert (finding.result, "slower than 10 fps" in finding.found) == ("warn", True)


def test_a_camera_that_cannot_be_opened_is_told_with_its_drivers_words(tmp_path):
    section = config(tmp_path).camera[0]

    def gone():
        raise CameraUnavailable("webcam:7", "there is no /dev/video7", "look at the cable")

    (finding,) = look_at_camera(section, gone, threading.Event())
    assert (finding.result, finding.found, finding.do) == (
        "fail",
        "there is no /dev/video7",
        "look at the cable",
    )


def test_a_camera_without_a_frame_is_failed(tmp_path):
    class Silent(Still):
        def frames(self, stop):
            return iter(())

    (finding,) = look(tmp_path, Silent(NOISE))
    assert finding.result == "fail"


def test_a_camera_whose_driver_hangs_is_given_up_at_its_deadline(tmp_path):
    """As one in a process of its own does: it heeds the event and lets go."""

    class Hanging(Still):
        def frames(self, stop):
            stop.wait(60)
            return iter(())

    section = config(tmp_path).camera[0]
    camera = Hanging(NOISE)
    outcome = run_checks(
        [Check("camera: cam0", 0.2, lambda stop: look_at_camera(section, lambda: camera, stop))]
    )
    assert [finding.result for finding in outcome.findings] == ["fail"]
    assert (outcome.hung, camera.closed) == (0, True)


def test_a_driver_that_hangs_in_its_process_is_ended_with_it(tmp_path):
    order = Order(opener="tests.odd_cameras:hanging_in_read", source=str(tmp_path))
    section = config(tmp_path).camera[0]
    camera = IsolatedCamera(order)
    outcome = run_checks(
        [Check("camera: cam0", 3.0, lambda stop: look_at_camera(section, lambda: camera, stop, 60))],
        grace_s=30,
    )
    assert [finding.result for finding in outcome.findings] == ["fail"]
    assert outcome.hung == 0
    assert camera.pid is None or not psutil.pid_exists(camera.pid)


def test_a_sharper_picture_has_the_larger_focus_number():
    import cv2

    sharp = Frame(NOISE, "rgb", 640, 480, mono_s=0, utc_s=0, seq=0)
    soft = Frame(cv2.GaussianBlur(NOISE, (0, 0), 2), "rgb", 640, 480, mono_s=0, utc_s=0, seq=0)
    assert focus_number(sharp) > 10 * focus_number(soft)


def test_the_simulated_street_is_a_good_camera(tmp_path):
    (finding,) = look(tmp_path, open_camera("street:seed=3", fps=10), look_s=0.6)
    assert finding.result == "ok" or finding.found.endswith("slower than 10 fps"), (
        finding.found
    )  # a busy machine


# --- the command -------------------------------------------------------------------------------------------


def invoke(*arguments):
    return CliRunner().invoke(app, ["device", "check", *arguments])


def test_a_wrong_configuration_is_told_first_and_alone(tmp_path):
    config(tmp_path)
    file = tmp_path / "device.toml"
    file.write_text(file.read_text().replace("fps = 10", "fps = -1"))
    done = invoke(str(file))
    assert done.exit_code == 2
    assert f"{file}:14: camera[0].fps" in done.output
    assert "board" not in done.output


def test_the_file_alone_is_checked_without_touching_anything(tmp_path):
    config(tmp_path)
    done = invoke(str(tmp_path / "device.toml"), "--config-only")
    assert (done.exit_code, "good" in done.output, "link" in done.output) == (0, True, False)
    assert not (tmp_path / "state").exists()


def test_a_device_without_its_broker_fails_with_1_and_says_what_to_do(tmp_path):
    config(tmp_path)
    done = invoke(str(tmp_path / "device.toml"), "--quick", "--json")
    told = json.loads(done.stdout.splitlines()[-1])
    assert done.exit_code == 1
    assert told["ok"] is False
    found = {finding["check"]: finding for finding in told["findings"]}
    assert found["link: tcp"]["result"] == "fail"
    assert "broker" in found["link: tcp"]["do"]
    assert {"board", "clock", "disk: room", "model"} <= set(found)
    assert not [name for name in found if name.startswith("camera")]


def test_the_table_names_every_line_with_its_result(tmp_path):
    config(tmp_path)
    done = invoke(str(tmp_path / "device.toml"), "--quick")
    header = next(line for line in done.output.splitlines() if line.startswith("check "))
    assert header.split("  ")[0] == "check"
    assert "what to do" in header
    assert "1 failed" in done.output
