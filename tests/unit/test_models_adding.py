"""A bare file becomes a bundle, whole or not at all, and goes again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from device.errors import ModelRefused, ModelUnavailable
from device.models.adding import Wish, add, name_from, remove
from device.models.bundle import bundle_names, find_model, load_bundle, models_folder
from tests.tiny_tflite import Constant, tiny_tflite


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PEHRA_MODELS", str(tmp_path / "models"))
    return models_folder()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    real = np.zeros((1, 6, 84), np.uint8)
    bare = tmp_path / "Bare Thing_2.tflite"
    bare.write_bytes(tiny_tflite([Constant("out", real, 1 / 200)], size=64))
    return bare


WISH = Wish("mine", "3", labels=("person", "bicycle"), licence="MIT", source="a friend")


def test_an_added_model_is_found_by_name_with_its_card_and_golden_vectors(folder: Path, file: Path) -> None:
    place, checks = add(file, WISH, folder)
    assert place == folder / "mine"
    assert all(check.state != "WRONG" for check in checks)
    bundle = load_bundle("mine", int8_only=True)
    assert (bundle.card.version, bundle.card.licence) == ("3", "MIT")
    assert bundle.card.labels == ["person", "bicycle"]
    assert bundle.card.sha256 == bundle.sha256
    assert bundle.card.provenance.initialised_from == "a friend"
    assert bundle.card.golden
    assert sorted(entry.name for entry in folder.iterdir()) == ["mine"]


def test_a_name_that_is_taken_is_replaced_only_when_asked_for(folder: Path, file: Path) -> None:
    add(file, WISH, folder)
    other = Wish("mine", "4", labels=("car", "bus"))
    with pytest.raises(ModelRefused, match="--force"):
        add(file, other, folder)
    assert load_bundle("mine").card.version == "3"
    add(file, other, folder, may_replace=True)
    assert load_bundle("mine").card.version == "4"
    assert sorted(entry.name for entry in folder.iterdir()) == ["mine"]


@pytest.mark.parametrize("name", ["../evil", "a/b", ".hidden", "", "Größe", "x" * 65])
def test_a_hostile_name_is_refused(folder: Path, file: Path, name: str) -> None:
    with pytest.raises(ModelRefused, match="no name of a model"):
        add(file, Wish(name, labels=WISH.labels), folder)
    assert not folder.exists()


def test_the_name_of_a_shipped_model_is_refused(folder: Path, file: Path) -> None:
    with pytest.raises(ModelRefused, match="Pehra ships a model of that name"):
        add(file, Wish(bundle_names()[0], labels=WISH.labels), folder, may_replace=True)


def test_labels_that_do_not_fit_the_outputs_are_refused_and_nothing_is_added(
    folder: Path, file: Path
) -> None:
    with pytest.raises((ModelRefused, ModelUnavailable), match="label"):
        add(file, Wish("mine", labels=("person",)), folder)
    assert not bundle_names(folder)


def test_a_file_larger_than_a_slot_is_refused_and_nothing_is_added(folder: Path, file: Path) -> None:
    with pytest.raises(ModelRefused, match="size"):
        add(file, WISH, folder, slot_bytes=100)
    assert not bundle_names(folder)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("content", [b"", b"nonsense" * 100, b"\x18\0\0\0TFL3" + b"\xff" * 64])
def test_what_is_no_model_is_refused(folder: Path, tmp_path: Path, content: bytes) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(content)
    with pytest.raises(ModelUnavailable):
        add(broken, WISH, folder)
    assert not folder.exists() or not list(folder.iterdir())


def test_a_removed_model_is_gone_and_a_shipped_one_stays(folder: Path, file: Path) -> None:
    add(file, WISH, folder)
    remove("mine", folder)
    assert not list(folder.iterdir())
    with pytest.raises(ModelUnavailable, match="there is no such model"):
        remove("mine", folder)
    shipped = bundle_names()[0]
    with pytest.raises(ModelRefused, match="Pehra ships it"):
        remove(shipped, folder)
    assert find_model(shipped).is_file()


def test_a_name_is_made_of_the_files_name() -> None:
    assert name_from(Path("/x/Bare Thing_2.tflite")) == "bare-thing-2"
    assert name_from(Path("___.tflite")) == "model"


def test_the_models_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PEHRA_MODELS", str(tmp_path))
    assert models_folder() == tmp_path
    monkeypatch.delenv("PEHRA_MODELS")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert models_folder() == tmp_path / "data" / "pehra" / "models"
