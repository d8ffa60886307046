"""The systemd unit that is shipped: what systemd itself thinks of it, and how it is fitted to a machine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from device.firmware import unit as units
from device.firmware.daemon import BEAT_LIMIT_S
from device.firmware.unit import (
    CONSOLE_RULE,
    CONSOLE_UNIT,
    UNIT_NAME,
    console_rule_text,
    console_unit_text,
    hidden_paths,
    launcher_text,
    system_python,
    unit_text,
)
from pehra.commands.device import device_app
from tests.conftest import ROOT, missing

LAUNCH = f"{system_python()} -I -S /usr/local/lib/pehra/pehra-launch"
EXPOSURE = 20
"""Tenths that `systemd-analyze security` may say at most: 2.0 of 10."""


@pytest.fixture
def analyze(tmp_path):
    """Runs `systemd-analyze` on a unit's text."""
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze: apt-get install systemd")

    def run(text, *arguments):
        file = tmp_path / UNIT_NAME
        file.write_text(text)
        return subprocess.run(
            ["systemd-analyze", *arguments, str(file)], capture_output=True, text=True, check=False
        )

    return run


def settings(text):
    """The unit's settings, those that may stand several times as lists."""
    found = {}
    for key, value in re.findall(r"(?m)^(\w+)=(.*)$", text):
        found.setdefault(key, []).append(value)
    return found


def test_systemd_reads_the_unit_without_a_word(analyze):
    done = analyze(unit_text(Path("/etc/pehra/device.toml")), "verify", "--man=no")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_would_say_if_the_unit_had_a_mistake(analyze):
    text = unit_text(Path("/etc/pehra/device.toml")).replace("WatchdogSec=", "WatchdogSecs=")
    assert "WatchdogSecs" in analyze(text, "verify", "--man=no").stderr


def test_systemd_finds_little_that_the_service_could_do_but_its_work(analyze):
    text = unit_text(Path("/etc/pehra/device.toml"))
    options = ["security", "--offline=true", "--no-pager"]
    assert analyze(text, *options, f"--threshold={EXPOSURE}").returncode == 0
    naked = re.sub(r"(?m)^(Protect|Restrict|SystemCall|Device|Capab|NoNew|User).*\n", "", text)
    assert analyze(naked, *options, f"--threshold={EXPOSURE}").returncode != 0


def test_systemd_reads_the_consoles_unit_without_a_word_and_finds_little_that_it_could_do(analyze):
    text = console_unit_text(Path("/etc/pehra/device.toml"), "/dev/ttyGS0", 115_200)
    done = analyze(text, "verify", "--man=no")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    options = ["security", "--offline=true", "--no-pager"]
    assert analyze(text, *options, f"--threshold={EXPOSURE}").returncode == 0


def test_the_consoles_unit_serves_its_port_and_keeps_a_login_prompt_away_from_it():
    config = Path("/etc/pehra/device.toml")
    text = console_unit_text(config, "/dev/ttyAMA0", 57_600, user="watch", factory="/opt/x/bin/python")
    found = settings(text)
    launched = f"{LAUNCH} --state /var/lib/pehra --factory /opt/x/bin/python --look --"
    command = "device serve-console --config /etc/pehra/device.toml --port /dev/ttyAMA0 --baud 57600"
    assert found["ExecStart"] == [f"{launched} {command}"]
    assert found["Conflicts"] == ["serial-getty@ttyAMA0.service"]
    assert (found["LimitCORE"], found["MemorySwapMax"]) == (["0"], ["0"])


def test_the_rule_of_the_console_is_for_its_user_and_names_what_it_may():
    rule = console_rule_text("watch")
    assert 'subject.user !== "watch"' in rule
    assert re.findall(r'"(org\.[\w.-]+)"', rule) == [
        "org.freedesktop.NetworkManager.network-control",
        "org.freedesktop.NetworkManager.settings.modify.system",
        "org.freedesktop.NetworkManager.wifi.scan",
        "org.freedesktop.systemd1.manage-units",
    ]
    assert 'action.lookup("verb") === "restart"' in rule


def test_the_command_installs_the_console_with_its_rule(tmp_path, monkeypatch):
    monkeypatch.setattr("device.firmware.unit.UNIT_FOLDER", tmp_path)
    monkeypatch.setattr("device.firmware.unit.RULE_FOLDER", tmp_path)
    monkeypatch.setattr("device.firmware.unit.LAUNCHER", tmp_path / "lib/pehra/pehra-launch")
    done = CliRunner().invoke(device_app, ["unit", "--console", "--port", "/dev/serial0", "--install"])
    assert done.exit_code == 0
    assert "--port /dev/serial0 " in (tmp_path / CONSOLE_UNIT).read_text()
    assert "polkit" in (tmp_path / CONSOLE_RULE).read_text()


def test_the_watchdog_is_more_patient_than_the_daemon_with_its_parts():
    (watchdog_s,) = settings(unit_text(Path("/etc/pehra/device.toml")))["WatchdogSec"]
    assert float(watchdog_s) > BEAT_LIMIT_S


def test_no_frame_in_memory_gets_to_the_card_by_a_core_dump_or_by_swapping():
    found = settings(unit_text(Path("/etc/pehra/device.toml")))
    assert (found["LimitCORE"], found["MemorySwapMax"]) == (["0"], ["0"])


def test_the_unit_starts_the_launcher_with_that_configuration_as_that_user():
    text = unit_text(Path("/srv/my cams/50%.toml"), user="watch", factory="/opt/x/bin/python")
    found = settings(text)
    launched = f"{LAUNCH} --state /var/lib/pehra --factory /opt/x/bin/python --"
    assert found["ExecStart"] == [f'{launched} device run --config "/srv/my cams/50%%.toml"']
    assert (found["User"], found["Group"], found["StateDirectory"]) == (["watch"], ["watch"], ["pehra"])


def test_another_state_folder_is_opened_for_writing():
    found = settings(unit_text(Path("/etc/pehra/device.toml"), state="/data/pehra"))
    assert found["ReadWritePaths"] == ["/data/pehra"]
    assert "StateDirectory" not in found
    assert "--state /data/pehra " in found["ExecStart"][0]


def test_the_unit_lets_a_firmware_in_a_slot_be_written_and_started():
    """A slot lies in the state folder: nothing may take writing or executing there away."""
    found = settings(unit_text(Path("/etc/pehra/device.toml")))
    assert found["StateDirectory"] == ["pehra"]
    assert not found.keys() & {
        "NoExecPaths",
        "ReadOnlyPaths",
        "InaccessiblePaths",
        "DynamicUser",
        "RootDirectory",
    }
    assert "setpriority" in found["SystemCallFilter"]


def test_the_systems_python_is_named_as_it_stays_named_after_an_upgrade(tmp_path):
    usual = tmp_path / "python3"
    usual.symlink_to(Path(sys.executable).resolve())
    assert system_python(usual) == str(usual)
    assert system_python(tmp_path / "none") != str(tmp_path / "none")


def test_the_shipped_units_start_the_launcher_where_the_command_installs_it():
    for name, looks in ((UNIT_NAME, False), (CONSOLE_UNIT, True)):
        text = (ROOT / "hardware" / "systemd" / name).read_text()
        (command,) = settings(text)["ExecStart"]
        assert command.startswith(f"/usr/bin/python3 -I -S {units.LAUNCHER} --state /var/lib/pehra ")
        assert (" --look " in command) == looks


def test_paths_that_the_service_cannot_see_are_told():
    paths = [Path("/home/pi/device.toml"), Path("/etc/pehra/device.toml"), Path("/tmp/x")]
    assert hidden_paths(paths) == [paths[0], paths[2]]


def test_the_command_prints_the_unit_of_the_configuration(tmp_path):
    config = tmp_path / "device.toml"
    config.write_text((ROOT / "device.example.toml").read_text().replace("/var/lib/pehra", "/data/p"))
    done = CliRunner().invoke(device_app, ["unit", "--config", str(config)])
    assert done.exit_code == 0
    assert f"--config {config}\n" in done.stdout
    assert "ReadWritePaths=/data/p\n" in done.stdout
    assert "cannot see it" in done.stderr  # the test's folder is in /tmp


def test_the_command_refuses_a_broken_configuration(tmp_path):
    config = tmp_path / "device.toml"
    config.write_text("[device\n")
    done = CliRunner().invoke(device_app, ["unit", "--config", str(config)])
    assert done.exit_code == 2
    assert "not TOML" in done.stderr


def test_the_command_installs_the_unit_or_says_that_root_is_needed(tmp_path, monkeypatch):
    launcher = tmp_path / "lib/pehra/pehra-launch"
    monkeypatch.setattr("device.firmware.unit.UNIT_FOLDER", tmp_path)
    monkeypatch.setattr("device.firmware.unit.LAUNCHER", launcher)
    done = CliRunner().invoke(device_app, ["unit", "--install"])
    assert done.exit_code == 0
    assert "daemon-reload" in done.stdout
    assert "Type=notify" in (tmp_path / UNIT_NAME).read_text()
    assert launcher.read_text() == launcher_text()
    assert launcher.stat().st_mode & 0o777 == 0o644
    (tmp_path / "none").touch()
    monkeypatch.setattr("device.firmware.unit.UNIT_FOLDER", tmp_path / "none")
    done = CliRunner().invoke(device_app, ["unit", "--install"])
    assert done.exit_code == 2
    assert "run it as root" in done.stderr


def test_a_release_in_a_slot_does_not_make_itself_the_factorys(tmp_path, monkeypatch):
    (tmp_path / "MANIFEST.ok").touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    done = CliRunner().invoke(device_app, ["unit", "--install"])
    assert done.exit_code == 2
    assert "call the factory's pehra" in done.stderr


def test_the_unit_is_in_the_wheel(tmp_path):
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            tmp_path,
            ROOT,
        ],
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    for name in (UNIT_NAME, CONSOLE_UNIT, CONSOLE_RULE):
        assert f"hardware/systemd/{name}" in zipfile.ZipFile(wheel).namelist()
