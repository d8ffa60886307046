"""`pehra demo` as a person runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pehra.demo.report import lines, make_report
from tests.brokers import free_port, is_open, wait_until

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
    process = subprocess.Popen(
        [sys.executable, "-m", "pehra", "demo", "--no-browser", "--cameras", "1", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    wait_until(lambda: is_open(port), "the console answers", 60)
    wait_until(lambda: _children(process.pid) >= 3, "broker, fleet and camera run", 60)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "acknowledged" in said
    assert not is_open(port)
    assert not list(tmp_path.iterdir()), "the demo leaves nothing on the disk"


def _children(pid: int) -> int:
    return len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


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
        (("--model", "street-99"), "street-1"),
        (("--model", "{empty}"), "is empty"),
        (("--source", "{empty}"), "video"),
        (("--source", "{absent}"), "no such file"),
        (("--source", "street:sede=3"), "sede"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence_with_exit_code_2(tmp_path, arguments, words):
    empty = tmp_path / "empty.tflite"
    empty.touch()
    filled = [argument.format(empty=empty, absent=tmp_path / "none.mp4") for argument in arguments]
    done = demo("--port", str(free_port()), "--duration", "2", *filled)
    assert done.returncode == 2, done.stderr
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_report_with_unequal_numbers_says_so():
    zeros = ("dropped", "counts_made", "counts_acked")
    numbers = {"frames": 10, "inferences": 6, "skipped": 4, "tracks": 1, "events_made": 3, "events_acked": 2}
    rest = {"outbox_left": 1, "bytes_sent": 900, "uptime_s": 36.0, "invoke_ms_p50": 5.0}
    device = dict.fromkeys(zeros, 0) | numbers | rest
    report = make_report([device], {"events_stored": 2, "latency_ms_p50": 10.0, "latency_ms_p95": 20.0}, [])
    assert not report.is_good
    assert report.bytes_per_camera_hour == 90_000
    assert report.video_ratio == 5000.0
    assert any("made 3, stored 2, acknowledged 2" in line for line in lines(report))
