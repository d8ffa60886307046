"""Who may speak of which target: delegations, their order, their names, and what they may not do."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

import pytest

from ota.errors import TrustError
from ota.trust.folder import TrustFolder
from ota.trust.http import HttpSource
from ota.trust.refresh import refresh
from tests.repository_simulator import NOW, YESTERDAY

GRAPHS = {
    "one": ([("targets", "A")], ["A"]),
    "two beside each other": ([("targets", "A"), ("targets", "B")], ["A", "B"]),
    "two levels": ([("targets", "A"), ("targets", "B"), ("B", "C")], ["A", "B", "C"]),
    "depth first": ([("targets", "A"), ("targets", "B"), ("A", "C"), ("A", "D")], ["A", "C", "D", "B"]),
    "three levels": ([("targets", "A"), ("targets", "B"), ("A", "C"), ("C", "D")], ["A", "C", "D", "B"]),
    "one that ends it": ([("targets", "A"), ("targets", "B"), ("A", "C", "ends"), ("A", "D")], ["A", "C"]),
    "one below that ends it": (
        [("targets", "A"), ("targets", "B"), ("A", "C", "ends"), ("C", "D")],
        ["A", "C", "D"],
    ),
    "another's paths": ([("targets", "A", "*.py"), ("targets", "B"), ("A", "C")], ["B"]),
    "another's paths below": (
        [("targets", "A"), ("targets", "B"), ("A", "C", "*.py"), ("C", "D")],
        ["A", "B"],
    ),
    "a circle": (
        [("targets", "A"), ("targets", "B"), ("B", "C"), ("C", "D"), ("D", "B")],
        ["A", "B", "C", "D"],
    ),
    "two ways": ([("targets", "A"), ("targets", "B"), ("B", "C"), ("A", "C")], ["A", "C", "B"]),
    "two ways, one for others": (
        [("targets", "A"), ("targets", "B"), ("B", "C"), ("A", "C", "*.py")],
        ["A", "B", "C"],
    ),
}


@pytest.mark.parametrize(("edges", "visited"), GRAPHS.values(), ids=GRAPHS)
def test_roles_are_asked_in_the_order_of_their_delegations(client, served, repository, edges, visited):
    for delegator, role, *paths in edges:
        repository.delegate(delegator, role, *(p for p in paths if p != "ends"), terminating="ends" in paths)
    repository.issue_all(*sorted({edge[1] for edge in edges}))
    client.init()
    assert client.download("missing") == 1
    assert served.metadata_asked()[4:] == [f"1.{role}.json" for role in visited]


@pytest.mark.parametrize(
    ("path", "found", "visited"),
    [
        ("targetfile", True, []),
        ("README.md", True, ["A"]),
        ("releases/x/x_v1", True, ["B", "C"]),
        ("releases/y/y_v1.zip", True, ["B", "D"]),
        ("releases/z/z_v1.zip", False, ["B"]),
    ],
)
def test_a_target_is_found_where_every_role_on_the_way_may_speak_of_it(
    client, served, repository, path, found, visited
):
    repository.delegate("targets", "A", "*.doc", "*.md")
    repository.delegate("targets", "B", "releases/*/*")
    repository.delegate("B", "C", "releases/x/*")
    repository.delegate("B", "D", "releases/y/*.zip")
    speakers = {"targetfile": "targets", "README.md": "A", "releases/x/x_v1": "C"}
    speakers |= {"releases/y/y_v1.zip": "D", "releases/z/z_v1.zip": "D"}
    for target, role in speakers.items():
        repository.put(target, f"{target} by {role}".encode(), role)
    repository.issue_all("A", "B", "C", "D")
    client.init()
    assert client.download(path) == (0 if found else 1)
    assert served.metadata_asked()[4:] == [f"1.{role}.json" for role in visited]
    assert client.downloaded() == ({path: repository.contents[path]} if found else {})


@pytest.mark.parametrize("role", ["?", "#", "%", "/delegated", "../delegated", ".", "..", "a b", "ü", "a\\b"])
def test_a_role_of_an_odd_name_is_asked_for_by_it_and_leads_nowhere_else(client, served, repository, role):
    repository.delegate("targets", role, "*")
    repository.issue_all(role)
    client.init()
    before = set(client.metadata.parent.parent.iterdir())
    assert client.download("missing") == 1
    assert served.metadata_asked()[-1] == f"1.{quote(role, '')}.json"
    assert len(client.trusted()) == 5
    assert set(client.metadata.parent.parent.iterdir()) == before


@pytest.mark.parametrize(
    "path", ["a?b", "a%20b", "100%", "a&b=c", "a+b", "../../out", "/etc/x", "ü.bin", "a b", "x" * 240]
)
def test_a_target_of_an_odd_name_lands_in_its_folder(client, repository, path):
    repository.contents[quote(path, safe="/?&=+.") if path != "a%20b" else path] = b"content"
    repository.put(path, b"content")
    repository.issue_all()
    client.init()
    assert client.download(path) == 0
    assert list(client.downloaded().values()) == [b"content"]
    assert [file.parent for file in client.metadata.parent.rglob("*") if file.name == "out"] == []


def test_a_role_that_another_than_its_delegator_has_signed_is_refused(client, repository):
    repository.delegate("targets", "models", "models/*")
    repository.put("models/a", b"a", "models")
    repository.signers["models"] = [repository.new_key()]
    repository.issue_all("models")
    client.init()
    assert client.download("models/a") == 1
    assert client.downloaded() == {}
    assert client.version("models") is None


def test_a_role_that_two_trust_counts_for_each_only_with_the_key_that_it_gave(client, repository):
    repository.delegate("targets", "A", "*")
    repository.delegate("targets", "B", "*")
    repository.delegate("A", "C", "other")
    repository.delegate("B", "C", "wanted")
    repository.next["B"].delegations.roles["C"].keyids.clear()
    repository.next["B"].add_key(repository.new_key().public_key, "C")
    repository.put("other", b"other", "C")
    repository.put("wanted", b"wanted", "C")
    repository.issue_all("A", "B", "C")
    client.init()
    assert client.download("other") == 0
    # what is cached was verified for A; B has named another key for it
    assert client.download("wanted") == 1
    assert client.downloaded() == {"other": b"other"}


def test_a_role_may_not_speak_of_anothers_targets(client, repository):
    repository.delegate("targets", "models", "models/*", terminating=True)
    repository.delegate("targets", "firmware", "firmware/*", terminating=True)
    repository.put("firmware/evil", b"evil", "models")
    repository.issue_all("models", "firmware")
    client.init()
    assert client.download("firmware/evil") == 1
    assert client.downloaded() == {}


def test_a_role_that_has_expired_vouches_for_nothing(client, repository):
    repository.delegate("targets", "models", "models/*")
    repository.next["models"].expires = YESTERDAY
    repository.put("models/a", b"a", "models")
    repository.issue_all("models")
    client.init()
    assert client.refresh() == 0
    assert client.download("models/a") == 1
    assert client.trusted() == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 2}


def test_a_role_that_expires_while_it_lies_here_is_not_used_but_renewed(served, repository, tmp_path):
    repository.delegate("targets", "models", "models/*")
    repository.next["models"].expires = NOW + timedelta(days=7)
    repository.put("models/a", b"a", "models")
    repository.issue_all("models")
    folder, source = TrustFolder(tmp_path / "trust"), HttpSource(served.metadata_url, served.targets_url)
    root, later = repository.issued["root"][0], NOW + timedelta(days=18)
    assert refresh(folder, root, source, ["models/a"]).targets["models/a"] is not None
    with pytest.raises(TrustError, match="models is expired"):
        refresh(folder, root, source, ["models/a"], now=later)
    repository.next["models"].expires = NOW + timedelta(days=21)
    repository.issue_all("models")
    assert refresh(folder, root, source, ["models/a"], now=later).targets["models/a"] is not None


def test_targets_are_found_in_bins_by_their_hash(client, served, repository):
    repository.delegate_bins(3, "bin")
    names = [f"file-{number}" for number in range(6)]
    for name in names:
        (role,) = {role for role, _ in repository.targets.delegations.get_roles_for_target(name)}
        repository.put(name, name.encode(), role)
    repository.issue_all(*[f"bin-{number}" for number in range(8)])
    client.init()
    for name in names:
        assert client.download(name) == 0
    assert client.downloaded() == {name: name.encode() for name in names}
    assert client.download("not in its bin") == 1


def test_more_delegations_than_are_followed_end_in_not_found(client, served, repository):
    for number in range(60):
        repository.delegate("targets", f"r{number:02}", "*")
    repository.issue_all(*[f"r{number:02}" for number in range(60)])
    client.init()
    assert client.download("missing") == 1
    assert len(served.metadata_asked()) < 40
