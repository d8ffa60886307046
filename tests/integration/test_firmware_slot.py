"""A firmware is made of a wheelhouse in a slot, by a real pip, and says whether it works."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from device.errors import FirmwareUnusable
from device.firmware.updating import child, installing
from device.firmware.updating.firmware_slot import Limits, build, check, check_launched, read_manifest
from device.firmware.updating.wheelhouse import requirements
from tests.brokers import wait_until
from tests.small_wheels import firmware, packed, wheel

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def slot(tmp_path):
    return tmp_path / "slots/firmware/b"


def build_fails(archive: Path, slot: Path, match: str, *, is_final: bool, **more: object) -> FirmwareUnusable:
    """Assert how a build ends that cannot succeed: told why, and nobody takes the slot for whole."""
    with pytest.raises(FirmwareUnusable, match=match) as caught:
        build(archive, slot, **more)
    assert caught.value.is_final is is_final
    assert caught.value.what_to_do
    assert read_manifest(slot) is None
    return caught.value


def test_a_firmware_is_built_and_says_who_it_is(tmp_path, slot):
    archive = packed(firmware(tmp_path / "wheels", "2.0"))
    slot.mkdir(parents=True)
    (slot / "left").write_text("of an attempt that was cut")
    (slot / "MANIFEST.ok").write_text("{}")
    manifest = build(archive, slot, notes={"target": {"path": "firmware/pehra-2.0.tar"}})
    assert read_manifest(slot) == manifest
    assert manifest.sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert b"firmware/pehra-2.0.tar" in (slot / "MANIFEST.ok").read_bytes()
    assert {path.name for path in slot.iterdir()} == {"venv", "MANIFEST.ok"}
    assert "include-system-site-packages = true" in (slot / "venv/pyvenv.cfg").read_text()
    assert check(slot, "2.0") == manifest
    with pytest.raises(FirmwareUnusable, match=r"signed was 2\.1"):
        check(slot, "2.1")


@pytest.mark.parametrize(
    ("self_test", "match"),
    [
        ("'ERROR model: it sees nothing'", "self-test: it ended with code 1: ERROR model: it sees nothing"),
        ("os.kill(os.getpid(), 11)", "self-test: it was ended by SIGSEGV"),
        ("time.sleep(60)", "self-test: it did not end in time"),
    ],
)
def test_a_firmware_that_does_not_work_on_this_board_is_refused_for_good(tmp_path, slot, self_test, match):
    build(packed(firmware(tmp_path / "wheels", "2.0", self_test=self_test)), slot)
    with pytest.raises(FirmwareUnusable, match=match) as caught:
        check(slot, "2.0", limits=Limits(check_s=2.0))
    assert caught.value.is_final


def test_a_firmware_that_cannot_be_started_at_all_is_refused(tmp_path, slot):
    with pytest.raises(FirmwareUnusable, match="not whole"):
        check(slot, "2.0")
    build(packed(firmware(tmp_path / "wheels", "2.0")), slot)
    for path in (slot / "venv/bin").glob("python*"):
        path.unlink()
    with pytest.raises(FirmwareUnusable, match="it cannot be started"):
        check(slot, "2.0")


def test_a_check_ends_when_the_daemon_stops_and_blames_nobody(tmp_path, slot):
    build(packed(firmware(tmp_path / "wheels", "2.0", self_test="time.sleep(60)")), slot)
    end_s = time.monotonic() + 1.0
    with pytest.raises(FirmwareUnusable, match="it was stopped") as caught:
        check(slot, "2.0", is_over=lambda: time.monotonic() > end_s)
    assert not caught.value.is_final


def test_a_lock_chooses_among_the_wheels(tmp_path, slot):
    """A wheelhouse may serve several Pythons and boards; its lock says what belongs here."""
    wheels = firmware(tmp_path / "wheels", "2.0")
    digest = hashlib.sha256((wheels / "needed-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    wheel(wheels, "other", {"other.py": ""})
    (wheels / "device.lock").write_text(
        "# made by uv\n"
        f"needed==1.0 ; python_full_version >= '3.0' \\\n    --hash=sha256:{'0' * 64} \\\n"
        f"    --hash=sha256:{digest}\n    # via pehra\nother==1.0 ; sys_platform == 'win32' "
        f"--hash=sha256:{digest}\n"
    )
    build(packed(wheels), slot)
    names = {path.name for path in slot.glob("venv/lib/python3*/site-packages/*.py")}
    assert names == {"needed.py"}
    check(slot, "2.0")


@pytest.mark.parametrize(
    "line",
    [
        "needed==1.0",
        "needed>=1.0 --hash=sha256:" + "0" * 64,
        "needed==1.0 --hash=md5:" + "0" * 32,
        "needed @ https://example.org/needed.whl",
        "./needed.whl",
        "-e .",
        "-r other.txt",
        "--index-url https://example.org",
        "--extra-index-url=https://example.org",
        "--find-links https://example.org",
    ],
)
def test_a_lock_with_anything_but_pins_and_hashes_is_refused(tmp_path, slot, line):
    wheels = firmware(tmp_path / "wheels", "2.0")
    (wheels / "device.lock").write_text(f"{line}\n")
    build_fails(packed(wheels), slot, "is no version with its hashes", is_final=True)


@pytest.mark.parametrize("name", ["device.lock", "tflite.lock"])
def test_the_projects_own_locks_are_such(tmp_path, name):
    wheels = firmware(tmp_path / "wheels", "2.0")
    (wheels / name).write_bytes((ROOT / "requirements" / name).read_bytes())
    lines = requirements(wheels).splitlines()
    assert any(line.startswith("numpy==") for line in lines)
    assert lines[-1].startswith("pehra==2.0 --hash=sha256:")


def test_a_wheel_with_another_hash_than_the_locks_is_not_installed(tmp_path, slot):
    wheels = firmware(tmp_path / "wheels", "2.0")
    (wheels / "device.lock").write_text(f"needed==1.0 --hash=sha256:{'0' * 64}\n")
    build_fails(packed(wheels), slot, "installing: it ended with code 1: ERROR", is_final=True)


def test_a_wheel_that_is_missing_is_not_fetched(tmp_path, slot, monkeypatch):
    wheels = firmware(tmp_path / "wheels", "2.0")
    (wheels / "device.lock").write_text(f"absent==1.0 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    error = build_fails(packed(wheels), slot, "No matching distribution found for absent", is_final=True)
    assert "127.0.0.1" not in str(error)


def test_a_wheel_for_another_board_is_refused(tmp_path, slot):
    wheels = firmware(tmp_path / "wheels", "2.0")
    (wheels / "needed-1.0-py3-none-any.whl").rename(wheels / "needed-1.0-cp311-cp311-win_amd64.whl")
    build_fails(packed(wheels), slot, "No matching distribution found for needed", is_final=True)


def _two_programs(wheels: Path) -> None:
    wheel(wheels, "pehra", {"pehra/__init__.py": ""}, "3.0")


def _no_program(wheels: Path) -> None:
    next(wheels.glob("pehra-*")).unlink()


def _two_of_one(wheels: Path) -> None:
    wheel(wheels, "needed", {"needed.py": ""}, "2.0")


def _two_locks(wheels: Path) -> None:
    (wheels / "a.lock").touch()
    (wheels / "b.lock").touch()


def _odd_name(wheels: Path) -> None:
    (wheels / "odd.whl").write_bytes((wheels / "needed-1.0-py3-none-any.whl").read_bytes())


def _no_zip(wheels: Path) -> None:
    (wheels / "needed-1.0-py3-none-any.whl").write_bytes(b"PK not")


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (_two_programs, "holds 2 versions of pehra"),
        (_no_program, "holds 0 versions of pehra"),
        (_two_of_one, r"holds needed as 1\.0 and as 2\.0"),
        (_two_locks, "two locks, a.lock and b.lock"),
        (_odd_name, "odd.whl is not named as wheels are"),
        (_no_zip, "no packed wheelhouse"),
    ],
)
def test_a_wheelhouse_that_is_none_is_refused(tmp_path, slot, spoil, match):
    wheels = firmware(tmp_path / "wheels", "2.0")
    spoil(wheels)
    build_fails(packed(wheels), slot, match, is_final=True)


def test_a_file_that_is_no_tar_is_refused(tmp_path, slot):
    (tmp_path / "x.tar").write_bytes(b"no tar at all" * 100)
    build_fails(tmp_path / "x.tar", slot, "no packed wheelhouse", is_final=True)


def test_a_tar_that_leads_out_of_the_slot_is_refused(tmp_path, slot):
    wheels = firmware(tmp_path / "wheels", "2.0")
    archive = packed(wheels)
    with tarfile.open(archive, "a") as tar:
        tar.add(wheels / "needed-1.0-py3-none-any.whl", "../../../evil.whl")
    build_fails(archive, slot, "no plain file below the folder", is_final=True)
    assert not (tmp_path / "evil.whl").exists()


def test_without_room_nothing_is_begun(tmp_path, slot):
    archive = packed(firmware(tmp_path / "wheels", "2.0"))
    build_fails(
        archive, slot, "it needs .* MB and .* MB are free", is_final=False, limits=Limits(spare_bytes=1 << 50)
    )
    assert list(slot.iterdir()) == []


def test_the_slot_that_runs_is_never_touched(tmp_path, slot):
    archive = packed(firmware(tmp_path / "wheels", "2.0"))
    build(archive, slot)
    (slot.parent / "current").symlink_to("b")
    with pytest.raises(FirmwareUnusable, match="is the one that runs"):
        build(archive, slot)
    assert read_manifest(slot) is not None


def test_the_slot_that_a_trial_would_go_back_to_is_never_touched(tmp_path, slot):
    archive = packed(firmware(tmp_path / "wheels", "2.0"))
    build(archive, slot)
    (slot.parent / "current").symlink_to("a")
    (slot.parent / "trial").write_text('{"slot": "a", "before": "b", "starts": 3, "limit": 3}')
    with pytest.raises(FirmwareUnusable, match="would go back to"):
        build(archive, slot)
    assert read_manifest(slot) is not None


def test_an_installation_that_takes_too_long_is_ended(tmp_path, slot, monkeypatch):
    slow = tmp_path / "slow.py"
    slow.write_text("import time\nprint('ERROR busy', flush=True)\ntime.sleep(60)\n")
    monkeypatch.setattr(installing, "pip_runner", lambda: slow)
    archive = packed(firmware(tmp_path / "wheels", "2.0"))
    match = "installing: it did not end in time: ERROR busy"
    build_fails(archive, slot, match, is_final=False, limits=Limits(build_s=1.0))
    end_s = time.monotonic() + 1.0
    build_fails(archive, slot, "it was stopped", is_final=False, is_over=lambda: time.monotonic() > end_s)


def test_a_full_disk_while_installing_is_no_fault_of_the_release(tmp_path, slot, monkeypatch):
    full = tmp_path / "full.py"
    full.write_text("raise SystemExit('ERROR: [Errno 28] No space left on device')\n")
    monkeypatch.setattr(installing, "pip_runner", lambda: full)
    archive = packed(firmware(tmp_path / "wheels", "2.0"))
    build_fails(archive, slot, "No space left on device", is_final=False)


def test_a_board_without_pip_is_told_what_to_install(tmp_path, slot, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FirmwareUnusable, match="apt install python3-pip"):
        installing.pip_runner({"PEHRA_FACTORY": str(tmp_path / "bin/python")})
    assert installing.pip_runner({"PEHRA_FACTORY": sys.executable}).is_file()


def test_nothing_goes_on_writing_after_the_daemon_was_killed(tmp_path):
    """The one that follows it empties the slot."""
    writer = tmp_path / "writer.py"
    writer.write_text("import time\nwhile True:\n    print('x', flush=True)\n    time.sleep(0.01)\n")
    command = [sys.executable, "-c", PARENT, str(writer), str(tmp_path / "pid")]
    parent = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)})
    pid = tmp_path / "pid"
    wait_until(lambda: pid.exists() and pid.read_text(), "the child says who it is")
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    wait_until(lambda: not is_alive(int(pid.read_text())), "the child ends with its parent")


PARENT = """
import sys
from device.firmware.updating import child
note = f"import os; open({sys.argv[2]!r}, 'w').write(str(os.getpid())); "
child.run([sys.executable, "-c", note + child.WITH_PARENT, sys.argv[1]], limit_s=60, is_over=lambda: False)
"""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_program_that_says_much_is_quoted_by_its_last_errors():
    said = child.run(
        [sys.executable, "-c", "print('x' * 100_000); print('ERROR: it is broken'); raise SystemExit(3)"],
        limit_s=30,
        is_over=lambda: False,
    )
    assert said.words == "it ended with code 3: ERROR: it is broken"


def test_a_service_without_the_launcher_takes_no_firmware():
    check_launched({"PEHRA_LAUNCHER": "1"})
    with pytest.raises(FirmwareUnusable, match="pehra device unit --install"):
        check_launched({})
