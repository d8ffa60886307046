"""Photos and folders, good and bad, for `pehra detect`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hardware.camera.pictures import BadPicture, Picture, read_pictures
from hardware.errors import CameraUnavailable


def jpeg(seed: int = 0, quality: int = 90) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (90, 120, 3), np.uint8)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def with_segment(data: bytes, marker: int, content: bytes) -> bytes:
    """A JPEG with one more segment after its start marker."""
    return data[:2] + bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content + data[2:]


def only(path: Path) -> Picture | BadPicture:
    (one,) = read_pictures(str(path))
    return one


def test_a_corrupt_jpeg_in_a_folder_is_named_and_the_others_are_read(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    (tmp_path / "b.jpg").write_bytes(jpeg()[:1500])
    (tmp_path / "c.jpg").write_bytes(b"no picture")
    (tmp_path / "d.jpg").write_bytes(b"")
    (tmp_path / "e.PNG").write_bytes(cv2.imencode(".png", np.zeros((4, 6, 3), np.uint8))[1].tobytes())
    (tmp_path / "labels.txt").write_text("0 0.5 0.5 1 1")
    found = list(read_pictures(str(tmp_path)))
    assert [Path(p.source).name for p in found if isinstance(p, Picture)] == ["a.jpg", "e.PNG"]
    bad = {Path(p.path).name: p.reason for p in found if isinstance(p, BadPicture)}
    assert set(bad) == {"b.jpg", "c.jpg", "d.jpg"}
    assert "cut short" in bad["b.jpg"]
    assert "empty" in bad["d.jpg"]


def test_a_one_pixel_image_is_read(tmp_path):
    path = tmp_path / "dot.png"
    cv2.imwrite(str(path), np.array([[[1, 2, 3]]], np.uint8))
    picture = only(path)
    assert isinstance(picture, Picture)
    assert picture.pixels.tolist() == [[[3, 2, 1]]]
    assert (picture.index, picture.ts_s) == (0, 0.0)


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 4)])
def test_grey_and_transparent_photos_become_rgb(tmp_path, shape):
    path = tmp_path / "x.png"
    cv2.imwrite(str(path), np.full(shape, 200, np.uint8))
    picture = only(path)
    assert isinstance(picture, Picture)
    assert picture.pixels.shape == (20, 30, 3)


def test_a_photo_taken_sideways_is_turned_upright(tmp_path):
    # EXIF 2.32, 4.6.4: orientation 6 means that the 0th row is the right-hand side.
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    path = tmp_path / "sideways.jpg"
    path.write_bytes(with_segment(jpeg(), 0xE1, exif))
    picture = only(path)
    assert isinstance(picture, Picture)
    assert picture.pixels.shape == (120, 90, 3)


def test_a_cut_jpeg_with_a_whole_thumbnail_is_still_cut(tmp_path):
    path = tmp_path / "x.jpg"
    path.write_bytes(with_segment(jpeg()[:1500], 0xE1, jpeg(1, quality=1)[:9000]))
    assert isinstance(only(path), BadPicture)
    path.write_bytes(with_segment(jpeg(), 0xE1, jpeg(1, quality=1)[:9000]))
    assert isinstance(only(path), Picture)


def test_what_follows_a_whole_jpeg_does_not_matter(tmp_path):
    path = tmp_path / "x.jpg"
    path.write_bytes(jpeg() + b"\0" * 5000)
    assert isinstance(only(path), Picture)


def test_a_missing_path_and_an_empty_folder_are_unavailable(tmp_path):
    with pytest.raises(CameraUnavailable, match="no such file or folder"):
        list(read_pictures(str(tmp_path / "gone")))
    with pytest.raises(CameraUnavailable, match="no photos or videos"):
        list(read_pictures(str(tmp_path)))


def test_a_zero_byte_video_is_a_bad_picture(tmp_path):
    path = tmp_path / "x.mp4"
    path.write_bytes(b"")
    assert isinstance(only(path), BadPicture)
