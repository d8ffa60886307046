"""Whose signatures count: thresholds, kinds of keys, duplicates, and the rotation of every role."""

from __future__ import annotations

import json

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata

from tests.repository_simulator import some_key


def test_fewer_signatures_than_the_threshold_are_not_enough(client, repository):
    for _ in range(2):
        repository.give_key("snapshot")
    repository.root.roles["snapshot"].threshold = 3
    repository.issue("root", "targets", "snapshot", "timestamp")
    client.init()
    assert client.refresh() == 0
    repository.signers["snapshot"].pop()
    repository.issue_all()
    assert client.refresh() == 1
    assert client.version("snapshot") == 2


def test_a_threshold_that_no_keys_can_reach_is_not_reached(client, repository):
    client.init()
    client.refresh()
    repository.root.roles["snapshot"].threshold = 6
    repository.issue("root", "snapshot", "timestamp")
    assert client.refresh() == 1
    assert client.version("root") == 2
    assert client.version("snapshot") == 1


def test_one_key_counts_once_however_often_it_is_listed_and_signs(client, repository):
    client.init()
    repository.give_key("snapshot")
    repository.root.roles["snapshot"].threshold = 3
    repository.issue("root", "snapshot", "timestamp")
    snapshot = json.loads(repository.issued["snapshot"].pop())
    snapshot["signatures"] += snapshot["signatures"] * 4
    repository.issued["snapshot"].append(json.dumps(snapshot).encode())
    assert client.refresh() == 1
    assert client.version("snapshot") is None

    root = json.loads(repository.issued["root"][-1])
    root["signed"]["roles"]["snapshot"]["keyids"] *= 3
    repository.issued["root"][-1] = json.dumps(root).encode()
    assert client.refresh() == 1
    assert client.version("snapshot") is None


def test_a_signature_that_is_listed_twice_spoils_the_file(client, repository):
    client.init()
    snapshot = json.loads(repository.issued["snapshot"].pop())
    snapshot["signatures"].append(snapshot["signatures"][0])
    repository.issued["snapshot"].append(json.dumps(snapshot).encode())
    assert client.refresh() == 1
    assert client.version("snapshot") is None


def test_a_wrong_signature_beside_enough_good_ones_does_no_harm(client, repository):
    client.init()
    repository.give_key("timestamp")
    repository.issue("root")
    for wrong in ("00" * 64, ""):
        repository.issue("timestamp")
        timestamp = Metadata.from_bytes(repository.issued["timestamp"].pop())
        next(iter(timestamp.signatures.values())).signature = wrong
        repository.issued["timestamp"].append(timestamp.to_bytes())
        assert client.refresh() == 0


@pytest.mark.parametrize(
    "make",
    [
        CryptoSigner.generate_ed25519,
        CryptoSigner.generate_ecdsa,
        CryptoSigner.generate_rsa,
        lambda: CryptoSigner.generate_rsa(scheme="rsa-pkcs1v15-sha256"),
    ],
    ids=["ed25519", "ecdsa-p256", "rsa-pss", "rsa-pkcs1v15"],
)
def test_every_kind_of_key_that_the_specification_names_counts(client, repository, make):
    client.init()
    signer = repository.give_key("root", signer=make())
    repository.root.roles["root"].threshold = 2
    repository.issue("root")
    assert client.refresh() == 0
    repository.issue("root")
    root = Metadata.from_bytes(repository.issued["root"].pop())
    good = root.signatures[signer.public_key.keyid].signature
    root.signatures[signer.public_key.keyid].signature = good[:-2] + ("00" if good[-2:] != "00" else "11")
    repository.issued["root"].append(root.to_bytes())
    assert client.refresh() == 1
    assert client.version("root") == 2


ROOTS = {
    "one key for another": [([1], 1, [1]), ([2], 1, [2, 1]), ([2], 1, [2])],
    "others sign too": [([1], 1, [3, 1, 4]), ([2], 1, [3, 2, 1, 4]), ([2], 1, [3, 2, 4])],
    "any three of five": [
        ([0, 1, 2, 3, 4], 3, [0, 2, 4]),
        ([0, 1, 2, 3, 4], 3, [0, 4, 1]),
        ([0, 1, 2, 3, 4], 3, [0, 1, 3]),
    ],
    "one of five": [([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 4, 1])],
    "all of five": [
        ([0, 1, 2, 3, 4], 3, [0, 2, 4]),
        ([5, 6, 7, 8, 9], 3, [0, 2, 4, 5, 6, 7]),
        ([5, 6, 7, 8, 9], 3, [5, 6, 7]),
    ],
    "threshold up": [([1, 2, 3], 1, [1]), ([1, 2, 3], 2, [1, 2])],
    "threshold down": [([1, 2, 3], 2, [1, 2]), ([1, 2, 3], 1, [1, 2]), ([1, 2, 3], 1, [1])],
    "a key more": [([1], 1, [1]), ([1, 2], 2, [1, 2])],
}
WRONG_ROOTS = {
    "without the old key": [([1], 1, [1]), ([2], 1, [2, 3, 4])],
    "without the new key": [([1], 1, [1]), ([2], 1, [1, 3, 4])],
    "two of three new keys": [([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 2, 4])],
    "two of three old keys": [([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 4, 5])],
    "new threshold not reached": [([1, 2, 3], 1, [1]), ([1, 2, 3], 2, [2])],
    "old threshold not reached": [([1, 2, 3], 2, [1, 2]), ([1, 2, 3], 1, [1])],
}


def _issue_roots(repository, versions):
    repository.issued["root"] = []
    repository.root.version = 1
    for keys, threshold, signing in versions:
        repository.root.roles["root"].keyids.clear()
        repository.root.roles["root"].threshold = threshold
        for key in keys:
            repository.root.add_key(some_key(100 + key).public_key, "root")
        repository.signers["root"] = [some_key(100 + key) for key in signing]
        repository.issue("root")


@pytest.mark.parametrize("versions", ROOTS.values(), ids=ROOTS)
def test_a_root_signed_by_old_and_new_keys_is_followed(client, repository, versions):
    _issue_roots(repository, versions)
    client.init()
    assert client.refresh() == 0
    assert (client.metadata / "root.json").read_bytes() == repository.issued["root"][-1]


@pytest.mark.parametrize("versions", WRONG_ROOTS.values(), ids=WRONG_ROOTS)
def test_a_root_that_lacks_old_or_new_signatures_is_not_followed(client, repository, versions):
    _issue_roots(repository, versions)
    client.init()
    assert client.refresh() == 1
    assert (client.metadata / "root.json").read_bytes() == repository.issued["root"][-2]


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
@pytest.mark.parametrize(
    ("keys", "threshold", "signing", "code"),
    [
        ([2], 1, [2], 0),
        ([1], 1, [3, 1, 4], 0),
        ([2], 1, [1, 3, 4], 1),
        ([0, 1, 3, 4, 5], 3, [0, 2, 4], 1),
        ([0, 1, 3, 4, 5], 3, [0, 4], 1),
        ([0, 1, 2, 3, 4], 3, [0, 2, 4], 0),
        ([0, 1, 2, 3, 4], 3, [2, 3, 4], 0),
    ],
)
def test_a_role_counts_with_the_keys_that_the_newest_root_gives_it(
    client, repository, role, keys, threshold, signing, code
):
    client.init()
    repository.root.roles[role].keyids.clear()
    repository.root.roles[role].threshold = threshold
    for key in keys:
        repository.root.add_key(some_key(100 + key).public_key, role)
    repository.signers[role] = [some_key(100 + key) for key in signing]
    repository.issue("root", "targets", "snapshot", "timestamp")
    assert client.refresh() == code
    if code == 0:
        assert (client.metadata / f"{role}.json").read_bytes() == repository.issued[role][-1]
