from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from device.errors import ModelRefused, ModelUnavailable
from device.models.bundle import bundle_names, load_bundle
from tests.tiny_tflite import Constant, tiny_tflite

CARD = """\
name = "tiny"
version = "1.0.0"
labels = ["person", "car"]
decoder = "yolov8"
sha256 = "{sha256}"
[input]
width = 32
height = 32
dtype = "uint8"
scale = 0.00392156862745098
zero_point = 0
[thresholds]
conf = 0.3
[measured]
map50 = 0.5
"""


def tiny_yolov8(dtype: str = "uint8") -> bytes:
    real = np.zeros((1, 6, 21), np.uint8)
    return tiny_tflite(
        [Constant("out", real, 1 / 255)], dtype=dtype, scale=0.0 if dtype == "float32" else 1 / 255
    )


def bundle_in(folder: Path, *, change: tuple[str, str] = ("", ""), sha256: str | None = None) -> Path:
    content = tiny_yolov8()
    (folder / "model.tflite").write_bytes(content)
    text = CARD.format(sha256=sha256 or hashlib.sha256(content).hexdigest())
    (folder / "model.toml").write_text(text.replace(*change) if change[0] else text)
    return folder


@pytest.mark.parametrize("asked", [".", "model.tflite", "model.toml"])
def test_a_bundle_is_found_by_its_folder_its_model_and_its_card(tmp_path: Path, asked: str) -> None:
    bundle = load_bundle(bundle_in(tmp_path) / asked)
    assert (bundle.card.name, bundle.card.thresholds.conf, bundle.guessed) == ("tiny", 0.3, ())


def test_the_shipped_model_is_found_by_its_name() -> None:
    assert "street-2" in bundle_names()
    bundle = load_bundle("street-2", int8_only=True)
    assert bundle.card.decoder == "pehra-ltrb"
    assert bundle.card.sha256 == bundle.sha256
    assert bundle.size_bytes < 2_000_000


def test_an_unknown_model_name_lists_the_ones_there_are() -> None:
    with pytest.raises(
        ModelUnavailable, match=r"no shipped, pulled or added model of that name.*street-2"
    ) as caught:
        load_bundle("street-9000")
    assert caught.value.path == "street-9000"


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"holds no model\.tflite"):
        load_bundle(tmp_path)


def test_a_model_of_0_bytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.tflite").touch()
    with pytest.raises(ModelUnavailable, match="is empty"):
        load_bundle(tmp_path / "empty.tflite")


@pytest.mark.parametrize("content", [b"x", b"\x89PNG\r\n\x1a\n" + bytes(100), b"not a model at all"])
def test_a_file_that_is_not_tflite_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tflite").write_bytes(content)
    with pytest.raises(ModelUnavailable, match="not a TFLite model"):
        load_bundle(tmp_path / "x.tflite")


@pytest.mark.parametrize("keep", [8, 9, 100, 400])
def test_a_truncated_model_is_refused(tmp_path: Path, keep: int) -> None:
    (tmp_path / "x.tflite").write_bytes(tiny_yolov8()[:keep])
    with pytest.raises(ModelUnavailable, match="fetch or convert the model again"):
        load_bundle(tmp_path / "x.tflite")


def test_a_float_model_is_refused_by_a_device_and_taken_by_others(tmp_path: Path) -> None:
    file = tmp_path / "x.tflite"
    file.write_bytes(tiny_yolov8("float32"))
    labels = ("person", "car")
    assert load_bundle(file, labels=labels).card.input.dtype == "float32"
    with pytest.raises(ModelRefused, match=r"float model at its input.*int8 or uint8 only.*full-integer"):
        load_bundle(file, int8_only=True, labels=labels)


def test_a_card_whose_sha256_does_not_match_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"sha256 is .* the card .*model.toml says 000000000000"):
        load_bundle(bundle_in(tmp_path, sha256="0" * 64))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("width = 32", "widht = 32"), "model.toml.*widht.*`input`"),
        (("version =", "versoin ="), "model.toml.*versoin"),
        (("width = 32", 'width = "wide"'), "model.toml.*input.width"),
        (("width = 32", "width = 0"), "input.width"),
        (('"uint8"', '"float16"'), "input.dtype"),
        (('"yolov8"', '"detr"'), "`detr` is unknown, there are pehra-ltrb"),
        (("conf = 0.3", "conf = 3"), "thresholds.conf is 3"),
        (('["person", "car"]', '["cat", "dog"]'), "none of Pehra's classes"),
        (("[input]", "[input"), "model.toml"),
    ],
)
def test_a_wrong_card_is_refused_naming_file_and_key(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    with pytest.raises(ModelUnavailable, match=said):
        load_bundle(bundle_in(tmp_path, change=change))
