"""A folder is one file with always the same bytes, and comes out of it as it went in, or not at all."""

from __future__ import annotations

import io
import os
import tarfile

import pytest

from ota.errors import BadRelease, WrongContent
from ota.packing import pack, unpack
from tests.small_releases import model


def _packed(folder):
    into = io.BytesIO()
    pack(folder, into)
    return into.getvalue()


def test_the_same_files_make_the_same_bytes_whoever_has_them_and_when(tmp_path):
    one, other = model(tmp_path / "one"), tmp_path / "other"
    other.mkdir(mode=0o700)
    for name in ("model.toml", "model.tflite"):
        (other / name).write_bytes((one / name).read_bytes())
        (other / name).chmod(0o600)
        os.utime(other / name, (1, 1))
    (other / "__pycache__").mkdir()
    (other / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert _packed(one) == _packed(other)


def test_what_was_packed_comes_out_and_packs_to_the_same_again(tmp_path):
    folder = model(tmp_path / "one")
    (folder / "more").mkdir()
    (folder / "more" / "file").write_bytes(b"x" * 70_000)
    packed = tmp_path / "packed"
    packed.write_bytes(_packed(folder))
    unpack(packed, tmp_path / "out", 1_000_000)
    assert _packed(tmp_path / "out") == packed.read_bytes()


def test_an_empty_folder_is_no_release(tmp_path):
    with pytest.raises(BadRelease, match="nothing in it"):
        _packed(tmp_path)


@pytest.mark.parametrize("name", ["ü", "a\nb", "x" * 220])
def test_a_name_that_not_every_disk_takes_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(BadRelease, match="rename it"):
        _packed(tmp_path)


def test_a_link_in_a_release_is_refused(tmp_path):
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(BadRelease, match="no plain file"):
        _packed(tmp_path)


def _tar(path, *members):
    with tarfile.open(path, "w") as tar:
        for name, kind, size in members:
            about = tarfile.TarInfo(name)
            about.type, about.size, about.linkname = kind, size, "/etc/passwd"
            tar.addfile(about, io.BytesIO(b"x" * size) if kind == tarfile.REGTYPE else None)
    return path


@pytest.mark.parametrize(
    "member",
    [
        ("../out", tarfile.REGTYPE, 1),
        ("/etc/x", tarfile.REGTYPE, 1),
        ("a/../../x", tarfile.REGTYPE, 1),
        ("link", tarfile.SYMTYPE, 0),
        ("hard", tarfile.LNKTYPE, 0),
        ("pipe", tarfile.FIFOTYPE, 0),
        ("device", tarfile.CHRTYPE, 0),
        ("folder", tarfile.DIRTYPE, 0),
        ("large", tarfile.REGTYPE, 2_000),
        ("fine", tarfile.REGTYPE, 1),
        ("fine/below", tarfile.REGTYPE, 1),
        ("l" * 300, tarfile.REGTYPE, 1),
        ("odd\n", tarfile.REGTYPE, 1),
    ],
)
def test_a_tar_that_holds_more_than_plain_files_in_bounds_is_refused(tmp_path, member):
    tar = _tar(tmp_path / "tar", ("fine", tarfile.REGTYPE, 1), member)
    with pytest.raises(WrongContent):
        unpack(tar, tmp_path / "out", 1_000)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("content", [b"", b"x" * 10_000, b"\x1f\x8b" + b"x" * 600])
def test_what_is_no_tar_is_refused(tmp_path, content):
    (tmp_path / "tar").write_bytes(content)
    with pytest.raises(WrongContent):
        unpack(tmp_path / "tar", tmp_path / "out", 1_000)


def test_a_name_with_a_zero_byte_is_refused(tmp_path):
    with tarfile.open(tmp_path / "tar", "w", format=tarfile.PAX_FORMAT) as tar:
        about = tarfile.TarInfo("model.toml")
        about.pax_headers = {"path": "a\0b"}
        tar.addfile(about)
    with pytest.raises(WrongContent):
        unpack(tmp_path / "tar", tmp_path / "out", 1_000)
