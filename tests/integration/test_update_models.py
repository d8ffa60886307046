"""Models over the air, from a document to what looks: staged, switched to, tried, kept or gone back from."""

from __future__ import annotations

import msgspec
import pytest

from device.errors import UpdateRefused
from device.firmware.updating.kind import FACTORY
from device.firmware.updating.rates import Rates, added
from ota.messages import format_ts, new_id
from tests.updating import Unit, check_model, digest, document, tiny_model

PROBATION_S = 600
NO_RULE_SEES = """
[[camera.rule]]
name = "gate"
kind = "zone"
points = [[0.1, 0.5], [0.9, 0.5], [0.9, 0.95]]
classes = ["person"]
"""


@pytest.fixture
def two(tmp_path):
    return tiny_model(tmp_path / "two", "2.0")


def committed(unit, target, seq=1):
    """Let a release be installed and stay."""
    unit.hear(document(target, seq=seq)).live(2).live(PROBATION_S)
    assert unit.journal.state == "clean", unit.said[-1]
    return unit


def test_a_document_becomes_a_model_that_looks_and_is_committed_after_its_probation(
    tmp_path, publisher, unit, one
):
    wanted = publisher.add(one, sec_ver=3)
    heard = document(wanted)
    unit.hear(heard).live(1)
    assert unit.runs.sha256 == digest(one)
    assert unit.words == ["accepted", "downloading", "verified", "staged", "armed", "switched", "probation"]
    assert unit.ledger.floors == {}, "the floor waits for the commit"
    unit.live(PROBATION_S + 2)
    assert unit.words[-1] == "committed"
    assert unit.journal.state == "clean"
    assert unit.ledger.floors == {"model/small": 3}
    assert {update.action for update in unit.said} == {heard.action}
    assert {update.target for update in unit.said} == {wanted.path}
    assert not (unit.state / "slots" / "incoming" / "model").exists()
    assert Unit(tmp_path, publisher).start().runs.sha256 == digest(one), "a start takes it, too"


def test_the_old_model_looks_until_the_new_one_is_loaded(publisher, unit, one):
    old, seen = unit.looking.detector, []
    unit.looking.on_change = lambda info: seen.append((info.sha256, unit.slots.current()))
    make = unit.kind._make

    def loading(bundle):
        seen.append(("loading", unit.looking.detector is old))
        return make(bundle)

    unit.kind._make = loading
    unit.hear(document(publisher.add(one))).live(1)
    assert seen == [("loading", True), (digest(one), "a")]


def test_what_runs_already_is_committed_at_once_also_when_it_came_with_the_device(publisher, unit):
    unit.hear(document(publisher.add(unit.factory))).live(1)
    assert unit.words == ["committed"]
    assert unit.last == ("committed", "runs already")
    assert unit.slots.current() == FACTORY


def test_a_second_click_changes_nothing_and_another_action_for_the_same_is_answered(publisher, unit, one):
    wanted = publisher.add(one)
    heard = document(wanted)
    unit.hear(heard).live(2).live(PROBATION_S)
    count = len(unit.said)
    unit.hear(heard).live(5)
    assert len(unit.said) == count
    again = document(wanted, seq=2)
    unit.hear(again).live(2)
    assert (unit.said[-1].action, *unit.last) == (again.action, "committed", "runs already")
    assert unit.journal.watch_until_s > 0, "what is watched over stays so"


def test_another_action_takes_over_what_is_under_way(publisher, unit, one):
    wanted = publisher.add(one)
    unit.hear(document(wanted)).live(3)
    other = document(wanted, seq=2)
    unit.hear(other).live(PROBATION_S)
    assert (unit.said[-1].action, unit.said[-1].state) == (other.action, "committed")


def test_a_revert_to_what_lies_in_the_other_slot_needs_no_download(publisher, unit, one, two):
    first = publisher.add(one)
    committed(unit, first)
    committed(unit, publisher.add(two), seq=2)
    unit.places = []
    unit.said.clear()
    committed(unit, first, seq=3)
    assert unit.words == ["accepted", "staged", "armed", "switched", "probation", "committed"]
    assert unit.runs.sha256 == digest(one)


def test_a_slot_that_was_damaged_meanwhile_is_not_gone_back_to_but_fetched_again(publisher, unit, one, two):
    first = publisher.add(one)
    committed(unit, first)
    committed(unit, publisher.add(two), seq=2)
    (unit.slots.path("a") / "model.tflite").write_bytes(b"\0" * 100)
    unit.said.clear()
    committed(unit, first, seq=3)
    assert "downloading" in unit.words
    assert unit.runs.sha256 == digest(one)


def test_a_revert_to_the_factorys_model_turns_the_link_off(publisher, unit, one):
    factory = publisher.add(unit.factory)
    committed(unit, publisher.add(one))
    asked = unit.publisher.source()
    unit.use(asked)
    unit.said.clear()
    committed(unit, factory, seq=2)
    assert unit.slots.current() == FACTORY
    assert unit.runs.sha256 == digest(unit.factory)
    assert "verified" not in unit.words, "nothing was fetched"


def test_the_factorys_model_below_the_floor_is_refused(publisher, unit, tmp_path):
    factory = publisher.add(unit.factory)
    mended = tiny_model(tmp_path / "mended", "1.1", name="factory")
    committed(unit, publisher.add(mended, sec_ver=1))
    unit.hear(document(factory, seq=2)).live(2)
    assert unit.last == ("rejected", "security version 0; 1 was committed before")
    assert unit.runs.sha256 == digest(mended)


def test_a_wish_that_vanishes_or_changes_before_it_is_armed_is_cancelled(publisher, unit, one, two):
    unit.hold = lambda: "deferred: airborne"
    first, second = publisher.add(one), publisher.add(two)
    unit.hear(document(first)).live(2)
    assert unit.last == ("staged", "deferred: airborne")
    unit.hear(document(second, seq=2)).live(1)
    assert ("cancelled", f"{second.path} is wanted instead") in [(one.state, one.reason) for one in unit.said]
    unit.live(2)
    assert unit.journal.content == second.hashes["sha256"]
    unit.hear(document(seq=3)).live(1)
    assert unit.last == ("cancelled", "it is wanted no longer")
    unit.hold = lambda: ""
    unit.live(5)
    assert unit.runs.sha256 == digest(unit.factory)


def test_what_was_committed_is_kept_when_no_document_names_it_any_more(publisher, unit, one):
    committed(unit, publisher.add(one))
    unit.hear(document(seq=2)).live(5)
    assert unit.runs.sha256 == digest(one)
    assert unit.last[0] == "committed"


def test_a_change_of_mind_after_the_switch_waits_for_its_end(publisher, unit, one, two):
    unit.hear(document(publisher.add(one))).live(2)
    unit.hear(document(publisher.add(two), seq=2)).live(5)
    assert unit.last[0] == "probation"
    unit.live(PROBATION_S).live(2)
    assert unit.runs.sha256 == digest(two)


def test_a_cancelled_wish_that_comes_again_is_followed(publisher, unit, one):
    wanted, action = publisher.add(one), new_id()
    unit.hold = lambda: "armed"
    unit.hear(document(wanted, action=action)).live(2)
    unit.hear(document(seq=2)).live(2)
    unit.hold = lambda: ""
    unit.hear(document(wanted, action=action, seq=3)).live(2)
    assert unit.last[0] == "probation"


def test_an_older_document_is_not_followed(publisher, unit, one, two):
    committed(unit, publisher.add(two), seq=7)
    unit.hear(document(publisher.add(one), seq=6)).live(3)
    assert unit.runs.sha256 == digest(two)
    assert unit.journal.seq == 7


def test_two_targets_for_one_kind_are_refused_and_nothing_is_touched(publisher, unit, one, two):
    unit.hear(document(publisher.add(one), publisher.add(two))).live(2)
    assert unit.last == ("rejected", "2 releases for one kind (model): which is meant?")
    assert unit.runs.sha256 == digest(unit.factory)


def test_a_release_for_another_board_is_refused(publisher, unit, one):
    unit.hear(document(publisher.add(one, hw=("jetson-orin",)))).live(2)
    assert unit.last == ("rejected", "for jetson-orin; this is raspberry-pi-4")


def test_a_release_that_is_no_release_is_refused(publisher, unit, one):
    wanted = publisher.add(one)
    odd = msgspec.structs.replace(wanted, custom={"kind": "model", "name": "../x"})
    unit.hear(document(odd)).live(2)
    assert unit.last[0] == "rejected"
    assert "no release" in unit.last[1]


def test_a_window_that_cannot_be_read_is_refused(publisher, unit, one):
    unit.hear(document(publisher.add(one), window="at night")).live(2)
    assert unit.last[0] == "rejected"
    assert "window" in unit.last[1]


def test_a_switch_waits_for_its_window_and_goes_on_by_itself(publisher, unit, one):
    midnight = unit.now_s - unit.now_s % 86_400
    unit.now_s = midnight + 3600
    unit.hear(document(publisher.add(one), window="02:00-03:00", expires=format_ts(midnight + 86_400))).live(
        2
    )
    assert unit.last == ("staged", "waits for its window 02:00-03:00 (UTC)")
    unit.now_s = midnight + 2 * 3600
    unit.live(1)
    assert unit.last[0] == "probation"


def test_a_class_that_a_rule_waits_for_must_not_be_lost_by_the_words_nor_by_the_card(tmp_path, publisher):
    unit = Unit(tmp_path, publisher, rest=NO_RULE_SEES).start()
    blind = tiny_model(tmp_path / "blind", "3.0", labels=("car", "bus"))
    wanted = publisher.add(blind)
    unit.hear(document(wanted)).live(2)
    assert unit.last == ("rejected", "it cannot see person, which rule gate of cam0 waits for")
    assert unit.ledger.quarantined == {}
    liar = wanted.custom | {"card": {"labels": ["person"]}}
    said = publisher.put(wanted.path, publisher.repository.contents[wanted.path], liar)
    unit.hear(document(said, seq=2)).live(2)
    assert "staged" not in unit.words
    assert unit.last == ("rejected", "it cannot see person, which rule gate of cam0 waits for")
    assert unit.ledger.quarantined == {}, "another configuration may take it"
    assert unit.slots.manifest("a") is None


def told(unit):
    return [(one.state, one.reason) for one in unit.said]


# What does not stand its check: tried in a real child.


def refused_by_child(unit, target):
    unit.check = check_model
    unit.hear(document(target)).live(2)
    assert unit.last[0] == "rejected"
    assert unit.ledger.quarantined == {target.hashes["sha256"]: unit.last[1]}
    assert unit.runs.sha256 == digest(unit.factory)
    assert unit.slots.manifest("a") is None, "nobody may start it by mistake"
    unit.hear(document(target, seq=2)).live(2)
    assert unit.last[1].startswith("quarantined on this device: ")
    return unit.said[-2].reason


def test_a_model_that_stands_its_check_in_a_child_is_switched_to(publisher, unit, one):
    unit.check = check_model
    unit.hear(document(publisher.add(one))).live(1)
    assert unit.last[0] == "probation"


def test_a_model_that_loads_but_sees_nothing_fails_its_golden_vectors(tmp_path, publisher, unit):
    seeing = tiny_model(tmp_path / "seeing", "1.0")
    nothing = tiny_model(tmp_path / "nothing", "1.0", boxes=0)
    (nothing / "model.toml").write_text((seeing / "model.toml").read_text())
    assert "golden" in refused_by_child(unit, publisher.add(nothing))


def test_a_card_with_other_golden_vectors_than_were_signed_is_refused(tmp_path, publisher, unit, one):
    wanted = publisher.add(one)
    signed = wanted.custom | {"golden_sha256": "0" * 64}
    other = publisher.put(wanted.path, publisher.repository.contents[wanted.path], signed)
    assert "not the ones that were signed" in refused_by_child(unit, other)


def test_a_model_that_crashes_its_process_kills_only_the_child(tmp_path, publisher, unit, one, monkeypatch):
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    monkeypatch.setattr("device.models.examine._command", lambda file, labels: ["python3", "-c", crash])
    assert "SIGSEGV" in refused_by_child(unit, publisher.add(one))


def test_a_model_whose_check_was_killed_for_want_of_memory_may_come_again(publisher, unit, one, monkeypatch):
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    wanted = publisher.add(one)
    with monkeypatch.context() as patch:
        patch.setattr("device.models.examine._command", lambda file, labels: ["python3", "-c", crash])
        unit.check = check_model
        unit.hear(document(wanted)).live(3)
    assert unit.last == ("rejected", "the runtime was killed (SIGKILL): there was not memory enough")
    assert unit.ledger.quarantined == {}
    unit.hear(document(wanted, seq=2)).live(3)
    assert unit.runs.sha256 == digest(one)


def test_a_model_that_never_comes_to_an_end_is_refused(publisher, unit, one, monkeypatch):
    monkeypatch.setattr(
        "device.models.examine._command",
        lambda file, labels: ["python3", "-c", "import time; time.sleep(60)"],
    )
    monkeypatch.setattr("device.firmware.updating.model_check.LIMIT_S", 0.5)
    unit.hear(document(publisher.add(one)))
    assert "does not come to an end" in refused_by_child(unit, publisher.add(one))


def test_a_damaged_model_is_refused(tmp_path, publisher, unit, one):
    file = one / "model.tflite"
    file.write_bytes(file.read_bytes()[:200])
    assert "valid Flatbuffer" in refused_by_child(unit, publisher.add(one))


def test_a_model_that_is_far_too_slow_for_the_cameras_is_refused(publisher, unit, one):
    unit.config = msgspec.structs.replace(
        unit.config, camera=[msgspec.structs.replace(unit.config.camera[0], fps=60.0)]
    )
    unit.start()

    def slow(place, *args, **options):
        from device.firmware.updating.probation import too_slow

        assert options["fastest_fps"] == 60.0
        raise UpdateRefused(too_slow(90.0, options["p95_before_ms"], options["fastest_fps"]))

    unit.check = slow
    unit.hear(document(publisher.add(one))).live(2)
    assert unit.last == ("rejected", "too slow: 90 ms an inference, at most 33 here")


def test_a_file_that_holds_no_model_is_refused(tmp_path, publisher, unit, one):
    wanted = publisher.add(one)
    odd = publisher.put(wanted.path, b"no tar at all" * 100, wanted.custom)
    unit.hear(document(odd)).live(2)
    assert unit.last[0] == "rejected"
    assert "cannot be unpacked" in unit.last[1]


# What does not stand its probation.


def test_a_model_that_is_slow_at_work_is_gone_back_from_and_not_taken_again(publisher, unit, one):
    wanted = publisher.add(one, sec_ver=5)
    unit.hear(document(wanted)).live(2)
    unit.looking.invoke_ms.extend([500.0] * 100)
    unit.live(PROBATION_S)
    assert unit.words[-2:] == ["rolling-back", "rolled-back"]
    assert unit.last[1] == "too slow: 500 ms an inference (p95), at most 100 here"
    assert unit.runs.sha256 == digest(unit.factory)
    assert unit.ledger.floors == {}, "the floor rises only at a commit"
    unit.hear(document(wanted, seq=2)).live(2)
    assert unit.last[0] == "rejected"
    assert "quarantined" in unit.last[1]


def test_a_model_that_cannot_be_loaded_after_all_is_gone_back_from(publisher, unit, one):
    def failing(bundle):
        raise MemoryError("no room for it")

    unit.kind._make = failing
    unit.hear(document(publisher.add(one))).live(2)
    assert unit.last == ("rolled-back", "it cannot be loaded: no room for it")
    assert unit.slots.current() == FACTORY


def test_three_first_starts_that_crash_send_a_model_back_before_it_is_loaded(tmp_path, publisher, unit, one):
    unit.hear(document(publisher.add(one))).live(2)
    assert unit.last[0] == "probation"
    for _ in range(2):
        unit = Unit(tmp_path, publisher).start()
        assert unit.runs.sha256 == digest(one)
    unit = Unit(tmp_path, publisher).start()
    assert unit.runs.sha256 == digest(unit.factory)
    unit.live(2)
    assert unit.last == ("rolled-back", "3 first starts did not live")


def test_starts_that_end_in_order_are_not_counted(tmp_path, publisher, unit, one):
    unit.hear(document(publisher.add(one))).live(2).stop()
    for _ in range(6):
        unit = Unit(tmp_path, publisher).start().live(5).stop()
        assert unit.runs.sha256 == digest(one)
    unit = Unit(tmp_path, publisher).start().live(PROBATION_S + 2)
    assert unit.last[0] == "committed"


def test_a_device_that_would_enter_safe_mode_goes_back_from_a_model_on_probation_first(
    tmp_path, publisher, unit, one
):
    from device.firmware.updating.beginning import send_back

    assert not send_back(unit.state, "5 starts failed")
    unit.hear(document(publisher.add(one))).live(2)
    assert send_back(unit.state, "5 starts failed, the last in watch")
    unit = Unit(tmp_path, publisher).start()
    assert unit.runs.sha256 == digest(unit.factory)
    unit.live(1)
    assert unit.last == ("rolled-back", "5 starts failed, the last in watch")


def test_in_safe_mode_a_model_is_switched_by_a_new_start(tmp_path, publisher, one):
    unit = Unit(tmp_path, publisher)
    unit.is_safe = True
    unit.start().hear(document(publisher.add(one))).live(2)
    assert unit.restarts == ["model"]
    assert unit.journal.state == "switched"
    unit.stop()
    unit.is_safe = False
    unit.start().live(PROBATION_S + 3)
    assert (unit.runs.sha256, unit.last[0]) == (digest(one), "committed")


def test_loss_of_the_server_alone_never_goes_back_from_a_model(publisher, unit, one):
    unit.hear(document(publisher.add(one))).live(2)
    unit.is_linked = False
    unit.places = []
    unit.live(PROBATION_S + 100)
    assert unit.runs.sha256 == digest(one)
    assert unit.journal.state == "committed", "it is told when somebody listens"
    assert unit.ledger.good == [unit.journal.content]
    unit.is_linked = True
    unit.live(1)
    assert unit.journal.state == "clean"


def test_what_was_told_is_told_again_after_a_restart_and_each_connection(tmp_path, publisher, unit, one):
    committed(unit, publisher.add(one))
    unit = Unit(tmp_path, publisher).start()
    unit.updater.say_again()
    assert unit.words == ["committed"]
    assert unit.said[-1].action == unit.journal.action


def test_a_damaged_slot_at_a_start_leaves_the_factorys_model_and_a_complaint(tmp_path, publisher, unit, one):
    committed(unit, publisher.add(one))
    (unit.slots.path("a") / "model.tflite").write_bytes(b"x")
    unit = Unit(tmp_path, publisher).start()
    assert unit.runs.sha256 == digest(unit.factory)


def test_a_release_that_was_never_committed_is_not_started_in_place_of_a_damaged_one(
    tmp_path, publisher, unit, one, two
):
    committed(unit, publisher.add(one))
    unit.hold = lambda: "armed"
    unit.hear(document(publisher.add(two), seq=2)).live(2)
    assert unit.last[0] == "staged"
    (unit.slots.path("a") / "model.tflite").write_bytes(b"x")
    assert Unit(tmp_path, publisher).start().runs.sha256 == digest(unit.factory)


def test_going_back_to_a_slot_that_is_damaged_ends_at_the_factorys_and_says_so(publisher, unit, one, two):
    committed(unit, publisher.add(one))
    unit.hear(document(publisher.add(two), seq=2)).live(2)
    (unit.slots.path("a") / "model.tflite").write_bytes(b"x")
    unit.looking.invoke_ms.extend([500.0] * 100)
    unit.live(PROBATION_S)
    assert unit.last[0] == "rolled-back"
    assert "the factory's runs" in unit.last[1]
    assert unit.journal.is_inconsistent
    ((place, words),) = unit.updater.complaints()
    assert (place, words.startswith("INCONSISTENT")) == ("slots/model", True)
    assert unit.runs.sha256 == digest(unit.factory)


def test_nothing_is_switched_there_or_back_while_an_aircraft_is_in_the_air(publisher, unit, one):
    unit.hold = lambda: "deferred: armed"
    unit.hear(document(publisher.add(one))).live(5)
    assert unit.last == ("staged", "deferred: armed")
    unit.hold = lambda: ""
    unit.live(1)
    assert unit.runs.sha256 == digest(one)
    unit.hold = lambda: "deferred: airborne"
    unit.looking.invoke_ms.extend([500.0] * 100)
    unit.live(PROBATION_S + 50)
    assert unit.last[0] == "rolling-back"
    assert unit.runs.sha256 == digest(one)
    unit.hold = lambda: ""
    unit.live(2)
    assert unit.last[0] == "rolled-back"
    assert unit.runs.sha256 == digest(unit.factory)


# The day after.


def usual(unit):
    """A street on which 120 objects an hour pass at all hours."""
    rates = Rates()
    for hour in range(24):
        rates = added(rates, unit.now_s - 86_400 + hour * 3600, 3600.0, 120)
    return {"cam0": rates}


def committed_after(unit, target):
    from device.firmware.updating.sampling import Kept

    unit.sampler._kept = Kept(usual(unit), {})
    return committed(unit, target)


def see(unit, seconds, objects):
    from device.firmware.updating.sampling import Kept

    since = unit.sampler.since.get("cam0", Rates())
    fresh = {"cam0": added(since, unit.now_s, seconds, objects)}
    unit.sampler._kept = Kept(unit.sampler.usual, fresh)


def test_a_model_that_sees_nothing_although_its_vectors_pass_is_gone_back_from_after_its_commit(
    publisher, unit, one
):
    wanted = publisher.add(one)
    committed_after(unit, wanted)
    see(unit, 1200.0, 0)
    unit.live(1)
    assert unit.runs.sha256 == digest(one)
    see(unit, 1200.0, 0)
    unit.live(2)
    assert unit.words[-2:] == ["rolling-back", "rolled-back"]
    assert unit.last[1].startswith("cam0 sees nothing with it: 0 objects where about 80 were usual")
    assert unit.runs.sha256 == digest(unit.factory)
    assert unit.said[-1].action == unit.journal.action
    unit.hear(document(wanted, seq=2)).live(2)
    assert "quarantined" in unit.last[1], "it is good no longer"


def test_a_model_below_the_floor_is_not_gone_back_to_and_that_is_told(publisher, unit, tmp_path, one, two):
    committed(unit, publisher.add(one, sec_ver=1))
    mended = publisher.add(two, sec_ver=2)
    from device.firmware.updating.sampling import Kept

    unit.sampler._kept = Kept(usual(unit), {})
    committed(unit, mended, seq=2)
    see(unit, 3000.0, 0)
    unit.live(2)
    assert unit.runs.sha256 == digest(two)
    ((_, words),) = unit.updater.complaints()
    assert "sees nothing" in words
    assert "older than the floor" in words
    assert unit.journal.watch_until_s == 0.0


def test_where_nobody_passes_the_day_ends_without_a_judgement(publisher, unit, one):
    committed(unit, publisher.add(one))
    unit.now_s += 86_400
    unit.live(2)
    assert unit.journal.watch_until_s == 0.0
    assert unit.last[0] == "committed"
    assert not unit.sampler.is_watching


def test_a_model_that_sees_nothing_is_found_in_its_probation_on_a_busy_street(publisher, unit, one):
    from device.firmware.updating.sampling import Kept

    unit.sampler._kept = Kept(usual(unit), {})
    unit.hear(document(publisher.add(one))).live(2)
    see(unit, 2400.0, 0)
    unit.live(1)
    assert unit.last[0] == "rolled-back"
    assert unit.journal.was_good is False
