"""The scripts of the first boot are run for real, in a folder that stands for the root of a board.

What changes a system (accounts, services, raspi-config) are stubs that write down how they were called; sh,
coreutils, sed, venv and pip are the real ones.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from device.firmware.customised import read_applied
from hardware.flash.customising import planned
from hardware.flash.os_format import OsFormat
from hardware.flash.settings import Setup, wifi
from tests.conftest import missing
from tests.small_wheels import wheel

STUBS = ("useradd", "usermod", "groupmod", "systemctl", "chown", "raspi-config", "dpkg")
KEY = (
    'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9aQxYqz0Zk3m1m1m1m1m1m1m1m1m1m1m1m1m1m it\'s "me" $(touch /tmp/x)'
)
GETENT = """
case "$1 $2" in
  "group "*) true ;;
  "passwd 1000") echo "pi:x:1000:1000::/home/pi:/bin/bash" ;;
  *) grep -q "useradd.* $2$" CALLS ;;
esac"""
CLAIM = b'{"v": 1, "claim": "only-once-only-once-only"}\n'
CMDLINE = b"console=tty1 systemd.show_status=1 root=PARTUUID=1-02 rootwait\n"


class Board:
    """A folder that is the root of a board with a customised card in it."""

    def __init__(self, root: Path) -> None:
        self.root = root / "root"
        self.boot = self.root / "boot/firmware"
        self.state = self.root / "var/lib/pehra"
        self.calls = root / "calls"
        self._stubs = root / "stubs"
        self._stubs.mkdir()
        for name in STUBS:
            self.stub(name, f'echo "{name} $*" >> {self.calls}')
        self.stub("getent", GETENT.replace("CALLS", str(self.calls)))
        self.stub("python3", f'exec {sys.executable} "$@"')
        for folder in ("etc/ssh", "home/pi", "etc/default", "var/lib/systemd/rfkill"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "etc/default/keyboard").write_text('XKBMODEL="pc105"\nXKBLAYOUT="gb"\n')
        (self.root / "etc/hostname").write_text("raspberrypi\n")
        (self.root / "etc/hosts").write_text("127.0.0.1\tlocalhost\n127.0.1.1\traspberrypi\n")
        (self.root / "var/lib/systemd/rfkill/platform-3f300000.mmcnr:wlan").write_text("1")
        self.calls.touch()

    def stub(self, name: str, body: str) -> None:
        (self._stubs / name).write_text(f"#!/bin/sh\n{body}\n")
        (self._stubs / name).chmod(0o755)

    def put(self, setup: Setup, os_format: OsFormat) -> str:
        files, sha256 = planned(setup, os_format, CMDLINE)
        for name, content in files.items():
            (self.boot / name).parent.mkdir(parents=True, exist_ok=True)
            (self.boot / name).write_bytes(content if isinstance(content, bytes) else content.read_bytes())
        return sha256

    def run(self, script: str, shell: str = "sh") -> subprocess.CompletedProcess[str]:
        path = f"{self._stubs}:{os.environ['PATH']}"
        return subprocess.run(
            [shell, str(self.boot / script)], capture_output=True, text=True, timeout=120, check=False,
            env={"PATH": path, "PEHRA_ROOT": str(self.root), "PIP_CONFIG_FILE": os.devnull},
        )  # fmt: skip

    def log(self) -> str:
        return (self.root / "var/log/pehra-setup.log").read_text()


@pytest.fixture
def board(tmp_path):
    return Board(tmp_path)


@pytest.fixture
def wheelhouse(tmp_path):
    folder = tmp_path / "wheels"
    folder.mkdir()
    main = "import sys\ndef main():\n    open(sys.prefix + '/called', 'a').write(' '.join(sys.argv[1:]))\n"
    points = "[console_scripts]\npehra = pehra:main\n"
    wheel(folder, "pehra", {"pehra/__init__.py": main, "pehra-1.0.dist-info/entry_points.txt": points})
    needed = hashlib.sha256(wheel(folder, "needed", {"needed.py": "here = 1\n"}).read_bytes()).hexdigest()
    (folder / "device.lock").write_text(f"needed==1.0 \\\n    --hash=sha256:{needed}\n")
    return folder


def setup_with(wheelhouse: Path | None = None) -> Setup:
    return Setup(
        site="lahore/gulberg", device="gulberg-01", claim=CLAIM,
        wifi=wifi("Chai 'n' $(reboot)", "secret 123", "PK"), hostname="gulberg-01", ssh_keys=(KEY,),
        timezone="Asia/Karachi", keyboard="us", locale="en_GB.UTF-8", wheelhouse=wheelhouse,
    )  # fmt: skip


@pytest.mark.parametrize("shell", ["bash", "dash"])
@pytest.mark.parametrize("script", ["firstrun.sh", "pehra/first-boot.sh"])
def test_the_scripts_are_good_shell(board, shell, script):
    if shutil.which(shell) is None:
        missing(shell)
    board.put(setup_with(), OsFormat.FIRSTRUN)
    subprocess.run([shell, "-n", str(board.boot / script)], check=True, capture_output=True)


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_firstrun_sets_the_system_up_and_takes_itself_away(board, shell):
    if shutil.which(shell) is None:
        missing(shell)
    board.put(setup_with(), OsFormat.FIRSTRUN)
    done = board.run("firstrun.sh", shell)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (board.state / "firstrun.failed").exists(), board.log()
    assert (board.root / "etc/hostname").read_text() == "gulberg-01\n"
    assert "127.0.1.1\tgulberg-01\n" in (board.root / "etc/hosts").read_text()
    assert (board.root / "home/pi/.ssh/authorized_keys").read_text() == f"{KEY}\n"
    connection = board.root / "etc/NetworkManager/system-connections/pehra-wifi.nmconnection"
    assert connection.stat().st_mode & 0o777 == 0o600
    assert (board.root / "etc/timezone").read_text() == "Asia/Karachi\n"
    assert (board.root / "etc/systemd/system/pehra-setup.service").exists()
    assert [one.read_text() for one in (board.root / "var/lib/systemd/rfkill").iterdir()] == ["0\n"]
    calls = board.calls.read_text()
    for call in (
        "usermod --login tech pi", "systemctl enable ssh", "raspi-config nonint do_wifi_country PK",
        "raspi-config nonint do_change_locale en_GB.UTF-8", "systemctl enable pehra-setup.service",
    ):  # fmt: skip
        assert call in calls
    for gone in ("firstrun.sh", "pehra/wifi.nmconnection", "pehra/authorized_keys"):
        assert not (board.boot / gone).exists()
    words = (board.boot / "cmdline.txt").read_text().split()
    assert words == [*CMDLINE.decode().split(), "cfg80211.ieee80211_regdom=PK"]


def test_firstrun_uses_the_images_own_tools_where_they_are(board):
    board.put(setup_with(), OsFormat.FIRSTRUN)
    for tool in ("raspberrypi-sys-mods/imager_custom", "userconf-pi/userconf"):
        path = board.root / "usr/lib" / tool
        path.parent.mkdir(parents=True)
        path.write_text(f'#!/bin/sh\nprintf "%s|" {path.name} "$@" >> {board.calls}; echo >> {board.calls}\n')
        path.chmod(0o755)
    assert board.run("firstrun.sh").returncode == 0
    calls = board.calls.read_text()
    for call in (
        "imager_custom|set_hostname|gulberg-01|", "imager_custom|set_timezone|Asia/Karachi|",
        "imager_custom|set_keymap|us|", "userconf|tech|*|",
    ):  # fmt: skip
        assert call in calls


def test_a_step_of_firstrun_that_fails_does_not_stop_the_others_and_is_reported(board, wheelhouse):
    sha256 = board.put(setup_with(wheelhouse), OsFormat.FIRSTRUN)
    board.stub("raspi-config", "exit 1")
    assert board.run("firstrun.sh").returncode == 0
    assert (board.root / "etc/systemd/system/pehra-setup.service").exists()
    assert board.run("pehra/first-boot.sh").returncode == 0, board.log()
    applied = read_applied(board.state)
    assert applied
    assert (applied.sha256, applied.result, applied.step) == (sha256, "failed", "firstrun network locale")


@pytest.mark.parametrize("os_format", OsFormat)
def test_first_boot_installs_offline_and_moves_the_claim(board, wheelhouse, os_format):
    sha256 = board.put(setup_with(wheelhouse), os_format)
    if os_format is OsFormat.FIRSTRUN:
        assert board.run("firstrun.sh").returncode == 0
    done = board.run("pehra/first-boot.sh")
    assert done.returncode == 0, board.log()
    claim = board.state / "identity/claim.json"
    assert claim.read_bytes() == CLAIM
    assert claim.stat().st_mode & 0o777 == 0o600
    assert not (board.boot / "pehra/claim.json").exists()
    assert not (board.boot / "pehra/wheels").exists()
    called = (board.root / "opt/pehra/called").read_text()
    assert called == "device unit --install"
    subprocess.run([board.root / "opt/pehra/bin/python", "-c", "import needed"], check=True)
    assert (board.root / "usr/local/bin/pehra").readlink() == Path("/opt/pehra/bin/pehra")
    for path in (board.root / "opt/pehra").rglob("*"):
        assert path.is_symlink() or not path.stat().st_mode & 0o022, (
            f"{path}: others may change the factory's"
        )
    config = tomllib.loads((board.root / "etc/pehra/device.toml").read_text())
    assert config == {
        "device": {"state": "/var/lib/pehra"},
        "camera": [{"id": "cam0", "source": "picamera2"}],
    }
    site = tomllib.loads((board.root / "etc/pehra/site.toml").read_text())
    assert site == {"device": "gulberg-01", "site": "lahore/gulberg", "timezone": "Asia/Karachi"}
    applied = read_applied(board.state)
    assert applied
    assert (applied.sha256, applied.format, applied.result, applied.step) == (sha256, os_format, "ok", "")
    calls = board.calls.read_text()
    for call in (
        "useradd --system", "systemctl enable pehra-device.service", "systemctl disable pehra-setup.service",
        "systemctl start --no-block pehra-device.service", f"chown pehra:pehra {claim}.new",
    ):  # fmt: skip
        assert call in calls


def test_first_boot_that_was_cut_off_goes_on_at_the_next(board, wheelhouse):
    board.put(setup_with(wheelhouse), OsFormat.CLOUD_INIT)
    board.stub("systemctl", "exit 1")
    assert board.run("pehra/first-boot.sh").returncode == 1
    applied = read_applied(board.state)
    assert applied
    assert (applied.result, applied.step) == ("failed", "service")
    assert (board.state / "identity/claim.json").read_bytes() == CLAIM
    board.stub("systemctl", "true")
    assert board.run("pehra/first-boot.sh").returncode == 0, board.log()
    applied = read_applied(board.state)
    assert applied
    assert applied.result == "ok"


def test_a_file_that_rotted_on_the_card_is_not_applied(board, wheelhouse):
    board.put(setup_with(wheelhouse), OsFormat.CLOUD_INIT)
    (board.boot / "pehra/site.toml").write_text('site = "somewhere/else"\n')
    assert board.run("pehra/first-boot.sh").returncode == 1
    applied = read_applied(board.state)
    assert applied
    assert (applied.result, applied.step) == ("failed", "verified")
    assert json.loads((board.boot / "pehra/result.json").read_text())["step"] == "verified"
    assert not (board.root / "etc/pehra").exists()


def test_a_wheel_that_the_lock_does_not_know_is_not_installed(board, wheelhouse):
    (wheelhouse / "device.lock").write_text(f"needed==1.0 --hash=sha256:{'0' * 64}\n")
    board.put(setup_with(wheelhouse), OsFormat.CLOUD_INIT)
    assert board.run("pehra/first-boot.sh").returncode == 1
    applied = read_applied(board.state)
    assert applied
    assert (applied.result, applied.step) == ("failed", "program")


def test_without_a_wheelhouse_the_claim_is_kept_and_what_is_missing_is_said(board):
    board.put(setup_with(), OsFormat.CLOUD_INIT)
    assert board.run("pehra/first-boot.sh").returncode == 1
    applied = read_applied(board.state)
    assert applied
    assert (applied.result, applied.step) == ("failed", "program")
    assert "no wheelhouse on the card" in applied.reason
    assert (board.state / "identity/claim.json").read_bytes() == CLAIM


def test_the_unit_of_the_first_boot_is_good(board, tmp_path):
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze")
    board.put(setup_with(), OsFormat.CLOUD_INIT)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(board.boot / "pehra/pehra-setup.service")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "pehra-setup" not in done.stderr, done.stderr
