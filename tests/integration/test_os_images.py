"""OS images come to the fleet: uploaded or from the command line, whole or not at all; tokens of devices."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import delete, select
from typer.testing import CliRunner

from fleet.api.bodies import BodyLimits
from fleet.errors import DiskRefuses, TooLarge
from fleet.hawkbit import images as images_module
from fleet.hawkbit.images import ImageFolder
from fleet.services import Services, build_services
from fleet.settings import Settings
from fleet.store.tables_os import OsImage
from fleet.store.tables_rollouts import Release
from pehra.cli import app
from tests.brokers import wait_until
from tests.ddi import DdiClient, let_in
from tests.people import OWNER, add, logged_in, problem_of, served, services_with_home

IMAGE = os.urandom(3_000_000)
SHA256 = hashlib.sha256(IMAGE).hexdigest()
NAMED = {"name": "camera-os", "version": "1.2.0", "file": "camera-os.swu", "hw": ["raspberry-pi-4"]}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    built = services_with_home(tmp_path_factory.mktemp("home"))
    add(built, "tariq", "technician@lahore")
    add(built, "vera", "viewer")
    let_in(built, "cam-01")
    let_in(built, "cam-far", "multan/gate")
    yield built
    built.close()


@pytest.fixture
def services(fleet: Services) -> Services:
    with fleet.session() as session:
        for table in (OsImage, Release):
            session.exec(delete(table))
        session.commit()
    for left in files(fleet):
        (folder_of(fleet) / left).unlink()
    return fleet


@pytest.fixture(scope="module")
def url(fleet: Services) -> Iterator[str]:
    with served(fleet) as address:
        yield address


@pytest.fixture(scope="module")
def owner(url: str) -> Iterator[httpx.Client]:
    with logged_in(url, OWNER) as client:
        yield client


def folder_of(services: Services) -> Path:
    folder = services.settings.image_folder
    assert folder is not None
    return folder


def files(services: Services) -> list[str]:
    folder = folder_of(services)
    return sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []


def upload(client: httpx.Client, content: Any = IMAGE, **more: Any) -> httpx.Response:
    return client.post("/releases/os", params=NAMED | more, content=content)


def test_an_image_that_is_uploaded_is_a_release_that_can_be_rolled_out(
    services: Services, owner: httpx.Client
) -> None:
    answer = upload(owner)
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert (made["kind"], made["sha256"], made["length"]) == ("os", SHA256, len(IMAGE))
    assert (made["mark"], made["hw"], made["made_by"]) == (SHA256, ["raspberry-pi-4"], OWNER)
    assert files(services) == [SHA256]
    assert (folder_of(services) / SHA256).read_bytes() == IMAGE
    with services.session() as session:
        row = session.get_one(OsImage, made["id"])
        assert row.sha1 == hashlib.sha1(IMAGE).hexdigest()
        assert row.md5 == hashlib.md5(IMAGE).hexdigest()


def test_the_same_image_again_is_the_same_release_and_another_under_its_name_is_refused(
    services: Services, owner: httpx.Client
) -> None:
    first = upload(owner).json()["id"]
    assert upload(owner, iter([IMAGE[:100], IMAGE[100:]])).json()["id"] == first, "also without a length"
    assert upload(owner, b"another").status_code == 409
    assert upload(owner, file="other.swu").status_code == 409
    assert files(services) == [SHA256], "what was refused does not stay"
    assert upload(owner, version="1.2.1").json()["id"] != first


@pytest.mark.parametrize(
    "bad",
    [
        {"file": "../x.swu"},
        {"file": ".hidden"},
        {"file": "a b.swu"},
        {"file": "x.MD5SUM"},
        {"file": ""},
        {"name": "a/b"},
        {"version": "1 2"},
        {"sec_ver": -1},
        {"name": "x" * 101},
    ],
)
def test_a_name_that_makes_no_sense_is_refused_before_anything_is_written(
    services: Services, owner: httpx.Client, bad: dict[str, Any]
) -> None:
    assert upload(owner, b"x", **bad).status_code == 422
    assert files(services) == []


def test_an_empty_image_is_none(services: Services, owner: httpx.Client) -> None:
    assert upload(owner, b"").status_code == 422
    assert files(services) == []


def test_who_may_not_make_releases_sends_nothing(services: Services, url: str) -> None:
    for name in ("tariq", "vera"):
        with logged_in(url, name) as client:
            answer = upload(client)
            assert answer.status_code == 403
            assert answer.headers["connection"] == "close", "the rest of the body is not read"
    with httpx.Client(base_url=f"{url}/api/v1", headers={"origin": url}) as stranger:
        assert upload(stranger).status_code == 401
    assert files(services) == []


def test_an_operating_system_is_not_made_known_by_its_digest_alone(owner: httpx.Client) -> None:
    body = {"kind": "os", "name": "x", "version": "1", "sha256": "a" * 64, "length": 1}
    assert owner.post("/releases", json=body).status_code == 422


def test_an_image_whose_sender_goes_away_leaves_nothing(
    services: Services, url: str, owner: httpx.Client
) -> None:
    def broken() -> Iterator[bytes]:
        yield IMAGE[:100_000]
        wait_until(lambda: files(services), "it is being received")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        upload(owner, broken())
    wait_until(lambda: files(services) == [], "nothing of it is left")


def test_an_image_that_comes_too_slowly_is_given_up(
    services: Services, monkeypatch: pytest.MonkeyPatch, owner: httpx.Client
) -> None:
    del owner
    monkeypatch.setattr("fleet.api.bodies.BodyLimits", lambda: BodyLimits(slow_s=0.2))
    with served(services) as url, logged_in(url, OWNER) as client:
        over = threading.Event()

        def slow() -> Iterator[bytes]:
            yield b"x" * 1000
            over.wait(1)
            yield b"y"

        try:
            answer = upload(client, slow())
            assert answer.status_code == 408
        except httpx.WriteError:
            pass  # the connection was closed before the answer was read
        finally:
            over.set()
    assert files(services) == []


@pytest.mark.parametrize("declared", [True, False])
def test_an_image_that_is_too_large_is_refused(
    services: Services, owner: httpx.Client, monkeypatch: pytest.MonkeyPatch, declared: bool
) -> None:
    assert services.os_images is not None
    monkeypatch.setattr(services.os_images, "_max_bytes", 1_000_000)
    content: Any = IMAGE if declared else iter([IMAGE])
    answer = upload(owner, content)
    assert answer.status_code == 413
    assert files(services) == []


@pytest.mark.parametrize("declared", [True, False])
def test_an_image_for_which_there_is_no_room_is_refused(
    services: Services, owner: httpx.Client, monkeypatch: pytest.MonkeyPatch, declared: bool
) -> None:
    class Usage:
        free = images_module.RESERVE_BYTES + 500_000

    monkeypatch.setattr("fleet.hawkbit.images.shutil.disk_usage", lambda _: Usage)
    answer = upload(owner, IMAGE if declared else iter([IMAGE]))
    assert answer.status_code == 507
    assert "no room" in problem_of(answer)["detail"]
    assert files(services) == []


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_disk_that_fails_at_any_step_leaves_no_image_and_no_release(
    services: Services, owner: httpx.Client, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")

    def fails(*_: Any, **__: Any) -> Any:
        raise full

    if call == "write":
        real = Path.open

        class Full(io.FileIO):
            write = fails

        monkeypatch.setattr(
            Path,
            "open",
            lambda self, mode="r", *a, **k: Full(self, "x") if mode == "xb" else real(self, mode, *a, **k),
        )
    else:
        monkeypatch.setattr(*((os, "fsync", fails) if call == "fsync" else (Path, "replace", fails)))
    answer = upload(owner)
    monkeypatch.undo()
    assert answer.status_code == 507
    assert "No space left on device" in problem_of(answer)["detail"]
    assert files(services) == []
    with services.session() as session:
        assert session.exec(select(Release)).all() == []


def test_a_fleet_without_a_folder_for_images_says_so(tmp_path: Path) -> None:
    built = build_services(Settings(database_url=f"sqlite:///{tmp_path}/fleet.db"))
    with served(built) as url, httpx.Client(base_url=f"{url}/api/v1", headers={"origin": url}) as client:
        answer = upload(client)
        assert (answer.status_code, "PEHRA_OS_IMAGES" in answer.text) == (409, True)
    built.close()


def test_what_was_begun_long_ago_is_swept_and_what_is_begun_now_is_not(tmp_path: Path) -> None:
    folder = ImageFolder(tmp_path)
    for name, age_s in ((".begun-old", 2 * 86_400), (".begun-new", 10)):
        (tmp_path / name).write_bytes(b"x")
        when = (tmp_path / name).stat().st_mtime - age_s
        os.utime(tmp_path / name, (when, when))
    with folder.receiving() as received:
        received.add(b"abc")
        assert received.keep().length == 3
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        ".begun-new",
        hashlib.sha256(b"abc").hexdigest(),
    ]


def test_a_folder_that_cannot_be_made_is_said_to_whoever_must_act(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DiskRefuses, match="file"), ImageFolder(tmp_path / "file" / "x").receiving():
        pass
    with pytest.raises(TooLarge), ImageFolder(tmp_path, max_bytes=10).receiving(11):
        pass


def test_a_token_is_shown_once_to_who_may_make_it_and_lets_the_device_in(
    services: Services, url: str, owner: httpx.Client
) -> None:
    with logged_in(url, "tariq") as tariq, logged_in(url, "vera") as vera:
        assert vera.post("/devices/cam-01/os/token").status_code == 403
        assert tariq.post("/devices/cam-far/os/token").status_code == 404
        token = tariq.post("/devices/cam-01/os/token").json()["token"]
        assert tariq.delete("/devices/cam-01/os/token").status_code == 403
        shown = tariq.get("/devices/cam-01/os").json()
    assert shown["token_made"] is not None
    assert token not in json.dumps(shown)
    with DdiClient(url, "cam-01", token) as client:
        client.http.put(client.poll()["configData"], json={"data": {"serial": "1"}})
        assert owner.get("/devices/cam-01/os").json()["attributes"] == {"serial": "1"}
        assert owner.delete("/devices/cam-01/os/token").status_code == 200
        assert owner.delete("/devices/cam-01/os/token").status_code == 200
        assert client.http.get(client.base).status_code == 401
    assert owner.get("/devices/cam-01/os").json()["token_made"] is None
    rows = owner.get("/audit", params={"action": "device.token"}).json()["items"]
    assert [one["action"] for one in rows] == ["device.token.revoke", "device.token"]
    assert token not in json.dumps(rows)


def test_images_and_tokens_from_the_command_line(services: Services, url: str, tmp_path: Path) -> None:
    home = str(services.settings.home)
    file = tmp_path / "camera-os-1.3.0.swu"
    file.write_bytes(IMAGE)
    named = ["--kind", "os", "--name", "camera-os", "--version", "1.3.0", "--home", home]
    run = CliRunner().invoke
    added = run(app, ["rollout", "release", "add", str(file), *named])
    assert added.exit_code == 0, added.output
    assert f"camera-os@1.3.0: 3000000 bytes, sha256 {SHA256}" in added.output
    assert files(services) == [SHA256]
    again = run(app, ["rollout", "release", "add", str(file), *named])
    assert again.output == added.output
    missing = run(app, ["rollout", "release", "add", str(tmp_path / "none.swu"), *named])
    assert (missing.exit_code, "cannot be read" in missing.output) == (2, True)
    bad = tmp_path / "bad name.swu"
    bad.write_bytes(b"x")
    refused = run(app, ["rollout", "release", "add", str(bad), *named])
    assert refused.exit_code == 2
    assert "file:" in refused.output
    made = run(app, ["fleet", "device", "token", "cam-01", "--home", home])
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}\n", made.output)
    with DdiClient(url, "cam-01", made.output.strip()) as client:
        assert client.http.get(client.base).status_code == 200
        ended = run(app, ["fleet", "device", "token", "cam-01", "--revoke", "--home", home])
        assert ended.output == "cam-01: its token has ended\n"
        assert client.http.get(client.base).status_code == 401
    assert "no token" in run(app, ["fleet", "device", "token", "cam-01", "--revoke", "--home", home]).output
    nobody = run(app, ["fleet", "device", "token", "cam-99", "--home", home])
    assert (nobody.exit_code, "no device 'cam-99'" in nobody.output) == (2, True)


def test_an_open_fleet_lets_devices_that_it_knows_come_without_a_token(tmp_path: Path) -> None:
    built = build_services(
        Settings(database_url=f"sqlite:///{tmp_path}/fleet.db", os_images=tmp_path / "images")
    )
    let_in(built, "cam-01")
    with served(built) as url:
        answers = {
            device: httpx.get(f"{url}/default/controller/v1/{device}").status_code
            for device in ("cam-01", "cam-02")
        }
        foreign = httpx.get(f"{url}/default/controller/v1/cam-01", headers={"host": "evil.example"})
    built.close()
    assert answers == {"cam-01": 200, "cam-02": 404}
    assert foreign.status_code == 421
