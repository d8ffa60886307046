"""What is signed about a release, and how versions are counted."""

from __future__ import annotations

import pytest
from tuf.api.metadata import TargetFile

from ota.errors import BadRelease, Untrusted
from ota.images.adding import Wish, describe
from ota.trust.release import golden_digest, release_of, version_key
from tests.small_releases import model, wheelhouse

ANY = Wish(hw=("any",))


def _target(custom):
    return TargetFile(1, {"sha256": "0"}, "models/x", {"custom": custom})


def test_versions_count_as_people_count_them():
    versions = ["0.9", "1.0a1", "1.0rc1", "1.0", "1.0.1", "1.2", "1.10", "2.0.0", "2026.11.26"]
    assert sorted({*versions}, key=version_key) == versions


def test_a_model_tells_of_itself(tmp_path):
    release = describe(
        model(tmp_path / "m", "1.2"), Wish(hw=("raspberry-pi-4",), sec_ver=3, requires=(("pehra", "0.2"),))
    )
    assert (release.kind, release.name, release.version, release.slot) == ("model", "small", "1.2", "model")
    assert release.card["labels"] == ["person", "car"]
    assert release.card["input"] == {"width": 320, "height": 320, "dtype": "int8"}
    assert len(release.golden_sha256) == 64
    assert release.requires == {"pehra": "0.2"}


def test_a_wheelhouse_tells_of_itself(tmp_path):
    release = describe(wheelhouse(tmp_path / "w", "0.3.1"), ANY)
    assert (release.kind, release.name, release.version) == ("firmware", "pehra", "0.3.1")


def test_golden_vectors_have_one_digest_in_whatever_order_they_are_written():
    assert golden_digest([{"a": 1, "b": 0.5}]) == golden_digest([{"b": 0.5, "a": 1}])
    assert golden_digest([{"a": 1}]) != golden_digest([{"a": 2}])
    assert golden_digest([]) == ""


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path, "neither"),
        (
            lambda path: wheelhouse(path / "w") / "numpy-2.0.0-cp311-cp311-manylinux_2_17_aarch64.whl",
            "neither",
        ),
        (lambda path: (model(path / "m") / "model.toml").unlink() or path / "m", "model.toml"),
        (lambda path: (model(path / "m") / "model.toml").write_text("name = 3") and path / "m", "verify"),
        (
            lambda path: (wheelhouse(path / "w") / "pehra-0.2.0-py3-none-any.whl").unlink() or path / "w",
            "0 wheels",
        ),
        (lambda path: model(path / "m", version="1.0/../x"), "--version"),
    ],
)
def test_what_is_no_release_is_refused_with_what_to_do(tmp_path, make, said):
    with pytest.raises(BadRelease, match=said):
        describe(make(tmp_path), ANY)


def test_a_release_for_no_board_is_refused(tmp_path):
    with pytest.raises(BadRelease, match="--hw"):
        describe(model(tmp_path / "m"), Wish(hw=()))


@pytest.mark.parametrize(
    "custom",
    [
        None,
        [],
        {},
        {"kind": "model"},
        {"kind": "virus", "name": "x", "version": "1", "hw": []},
        {"kind": "model", "name": "../x", "version": "1", "hw": []},
        {"kind": "model", "name": "x", "version": "1", "hw": "any"},
        {"kind": "model", "name": "x", "version": "1", "hw": [], "sec_ver": -1},
    ],
)
def test_a_target_about_which_something_else_is_signed_is_no_release(custom):
    with pytest.raises(Untrusted, match="models/x"):
        release_of(_target(custom))


def test_fields_of_a_later_version_are_passed_over():
    custom = {"kind": "model", "name": "x", "version": "1", "hw": ["any"], "later": 1}
    assert release_of(_target(custom)).name == "x"
