"""A card that fails is said to fail, in words that a technician can act on; nothing half written boots."""

import errno
import lzma
import os
from pathlib import Path

import pytest

from hardware.errors import CardFailed, CardRefused, ImageUnusable
from hardware.flash.card import HEAD_BYTES, Card, open_device, open_file
from hardware.flash.flashing import flash
from hardware.flash.image import look_at

SIZE = 9 << 20


class Sdcard:
    """A medium in memory that can fail as cards do."""

    def __init__(self, size_bytes: int = SIZE) -> None:
        self.content = bytearray(size_bytes)
        self.fails_at: int | None = None
        self.fails_with = errno.EIO
        self.takes_bytes = 1 << 30
        self.rots_at: int | None = None
        self.fails_to_sync = False

    def write(self, data: memoryview, at: int) -> int:
        if self.fails_at is not None and at + len(data) > self.fails_at:
            raise OSError(self.fails_with, os.strerror(self.fails_with))
        count = min(len(data), self.takes_bytes)
        self.content[at : at + count] = data[:count]
        return count

    def read(self, buffer: memoryview, at: int) -> int:
        count = min(len(buffer), self.takes_bytes, len(self.content) - at)
        buffer[:count] = self.content[at : at + count]
        if self.rots_at is not None and at <= self.rots_at < at + count:
            buffer[self.rots_at - at] ^= 1
        return count

    def sync(self) -> None:
        if self.fails_to_sync:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def forget(self) -> None:
        pass

    def cut(self, size_bytes: int) -> None:
        raise AssertionError("a card cannot be cut")

    @property
    def boots(self) -> bool:
        return any(self.content[:HEAD_BYTES])


class Quiet:
    def stage(self, name, total_bytes):
        pass

    def done(self, done_bytes):
        pass


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "i.img"
    path.write_bytes(os.urandom(1 << 20) * 9)
    return look_at(path)


def write(image, medium, sha256="", watcher=None):
    card = Card(Path("/dev/sdz"), medium, len(medium.content))
    return flash(image, card, None, sha256, watcher or Quiet())


def test_good_card_has_the_image(image):
    medium = Sdcard()
    write(image, medium)
    assert medium.content == image.path.read_bytes()


def test_short_writes_and_reads_go_on_where_they_stopped(image):
    medium = Sdcard()
    medium.takes_bytes = 100_003
    write(image, medium)
    assert medium.content == image.path.read_bytes()


@pytest.mark.parametrize("code", [errno.EIO, errno.ENXIO, errno.ENOMEDIUM, errno.ENODEV])
def test_card_pulled_out_in_the_middle_is_said(image, code):
    class Pulled(Sdcard):
        def write(self, data, at):
            if at > 5 << 20 and at < 8 << 20:  # not the wipe of its end, before
                raise OSError(code, os.strerror(code))
            return super().write(data, at)

    medium = Pulled()
    medium.takes_bytes = 1 << 20
    with pytest.raises(
        CardFailed, match=r"/dev/sdz: it was pulled out or is failing at \d+ MB .*flash it anew"
    ):
        write(image, medium)
    assert not medium.boots


def test_card_that_takes_nothing_more_is_full_and_not_tried_for_ever(image):
    medium = Sdcard()
    medium.takes_bytes = 0
    with pytest.raises(CardFailed, match="it is full"):
        write(image, medium)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_card_that_becomes_write_protected_is_said(image, code):
    medium = Sdcard()
    medium.fails_at, medium.fails_with = 0, code
    with pytest.raises(CardFailed, match=r"it is write-protected .*slide the lock"):
        write(image, medium)


def test_error_that_comes_with_the_sync_is_not_lost(image):
    medium = Sdcard()
    medium.fails_to_sync = True
    with pytest.raises(CardFailed, match="it was pulled out or is failing"):
        write(image, medium)


@pytest.mark.parametrize("at", [HEAD_BYTES, 5 << 20, SIZE - 1])
def test_bit_that_rots_is_found_by_reading_back(image, at):
    medium = Sdcard()
    medium.rots_at = at
    with pytest.raises(CardFailed, match="it reads otherwise than it was written"):
        write(image, medium)
    assert not medium.boots


def test_bit_that_rots_in_the_table_is_found_and_the_card_does_not_boot(image):
    medium = Sdcard()
    medium.rots_at = 10
    with pytest.raises(CardFailed, match="its beginning reads otherwise"):
        write(image, medium)
    assert not medium.boots


def test_card_smaller_than_it_says_is_found(image):
    """A fraud: it takes all bytes and keeps the last over the first."""

    class Fraud(Sdcard):
        def write(self, data, at):
            for first in range(0, len(data), 1 << 20):
                part = data[first : first + (1 << 20)]
                place = (at + first) % (4 << 20)
                self.content[place : place + len(part)] = part
            return len(data)

    medium = Fraud()
    with pytest.raises(CardFailed, match="it reads otherwise"):
        write(image, medium)


def test_ctrl_c_leaves_a_card_that_does_not_boot_and_no_thread(image):
    import threading

    class Impatient(Quiet):
        def done(self, done_bytes):
            raise KeyboardInterrupt

    medium, before = Sdcard(), threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        write(image, medium, watcher=Impatient())
    assert not medium.boots
    assert threading.active_count() == before


def test_wrong_hash_is_said_with_both_hashes(image):
    medium = Sdcard()
    with pytest.raises(ImageUnusable, match=f"should be {'a' * 64}"):
        write(image, medium, sha256="a" * 64)
    assert not medium.boots


def test_xz_of_several_streams_with_padding_is_measured_and_unpacked_whole(tmp_path):
    path, content = tmp_path / "i.img.xz", os.urandom(1 << 20)
    path.write_bytes(lzma.compress(content) + bytes(8) + lzma.compress(content * 2) + bytes(4))
    found = look_at(path)
    assert found.size_bytes == 3 << 20
    medium = Sdcard(3 << 20)
    write(found, medium)
    assert medium.content == content * 3


@pytest.mark.parametrize("cut", [1, 4, 13, 100])
def test_xz_that_is_cut_off_is_known_before_anything_is_written(tmp_path, cut):
    path = tmp_path / "i.img.xz"
    path.write_bytes(lzma.compress(bytes(1 << 20))[:-cut])
    with pytest.raises(ImageUnusable, match="it is cut off or damaged"):
        look_at(path)


def zst(content: bytes) -> bytes:
    """As `zstd` writes it into a pipe: without the size."""
    zstandard = pytest.importorskip("zstandard")
    packing = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return packing.compress(content) + packing.flush()


def test_zst_of_several_frames_without_their_sizes_is_unpacked_whole(tmp_path):
    path, content = tmp_path / "i.img.zst", os.urandom(1 << 20) + bytes(1 << 20)
    path.write_bytes(zst(content) + zst(content))
    found, medium = look_at(path), Sdcard(4 << 20)
    assert found.size_bytes is None
    write(found, medium)
    assert medium.content == content * 2


def test_zst_that_is_cut_off_and_does_not_tell_its_size_is_found_out(tmp_path):
    path = tmp_path / "i.img.zst"
    path.write_bytes(zst(os.urandom(2 << 20))[: 1 << 20])
    medium = Sdcard(4 << 20)
    with pytest.raises(ImageUnusable, match="it is cut off"):
        write(look_at(path), medium)
    assert not medium.boots


def test_image_that_is_empty_or_no_whole_number_of_sectors_is_refused(tmp_path):
    path = tmp_path / "i.img"
    path.write_bytes(b"")
    with pytest.raises(ImageUnusable, match="it is empty"):
        look_at(path)
    path.write_bytes(b"x" * 1000)
    with pytest.raises(ImageUnusable, match="no whole number of sectors"):
        look_at(path)


@pytest.mark.parametrize("names", [("a.img", "b.img"), ("readme.txt",), ()])
def test_zip_without_exactly_one_image_is_refused(tmp_path, names):
    import zipfile

    path = tmp_path / "i.zip"
    with zipfile.ZipFile(path, "w") as opened:
        for name in names or ("folder/",):
            opened.writestr(name, b"x" * 512)
    with pytest.raises(ImageUnusable, match=r"not one \.img"):
        look_at(path)


def test_what_cannot_be_opened_for_writing_is_refused(tmp_path):
    with pytest.raises(CardRefused, match="No such file"):
        open_device(tmp_path / "none", 1)
    with pytest.raises(CardRefused, match="No such file"):
        open_file(tmp_path / "none" / "card.img")
