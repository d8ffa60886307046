"""`pehra ota` as an operator uses it: ceremony, release, publication, rotation, emergency, refusals."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import threading
from datetime import UTC, datetime, timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata
from typer.testing import CliRunner

from ota.errors import BadRelease, KeyProblem, Untrusted
from ota.images.home import Home
from ota.images.publishing import keep_fresh
from ota.images.status import expiry_words
from ota.packing import unpack
from ota.trust.delta import delta_path, patch_file
from ota.trust.download import download
from ota.trust.folder import TrustFolder
from ota.trust.refresh import refresh
from ota.trust.release import release_of
from ota.trust.sources import FolderSource
from pehra.cli import app
from tests.small_releases import model, wheelhouse

PASSPHRASE = "correct horse battery"
ANY = ("--hw", "any")


class Desk:
    """An operator's desk: a repository, a passphrase in a file, a folder to publish to, and a device."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = Home(folder / "home")
        self.www = folder / "www"
        self.secret = folder / "secret"
        self.secret.write_text(PASSPHRASE + "\n")
        self.trust = TrustFolder(folder / "device")

    def run(self, *command: object, code: int = 0, secret: Path | None = None) -> str:
        words = [str(word) for word in command]
        if words[0] in ("init", "sign", "rotate", "publish", "export", "fresh"):
            words += ["--passphrase-file", str(secret or self.secret)]
        if words[0] != "init":
            words += ["--home", str(self.home.folder)]
        result = CliRunner().invoke(app, ["ota", *words])
        assert result.exit_code == code, (words, result.output, result.exception)
        assert PASSPHRASE not in result.output
        return result.output

    def release(self, folder: Path, *options: object) -> None:
        self.run("add", folder, *(options or ANY))
        self.run("sign")
        self.run("publish", self.www)

    def see(self, *wanted: str, now: datetime | None = None, source: Path | None = None):
        root = self.home.first_root.read_bytes()
        return refresh(self.trust, root, FolderSource(source or self.www), wanted, now=now)

    def take(self, target, to: Path, source: Path | None = None) -> Path:
        download(FolderSource(source or self.www), target, to)
        return to


@pytest.fixture(scope="module")
def founded(tmp_path_factory):
    desk = Desk(tmp_path_factory.mktemp("desk"))
    desk.run("init", desk.home.folder)
    return desk


@pytest.fixture
def desk(founded, tmp_path):
    shutil.copytree(founded.home.folder, tmp_path / "home")
    return Desk(tmp_path)


def test_a_release_goes_from_a_folder_to_a_device(desk, tmp_path):
    desk.release(
        model(tmp_path / "m", "1.0"), "--hw", "raspberry-pi-4", "--hw", "raspberry-pi-5", "--sec-ver", 2
    )
    desk.release(wheelhouse(tmp_path / "w"), "--hw", "any", "--min-agent", "0.1", "--requires", "small=1.0")
    found = desk.see("models/small-1.0.tar", "firmware/pehra-0.2.0.tar").targets
    release = release_of(found["models/small-1.0.tar"])
    assert (release.hw, release.sec_ver) == (["raspberry-pi-4", "raspberry-pi-5"], 2)
    assert release_of(found["firmware/pehra-0.2.0.tar"]).requires == {"small": "1.0"}
    unpack(desk.take(found["models/small-1.0.tar"], tmp_path / "got"), tmp_path / "slot", 10_000)
    assert (tmp_path / "slot" / "model.tflite").read_bytes() == (tmp_path / "m" / "model.tflite").read_bytes()


def test_the_roots_three_keys_sign_two_at_a_time_and_every_key_file_has_a_passphrase(desk):
    root = desk.home.root()
    assert (len(root.roles["root"].keyids), root.roles["root"].threshold) == (3, 2)
    assert root.consistent_snapshot
    for file in desk.home.offline_keys.glob("*.pem"):
        assert b"ENCRYPTED" in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0
    assert desk.home.offline_keys.stat().st_mode & 0o077 == 0
    assert {file.name for file in desk.home.online_keys.iterdir()} == {
        "snapshot-1.pem",
        "timestamp-1.pem",
        "deltas-1.pem",
    }
    lives = {role: desk.home.current(role).signed.expires for role in ("root", "snapshot", "timestamp")}
    made = lives["timestamp"] - timedelta(days=1)
    assert lives["snapshot"] - made == timedelta(days=7)
    assert lives["root"] - made == timedelta(days=365)


def test_a_short_passphrase_is_refused(tmp_path):
    (tmp_path / "short").write_text("secret")
    said = Desk(tmp_path).run("init", tmp_path / "home", secret=tmp_path / "short", code=2)
    assert "at least 12" in said


def test_a_wrong_passphrase_signs_nothing(desk, tmp_path):
    (tmp_path / "wrong").write_text("wrong horse battery")
    desk.run("add", model(tmp_path / "m"), *ANY)
    said = desk.run("sign", secret=tmp_path / "wrong", code=2)
    assert "passphrase is wrong" in said
    assert "wrong horse" not in said
    assert desk.home.targets_role("models").targets == {}
    desk.run("sign")
    assert len(desk.home.targets_role("models").targets) == 1


def test_passphrases_may_be_one_for_each_key(desk, tmp_path):
    (tmp_path / "wrong").write_text("wrong horse battery")
    desk.run("add", model(tmp_path / "m"), *ANY)
    desk.run("sign", "--passphrase-file", f"models-1={desk.secret}", secret=tmp_path / "wrong")


def test_nothing_is_made_over_what_is_there(desk):
    assert "not empty" in desk.run("init", desk.home.folder, code=2)


def test_a_folder_that_is_no_repository_is_said(tmp_path):
    assert "pehra ota init" in Desk(tmp_path).run("status", code=2)


def test_a_token_without_its_library_is_said_with_what_to_install(tmp_path):
    said = Desk(tmp_path).run("init", tmp_path / "home", "--token", "root-1=hsm:2", code=2)
    assert "root-1" in said
    assert "python-pkcs11" in said
    assert "PYKCS11LIB" in said


def test_a_token_for_a_key_that_is_none_is_said(tmp_path):
    assert "timestamp-1" in Desk(tmp_path).run("init", tmp_path / "home", "--token", "boss=hsm:", code=2)


def test_one_key_of_a_token_is_not_taken_for_two_roles(tmp_path, monkeypatch):
    key = CryptoSigner.generate_ecdsa().public_key
    monkeypatch.setattr("ota.images.founding.import_token_key", lambda *_: ("hsm:2", key))
    said = Desk(tmp_path).run(
        "init", tmp_path / "home", "--token", "root-1=hsm:2", "--token", "targets-1=hsm:2", code=2
    )
    assert "is the key root-1 already" in said


def test_a_key_on_a_token_that_is_not_here_is_waited_for(tmp_path, monkeypatch):
    desk = Desk(tmp_path)
    desk.run("init", desk.home.folder)
    key = CryptoSigner.generate_ecdsa().public_key
    monkeypatch.setattr("ota.images.founding.import_token_key", lambda *_: ("hsm:2?label=key", key))
    monkeypatch.delenv("PYKCS11LIB", raising=False)
    desk.run("rotate", "models", "--token", "hsm:2?label=key")
    said = desk.run("sign", code=1)
    assert "models version 2: signed by nobody; waits, also for models-2" in said
    assert "plug the token in" in said


def test_one_version_means_one_content_for_ever(desk, tmp_path):
    desk.release(model(tmp_path / "m", "1.0"))
    said = desk.run("add", model(tmp_path / "other", "1.0", weights=b"others"), *ANY, code=2)
    assert "another version" in said
    # the same content may be offered to more boards
    desk.release(tmp_path / "m", "--hw", "raspberry-pi-4", "--hw", "raspberry-pi-5")
    target = desk.see("models/small-1.0.tar").targets["models/small-1.0.tar"]
    assert release_of(target).hw == ["raspberry-pi-4", "raspberry-pi-5"]


def test_keys_come_one_after_another_on_sticks(desk, tmp_path):
    (tmp_path / "ayesha").mkdir()
    (tmp_path / "bilal").mkdir()
    for file in desk.home.offline_keys.glob("*.pem"):
        holder = "ayesha" if file.name == "root-1.pem" else "bilal"
        file.rename(tmp_path / holder / file.name)
    desk.run("renew", "root")
    said = desk.run("sign", "--keys", tmp_path / "ayesha", code=1)
    assert "signed by root-1; waits, also for root-2, root-3" in said
    assert "root version 2: signed by root-1, may be signed by root-2, root-3" in desk.run("status")
    assert desk.home.root().version == 1
    (tmp_path / "bilal" / "root-3.pem").unlink()
    said = desk.run("sign", "--keys", tmp_path / "bilal")
    assert "current" in said
    assert desk.home.root().version == 2


def test_a_release_waits_while_its_key_is_elsewhere(desk, tmp_path):
    (desk.home.offline_keys / "models-1.pem").rename(tmp_path / "models-1.pem")
    desk.run("add", model(tmp_path / "m"), *ANY)
    assert "waits, also for models-1" in desk.run("sign", code=1)
    assert "not published: models version 2: signed by nobody" in desk.run("publish", desk.www)
    assert desk.see("models/small-1.0.tar").targets["models/small-1.0.tar"] is None
    desk.run("sign", "--keys", tmp_path)
    assert "not published" not in desk.run("publish", desk.www)
    assert desk.see("models/small-1.0.tar").targets["models/small-1.0.tar"] is not None


def test_a_stick_that_is_not_in_and_a_key_that_cannot_be_read_are_said(desk, tmp_path):
    desk.run("add", model(tmp_path / "m"), *ANY)
    assert "is the stick in" in desk.run("sign", "--keys", tmp_path / "ayesha", code=2)
    (tmp_path / "bilal" / "models-1.pem").mkdir(parents=True)
    said = desk.run("sign", "--keys", tmp_path / "bilal", code=2)
    assert "models-1.pem cannot be read (Is a directory)" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_writes_belongs_to_whose_repository_it_is(desk):
    desk.run("publish", desk.www)
    for folder in (desk.home.folder, desk.www):
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 65534, 65534)
    for command in (("rotate", "timestamp"), ("sign",), ("publish", desk.www)):
        desk.run(*command)
    owners = {path.stat().st_uid for folder in (desk.home.folder, desk.www) for path in folder.rglob("*")}
    assert owners == {65534}


def test_a_key_file_that_holds_another_key_is_said(desk, tmp_path):
    shutil.copy(desk.home.offline_keys / "firmware-1.pem", desk.home.offline_keys / "models-1.pem")
    desk.run("add", model(tmp_path / "m"), *ANY)
    assert "another key" in desk.run("sign", code=2)


@pytest.mark.parametrize("role", ["root", "targets", "models", "firmware", "deltas", "snapshot", "timestamp"])
def test_every_role_can_be_given_another_key_and_devices_follow(desk, tmp_path, role):
    desk.release(model(tmp_path / "m", "1.0"))
    desk.see("models/small-1.0.tar")
    old = desk.home.root().get_delegated_role(role).keyids if role in desk.home.root().roles else None
    said = desk.run("rotate", role, *(["--key", "root-2"] if role == "root" else []))
    assert re.search(rf"new key {role}-\d", said)
    desk.run("sign")
    desk.run("publish", desk.www)
    found = desk.see("models/small-1.0.tar").targets["models/small-1.0.tar"]
    assert found is not None
    if old is not None:
        assert desk.home.root().get_delegated_role(role).keyids != old
    # and one that has slept all the time, and one that is new
    assert len(desk.home.root().roles["root"].keyids) == 3
    fresh = TrustFolder(tmp_path / "fresh")
    refresh(fresh, desk.home.first_root.read_bytes(), FolderSource(desk.www), ["models/small-1.0.tar"])
    # a release after it goes by the new key alone
    for file in [*desk.home.offline_keys.glob(f"{role}-1.pem"), *desk.home.online_keys.glob(f"{role}-1.pem")]:
        file.unlink()
    desk.release(model(tmp_path / "m2", "2.0", weights=b"more"))
    assert desk.see("models/small-2.0.tar").targets["models/small-2.0.tar"] is not None


def test_the_chain_of_roots_is_kept_through_many_rotations(desk):
    desk.run("publish", desk.www)
    for key in ("root-1", "root-2", "root-3", "root-4", "root-5"):
        desk.run("rotate", "root", "--key", key)
        desk.run("sign")
    desk.run("publish", desk.www)
    assert desk.see().versions["root"] == 6
    assert sorted(file.name for file in (desk.www / "metadata").glob("*.root.json")) == [
        f"{n}.root.json" for n in range(1, 7)
    ]


def test_which_of_several_keys_to_replace_must_be_said(desk):
    assert "--key root-1 or root-2 or root-3" in desk.run("rotate", "root", code=2)
    assert "there are root" in desk.run("rotate", "boss", code=2)


def test_a_stolen_models_key_signs_nothing_after_its_rotation(desk, tmp_path):
    desk.release(model(tmp_path / "m", "1.0"))
    stolen = tmp_path / "thief"
    shutil.copytree(desk.home.folder, stolen)
    desk.run("rotate", "models")
    desk.run("sign")
    desk.run("publish", desk.www)
    desk.see("models/small-1.0.tar")
    thief = Home(stolen)
    with thief.locked() as settings:
        from ota.images.adding import Wish, add
        from ota.images.signing import sign_staged

        add(thief, model(tmp_path / "evil", "9.0", weights=b"evil"), Wish(hw=("any",)))
        sign_staged(thief, settings, lambda *_: PASSPHRASE, datetime.now(UTC))
    forged = max(thief.metadata.glob("*.models.json"), key=lambda file: int(file.name.split(".")[0]))
    current = max(
        (desk.www / "metadata").glob("*.models.json"), key=lambda file: int(file.name.split(".")[0])
    )
    shutil.copy(forged, current)
    (desk.trust.current / "models.json").unlink()
    with pytest.raises(Untrusted):
        desk.see("models/small-9.0.tar")


def test_a_release_that_is_bad_is_withdrawn(desk, tmp_path):
    desk.release(model(tmp_path / "m", "1.0"))
    desk.release(model(tmp_path / "m2", "2.0", weights=b"bad"))
    desk.run("remove", "models/small-2.0.tar")
    desk.run("sign")
    desk.run("publish", desk.www)
    found = desk.see("models/small-1.0.tar", "models/small-2.0.tar").targets
    assert found["models/small-2.0.tar"] is None
    assert found["models/small-1.0.tar"] is not None
    assert "no such release" in desk.run("remove", "models/small-2.0.tar", code=2)
    assert "no release" in desk.run("remove", "root.json", code=2)


def test_deltas_are_made_when_published_and_verified_as_the_full_target_is(desk, tmp_path):
    noise = random.Random(1).randbytes(40_000)
    for version, weights in (("1.0", noise), ("1.1", noise[:-100] + b"x" * 100), ("1.10", noise + b"y")):
        desk.release(model(tmp_path / version, version, weights=weights))
    wanted = [f"models/small-{version}.tar" for version in ("1.0", "1.1", "1.10")]
    one, two, newest = (desk.see(*wanted).targets[path] for path in wanted)
    paths = [delta_path(old.hashes["sha256"], newest.hashes["sha256"]) for old in (one, two)]
    deltas = [desk.see(*paths).targets[path] for path in paths]
    assert max(delta.length for delta in deltas) < 2_000
    old = desk.take(one, tmp_path / "old.tar")
    delta = desk.take(deltas[0], tmp_path / "delta")
    patch_file(old, delta, newest, tmp_path / "new.tar")
    assert (tmp_path / "new.tar").read_bytes() == desk.take(newest, tmp_path / "full.tar").read_bytes()
    # the one from 1.0 to 1.1 is of no use any more, and offered no longer
    assert sorted(desk.home.targets_role("deltas").targets) == sorted(paths)
    assert "0 files written" in desk.run("publish", desk.www)


def test_a_delta_that_is_not_smaller_is_not_kept_and_not_made_again(desk, tmp_path, monkeypatch):
    made = []

    def make(old, new):
        made.append(old)
        return b"x" * len(new)

    monkeypatch.setattr("ota.images.deltas.make_delta", make)
    desk.release(model(tmp_path / "1", "1.0"))
    desk.release(model(tmp_path / "2", "2.0", weights=b"other"))
    desk.run("publish", desk.www)
    assert len(made) == 1
    assert desk.home.targets_role("deltas").targets == {}


def test_status_says_in_words_what_is_due_and_ends_with_1(desk, tmp_path):
    desk.release(model(tmp_path / "m", "1.0"))
    said = desk.run("status")
    assert "root       version 1, expires in 12 months" in said
    assert "timestamp  version" in said
    assert "models/small-1.0.tar" in said
    document = json.loads(desk.run("status", "--json"))
    assert {role["role"] for role in document["roles"]} >= {"root", "timestamp", "models"}
    assert document["releases"][0]["path"] == "models/small-1.0.tar"
    settings = desk.home.settings()
    settings.life_days["models"] = 2000.0
    desk.home.write_settings(settings)
    assert "pehra ota renew models, then sign and publish" in desk.run("status", code=1)


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(days=334), "expires in 11 months"),
        (timedelta(days=6, hours=20), "expires in 7 days"),
        (timedelta(hours=23), "expires in 23 hours"),
        (timedelta(hours=1), "expires in 1 hour"),
        (timedelta(minutes=5), "expires in less than an hour"),
        (timedelta(days=-3), "expired 3 days ago"),
        (timedelta(), "expired less than an hour ago"),
    ],
)
def test_time_is_said_as_people_say_it(left, words):
    assert expiry_words(left) == words


def test_a_fleet_keeps_it_fresh_by_itself_with_the_online_keys_alone(desk, tmp_path):
    desk.release(model(tmp_path / "m", "1.0"))
    shutil.rmtree(desk.home.offline_keys)
    shutil.rmtree(desk.home.targets)
    now = datetime.now(UTC)

    def fresh(later: timedelta) -> tuple[str, ...]:
        with desk.home.locked() as settings:
            (done,) = keep_fresh(desk.home, settings, lambda *_: pytest.fail("asked"), now + later)
        return done.signed

    assert fresh(timedelta(hours=1)) == ()
    assert fresh(timedelta(hours=13)) == ("timestamp",)
    assert fresh(timedelta(days=4)) == ("snapshot", "timestamp")
    assert fresh(timedelta(days=20)) == ("deltas", "snapshot", "timestamp")
    assert desk.see("models/small-1.0.tar", now=now + timedelta(days=20)).targets["models/small-1.0.tar"]
    # offline roles are not theirs to renew: in the end devices stop, and it is said before
    with pytest.raises(BadRelease, match=r"no device would accept.*expired"), desk.home.locked() as settings:
        keep_fresh(desk.home, settings, lambda *_: "", now + timedelta(days=400))


def test_without_the_online_keys_nothing_can_be_published(desk):
    (desk.home.online_keys / "timestamp-1.pem").unlink()
    with desk.home.locked() as settings, pytest.raises(KeyProblem, match="online keys"):
        keep_fresh(desk.home, settings, lambda *_: "", datetime.now(UTC) + timedelta(days=2))


def test_a_stick_holds_for_as_long_as_it_travels(desk, tmp_path):
    desk.release(model(tmp_path / "m", "1.0"))
    (tmp_path / "stick").mkdir()
    desk.run("export", tmp_path / "stick", "--days", 10)
    stick, later = tmp_path / "stick" / "pehra-update", datetime.now(UTC) + timedelta(days=9)
    target = desk.see("models/small-1.0.tar", now=later, source=stick).targets["models/small-1.0.tar"]
    desk.take(target, tmp_path / "got", source=stick)
    # the server is not behind the stick: a device goes from one to the other and back
    assert desk.see(now=later).versions == desk.see(now=later, source=stick).versions
    with desk.home.locked() as settings:
        keep_fresh(desk.home, settings, lambda *_: "", later)
    desk.see(now=later)


def test_a_stick_that_is_not_there_or_full_is_said(desk, tmp_path):
    assert "mount it" in desk.run("export", tmp_path / "nowhere", code=2)
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / "pehra-update").write_text("a file is in the way")
    assert "stick" in desk.run("export", tmp_path / "stick", code=2)


def test_what_no_device_would_accept_is_not_published(desk, tmp_path):
    desk.release(model(tmp_path / "m", "1.0"))
    before = sorted((file.name, file.read_bytes()) for file in (desk.www / "metadata").iterdir())
    path = max(desk.home.metadata.glob("*.models.json"), key=lambda file: int(file.name.split(".")[0]))
    metadata = Metadata.from_bytes(path.read_bytes())
    metadata.signed.targets.clear()
    path.write_bytes(metadata.to_bytes())
    assert "no device would accept" in desk.run("publish", desk.www, code=2)
    assert sorted((file.name, file.read_bytes()) for file in (desk.www / "metadata").iterdir()) == before


def test_a_publication_is_never_seen_in_half(desk, tmp_path, monkeypatch):
    desk.release(model(tmp_path / "m", "1.0"))
    desk.run("add", model(tmp_path / "m2", "2.0", weights=b"two"), *ANY)
    desk.run("sign")
    order = []
    really = Path.replace

    def replace(self, target):
        result = really(self, target)
        if desk.www in Path(target).parents:
            order.append(Path(target).name)
            desk.see("models/small-1.0.tar")
        return result

    monkeypatch.setattr(Path, "replace", replace)
    desk.run("publish", desk.www)
    assert order[-1] == "timestamp.json"
    assert len(order) > 3


def test_two_at_one_repository_do_not_get_in_each_others_way(desk, tmp_path, monkeypatch):
    monkeypatch.setattr("pehra.commands.ota.shared.LOCK_S", 0.0)
    with desk.home.locked():
        assert "another process" in desk.run("add", model(tmp_path / "m"), *ANY, code=2)


def test_a_command_waits_for_the_fleet_that_signs_in_the_same_repository_for_a_moment(desk):
    is_held = threading.Event()

    def sign() -> None:
        with desk.home.locked():
            is_held.set()
            is_asked.wait(5)

    is_asked, fleet = threading.Event(), threading.Thread(target=sign)
    fleet.start()
    assert is_held.wait(5)
    threading.Timer(0.2, is_asked.set).start()
    assert "timestamp" in desk.run("status")
    fleet.join()


def test_damaged_metadata_in_the_repository_is_said_with_its_file(desk, tmp_path):
    (desk.home.metadata / "1.models.json").write_bytes(b"")
    assert "1.models.json" in desk.run("add", model(tmp_path / "m"), *ANY, code=2)
    (desk.home.folder / "repository.json").write_bytes(b"{")
    assert "repository.json" in desk.run("status", code=2)


def test_a_published_folder_is_a_repository_for_the_conformance_protocol(desk, tmp_path):
    desk.release(model(tmp_path / "m", "1.0"))

    class Static(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(desk.www))

        def log_message(self, *_):
            pass

    def client(*words):
        command = ["ota", "tuf-client", "--metadata-dir", str(tmp_path / "md"), *words]
        return CliRunner().invoke(app, command).exit_code

    with ThreadingHTTPServer(("127.0.0.1", 0), Static) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}"
            (tmp_path / "md").mkdir()
            where = ["--metadata-url", f"{url}/metadata", "--target-base-url", f"{url}/targets"]
            assert client("init", str(desk.home.first_root)) == 0
            assert client(*where, "refresh") == 0
            got = ["--target-dir", str(tmp_path / "got"), "--target-name", "models/small-1.0.tar"]
            assert client(*where, *got, "download") == 0
        finally:
            server.shutdown()
            thread.join()
    names = {file.name for file in (tmp_path / "md").glob("*.json")}
    assert names == {f"{role}.json" for role in ("root", "timestamp", "snapshot", "targets", "models")}
