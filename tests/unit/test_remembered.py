"""What a camera's eye keeps over a restart: of this view only, and of no other a byte."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from device.firmware.config import parse_config
from device.firmware.daemon import Daemon
from device.firmware.outbox import Outbox
from device.firmware.remembered import forget_other_views, keep_view, view_before
from tests.device_toml import head

CAMERA = """\
[[camera]]
source = "street:seed=5"
"""
MASK = """
[[camera.mask]]
name = "window"
points = [[0.1, 0.1], [0.4, 0.1], [0.4, {bottom}]]
"""
EDGES = np.random.default_rng(1).integers(0, 256, 20_000, dtype=np.uint8).tobytes()
"""As large and as little compressible as a reference is."""


def config(folder, more=""):
    text = head(folder) + CAMERA + more
    return parse_config(text, folder / "device.toml")


@pytest.fixture
def outbox(tmp_path):
    box = Outbox(tmp_path / "outbox.db")
    yield box
    box.close()


def on_disk(folder):
    return b"".join(file.read_bytes() for file in folder.glob("outbox.db*"))


def has_edges(folder):
    """Whether any page of the outbox's files still holds a piece of the reference."""
    disk = on_disk(folder)
    return any(EDGES[at : at + 64] in disk for at in range(0, len(EDGES) - 64, 64))


def kept_by(outbox, config):
    """The outbox after an hour with these cameras: their references were written, and written anew."""
    for state in (EDGES, EDGES[::-1], EDGES):
        keep_view(config.camera[0], state, outbox)
        assert outbox.flush()
    return outbox


def test_a_view_is_remembered_under_the_same_source_and_masks(tmp_path, outbox):
    masked = config(tmp_path, MASK.format(bottom=0.5))
    kept_by(outbox, masked)
    forget_other_views(masked.camera, outbox)
    assert view_before(config(tmp_path, MASK.format(bottom=0.5)).camera[0], outbox) == EDGES


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", MASK.format(bottom=0.5)),
        (MASK.format(bottom=0.5), MASK.format(bottom=0.6)),
        (MASK.format(bottom=0.5), ""),
        ("", "view = { enabled = false }\n"),
        ("", 'id = "other"\n'),
    ],
)
def test_nothing_of_another_view_is_left_on_the_disk_once_the_device_has_started(
    tmp_path, outbox, before, after
):
    kept_by(outbox, config(tmp_path, before))
    assert has_edges(tmp_path)
    now = config(tmp_path, after)
    assert now.camera[0].view.enabled is False or view_before(now.camera[0], outbox) == b""
    outbox.close()
    daemon = Daemon(now)
    try:
        assert not has_edges(tmp_path), "at once, not with the first reference of the new view"
    finally:
        daemon._outbox.close()
        daemon._lock.close()


def test_a_reference_kept_before_masks_were_part_of_its_mark_is_removed(tmp_path, outbox):
    outbox.save("view/cam0", b"\x12\x34\x56\x78" + EDGES)
    outbox.flush()
    forget_other_views(config(tmp_path, MASK.format(bottom=0.5)).camera, outbox)
    assert outbox.load("view/cam0") is None
    assert not has_edges(tmp_path)


def test_a_reference_that_the_disk_will_not_let_go_is_overwritten_later(tmp_path, outbox):
    kept_by(outbox, config(tmp_path))
    with sqlite3.connect(tmp_path / "outbox.db") as other:
        other.execute("BEGIN IMMEDIATE")
        outbox._db.execute("PRAGMA busy_timeout=10")
        forget_other_views(config(tmp_path, MASK.format(bottom=0.5)).camera, outbox)
        assert outbox.fault
    other.close()
    assert outbox.flush()
    assert outbox.load("view/cam0") == b""
    assert not outbox.fault
