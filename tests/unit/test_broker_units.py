"""What `broker-config` writes: systemd and Mosquitto themselves read it, and files are the broker's own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from typer.testing import CliRunner

from fleet.broker.run import find_mosquitto
from fleet.broker.secure import DEBIAN_USER, UNITS, follow, write_secure_config
from fleet.errors import HomeUnusable
from fleet.identity.home import Home
from pehra.commands.fleet import fleet_app
from pehra.commands.fleet_unit import unit_text
from tests.brokers import free_port, is_open, wait_until
from tests.conftest import missing
from tests.homes import make_home

ODD = "pehra 100% of it"
"""A folder's name with what configuration files and systemd read in their own way."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where every user gets to, which pytest's own folder is not."""
    with tempfile.TemporaryDirectory(prefix="pehra-broker-") as place:
        Path(place).chmod(0o755)
        yield Path(place) / ODD


def verify(file: Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze: apt-get install systemd")
    command = ["systemd-analyze", "verify", "--man=no", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_systemd_reads_the_units_that_follow_the_revocation_list(home: Home, folder: Path) -> None:
    write_secure_config(folder, home, 8883)
    units = folder / "systemd"
    assert sorted(one.name for one in units.iterdir()) == sorted(UNITS)
    for name in UNITS:
        if name.endswith(".conf"):
            continue
        done = verify(units / name)
        own = [line for line in done.stderr.splitlines() if "pehra" in line]
        assert (done.returncode, own) == (0, []), done.stderr
    text = (units / "pehra-broker-follow.path").read_text()
    assert f"PathChanged={str(folder).replace('%', '%%')}/crl.pem" in text


def test_a_drop_in_raises_the_limit_of_open_files_above_a_fleet(
    home: Home, folder: Path, tmp_path: Path
) -> None:
    write_secure_config(folder, home, 8883)
    text = (folder / "systemd" / "mosquitto.service.d.conf").read_text()
    limit = next(line for line in text.splitlines() if line.startswith("LimitNOFILE="))
    assert int(limit.partition("=")[2]) >= 20_000
    unit = tmp_path / "mosquitto.service"
    unit.write_text("[Unit]\nDescription=x\n" + text.replace("/usr/sbin/mosquitto", "/bin/true"))
    done = verify(unit)
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_would_say_if_a_unit_had_a_mistake(home: Home, folder: Path) -> None:
    write_secure_config(folder, home, 8883)
    file = folder / "systemd" / "pehra-broker-follow.path"
    file.write_text(file.read_text().replace("PathChanged=", "PathChange="))
    assert "PathChange" in verify(file).stderr


def test_mosquitto_takes_the_configuration_and_gives_up_roots_rights(home: Home, folder: Path) -> None:
    if not find_mosquitto():
        missing("mosquitto is not installed (Debian package: mosquitto)")
    port = free_port()
    config = write_secure_config(folder, home, port, host="127.0.0.1")
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen([find_mosquitto(), "-c", str(config)], stdout=out, stderr=out)
    try:
        wait_until(lambda: is_open(port), log.read_text)
        if os.geteuid() == 0:
            status = Path(f"/proc/{process.pid}").stat()
            assert pwd.getpwuid(status.st_uid).pw_name == DEBIAN_USER
    finally:
        process.terminate()
        process.wait(10)
    assert "Error" not in log.read_text()


def test_keys_are_the_brokers_alone_and_what_does_not_differ_is_left(home: Home, folder: Path) -> None:
    write_secure_config(folder, home, 8883)
    mode = (folder / "broker.pem").stat().st_mode & 0o777
    assert mode in (0o600, 0o640), "its owner's, and where there is a Mosquitto its group's"
    assert (folder / "acl").stat().st_mode & 0o777 == mode
    assert (folder / "state").stat().st_mode & 0o007 == 0
    if mode == 0o640:
        group = pwd.getpwnam(DEBIAN_USER).pw_gid
        assert {(folder / name).stat().st_gid for name in ("broker.pem", "acl")} == {group}
    assert (folder / "broker.pem").stat().st_uid == folder.stat().st_uid, "whoever renews it owns it"
    before = (folder / "broker.pem").stat().st_ino
    follow(home, folder)
    assert (folder / "broker.pem").stat().st_ino == before


def test_a_folder_that_the_brokers_user_cannot_reach_is_refused(home: Home, folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root starts a broker that becomes another user")
    folder.mkdir(mode=0o700)
    with pytest.raises(HomeUnusable, match="closed to it"):
        write_secure_config(folder, home, 8883)


def test_a_brokers_folder_that_has_gone_is_said_and_ends_nothing(home: Home, folder: Path) -> None:
    with pytest.raises(HomeUnusable, match="No such file"):
        follow(home, folder / "gone")


def test_the_fleet_managers_unit_has_this_machines_paths_and_no_rights_of_root(tmp_path: Path) -> None:
    text = unit_text(tmp_path / "fleet 100%", [str(tmp_path / "broker")], user="keeper", host="0.0.0.0")
    assert f'--home "{tmp_path}/fleet 100%%" --host 0.0.0.0' in text
    assert "\nUser=keeper\nGroup=keeper\n" in text and "\nSupplementaryGroups=mosquitto\n" in text
    assert f'ReadWritePaths="{tmp_path}/fleet 100%%" {tmp_path}/broker\n' in text
    assert "NoNewPrivileges=true" in text and "CapabilityBoundingSet=\n" in text


def test_the_unit_lets_the_fleet_manager_at_the_image_repository(tmp_path: Path) -> None:
    options = {"--images": tmp_path / "www", "--image-repository": tmp_path / "images"}
    text = unit_text(tmp_path, [], user="keeper", host="::", options=options)
    assert f"--host :: --images {tmp_path}/www --image-repository {tmp_path}/images\n" in text
    assert f"ReadWritePaths={tmp_path} {tmp_path}/www {tmp_path}/images\n" in text


def test_other_names_get_certificates_and_are_told(tmp_path: Path, home: Home) -> None:
    own = make_home(tmp_path / "own")
    words = ["address", "--home", str(own.folder), "--host", "fleet.example", "--mqtt-port", "1234"]
    done = CliRunner().invoke(fleet_app, words)
    assert done.exit_code == 0 and "https://fleet.example:8443" in done.output
    assert own.read_addresses().mqtt_port == 1234
    names = own.certificate(own.broker).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["fleet.example", "localhost"]
    assert CliRunner().invoke(fleet_app, [*words[:3], "--host", "no name"]).exit_code == 2


def test_a_brokers_folder_is_forgotten(tmp_path: Path) -> None:
    own = make_home(tmp_path / "own")
    own.write_addresses(msgspec.structs.replace(own.read_addresses(), brokers=["/a", "/b"]))
    done = CliRunner().invoke(fleet_app, ["broker-config", "/a", "--forget", "--home", str(own.folder)])
    assert done.exit_code == 0
    assert own.read_addresses().brokers == ["/b"]
