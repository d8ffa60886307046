"""What the client takes and refuses in a refresh: the scenarios of the TUF conformance suite."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile

from tests.repository_simulator import TOP, YESTERDAY, Handler, file_of

ROOT = Path(__file__).resolve().parent.parent.parent
FIRST = {"root": 1, "timestamp": 1, "snapshot": 1, "targets": 1}


def test_a_first_refresh_asks_for_each_role_once_and_in_order(client, served):
    assert client.init() == 0
    assert served.asked == []
    assert client.refresh() == 0
    assert served.metadata_asked() == ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]
    assert client.trusted() == FIRST


def test_what_is_trusted_lies_there_byte_for_byte(client, repository):
    repository.issued["timestamp"][-1] += b" "
    client.init()
    assert client.refresh() == 0
    for role in TOP:
        assert (client.metadata / f"{role}.json").read_bytes() == repository.issued[role][-1]


def test_a_download_of_nothing_refreshes_and_fails(client, served):
    client.init()
    assert client.download("not there") == 1
    assert served.metadata_asked() == ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]
    assert client.trusted() == FIRST


def test_a_root_that_is_no_root_is_not_begun_with(client, served, repository):
    without_version = json.loads(repository.issued["root"][0])
    del without_version["signed"]["version"]
    forged = json.loads(repository.issued["root"][0])
    forged["signatures"][0]["sig"] = "00" * 64
    snapshot = json.loads(repository.issued["snapshot"][0])
    for content in (without_version, forged, snapshot, [], {"signed": {}}):
        assert client.init(json.dumps(content).encode()) == 1
        assert client.refresh() == 1
    assert client.init(b"\0" * 300) == 1
    assert served.asked == []


@pytest.mark.parametrize(
    ("role", "trusted"),
    [
        ("root", {"root": 1}),
        ("timestamp", {"root": 2}),
        ("snapshot", {"root": 2, "timestamp": 2}),
        ("targets", {"root": 2, "timestamp": 2, "snapshot": 2}),
    ],
)
def test_a_role_without_its_signature_ends_the_refresh_there(client, repository, role, trusted):
    repository.signers[role].clear()
    repository.issue("root", "targets", "snapshot", "timestamp")
    client.init()
    assert client.refresh() == 1
    assert client.trusted() == trusted


@pytest.mark.parametrize(
    ("role", "trusted"),
    [
        ("root", {"root": 1}),
        ("snapshot", {"root": 2, "timestamp": 2}),
        ("targets", {"root": 2, "timestamp": 2, "snapshot": 2}),
    ],
)
def test_a_file_with_another_version_than_its_name_is_refused(client, served, repository, role, trusted):
    repository.issue("root", "targets", "snapshot", "timestamp")
    repository.next[role].version = 3
    wrong = repository.sign(role)
    served.faults[file_of(role, 2)] = lambda handler, _: handler.give(wrong)
    client.init()
    assert client.refresh() == 1
    assert client.trusted() == trusted


def test_a_timestamp_of_the_same_version_is_not_taken_again(client, repository):
    client.init()
    assert client.refresh() == 0
    repository.timestamp.snapshot_meta = MetaFile(100)
    repository.issued["timestamp"] = [repository.sign("timestamp")]
    assert client.refresh() == 0
    kept = Metadata.from_bytes((client.metadata / "timestamp.json").read_bytes()).signed
    assert kept.snapshot_meta.version == 1


def test_hashes_of_metadata_are_held_to(client, repository):
    repository.has_hashes = True
    repository.issue_all()
    client.init()
    assert client.refresh() == 0
    repository.issue("targets")
    repository.snapshot.meta["targets.json"].hashes["sha256"] = "0" * 64
    repository.issue("snapshot", "timestamp")
    assert client.refresh() == 1
    assert client.trusted() == {"root": 1, "timestamp": 3, "snapshot": 3, "targets": 2}


def test_a_targets_version_that_the_snapshot_does_not_know_is_not_asked_for(client, served, repository):
    client.init()
    client.refresh()
    repository.issue("targets")
    assert client.refresh() == 0
    assert client.version("targets") == 1
    assert served.metadata_asked()[-1] == "timestamp.json"


def test_fields_that_nobody_knows_are_part_of_what_is_signed(client, repository):
    client.init()
    signer = CryptoSigner.generate_ecdsa()
    signer.public_key.unrecognized_fields["extra"] = {"a": 1, "b": [2]}
    canonical = encode_canonical(signer.public_key.to_dict()).encode()
    signer.public_key.keyid = hashlib.sha256(canonical).hexdigest()
    repository.give_key("root", signer=signer)
    repository.root.unrecognized_fields["custom"] = "value"
    repository.root.roles["root"].unrecognized_fields["other"] = "value"
    repository.issue("root")
    assert client.refresh() == 0
    assert client.version("root") == 2


def test_the_old_field_keyid_hash_algorithms_means_nothing(client, repository):
    client.init()
    keyid = repository.root.roles["snapshot"].keyids[0]
    repository.root.keys[keyid].unrecognized_fields = {"keyid_hash_algorithms": "md5"}
    repository.issue("root")
    assert client.refresh() == 0
    assert client.version("root") == 2


@pytest.mark.parametrize(
    ("role", "asked", "trusted"),
    [
        ("snapshot", "2.snapshot.json", {"root": 1, "timestamp": 2, "snapshot": 1, "targets": 1}),
        ("targets", "2.targets.json", {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 1}),
        ("timestamp", "timestamp.json", FIRST),
    ],
)
def test_a_file_that_is_missing_leaves_what_came_before_it(client, served, repository, role, asked, trusted):
    client.init()
    client.refresh()
    repository.issue_all()
    repository.issued[role].pop()
    if role == "timestamp":
        repository.issued[role].clear()
    assert client.refresh() == 1
    assert served.metadata_asked()[-1] == asked
    assert client.trusted() == trusted


def test_a_snapshot_signed_well_is_no_timestamp(client, repository):
    client.init()
    repository.give_key("snapshot", signer=repository.signers["timestamp"][0])
    repository.snapshot.meta = {"snapshot.json": MetaFile(1)}
    repository.issue("root", "snapshot")
    repository.issued["timestamp"].append(repository.issued["snapshot"].pop())
    assert client.refresh() == 1
    assert client.trusted() == {"root": 2}


def test_a_repository_without_consistent_snapshots_is_read_without_versions(client, served, repository):
    repository.root.consistent_snapshot = False
    repository.put("plain.bin", b"plain")
    repository.issue("root", "targets", "snapshot", "timestamp")
    client.init()
    assert client.download("plain.bin") == 0
    assert "snapshot.json" in served.metadata_asked()
    assert "/targets/plain.bin" in served.asked


@pytest.mark.parametrize("role", TOP)
def test_a_role_that_has_expired_is_refused(client, repository, role):
    client.init()
    client.refresh()
    repository.next[role].expires = YESTERDAY
    repository.issue("root", "targets", "snapshot", "timestamp")
    assert client.refresh() == 1
    assert "expired" in client.said
    # the root alone is kept: its successor may be signed by none but itself
    assert client.version("root") == 2
    assert client.version("targets") == 1
    assert client.version(role) == (2 if role == "root" else 1)


def test_an_expired_root_does_not_stand_in_the_way_of_its_successor(client, repository):
    client.init()
    fresh, repository.root.expires = repository.root.expires, YESTERDAY
    repository.issue("root")
    repository.root.expires = fresh
    repository.issue("root")
    assert client.refresh() == 0
    assert client.version("root") == 3


def test_ten_rotations_are_followed_one_by_one(client, served, repository):
    client.init()
    for _ in range(10):
        old = list(repository.signers["root"])
        repository.rotate("root")
        repository.signers["root"] += old
        repository.issue("root")
        repository.signers["root"] = repository.signers["root"][:1]
    assert client.refresh() == 0
    assert client.version("root") == 11
    assert [name for name in served.metadata_asked() if "root" in name] == [
        f"{n}.root.json" for n in range(2, 13)
    ]


def test_the_command_runs_as_a_program_against_a_server_of_http_1_0(client, served, repository, monkeypatch):
    monkeypatch.setattr(Handler, "protocol_version", "HTTP/1.0")
    repository.put("a/b.bin", b"content")
    repository.issue_all()
    (client.metadata.parent / "first.json").write_bytes(repository.issued["root"][0])

    def run(*command, options=()):
        program = [sys.executable, "-m", "pehra", *client.arguments(list(options)), *command]
        return subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert run("init", str(client.metadata.parent / "first.json")).returncode == 0
    assert served.asked == []
    assert run("refresh").returncode == 0
    assert run("download", options=("--target-name", "a/b.bin")).returncode == 0
    assert client.downloaded() == {"a/b.bin": b"content"}
    repository.issue("timestamp", version=1)
    done = run("refresh")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "timestamp version 1" in done.stderr
