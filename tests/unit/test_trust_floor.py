"""The floor below which nothing is trusted: what raises it, what it refuses, what makes it fall."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ota.errors import FolderProblem, RolledBack
from ota.trust.floor import Floor, FloorFiles, RoleFloor, RoleKeys, decode, encode, raised

KEYS = {"snapshot": RoleKeys(keys=frozenset({"a", "b", "c"}), threshold=2)}


def _floor(version=5, signers="ab", root=1):
    role = RoleFloor(signers=frozenset(signers), versions={"targets.json": version})
    return Floor(root=root, roles={"snapshot": role})


def _version(floor):
    return floor.roles["snapshot"].versions["targets.json"]


def test_what_is_newer_raises_the_floor():
    assert _version(raised(_floor(5), _floor(6), KEYS)) == 6


def test_a_role_that_was_not_seen_keeps_its_floor():
    assert _version(raised(_floor(5), Floor(root=1), KEYS)) == 5


def test_an_older_root_is_refused():
    with pytest.raises(RolledBack, match="root has version 1, but version 2"):
        raised(_floor(root=2), _floor(root=1), KEYS)


def test_an_older_role_is_refused():
    with pytest.raises(RolledBack, match="targets has version 4"):
        raised(_floor(5), _floor(4), KEYS)


@pytest.mark.parametrize("versions", [{"models.json": 2}, {}])
def test_a_role_that_vouches_for_something_older_or_no_longer_is_refused(versions):
    signers = frozenset("ab")
    before = Floor(root=1, roles={"snapshot": RoleFloor(signers=signers, versions={"models.json": 3})})
    after = Floor(root=1, roles={"snapshot": RoleFloor(signers=signers, versions=versions)})
    with pytest.raises(RolledBack, match="models has version"):
        raised(before, after, KEYS)


@pytest.mark.parametrize(("signers", "holds"), [("ab", True), ("ax", False), ("xy", False), ("abx", True)])
def test_a_floor_holds_while_enough_of_its_signers_count(signers, holds):
    before = _floor(5, signers)
    if holds:
        with pytest.raises(RolledBack):
            raised(before, _floor(1), KEYS)
    else:
        assert _version(raised(before, _floor(1), KEYS)) == 1
        assert raised(before, Floor(root=1), KEYS).roles == {}


def test_the_two_files_are_written_in_turns(tmp_path):
    files = FloorFiles(tmp_path)
    assert files.read() == Floor()
    for version in (1, 2, 3):
        files.write(_floor(version))
        assert _version(files.read()) == version
    versions = {_version(decode((tmp_path / name).read_bytes())) for name in ("floor.a", "floor.b")}
    assert versions == {2, 3}
    before = [(tmp_path / name).read_bytes() for name in ("floor.a", "floor.b")]
    files.write(_floor(3))
    assert [(tmp_path / name).read_bytes() for name in ("floor.a", "floor.b")] == before


def test_a_disk_that_refuses_is_said(tmp_path):
    with pytest.raises(FolderProblem):
        FloorFiles(tmp_path / "not there").write(_floor(1))


@given(st.binary(max_size=400))
def test_no_bytes_make_a_floor_by_chance(content):
    assert decode(content) is None


@given(st.integers(0, 300), st.integers(0, 255))
def test_one_wrong_byte_is_noticed(at, byte):
    content = bytearray(encode(_floor(7)))
    at %= len(content)
    if content[at] != byte:
        content[at] = byte
        assert decode(bytes(content)) in (None, _floor(7))
    else:
        assert decode(bytes(content)) == _floor(7)
