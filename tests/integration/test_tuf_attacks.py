"""Each attack of the TUF specification (1.0, section 1.5.2) that a client can meet, against ours."""

from __future__ import annotations

import contextlib
import time
from datetime import timedelta

import pytest

from ota.errors import OutOfDate, TooSlow, TrustError, Untrusted, WrongContent
from ota.trust.download import download
from ota.trust.folder import TrustFolder
from ota.trust.http import HttpSource
from ota.trust.limits import Limits
from ota.trust.refresh import refresh
from tests.repository_simulator import NOW, TOP, Repository, some_key

IMPATIENT = Limits(
    metadata_s=0.3, answer_s=0.3, silence_s=0.2, slow_window_s=0.2, least_bytes_per_s=1_000_000
)


def _endlessly(handler, _):
    handler.head(200, None)
    while True:
        handler.wfile.write(b"{" * 65_536)


def _byte_by_byte(handler, content):
    handler.head(200, len(content))
    for byte in content:
        handler.wfile.write(bytes([byte]))
        time.sleep(0.05)


def _slow_head(handler, _):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(1000):
        handler.wfile.write(b"X-%d: x\r\n" % number)
        time.sleep(0.05)


def _silence(handler, content):
    handler.head(200, len(content))
    time.sleep(2)


@pytest.fixture
def source(served):
    return HttpSource(served.metadata_url, served.targets_url, IMPATIENT)


@pytest.fixture
def folder(tmp_path):
    return TrustFolder(tmp_path / "trust")


@pytest.fixture
def first(repository):
    return repository.issued["root"][0]


def test_arbitrary_software_is_refused(client, repository):
    repository.put("app", b"good software")
    repository.issue_all()
    client.init()
    repository.contents["app"] = b"evil software"
    assert client.download("app") == 1
    assert client.downloaded() == {}
    repository.contents["app"] = b"good software"
    assert client.download("app") == 0


def test_software_that_was_good_when_it_came_is_not_overwritten_by_evil(client, repository):
    repository.put("app", b"good")
    repository.issue_all()
    client.init()
    assert client.download("app") == 0
    for number in range(3):
        repository.put("app", f"better {number}".encode())
        repository.issue_all()
        assert client.download("app") == 0
        better = client.downloaded()
        repository.contents["app"] = b"evil, evil"
        client.download("app")
        assert client.downloaded() == better


def test_what_is_here_already_is_not_fetched_again(client, served, repository):
    repository.put("app", b"good")
    repository.issue_all()
    client.init()
    client.download("app")
    served.asked.clear()
    assert client.download("app") == 0
    assert not [path for path in served.asked if "/targets/" in path]


@pytest.mark.parametrize("algorithms", [("sha256",), ("sha512",), ("sha256", "sha512")])
def test_a_target_is_fetched_by_a_hash_that_is_signed(client, served, repository, algorithms):
    target = repository.put("app", b"good", algorithms=algorithms)
    repository.issue_all()
    client.init()
    assert client.download("app") == 0
    (path,) = [path for path in served.asked if "/targets/" in path]
    assert path.removeprefix("/targets/").removesuffix(".app") in target.hashes.values()


def test_a_hash_of_an_unknown_kind_verifies_nothing(client, repository):
    target = repository.put("app", b"good", algorithms=("sha512",))
    target.hashes["unknown"] = target.hashes.pop("sha512")
    repository.issue_all()
    client.init()
    assert client.download("app") == 1
    assert client.downloaded() == {}


def test_one_wrong_hash_among_good_ones_is_wrong(client, repository):
    target = repository.put("app", b"good", algorithms=("sha256", "sha512"))
    target.hashes["sha512"] = "0" * 128
    repository.issue_all()
    client.init()
    assert client.download("app") == 1


@pytest.mark.parametrize("name", ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"])
def test_endless_metadata_ends_at_its_limit(served, folder, source, first, name):
    served.faults[name] = _endlessly
    with pytest.raises(WrongContent):
        refresh(folder, first, source, limits=IMPATIENT)


def test_endless_software_ends_at_its_length(served, repository, source, tmp_path):
    target = repository.put("app", b"good" * 100)
    for fault in (_endlessly, lambda handler, content: handler.give(content + b"more")):
        served.faults["/targets/"] = fault
        with pytest.raises(WrongContent, match="were signed"):
            download(source, target, tmp_path / "app", limits=IMPATIENT)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", [_byte_by_byte, _slow_head, _silence])
@pytest.mark.parametrize("name", ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"])
def test_slow_metadata_is_given_up(served, folder, source, first, fault, name):
    if name == "2.root.json" and fault is not _slow_head:
        served.repository.issue("root")
    served.faults[name] = fault
    began = time.monotonic()
    with pytest.raises(TooSlow):
        refresh(folder, first, source, limits=IMPATIENT)
    assert time.monotonic() - began < 1.5


@pytest.mark.parametrize("fault", [_byte_by_byte, _slow_head, _silence])
def test_slow_software_is_given_up_and_gone_on_with(served, repository, source, tmp_path, fault):
    target = repository.put("app", b"good" * 1000)
    served.faults["/targets/"] = fault
    began = time.monotonic()
    with pytest.raises(TooSlow):
        download(source, target, tmp_path / "app", limits=IMPATIENT)
    assert time.monotonic() - began < 1.5
    served.faults.clear()
    download(source, target, tmp_path / "app", limits=IMPATIENT)
    assert (tmp_path / "app").read_bytes() == b"good" * 1000


def test_rollback_of_everything_to_an_older_repository_is_refused(client, served, repository):
    client.init()
    old = {role: list(issued) for role, issued in repository.issued.items()}
    repository.issue("root", "targets", "snapshot", "timestamp")
    assert client.refresh() == 0
    repository.issued.update(old)
    assert client.refresh() == 1
    assert client.trusted() == dict.fromkeys(TOP, 2)


def test_freeze_is_noticed_when_the_timestamp_expires(served, repository, folder, source, first):
    repository.timestamp.expires = NOW + timedelta(days=1)
    repository.issue("timestamp")
    assert refresh(folder, first, source, now=NOW).versions["timestamp"] == 2
    assert refresh(folder, first, source, now=NOW + timedelta(hours=23)).expires == NOW + timedelta(days=1)
    with pytest.raises(OutOfDate, match="check the clock"):
        refresh(folder, first, source, now=NOW + timedelta(hours=25))


def test_a_clock_before_and_after_the_expiry_decides_and_nothing_else_is_lost(
    repository, folder, source, first
):
    refresh(folder, first, source, now=NOW)
    for later in (NOW + timedelta(days=31), NOW + timedelta(days=4000)):
        with pytest.raises(OutOfDate):
            refresh(folder, first, source, now=later)
    # the clock was wrong: with the right one all is as it was
    assert refresh(folder, first, source, now=NOW).versions == {"root": 1, "timestamp": 1, "snapshot": 1}
    assert refresh(folder, first, source, now=NOW - timedelta(days=20_000)).versions["timestamp"] == 1


def test_what_has_expired_here_still_leads_to_what_is_newer_there(repository, folder, source, first):
    repository.timestamp.expires = NOW + timedelta(days=7)
    repository.issue("timestamp")
    refresh(folder, first, source, now=NOW)
    repository.timestamp.expires = NOW + timedelta(days=21)
    repository.issue_all()
    found = refresh(folder, first, source, now=NOW + timedelta(days=18))
    assert found.versions == {"root": 1, "timestamp": 3, "snapshot": 2}


def test_mix_and_match_of_two_states_is_refused(client, served, repository):
    repository.has_hashes = True
    repository.delegate("targets", "models", "models/*")
    repository.put("models/a", b"old", "models")
    repository.issue_all("models")
    old = repository.issued["models"][-1]
    repository.put("models/a", b"new", "models")
    repository.issue_all("models")
    client.init()
    served.faults["2.models.json"] = lambda handler, _: handler.give(old)
    assert client.download("models/a") == 1
    served.faults.clear()
    assert client.download("models/a") == 0
    assert client.downloaded() == {"models/a": b"new"}


def test_a_repository_of_another_owner_is_refused(client, served):
    client.init()
    client.refresh()
    other = Repository()
    for role in TOP:
        other.signers[role] = [some_key(300 + TOP.index(role))]
    other.issue("root", "targets", "snapshot", "timestamp")
    served.repository.issued.update(other.issued)
    assert client.refresh() == 1


@pytest.mark.parametrize("stolen", ["timestamp", "snapshot", "targets"])
def test_one_stolen_key_does_not_make_software(repository, folder, source, first, stolen):
    thief = Repository()
    for role in TOP:
        thief.signers[role] = [some_key(200 + TOP.index(role))]
    thief.signers[stolen] = repository.signers[stolen]
    thief.put("app", b"evil")
    thief.issue("targets", "snapshot", "timestamp")
    kept = {role: list(issued) for role, issued in repository.issued.items()}
    refresh(folder, first, source)
    for parts in ([stolen], ["timestamp", "snapshot", "targets"]):
        repository.issued.update({role: thief.issued[role] for role in parts})
        with contextlib.suppress(TrustError):
            assert refresh(folder, first, source, ["app"]).targets["app"] is None
        repository.issued.update(kept)
    # what ran ahead with the stolen key falls with it
    repository.rotate(stolen)
    repository.issue("root", "targets", "snapshot", "timestamp")
    assert refresh(folder, first, source, ["app"]).targets["app"] is None


def test_a_key_that_was_stolen_is_worth_nothing_after_its_rotation(served, repository, folder, source, first):
    stolen = list(repository.signers["targets"])
    refresh(folder, first, source)
    repository.rotate("targets")
    repository.issue("root", "targets", "snapshot", "timestamp")
    refresh(folder, first, source)
    repository.signers["targets"] = stolen
    repository.put("app", b"evil")
    repository.issue_all()
    with pytest.raises(Untrusted):
        refresh(folder, first, source, ["app"])


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 4096, b"[" * 100_000, b"<html>", b'{"signed": {}, "signatures": []}', b"\xff"]
)
@pytest.mark.parametrize("name", ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"])
def test_rubbish_instead_of_metadata_is_refused(served, folder, source, first, name, content):
    served.faults[name] = lambda handler, _: handler.give(content)
    with pytest.raises(TrustError):
        refresh(folder, first, source, limits=IMPATIENT)


@pytest.mark.parametrize("status", [301, 302, 307])
def test_redirects_are_followed_a_few_times(served, folder, source, first, status):
    def elsewhere(handler, _):
        handler.send_response(status)
        handler.send_header("Location", "/metadata/1.targets.json?moved")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    served.faults["1.snapshot.json"] = elsewhere
    served.faults["?moved"] = lambda handler, _: handler.give(served.repository.issued["snapshot"][0])
    assert refresh(folder, first, source).versions["snapshot"] == 1
    served.faults["?moved"] = elsewhere
    folder2 = TrustFolder(folder.folder.with_name("other"))
    with pytest.raises(TrustError, match="redirect"):
        refresh(folder2, first, source)


@pytest.mark.parametrize("status", [500, 503, 410, 403, 404])
def test_a_server_in_trouble_is_away_and_not_a_newest_root(served, folder, source, first, status):
    served.faults[".root.json"] = lambda handler, _: handler.send_error(status)
    if status in (403, 404):
        assert refresh(folder, first, source).versions["root"] == 1
    else:
        with pytest.raises(TrustError, match=str(status)):
            refresh(folder, first, source)
