"""`pehra demo` as a person runs it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from device.models.bundle import load_bundle
from fleet.broker.run import find_mosquitto
from pehra.demo.plan import DemoOptions
from pehra.demo.report import lines, make_report, model_of
from tests.brokers import free_port, is_open, wait_until
from tests.conftest import missing
from tests.tiny_tflite import Constant, tiny_tflite

COCO_MODEL = "yolov8n_full_integer_quant_416.tflite"


def demo(*arguments: str, timeout_s: float = 150) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pehra", "demo", "--no-browser", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


def report_of(done: subprocess.CompletedProcess[str]) -> dict[str, float]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.timeout(200)
def test_the_demo_stores_and_acknowledges_every_event_that_its_cameras_made():
    done = demo("--duration", "12", "--cameras", "2", "--port", str(free_port()), "--json")
    report = report_of(done)
    assert report["events_made"] == report["events_stored"] == report["events_acked"] > 0
    assert report["outbox_left"] == 0
    assert report["frames"] == report["inferences"] + report["skipped"] > 0
    assert report["tracks"] > 0
    assert 0 < report["bytes_per_camera_hour"] < 450_000_000 / 10
    assert 0 < report["latency_ms_p50"] <= report["latency_ms_p95"]
    assert report["trouble"] == []
    shipped = load_bundle("street-2")
    assert report["model"] == f"{shipped.card.name} {shipped.card.version}"
    assert shipped.sha256.startswith(report["model_sha256"])
    assert len(report["model_sha256"]) == 12


@pytest.mark.timeout(200)
def test_with_locks_on_every_camera_enrols_by_itself_and_nothing_is_lost():
    if not find_mosquitto():
        missing("mosquitto is not installed (Debian package: mosquitto)")
    done = demo("--secure", "--duration", "12", "--cameras", "2", "--port", str(free_port()), "--json")
    report = report_of(done)
    assert (report["enrolled"], report["broker"]) == (2, "Mosquitto")
    assert 0 < report["claim_to_online_s"] < 60
    assert report["events_made"] == report["events_stored"] == report["events_acked"] > 0
    assert report["trouble"] == []
    assert "the password of each is" in done.stderr


@pytest.mark.timeout(200)
def test_tracks_and_events_from_real_pictures_reach_the_store(data_dir):
    video, model = data_dir / "videos" / "otc_cars_cyclist.mp4", data_dir / "models" / COCO_MODEL
    done = demo(
        "--source", str(video), "--model", str(model), "--duration", "12", "--cameras", "1",
        "--port", str(free_port()), "--json",
    )  # fmt: skip
    report = report_of(done)
    assert report["events_made"] == report["events_stored"] == report["events_acked"] > 0


@pytest.mark.timeout(200)
def test_ctrl_c_ends_the_demo_with_its_summary_and_leaves_no_process(tmp_path):
    port = free_port()
    process = start_demo(tmp_path, "--no-browser", "--cameras", "1", "--port", str(port))
    wait_until(lambda: is_open(port), "the console answers", 60)
    wait_until(lambda: len(children(process.pid)) >= 3, "broker, fleet and camera run", 60)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "acknowledged" in said
    assert not is_open(port)
    assert not running_with(tmp_path)
    assert not list(tmp_path.iterdir()), "the demo leaves nothing on the disk"


def test_ctrl_c_during_start_starts_no_camera_opens_no_browser_and_leaves_no_process(tmp_path):
    opened, home = tmp_path / "opened", tmp_path / "home"
    home.mkdir()
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\necho $1 >> {opened}\n")
    browser.chmod(0o755)
    process = start_demo(home, "--port", str(free_port()), BROWSER=f"{browser} %s")
    wait_until(lambda: len(children(process.pid)) >= 2, "broker and fleet are there, no camera yet", 60)
    process.send_signal(signal.SIGINT)
    said, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    assert "0 camera(s)" in said
    assert not opened.exists()
    assert not running_with(home)
    assert not list(home.iterdir())


def test_ctrl_c_is_heard_while_a_camera_address_does_not_answer(tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        source = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/street"
        process = start_demo(tmp_path, "--no-browser", "--port", str(free_port()), "--source", source)
        silent.settimeout(60)
        asked, _ = silent.accept()
        with asked:
            process.send_signal(signal.SIGINT)
            _, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    assert "rtsp" not in complaints, "it ended before the address had timed out"


@pytest.mark.timeout(200)
def test_a_camera_that_dies_is_trouble_with_exit_code_1(tmp_path):
    port = free_port()
    process = start_demo(tmp_path, "--no-browser", "--cameras", "1", "--port", str(port), "--json")
    wait_until(lambda: stats(port).get("events_stored", 0) > 0, "the camera has seen something", 90)
    os.kill(camera_of(process.pid), signal.SIGKILL)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "demo-01 ended by itself with code -9" in json.loads(said.splitlines()[-1])["trouble"][0]
    assert not running_with(tmp_path)


def stats(port: int) -> dict[str, Any]:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/api/v1/stats", timeout=5).json()
    except (httpx.HTTPError, ValueError):
        return {}


def start_demo(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """The demo with `folder` as its place for temporary files, which also marks its processes."""
    return subprocess.Popen(
        [sys.executable, "-m", "pehra", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(folder)} | environment,
    )


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def camera_of(pid: int) -> int:
    """The process of the first camera."""
    return next(one for one in children(pid) if b"demo-01.toml" in Path(f"/proc/{one}/cmdline").read_bytes())


def running_with(folder: Path) -> list[int]:
    """Processes whose environment names the folder."""
    mark, found = f"TMPDIR={folder}".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def test_a_port_in_use_is_said_with_exit_code_2():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = demo("--port", str(taken.getsockname()[1]), "--duration", "2")
    assert done.returncode == 2
    assert "in use" in done.stderr
    assert "--port" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "street-99"), "street-2"),
        (("--model", "{empty}"), "is empty"),
        (("--source", "{empty}"), "video"),
        (("--source", "{absent}"), "no such file"),
        (("--source", "street:sede=3"), "sede"),
        (("--model", "{float}"), "is a float model"),
        (("--source", "webcam", "--cameras", "4"), "cannot be opened 4 times"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence_with_exit_code_2(tmp_path, arguments, words):
    empty = tmp_path / "empty.tflite"
    empty.touch()
    real = tmp_path / "float.tflite"
    output = Constant("out", np.zeros((1, 84, 84), np.float32))
    real.write_bytes(tiny_tflite([output], size=64, dtype="float32", scale=0.0))
    files = {"empty": empty, "absent": tmp_path / "none.mp4", "float": real}
    filled = [argument.format(**files) for argument in arguments]
    done = demo("--port", str(free_port()), "--duration", "2", *filled)
    assert done.returncode == 2, done.stderr
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_report_with_unequal_numbers_says_so():
    zeros = ("dropped", "counts_made", "counts_acked")
    numbers = {"frames": 10, "inferences": 6, "skipped": 4, "tracks": 1, "events_made": 3, "events_acked": 2}
    rest = {"outbox_left": 1, "bytes_sent": 900, "uptime_s": 36.0, "invoke_ms_p50": 5.0}
    device = dict.fromkeys(zeros, 0) | numbers | rest
    stats = {"events_stored": 2, "latency_ms_p50": 10.0, "latency_ms_p95": 20.0}
    report = make_report([device], stats, ("street-2 1.0.0", "0123456789ab"), [])
    assert not report.is_good
    assert report.bytes_per_camera_hour == 90_000
    assert report.video_ratio == 5000.0
    assert any("made 3, stored 2, acknowledged 2" in line for line in lines(report))


@pytest.mark.parametrize(
    ("source", "asked", "count"),
    [
        ("", None, 4),
        ("", 8, 8),
        ("webcam", None, 1),
        ("webcam:2", None, 1),
        ("/dev/video0", None, 1),
        ("picamera2", 1, 1),
        ("rtsp://camera/street", None, 4),
        ("webcam.mp4", None, 4),
    ],
)
def test_a_device_on_this_machine_is_opened_once_unless_asked_otherwise(source, asked, count):
    assert DemoOptions(asked, None, 8000, source, "street-2").camera_count == count


def test_more_cameras_get_more_time_to_start():
    few, many = (DemoOptions(count, None, 8000, "", "street-2").start_s for count in (1, 64))
    assert few >= 60
    assert many - few >= 63 * 4


def test_cameras_with_different_models_are_both_named():
    known = [
        {"info": {"model": {"name": "street-2", "version": "1.0.0", "sha256": "a" * 64}}},
        {"info": {"model": {"name": "street-3", "version": "", "sha256": "b" * 64}}},
        {"info": None},
    ]
    assert model_of(known) == ("street-2 1.0.0, street-3", f"{'a' * 12}, {'b' * 12}")
