"""What must not hold an update up for ever, nor end the watch over what runs."""

from __future__ import annotations

import hashlib
import os
import shutil

import msgspec
import pytest

from device.errors import UpdateHindered
from device.firmware.clock import BUILT_UTC_S
from device.firmware.config.update import UpdateSection
from device.firmware.updater import Surroundings, make_updater
from device.firmware.updating.kind import Verdict
from device.firmware.updating.places import sticks
from ota.trust.delta import delta_path, make_delta
from ota.trust.http import HttpSource
from ota.trust.sources import FolderSource
from tests.updating import digest, document, packed, tiny_model, trusting_check
from tests.updating_firmware import FakeBuilder

PROBATION_S = 600


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def with_delta(publisher, old, new):
    wanted = publisher.add(new)
    path = delta_path(sha256(packed(old)), wanted.hashes["sha256"])
    publisher.put(path, make_delta(packed(old), packed(new)), {}, "deltas")
    return wanted


# Deltas only save bytes: the online key signs them, and whoever has it must not be able to stop a release.


@pytest.mark.parametrize(
    "missing", ["/targets/deltas/", "deltas.json"], ids=["the delta", "the role of deltas"]
)
def test_without_its_delta_a_release_is_fetched_whole(unit, web, publisher, one, missing):
    wanted = with_delta(publisher, unit.factory, one)
    unit.use(HttpSource(web.metadata_url, web.targets_url))
    web.faults[missing] = lambda handler, content: handler.send_error(404)
    unit.hear(document(wanted)).live(3)
    assert [path for path in web.asked if path.endswith(".tar")]
    assert unit.runs.sha256 == digest(one)


def test_a_signed_delta_without_a_byte_is_none(unit, publisher, one):
    wanted = publisher.add(one)
    path = delta_path(sha256(packed(unit.factory)), wanted.hashes["sha256"])
    publisher.put(path, b"", {}, "deltas")
    unit.hear(document(wanted)).live(3)
    assert unit.runs.sha256 == digest(one)


# Repeats and defects.


def test_a_document_that_a_broker_repeats_breaks_nothing_off(unit, publisher, one):
    wish, tried = document(publisher.add(one)), []

    def check(place, *_, is_over, **__):
        tried.append(place)
        unit.hear(wish)
        if is_over():
            raise UpdateHindered("broken off")
        return trusting_check(place)

    unit.check = check
    unit.hear(wish).live(5)
    assert len(tried) == 1
    assert unit.journal.state == "probation"


def test_another_document_still_breaks_off(unit, publisher, one):
    wanted = publisher.add(one)

    def check(place, *_, is_over, **__):
        unit.hear(document(seq=2))
        assert is_over()
        raise UpdateHindered("broken off")

    unit.check = check
    unit.hear(document(wanted)).live(3)
    assert unit.last == ("cancelled", "it is wanted no longer")


def test_a_repeated_document_does_not_end_a_pause(unit, publisher, one):
    wish, asked = document(publisher.add(one)), []
    unit.gate = lambda length: asked.append(length) or "the link is metered"
    for _ in range(30):
        unit.hear(wish).live(1)
    assert len(asked) <= 4


def test_a_defect_of_ours_is_told_and_does_not_fill_the_log(unit, publisher, one, caplog):
    def check(*_, **__):
        raise ValueError("embedded null byte")

    unit.check = check
    unit.hear(document(publisher.add(one))).live(60)
    assert unit.last == ("verified", "a defect of ours: ValueError: embedded null byte")
    assert caplog.text.count("Traceback") <= 5
    unit.check = trusting_check
    unit.live(90)
    assert unit.runs.sha256 == digest(one)


def test_a_disk_that_refuses_the_switch_is_told_and_does_not_fill_the_log(
    unit, publisher, one, caplog, monkeypatch
):
    def refuses(slot, before):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(unit.kind, "switch", refuses)
        unit.hear(document(publisher.add(one))).live(60)
    assert unit.last == ("armed", "the disk refuses: [Errno 28] No space left on device")
    assert caplog.text.count("the disk refuses") <= 5
    unit.live(90)
    assert unit.runs.sha256 == digest(one)


# The watch of a day over what was committed.


def watched(unit, publisher, folder):
    unit.hear(document(publisher.add(folder))).live(PROBATION_S + 5)
    assert unit.journal.under_watch is not None
    return unit


def bad_for(unit, monkeypatch):
    monkeypatch.setattr(unit.kind, "watch", lambda: Verdict("bad", "cam0 sees nothing with it"))
    return unit.live(3)


@pytest.fixture
def refused(tmp_path, publisher):
    """A release for another board."""
    return publisher.add(tiny_model(tmp_path / "two", "2.0"), hw=("jetson",))


def test_a_release_that_is_refused_does_not_end_the_watch_over_what_runs(
    unit, publisher, one, refused, monkeypatch
):
    watched(unit, publisher, one).hear(document(refused, seq=2)).live(2)
    assert unit.last == ("rejected", "for jetson; this is raspberry-pi-4")
    assert unit.start().sampler.is_watching, "after a new start, too"
    bad_for(unit, monkeypatch)
    assert "rolled-back" in unit.words
    assert unit.runs.sha256 == digest(unit.factory)
    assert list(unit.ledger.quarantined.values()) == ["cam0 sees nothing with it"]


def test_a_release_that_is_cancelled_while_it_is_fetched_does_not_end_it_either(
    tmp_path, unit, publisher, one, monkeypatch
):
    watched(unit, publisher, one).use()
    two = publisher.add(tiny_model(tmp_path / "two", "2.0"))
    unit.hear(document(two, seq=2)).live(2).hear(document(seq=3)).live(2)
    assert unit.last[0] == "cancelled"
    bad_for(unit, monkeypatch)
    assert unit.runs.sha256 == digest(unit.factory)


def test_the_watch_ends_when_the_slot_that_it_would_go_back_to_is_filled(tmp_path, unit, publisher, one):
    two = tiny_model(tmp_path / "two", "2.0")
    wanted = publisher.add(two)
    watched(unit, publisher, one).hold = lambda: "armed"
    unit.hear(document(wanted, seq=2)).live(3)
    assert unit.journal.state == "staged"
    assert unit.journal.under_watch is None
    assert not unit.sampler.is_watching


def test_the_watch_ends_after_a_day_also_when_another_release_was_refused(unit, publisher, one, refused):
    watched(unit, publisher, one).hear(document(refused, seq=2)).live(2)
    unit.now_s += 86_400
    unit.live(1)
    assert unit.journal.under_watch is None
    assert not unit.sampler.is_watching


# Clocks that were wrong when a moment was kept.


def test_a_clock_that_is_set_back_does_not_lengthen_the_watch(unit, publisher, one):
    watched(unit, publisher, one).now_s -= 100 * 86_400
    unit.live(1).now_s += 86_400
    unit.live(1)
    assert unit.journal.under_watch is None


def test_a_watch_that_began_before_the_clock_was_set_lasts_its_day(unit, publisher, one):
    unit.hear(document(publisher.add(one))).live(2)
    now_s, unit.now_s = unit.now_s, 1000.0
    unit.live(PROBATION_S + 5)
    assert unit.journal.state == "clean"
    unit.now_s = now_s
    unit.live(1).now_s += 80_000
    assert unit.live(1).journal.under_watch is not None
    unit.now_s += 10_000
    assert unit.live(1).journal.under_watch is None


@pytest.mark.parametrize("before_s", [1000.0, BUILT_UTC_S + 1e9], ids=["not set", "far ahead"])
def test_a_release_that_was_accepted_by_a_wrong_clock_fails_in_its_time(unit, publisher, one, before_s):
    now_s, unit.now_s = unit.now_s, before_s
    unit.use()
    unit.hear(document(publisher.add(one))).live(2)
    unit.now_s = now_s
    unit.live(2).now_s += 86_401
    unit.live(2)
    assert unit.last[0] == "failed"
    assert unit.last[1].startswith("not done within 24 h")


# A stick from anybody.


def test_a_stick_with_a_device_where_a_file_belongs_is_passed_over_unopened(tmp_path, unit, publisher, one):
    wanted = publisher.add(one)
    stick = tmp_path / "stick"
    shutil.copytree(publisher.www, stick)
    far, near = os.openpty()
    (stick / "metadata" / "timestamp.json").unlink()
    (stick / "metadata" / "timestamp.json").symlink_to(os.ttyname(near))
    unit.use(FolderSource(stick))
    unit.hear(document(wanted)).live(2)
    assert unit.last[0] == "downloading"
    assert "is no plain file" in unit.last[1]
    unit.use(FolderSource(stick), publisher.source())
    unit.live(10)
    assert unit.runs.sha256 == digest(one)
    os.close(far)
    os.close(near)


def test_a_stick_with_many_folders_is_asked_a_few_times_only(tmp_path):
    for number in range(40):
        (tmp_path / "usb" / f"{number:02}" / "pehra-update" / "metadata").mkdir(parents=True)
    assert len(sticks([str(tmp_path)])) == 8


# What the device's own file says, or does not say because it is broken.


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"camera": []}, "the device's own file is broken: mend it first"),
        (
            {"update": UpdateSection(enabled=False)},
            "the device's own file forbids it: [update] enabled = false",
        ),
    ],
)
def test_a_device_whose_own_file_is_broken_or_forbids_it_installs_nothing(
    unit, publisher, one, changes, words
):
    said = []
    config = msgspec.structs.replace(unit.config, **changes)
    around = Surroundings(lambda topic, message: said.append(message), lambda: True, lambda kind: None)
    updater = make_updater(config, unit.slots, None, around, FakeBuilder())
    updater.hear(document(publisher.add(one)))
    updater.round()
    assert [(update.state, update.reason) for update in said] == [("rejected", words)]
