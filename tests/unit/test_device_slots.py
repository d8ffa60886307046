"""What a technician sees of the slots, and how he turns the board back; how the console follows."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from device.check.self_test import LIBRARIES
from device.firmware import launcher
from device.firmware.console.following import Follower
from device.firmware.launcher import Slots
from device.firmware.updating.model_slots import ModelSlots
from device.firmware.updating.standing import firmware_standing, running_place, running_slot
from ota.messages.desired import Target
from pehra.commands.device import device_app
from tests.device_toml import head
from tests.launcher_cuts import lay_out, start

TRIAL = {"slot": "b", "before": "a", "starts": 1, "limit": 3}


@pytest.fixture
def slots(tmp_path):
    """A board with a firmware in each slot, the second one on trial."""
    folder = tmp_path / "slots" / "firmware"
    lay_out(folder, "b", TRIAL, "")
    (folder / "a/MANIFEST.ok").write_text(json.dumps({"version": "1.4", "sha256": "ab" * 32}))
    target = {"path": "x", "hashes": {"sha256": "cd" * 32}, "custom": {"version": "1.5"}}
    (folder / "b/MANIFEST.ok").write_text(json.dumps({"target": target}))
    return folder


def pehra(slots: Path, *words: str):
    return CliRunner().invoke(device_app, ["slots", "--state", str(slots.parent.parent), *words])


def test_the_slots_are_shown_to_people(slots):
    (slots / "fell-back").write_text('{"slot": "a", "to": "b", "reason": "3 starts without a commit"}')
    done = pehra(slots)
    assert done.exit_code == 0
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "firmware a 1.4 abababababab whole" in lines
    assert "firmware b 1.5 cdcdcdcdcdcd the next start takes it, on trial, 1 of 3 starts, whole" in lines
    assert "model factory what the card brought the next start takes it" in lines
    assert "No firmware runs now." in lines
    assert "firmware: a was left: 3 starts without a commit" in lines


def test_the_slots_are_shown_to_programs(slots):
    (slots / "a/MANIFEST.ok").unlink()
    told = json.loads(pehra(slots, "--json").stdout)
    assert (told["runs"], told["firmware"]["current"], told["firmware"]["trial"]) == ("", "b", "b")
    assert [slot["state"] for slot in told["firmware"]["slots"]] == ["not whole", "whole"]
    assert [slot["state"] for slot in told["model"]["slots"]] == ["empty", "empty"]


def test_a_board_that_never_had_an_update_is_shown(tmp_path):
    done = CliRunner().invoke(device_app, ["slots", "--state", str(tmp_path)])
    assert done.exit_code == 0
    assert done.stdout.count("empty") == 4


def test_a_link_that_is_refused_and_a_record_that_is_spoilt_are_told(slots):
    (slots / "trial").write_text("{")
    assert "trial cannot be read" in firmware_standing(slots.parent.parent).refused
    (slots / "current").unlink()
    (slots / "current").symlink_to("/elsewhere")
    done = pehra(slots)
    assert "current leads to '/elsewhere'" in done.stdout


def test_a_technician_turns_the_board_to_the_factorys_firmware(slots):
    (slots / "trial").unlink()
    done = pehra(slots, "--use", "factory")
    assert (done.exit_code, done.stderr) == (
        0,
        "WARNING launcher slot b is left for the factory's firmware: put back by hand\n",
    )
    assert "(before: b). Now: systemctl restart pehra-device" in done.stdout
    assert start(slots) == launcher.FACTORY
    told = json.loads((slots / "fell-back").read_text())
    assert told == {"slot": "b", "to": "", "reason": "put back by hand"}


def test_what_a_technician_turns_to_may_not_live_and_is_on_trial(slots):
    (slots / "trial").unlink()
    assert pehra(slots, "--use", "a").exit_code == 0
    assert [start(slots) for _ in range(4)] == ["a", "a", "a", launcher.FACTORY]


def test_a_trial_is_not_disturbed_unless_it_is_forced(slots):
    done = pehra(slots, "--use", "factory")
    assert done.exit_code == 1
    assert "slot b is on trial (1 of 3 starts)" in done.stderr
    assert "--force" in done.stderr
    assert launcher.read_trial(slots) == launcher.Trial(**TRIAL)
    assert pehra(slots, "--use", "factory", "--force").exit_code == 0
    assert (start(slots), launcher.read_trial(slots)) == (launcher.FACTORY, None)


@pytest.mark.parametrize(("place", "code", "match"), [("a", 1, "no MANIFEST.ok"), ("c", 2, "say one of")])
def test_a_board_is_not_turned_to_what_cannot_start(slots, place, code, match):
    (slots / "trial").unlink()
    (slots / "a/MANIFEST.ok").unlink()
    done = pehra(slots, "--use", place)
    assert done.exit_code == code
    assert match in done.stderr
    assert start(slots) == "b"


def test_turning_a_board_that_runs_the_factorys_already_changes_nothing(tmp_path):
    state = str(tmp_path / "state")
    done = CliRunner().invoke(device_app, ["slots", "--state", state, "--use", "factory"])
    assert done.exit_code == 0
    assert not Path(state).exists()


def test_a_disk_that_refuses_is_told_when_turning(slots, monkeypatch):
    (slots / "trial").unlink()

    def refuse(*_args: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    for name in ("point", "remove", "write_whole"):
        monkeypatch.setattr(launcher, name, refuse)
    done = pehra(slots, "--use", "factory")
    assert done.exit_code == 1
    assert "as root, or sudo -u pehra" in done.stderr


def test_what_runs_is_told_by_its_process_and_by_the_lock_on_the_state(tmp_path):
    python = tmp_path / "slots/firmware/b/venv/bin/python"

    def runs(*words: str) -> str:
        (tmp_path / "proc/77").mkdir(parents=True, exist_ok=True)
        (tmp_path / "proc/77/cmdline").write_bytes(b"\0".join(word.encode() for word in words) + b"\0")
        return running_place(tmp_path, tmp_path / "proc")

    assert runs(str(python), "-I", "-m", "pehra", "device", "run", "--config", "x") == "b"
    assert runs(str(python), "-I", "-m", "pehra", "device", "serve-console") == ""
    assert runs("/elsewhere/slots/firmware/b/venv/bin/python", "-m", "pehra", "device", "run") == ""
    with (tmp_path / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert runs("/opt/pehra/bin/python", "-m", "pehra", "device", "run") == "factory"
    assert running_slot(tmp_path, str(python.parent.parent)) == "b"
    assert running_slot(tmp_path, "/opt/pehra") == launcher.FACTORY


def test_the_console_ends_when_the_board_turns_to_another_firmware(slots):
    follower, stop = Follower(slots.parent.parent, wait_s=0.01), threading.Event()
    follower.start(stop)
    assert not stop.wait(0.1)
    Slots(slots).leave(launcher.Step("leave", "b", "a", "a test"))
    assert stop.wait(10)
    assert follower.has_turned


def test_the_launcher_becomes_the_firmware_in_its_own_process(tmp_path):
    """So that systemd's main process, its notify socket and its watchdog are the firmware's."""
    factory = tmp_path / "python"
    factory.write_text('#!/bin/sh\necho $$ $NOTIFY_SOCKET $WATCHDOG_PID "$@"\n')
    factory.chmod(0o755)
    command = [
        sys.executable,
        "-I",
        "-S",
        launcher.__file__,
        "--state",
        str(tmp_path),
        "--factory",
        str(factory),
    ]
    process = subprocess.Popen(
        [*command, "--", "device", "run"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_PID": "7"},
    )
    out, _ = process.communicate(timeout=30)
    assert out.split() == [str(process.pid), "/run/x", "7", "-I", "-m", "pehra", "device", "run"]


def test_a_launcher_that_can_start_nothing_says_so(tmp_path):
    command = [sys.executable, "-I", "-S", launcher.__file__, "--state", str(tmp_path), "--factory", "/none"]
    done = subprocess.run([*command, "--", "device", "run"], capture_output=True, text=True, check=False)
    assert done.returncode == launcher.EXIT_NOTHING_STARTS
    assert "nothing can be started" in done.stderr


def test_this_program_would_work_here():
    done = CliRunner().invoke(device_app, ["self-test"])
    assert (done.exit_code, done.stdout.count("ok ")) == (0, 2)


def test_a_library_that_does_not_load_fails_the_self_test(monkeypatch):
    monkeypatch.setitem(sys.modules, "lap", None)
    done = CliRunner().invoke(device_app, ["self-test"])
    assert done.exit_code == 1
    assert "ERROR libraries: lap cannot be loaded: ModuleNotFoundError" in done.stdout


def test_a_configuration_that_this_firmware_does_not_know_fails_the_self_test(tmp_path):
    (tmp_path / "device.toml").write_text("[device]\nid = 'cam-01'\nodd = 1\n")
    done = CliRunner().invoke(device_app, ["self-test", "--config", str(tmp_path / "device.toml")])
    assert done.exit_code == 1
    assert "ERROR configuration: " in done.stdout


def test_the_self_test_looks_at_the_model_that_a_start_would_take(tmp_path):
    config, state = tmp_path / "device.toml", tmp_path / "state"
    config.write_text(head(state) + '[[camera]]\nsource = "street"\n')
    models = ModelSlots(state, "street-2")
    models.path("b").mkdir(parents=True)
    (models.path("b") / "model.tflite").write_bytes(b"no model")
    models.seal("b", Target("models/odd-1.0.tar", 8, {"sha256": "ab" * 32}))
    done = CliRunner().invoke(device_app, ["self-test", "--config", str(config)])
    assert (done.exit_code, "street-2 is what its card says" in done.stdout) == (0, True)
    models.turn_to("b")
    done = CliRunner().invoke(device_app, ["self-test", "--config", str(config)])
    assert done.exit_code == 1, done.stdout
    assert "slots/model/b" in done.stdout
    (models.path("b") / "model.tflite").write_bytes(b"damaged: a start takes the factory's")
    assert CliRunner().invoke(device_app, ["self-test", "--config", str(config)]).exit_code == 0


def test_the_self_test_loads_every_library_of_a_device():
    root = Path(__file__).resolve().parent.parent.parent

    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = {line.partition(">")[0] for line in extras["device"]}
    assert wanted == set(LIBRARIES)
