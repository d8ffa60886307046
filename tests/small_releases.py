"""Releases that are small: a model's folder and a wheelhouse that hold just enough."""

from __future__ import annotations

from pathlib import Path

CARD = """name = "small"
version = "{version}"
labels = ["person", "car"]
decoder = "pehra-ltrb"
licence = "Apache-2.0"
[input]
width = 320
height = 320
dtype = "int8"
scale = 0.0078125
[thresholds]
conf = 0.25
[[golden]]
seed = 1
[[golden.expected]]
output = "boxes"
at = 3
value = 0.5
"""


def model(folder: Path, version: str = "1.0", weights: bytes = b"weights") -> Path:
    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(b"\x20\0\0\0TFL3" + weights)
    (folder / "model.toml").write_text(CARD.format(version=version))
    return folder


def wheelhouse(folder: Path, version: str = "0.2.0") -> Path:
    folder.mkdir(parents=True)
    (folder / f"pehra-{version}-py3-none-any.whl").write_bytes(b"PK pehra")
    (folder / "numpy-2.0.0-cp311-cp311-manylinux_2_17_aarch64.whl").write_bytes(b"PK numpy")
    return folder
