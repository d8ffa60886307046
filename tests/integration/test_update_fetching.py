"""How a device comes by a release: bad servers, deltas, sticks, metered links, full disks, wrong clocks."""

from __future__ import annotations

import os
import resource
import shutil
import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import pytest

from device.firmware.updating.journal import BEFORE_ARMED, FIRST_STARTS, JournalFiles
from device.firmware.updating.places import Place, Places, sticks
from ota.errors import SourceAway
from ota.trust.delta import delta_path, make_delta
from ota.trust.http import HttpSource
from ota.trust.limits import Limits
from ota.trust.sources import FolderSource
from tests.brokers import wait_until
from tests.updating import Publisher, digest, document, packed, tiny_model

PROBATION_S = 600
QUICK = Limits(
    chunk_bytes=1024,
    silence_s=0.3,
    answer_s=0.5,
    metadata_s=1.0,
    slow_window_s=0.3,
    least_bytes_per_s=200_000,
)


@pytest.fixture
def online(unit, web):
    """A unit that asks a web server which can misbehave."""
    unit.limits = QUICK
    unit.start().use(HttpSource(web.metadata_url, web.targets_url, QUICK))
    return unit


def cut_after(number):
    def fault(handler, content):
        begin = handler.begin(len(content)) if "If-Range" in handler.headers else 0
        handler.head(206 if begin else 200, len(content) - begin, '"etag"', begin, len(content))
        handler.wfile.write(content[begin : begin + number])

    return fault


def untouched(unit):
    return unit.runs.sha256 == digest(unit.factory) and unit.slots.current() == ""


def test_a_server_that_dies_is_asked_again_and_the_download_goes_on_where_it_was(online, web, publisher, one):
    web.faults["/targets/"] = cut_after(0)
    online.hear(document(publisher.add(one))).live(1)
    assert online.last[0] == "downloading"
    assert "cut off" in online.last[1]
    asked = len(web.asked)
    online.live(3)
    assert len(web.asked) == asked, "it is not pestered"
    web.faults["/targets/"] = cut_after(5000)
    online.live(10)
    assert online.journal.state == "probation"
    assert online.runs.sha256 == digest(one)


def test_a_server_that_never_comes_back_is_a_failure_after_a_day(online, web, publisher, one):
    web.faults["/targets/"] = cut_after(0)
    online.hear(document(publisher.add(one))).live(1)
    online.now_s += 86_400
    online.live(1)
    assert online.last[0] == "failed"
    assert online.last[1].startswith("not done within 24 h; ")
    assert "cut off" in online.last[1]
    assert untouched(online)


def test_a_deadline_ends_it_earlier(online, web, publisher, one):
    from ota.messages import format_ts

    web.faults["/metadata/"] = cut_after(0)
    online.hear(document(publisher.add(one), deadline=format_ts(online.now_s + 60))).live(70)
    assert online.last[0] == "failed"
    assert online.last[1].startswith("its deadline has passed; ")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda handler, content: handler.give(content + b"more"), "bytes or more where"),
        (lambda handler, content: handler.give(content[:-5]), "bytes or more where"),
        (lambda handler, content: handler.give(b"x" * len(content)), "hash is not the signed one"),
        (lambda handler, content: handler.send_error(503), "HTTP 503"),
    ],
    ids=["longer", "shorter", "another", "busy"],
)
def test_a_server_that_lies_about_a_file_changes_nothing_on_the_device(
    online, web, publisher, one, fault, words
):
    web.faults["/targets/"] = fault
    online.hear(document(publisher.add(one))).live(1)
    assert online.last[0] == "downloading"
    assert words in online.last[1]
    assert untouched(online)
    web.faults.clear()
    online.live(10)
    assert online.runs.sha256 == digest(one)


def test_a_server_that_sends_slowly_for_ever_is_left(online, web, publisher, one):
    def slow(handler, content):
        handler.head(200, len(content), '"etag"')
        for start in range(0, len(content), 200):
            handler.wfile.write(content[start : start + 200])
            handler.wfile.flush()
            time.sleep(0.05)

    web.faults["/targets/"] = slow
    began_s = time.monotonic()
    online.updater._acts = replace(online.updater._acts, mono=time.monotonic)
    online.hear(document(publisher.add(one))).live(1)
    assert "given up below" in online.last[1]
    assert time.monotonic() - began_s < 10
    assert untouched(online)


def test_a_file_that_changes_between_the_ranges_is_fetched_whole(online, web, publisher, one):
    wanted = publisher.add(one)
    web.faults["/targets/"] = lambda handler, content: cut_after(3000)(handler, b"old" * len(content))
    online.hear(document(wanted)).live(1)
    assert online.last[0] == "downloading"
    web.faults.clear()
    online.live(10)
    assert online.runs.sha256 == digest(one)


# Trust and clocks.


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda target: msgspec.structs.replace(target, length=target.length + 1), "length"),
        (lambda target: msgspec.structs.replace(target, hashes={"sha256": "0" * 64}), "hash"),
        (
            lambda target: msgspec.structs.replace(target, custom=target.custom | {"sec_ver": 9}),
            "description",
        ),
        (
            lambda target: msgspec.structs.replace(target, custom=target.custom | {"colour": "red"}),
            "description",
        ),
    ],
)
def test_what_director_and_image_repository_name_differently_is_refused(publisher, unit, one, change, words):
    unit.hear(document(change(publisher.add(one)))).live(2)
    assert unit.last == ("rejected", f"the director and the image repository name a different {words}")
    assert unit.ledger.quarantined == {}
    assert untouched(unit)


def test_words_that_mean_the_same_are_the_same(publisher, unit, one):
    wanted = publisher.add(one)
    unit.hear(document(msgspec.structs.replace(wanted, custom=wanted.custom | {"sec_ver": 0}))).live(2)
    assert unit.runs.sha256 == digest(one)


def test_a_release_that_is_not_published_yet_is_waited_for(tmp_path, publisher, unit, one):
    other = Publisher(tmp_path / "other", publisher.repository)
    wanted = other.add(one)
    publisher.repository.next["releases"].targets.clear()
    publisher.publish()
    unit.hear(document(wanted)).live(1)
    assert unit.last == ("downloading", "source 0 does not name it")
    publisher.add(one)
    unit.live(10)
    assert unit.runs.sha256 == digest(one)


def test_after_the_signatures_have_expired_nothing_is_installed_and_detection_goes_on(publisher, unit, one):
    wanted = publisher.add(one)
    expired = datetime.fromtimestamp(unit.now_s) - timedelta(hours=1)
    publisher.repository.timestamp.expires = expired.replace(microsecond=0)
    publisher.publish()
    unit.hear(document(wanted)).live(1)
    assert unit.last[0] == "downloading"
    assert "is expired" in unit.last[1]
    assert untouched(unit)
    publisher.repository.timestamp.expires = expired.replace(microsecond=0) + timedelta(days=2)
    publisher.publish()
    unit.live(10)
    assert unit.runs.sha256 == digest(one)


def test_with_a_clock_that_is_not_set_nothing_is_installed(publisher, unit, one):
    now_s, unit.now_s = unit.now_s, 1000.0
    unit.hear(document(publisher.add(one))).live(2)
    assert unit.last == ("downloading", "the clock is not set: no signature can be judged")
    unit.now_s = now_s
    unit.live(10)
    assert unit.runs.sha256 == digest(one)


def test_an_older_repository_on_another_source_is_passed_over(tmp_path, publisher, unit, one):
    publisher.publish()
    shutil.copytree(publisher.www, tmp_path / "old")
    unit.hear(document(publisher.add(one))).live(PROBATION_S + 3)
    two = tiny_model(tmp_path / "two", "2.0")
    wanted = publisher.add(two)
    unit.use(FolderSource(tmp_path / "old"))
    unit.hear(document(wanted, seq=2)).live(1)
    assert unit.last[0] == "downloading"
    assert "timestamp version" in unit.last[1]
    unit.use(FolderSource(tmp_path / "old"), publisher.source())
    unit.live(10)
    assert unit.runs.sha256 == digest(two)


# Deltas.


def delta_between(publisher, old, new):
    made = make_delta(packed(old), packed(new))
    path = delta_path(*(_sha256(packed(folder)) for folder in (old, new)))
    publisher.put(path, made, {}, "deltas")
    return made


def _sha256(content):
    import hashlib

    return hashlib.sha256(content).hexdigest()


def fetched(web):
    return [path.rpartition(".")[2] for path in web.asked if path.startswith("/targets/")]


def test_a_delta_from_what_lies_in_a_slot_is_fetched_instead_of_the_whole(
    tmp_path, online, web, publisher, one
):
    two = tiny_model(tmp_path / "two", "2.0")
    online.hear(document(publisher.add(one))).live(PROBATION_S + 3)
    wanted = publisher.add(two)
    delta = delta_between(publisher, one, two)
    assert len(delta) < wanted.length / 2
    web.asked.clear()
    online.hear(document(wanted, seq=2)).live(2)
    assert fetched(web) == ["delta"]
    assert online.runs.sha256 == digest(two)


def test_a_delta_from_the_factorys_model_is_taken_too(tmp_path, online, web, publisher, one):
    wanted = publisher.add(one)
    delta_between(publisher, online.factory, one)
    web.asked.clear()
    online.hear(document(wanted)).live(2)
    assert fetched(web) == ["delta"]
    assert online.runs.sha256 == digest(one)


def test_a_delta_that_makes_something_else_is_a_wasted_download_and_no_more(
    tmp_path, online, web, publisher, one
):
    wanted = publisher.add(one)
    path = delta_path(_sha256(packed(online.factory)), wanted.hashes["sha256"])
    publisher.put(path, make_delta(packed(online.factory), b"evil" * 100), {}, "deltas")
    web.asked.clear()
    online.hear(document(wanted)).live(2)
    assert fetched(web) == ["delta", "tar"]
    assert online.runs.sha256 == digest(one)


def test_a_delta_that_is_not_smaller_is_not_fetched(tmp_path, online, web, publisher, one):
    wanted = publisher.add(one)
    path = delta_path(_sha256(packed(online.factory)), wanted.hashes["sha256"])
    publisher.put(path, b"pehra-delta-1\n" + os.urandom(wanted.length), {}, "deltas")
    web.asked.clear()
    online.hear(document(wanted)).live(2)
    assert fetched(web) == ["tar"]


# The road: metered, its hours, its bandwidth; and a stop.


def test_a_metered_link_lets_a_delta_through_and_the_whole_wait(tmp_path, online, web, publisher, one):
    wanted = publisher.add(one)
    most = wanted.length // 2
    online.gate = lambda length: "the link is metered" if length > most else ""
    online.hear(document(wanted)).live(1)
    assert online.last == ("downloading", "the link is metered")
    assert fetched(web) == []
    delta_between(publisher, online.factory, one)
    online.live(10)
    assert fetched(web) == ["delta"]
    assert online.runs.sha256 == digest(one)


def test_a_stick_is_not_metered(tmp_path, publisher, unit, one):
    unit.gate = lambda length: "the link is metered"
    unit.places = [Place("stick", publisher.source())]
    unit.hear(document(publisher.add(one))).live(2)
    assert unit.runs.sha256 == digest(one)


def test_something_that_changes_around_is_worth_asking_again_at_once(publisher, unit, one):
    places, unit.places = unit.places, []
    unit.hear(document(publisher.add(one))).live(200)
    assert unit.last == ("downloading", "there is no source")
    unit.places = places
    unit.live(4)
    assert untouched(unit), "it waits longer and longer"
    unit.surroundings = "a stick came in"
    unit.live(4)
    assert unit.runs.sha256 == digest(one)


def test_progress_is_told_every_few_seconds(tmp_path, publisher, unit, one):
    wanted = publisher.add(one)

    class Slow(FolderSource):
        def _read(self, handle, size):
            unit.mono_s += 1.0
            return super()._read(handle, size)

    unit.use(Slow(publisher.www, chunk_bytes=wanted.length // 40))
    unit.hear(document(wanted)).live(1)
    told = [update.progress_pct for update in unit.said if update.state == "downloading"]
    assert 5 <= len(told) <= 14
    assert told == sorted(told)
    assert told[-1] > 80


def test_a_stop_frees_the_updater_from_a_server_that_says_nothing(online, web, publisher, one):
    hanging = threading.Event()

    def silent(handler, content):
        handler.head(200, len(content), '"etag"')
        handler.wfile.write(content[:2000])
        handler.wfile.flush()
        hanging.wait(20)

    web.faults["/targets/"] = silent
    source = HttpSource(web.metadata_url, web.targets_url, Limits())
    online.use(source)
    online.updater._hang_up = source.hang_up
    online.updater.hear(document(publisher.add(one)))
    stop = threading.Event()
    worker = threading.Thread(target=online.updater.run, args=(stop,))
    worker.start()
    wait_until(lambda: any("/targets/" in path for path in web.asked), "it downloads")
    began_s = time.monotonic()
    stop.set()
    while worker.is_alive() and time.monotonic() - began_s < 15:
        online.updater.wake()
        worker.join(0.2)
    took_s = time.monotonic() - began_s
    hanging.set()
    assert not worker.is_alive()
    assert took_s < 3
    assert online.journal.state == "downloading"


# Sticks.


@pytest.fixture
def stick(tmp_path, publisher):
    """What `pehra ota export` leaves; put in at /media/STICK, or deeper."""

    def put_in(where="media/STICK"):
        folder = tmp_path / where / "pehra-update"
        shutil.copytree(publisher.www, folder)
        return folder

    return put_in


def plugged(unit, tmp_path, url="http://127.0.0.1:1"):
    """A unit that looks for sticks and asks the network as a device does."""
    places = Places(unit.state, url, [str(tmp_path / "media"), str(tmp_path / "none")], QUICK)
    unit.start()
    unit.updater._acts.fetcher._places = places
    return unit


def test_sticks_are_found_one_and_two_folders_deep(tmp_path, publisher, one, stick):
    publisher.add(one)
    shallow, deep = stick("media/STICK"), stick("media/pi/OTHER")
    (tmp_path / "media" / "empty").mkdir()
    assert sticks([str(tmp_path / "media"), "/nowhere"]) == [shallow, deep]


def test_a_stick_brings_a_release_that_the_director_has_named_and_no_other(
    tmp_path, publisher, unit, one, stick
):
    wanted = publisher.add(one)
    stick()
    plugged(unit, tmp_path).live(5)
    assert untouched(unit), "nobody has named anything"
    unit.hear(document(wanted)).live(2)
    assert unit.runs.sha256 == digest(one)


def test_a_stick_that_is_pulled_out_in_the_middle_leaves_a_part_and_the_network_or_it_brings_the_rest(
    tmp_path, publisher, unit, one, stick
):
    wanted = publisher.add(one)
    folder = stick()

    class Pulled(FolderSource):
        def _read(self, handle, size):
            if (unit.state / "slots/incoming/model/.release.tar.part").exists() and not reads:
                shutil.rmtree(folder)
            if not folder.exists():
                raise SourceAway(f"{folder} cannot be read: put the stick in again")
            reads.pop()
            return super()._read(handle, size)

    reads = [*range(16)]
    unit.places = [Place("stick", Pulled(folder, 1024))]
    unit.hear(document(wanted)).live(1)
    assert unit.last[0] == "downloading"
    assert "put the stick in again" in unit.last[1]
    assert untouched(unit)
    unit.places, unit.surroundings = [Place("stick", FolderSource(stick()))], "it is back"
    unit.live(4)
    assert unit.runs.sha256 == digest(one)


def test_without_a_stick_and_without_a_network_it_says_what_is_missing(tmp_path, publisher, unit, one):
    plugged(unit, tmp_path).hear(document(publisher.add(one))).live(1)
    assert unit.last[0] == "downloading"
    assert "the image repository: " in unit.last[1]


def test_a_device_that_nobody_told_where_the_repository_is_says_so(tmp_path, publisher, unit, one):
    plugged(unit, tmp_path, url="").hear(document(publisher.add(one))).live(1)
    assert "nobody says where the image repository is" in unit.last[1]


def test_a_device_without_the_repositorys_root_says_so(tmp_path):
    from device.errors import UpdateHindered
    from device.firmware.updating.places import image_root

    with pytest.raises(UpdateHindered, match=r"image-root.json"):
        image_root(tmp_path)
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity" / "image-root.json").write_bytes(b"{}")
    assert image_root(tmp_path) == b"{}"


# The disk.


@pytest.fixture
def full_disk():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda most: resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_fills_up_while_fetching_is_told_and_the_next_order_succeeds(
    publisher, unit, one, full_disk
):
    wanted = publisher.add(one)
    unit.hear(document(wanted))
    full_disk(wanted.length - 4000)
    unit.live(2)
    full_disk(resource.RLIM_INFINITY)
    assert unit.last[0] == "failed"
    assert "the disk refuses" in unit.last[1]
    assert untouched(unit)
    unit.hear(document(wanted, seq=2)).live(2)
    assert unit.runs.sha256 == digest(one)


def test_a_disk_that_fills_up_while_staging_leaves_no_slot_that_could_be_started(
    publisher, unit, one, monkeypatch
):
    wanted = publisher.add(one)

    def full(file, folder, most):
        folder.mkdir(parents=True)
        (folder / "model.tflite").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("device.firmware.updating.model_slots.unpack", full)
    unit.hear(document(wanted)).live(2)
    assert unit.last == ("failed", "the disk refuses: [Errno 28] No space left on device")
    assert unit.slots.manifest("a") is None
    assert untouched(unit)
    monkeypatch.undo()
    unit.hear(document(wanted, seq=2)).live(2)
    assert unit.runs.sha256 == digest(one)


def test_a_disk_without_room_for_all_of_it_is_told_before_a_byte_is_fetched(
    publisher, online, web, one, monkeypatch
):
    class Usage:
        free = 19_000_000

    monkeypatch.setattr("device.firmware.updating.fetching.shutil.disk_usage", lambda path: Usage)
    online.hear(document(publisher.add(one))).live(1)
    assert online.last == ("failed", "the disk refuses: no room: 20 MB are needed, 19 MB are free")
    assert fetched(web) == []


def test_a_disk_on_which_nothing_can_be_written_down_forgets_no_document_and_hammers_no_server(
    publisher, online, web, one, monkeypatch, caplog
):
    def refusing(*_):
        raise OSError(28, "No space left on device")

    wanted = publisher.add(one)
    monkeypatch.setattr("device.firmware.updating.twin.write_whole", refusing)
    online.hear(document(wanted))
    stop = threading.Event()
    monkeypatch.setattr("device.firmware.updating.engine.ROUND_S", 0.01)
    worker = threading.Thread(target=online.updater.run, args=(stop,))
    worker.start()
    wait_until(lambda: "the disk refuses" in caplog.text, "it says so")
    stop.wait(0.2)
    stop.set()
    worker.join(10)
    assert caplog.text.count("nothing is done, the disk refuses") == 1
    assert web.asked == []
    monkeypatch.undo()
    online.updater._stop = threading.Event()
    online.live(2)
    assert online.runs.sha256 == digest(one)


# An abort in the middle of each stage.


@pytest.mark.parametrize("state", [*BEFORE_ARMED, *FIRST_STARTS, "committed"])
def test_an_abort_in_the_middle_of_each_stage_cancels_before_the_switch_and_not_after(
    publisher, unit, one, state, monkeypatch
):
    write, aborted = JournalFiles.write, []

    def aborting(files, kind, journal):
        write(files, kind, journal)
        if journal.state == state and not aborted:
            aborted.append(state)
            unit.hear(document(seq=2))

    monkeypatch.setattr(JournalFiles, "write", aborting)
    unit.hear(document(publisher.add(one))).live(PROBATION_S + 5)
    assert aborted
    if state in BEFORE_ARMED:
        assert unit.last == ("cancelled", "it is wanted no longer")
        assert untouched(unit)
        assert not (unit.state / "slots" / "incoming" / "model").exists()
    else:
        assert unit.last[0] == "committed"
        assert unit.runs.sha256 == digest(one)


def test_an_abort_in_the_middle_of_a_download_ends_it_at_the_next_piece(publisher, unit, one):
    wanted = publisher.add(one)
    pieces = []

    class Told(FolderSource):
        def _read(self, handle, size):
            pieces.append(size)
            if len(pieces) == 12:
                unit.hear(document(seq=2))
            return super()._read(handle, size)

    unit.use(Told(publisher.www, 256))
    unit.hear(document(wanted)).live(2)
    assert unit.last == ("cancelled", "it is wanted no longer")
    assert len(pieces) < 60
