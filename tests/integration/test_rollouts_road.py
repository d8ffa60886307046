"""Rollouts from their making to their end, on both databases, with devices that behave well and badly."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from fleet.access import audit
from fleet.access.caller import Caller
from fleet.errors import BadInput, Conflict, Forbidden, NotFound
from fleet.rollouts import acting, gather, lead
from fleet.rollouts.acting import NewRollout
from fleet.rollouts.answers import note_update
from fleet.rollouts.engine import Rollouts
from fleet.rollouts.plan import settings_of
from fleet.rollouts.preview import preview
from fleet.rollouts.releases import NewRelease, add_release, get_release, withdraw_release
from fleet.rollouts.show import history_of, list_members, show
from fleet.rollouts.tags import set_tags, tags_of
from fleet.rollouts.tell import read_wanted, target_of
from fleet.store.database import open_database
from fleet.store.tables_identity import Identity
from fleet.store.tables_rollouts import Rollout, RolloutDevice
from tests.rollout_fleet import NEW, OLD, OTHER, Behaviour, Town, names, obey

MIDDLE = "10%,100%"


@pytest.fixture
def town(engine: Engine) -> Town:
    return Town(engine)


def test_a_good_release_goes_to_all_in_stages(town: Town) -> None:
    town.add(names(40))
    rollout = town.rollout("site:lahore/*")
    reached = []
    while town.state(rollout) == "running":
        town.tick(60)
        town.answer()
        reached.append(town.counts(rollout)["succeeded"])
    assert sorted(set(reached)) == [1, 4, 40]
    assert (town.state(rollout), town.why(rollout)) == ("done", "Done: 40 devices got it, 0 failed.")
    with Session(town.engine) as session:
        ((wanted, release),) = read_wanted(session, names(1)[0])
        assert (wanted.rollout, target_of(release).hashes) == (rollout, {"sha256": NEW})
        assert audit.verify(session) == []


def test_a_release_and_a_filter_mean_a_kind_of_board_and_not_what_a_board_calls_itself(town: Town) -> None:
    town.add(names(2))
    town.add(["cam-orin"], board="jetson-orin")
    rollout = town.rollout("board:pi4", release=town.release(hw=("raspberry-pi-4",)), stages="100%")
    town.run_until(rollout, "done")
    assert town.counts(rollout) == {"succeeded": 2}
    with Session(town.engine) as session:
        seen = preview(session, get_release(session, "street-2@1.4.0"), "all", "100%")
    assert (seen.have_it, seen.other_boards) == (2, 1)


def test_success_comes_only_from_what_runs(town: Town) -> None:
    town.add(names(1))
    town.behave = lambda *_: "committed"
    rollout = town.rollout(stages="1", deadline_s=600)
    town.pass_time(300)
    assert town.device(rollout, "cam-000000").state == "installed"
    town.pass_time(600)
    assert town.device(rollout, "cam-000000").state == "failed"
    assert "but not what runs" in town.device(rollout, "cam-000000").reason
    assert town.state(rollout) == "stopped"


def test_one_failure_of_one_in_stage_one_stops_and_says_why(town: Town) -> None:
    town.add(names(100))
    town.behave = lambda *_: "rolled-back:golden vectors"
    rollout = town.rollout()
    town.run_until(rollout, "stopped")
    town.pass_time(300)
    assert "1 of 1 answers" in town.why(rollout), "the reason stays"
    assert town.counts(rollout) == {"waiting": 99, "failed": 1}
    assert town.wanted() == {}
    with Session(town.engine) as session:
        (error,) = show(session, acting.get_rollout(session, rollout)).errors
        assert (error.reason, error.devices) == ("rolled-back: golden vectors", 1)


def test_what_stopped_a_rollout_is_still_read_after_it_was_taken_back(town: Town) -> None:
    town.add(names(10))
    town.behave = lambda *_: "rolled-back:it sees nothing"
    rollout = town.rollout(stages="1,100%")
    assert town.run_until(rollout, "stopped") == "stopped"
    stopped = town.why(rollout)
    town.act("revert", rollout)
    assert town.run_until(rollout, "reverted") == "reverted"
    assert town.why(rollout) == f"Reverted by noor. {stopped}"
    with Session(town.engine) as session:
        went_back = select(RolloutDevice.reason).where(RolloutDevice.state == "reverted")
        assert session.exec(went_back).all() == ["rolled-back: it sees nothing; runs what it ran before"]


def test_a_rollout_that_is_to_takes_everybody_back_when_it_has_stopped_itself(town: Town) -> None:
    town.add(names(20))
    town.release(version="1.3.0", sha256=OLD)
    good = iter(range(3))
    town.behave = lambda *told: obey(*told) if next(good, None) is not None else "rolled-back:it sees nothing"
    rollout = town.rollout(stages="2,50%,100%", revert_on_stop=True)
    assert town.run_until(rollout, "stopped") == "stopped"
    stopped = town.why(rollout)
    assert NEW in town.running(), "some run it when it stops"
    town.behave = obey
    assert town.run_until(rollout, "reverted") == "reverted"
    assert town.why(rollout) == f"Reverted by itself. {stopped}"
    assert town.running() == {OLD: 20}
    assert set(town.counts(rollout)) == {"reverted", "skipped"}
    with Session(town.engine) as session:
        done = [one.action for one in audit.all_entries(session) if one.who == "engine"]
    assert done == ["rollout.stopped", "rollout.reverting", "rollout.reverted"]


def turning(town: Town, *behaviours: str, known: bool = True) -> str:
    """A rollout that has stopped itself and is about to go back; its devices have done this, one each."""
    town.add(names(2 * len(behaviours)))
    if known:
        town.release(version="1.3.0", sha256=OLD)
    fates = iter(behaviours)
    town.behave = lambda *_: next(fates)
    rollout = town.rollout(stages=f"{len(behaviours)},100%", revert_on_stop=True)
    assert town.run_until(rollout, "stopped") == "stopped"
    town.behave = lambda *_: "silent"
    return rollout


def test_who_waits_is_free_for_another_rollout_as_soon_as_one_goes_back(town: Town) -> None:
    rollout = turning(town, "runs", *["rolled-back"] * 9)
    assert town.run_until(rollout, "reverting", step_s=2) == "reverting"
    town.pass_time(2, step_s=2)
    assert town.counts(rollout) == {"reverted": 9, "reverting": 1, "skipped": 10}
    town.behave = obey
    mended = town.rollout(release=town.release(version="1.5.0", sha256=OTHER), name="mended", stages="100%")
    town.pass_time(60)
    assert town.counts(mended)["succeeded"] == 19


def test_who_switches_while_everybody_is_told_to_go_back_goes_back_and_is_awaited(town: Town) -> None:
    rollout = turning(town, *["rolled-back"] * 5, *["switched"] * 5)
    town.run_until(rollout, "reverting", step_s=2)
    town.pass_time(6, step_s=2)
    assert town.counts(rollout) == {"reverted": 5, "reverting": 5, "skipped": 10}
    late = [one for one in names(20) if town.device(rollout, one).state == "reverting"]
    for device in late:
        town.says(device, NEW)
    town.pass_time(60)
    assert town.state(rollout) == "reverting", "they run it, whatever they ran before"
    for device in late:
        town.says(device, OLD)
    assert town.run_until(rollout, "reverted") == "reverted"
    assert town.counts(rollout) == {"reverted": 10, "skipped": 10}


def test_who_switches_when_nothing_is_known_to_go_back_to_is_let_go_and_said_to_run_it(town: Town) -> None:
    rollout = turning(town, *["rolled-back"] * 3, "switched", "downloading", known=False)
    assert town.run_until(rollout, "reverted", step_s=2) == "reverted"
    assert town.wanted() == {}
    assert town.counts(rollout) == {"reverted": 3, "withdrawn": 2, "skipped": 5}
    first, second = (one for one in names(10) if town.device(rollout, one).state == "withdrawn")
    town.says(first, NEW)
    town.says(second, OLD)
    assert town.device(rollout, first).state == "succeeded"
    assert town.device(rollout, second).state == "skipped"


def test_why_devices_failed_is_still_said_when_all_have_gone_back(town: Town) -> None:
    rollout = turning(town, *["rolled-back:it sees nothing"] * 6)
    assert town.run_until(rollout, "reverted") == "reverted"
    with Session(town.engine) as session:
        (error,) = show(session, acting.get_rollout(session, rollout)).errors
    assert (error.devices, error.reason) == (6, "rolled-back: it sees nothing; runs what it ran before")


def test_who_reverts_what_was_about_to_turn_back_by_itself_is_named(town: Town) -> None:
    rollout = turning(town, *["rolled-back"] * 5)
    town.act("revert", rollout, "maryam")
    assert town.run_until(rollout, "reverted") == "reverted"
    assert town.why(rollout).startswith("Reverted by maryam. Stopped by itself")


def test_fifty_failures_of_fifty_answers_in_a_stage_of_a_thousand_stop_it(town: Town) -> None:
    town.add(names(1000))
    bad = iter(range(50))
    town.behave = lambda *_: "rolled-back:sees nothing" if next(bad, None) is not None else "silent"
    rollout = town.rollout(stages="100%", at_once=1000)
    town.tick()
    assert town.counts(rollout) == {"told": 1000}
    town.answer()
    town.tick()
    assert town.state(rollout) == "stopped"
    assert town.counts(rollout) == {"failed": 50, "withdrawn": 950}
    assert town.wanted() == {}


def test_who_resumes_what_stopped_begins_a_new_count(town: Town) -> None:
    town.add(names(20))
    town.behave = lambda *_: "rolled-back"
    rollout = town.rollout(stages="2,100%")
    town.run_until(rollout, "stopped")
    town.behave = lambda *_: "runs"
    town.act("resume", rollout)
    town.run_until(rollout, "done")
    assert town.counts(rollout) == {"succeeded": 18, "failed": 2}


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_abort_in_the_middle_of_each_stage(town: Town, stage: int) -> None:
    town.add(names(50))
    rollout = town.rollout()
    while town.row(rollout).stage < stage:
        town.tick(60)
        town.answer()
    town.behave = lambda *_: "downloading"
    town.tick(1)
    town.answer()
    had = town.counts(rollout)["succeeded"]
    at_it = town.counts(rollout)["downloading"]
    assert at_it
    town.act("abort", rollout)
    town.act("abort", rollout)
    assert town.counts(rollout) == {
        k: v for k, v in {"succeeded": had, "withdrawn": at_it, "skipped": 50 - had - at_it}.items() if v
    }
    town.pass_time(600)
    assert town.state(rollout) == "aborted"
    assert len(town.wanted()) == had, "who has it keeps it"
    one = next(row for row in names(50) if town.device(rollout, row).state == "withdrawn")
    town.says(one, NEW)
    assert town.device(rollout, one).state == "succeeded", "what runs is the truth, also after an abort"


def test_revert_takes_every_device_back_to_what_it_ran(town: Town) -> None:
    old = town.release("street-2", "1.3.0", OLD)
    town.add(names(30))
    rollout = town.rollout(stages=MIDDLE)
    while town.counts(rollout)["succeeded"] < 30:
        town.tick(60)
        town.answer()
    town.act("revert", rollout)
    town.run_until(rollout, "reverted")
    assert town.counts(rollout) == {"reverted": 30}
    assert set(town.wanted().values()) == {old}
    assert town.why(rollout) == "Reverted by noor."


def test_revert_in_the_middle_takes_back_who_is_at_it_and_leaves_the_others_alone(town: Town) -> None:
    town.release("street-2", "1.3.0", OLD)
    town.add(names(30))
    town.behave = lambda *_: "downloading"
    rollout = town.rollout(stages="10,100%")
    town.pass_time(60)
    town.behave = lambda *_: "committed:runs already"
    town.act("revert", rollout)
    town.act("revert", rollout)
    town.run_until(rollout, "reverted")
    assert town.counts(rollout) == {"reverted": 10, "skipped": 20}


def test_who_ran_what_no_release_is_known_of_cannot_go_back_and_that_is_said(town: Town) -> None:
    town.add(names(2))
    rollout = town.rollout(stages="2")
    town.run_until(rollout, "done")
    town.act("revert", rollout)
    town.run_until(rollout, "reverted")
    assert "cannot go back" in town.device(rollout, "cam-000000").reason


def reverting(town: Town, number: int, behave: Behaviour) -> str:
    """A rollout that all have got, and from which they are told to go back in several looks."""
    town.add(names(number))
    rollout = town.rollout(stages="100%")
    town.pass_time(60)
    town.behave = behave
    town.act("revert", rollout)
    return rollout


def test_more_who_cannot_go_back_than_fit_into_a_look_do_not_keep_the_others(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "BACK_MAX", 2)
    rollout = reverting(town, 5, obey)
    town.run_until(rollout, "reverted")
    assert town.counts(rollout) == {"failed": 5}
    assert "cannot go back" in town.device(rollout, "cam-000004").reason


def test_who_is_silent_about_going_back_is_told_once_and_it_ends(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "BACK_MAX", 2)
    town.release("street-2", "1.3.0", OLD)
    rollout = reverting(town, 5, lambda *_: "silent")
    town.run_until(rollout, "reverted", limit_s=3 * 3600)
    assert town.counts(rollout) == {"failed": 5}
    assert town.device(rollout, "cam-000001").reason == "did not go back: silent after it was told"


def test_who_refuses_to_go_back_is_named_with_its_reason_at_once(town: Town) -> None:
    town.release("street-2", "1.3.0", OLD)
    rollout = reverting(town, 3, lambda *_: "rejected:older than the floor")
    town.run_until(rollout, "reverted", limit_s=600)
    assert town.counts(rollout) == {"failed": 3}
    assert town.device(rollout, "cam-000001").reason == "did not go back: rejected: older than the floor"


def test_a_device_that_failed_on_the_way_and_was_stolen_does_not_hold_a_rollout_for_ever(town: Town) -> None:
    town.add(names(40))
    town.behave = lambda device, _: "failed:no route" if device == "cam-000001" else "runs"
    rollout = town.rollout(stages="100%")
    town.pass_time(60)
    town.set_online(False, "cam-000001")
    town.run_until(rollout, "done", limit_s=3 * 3600)
    assert town.counts(rollout) == {"succeeded": 39, "failed": 1}
    assert "silent since it failed on the way" in town.device(rollout, "cam-000001").reason


def test_a_second_click_on_every_action_changes_nothing(town: Town) -> None:
    town.add(names(5))
    rollout = town.rollout()

    def log() -> int:
        with Session(town.engine) as session:
            return audit.read_head(session).n

    for verb, state in (
        ("pause", "paused"),
        ("resume", "running"),
        ("abort", "aborted"),
        ("revert", "reverting"),
    ):
        assert town.act(verb, rollout).state == state
        before = log()
        assert town.act(verb, rollout).state == state
        assert log() == before, verb
    town.pass_time(60)
    assert town.state(rollout) == "reverted"
    assert town.act("revert", rollout).state == "reverted"
    for verb in ("pause", "resume", "abort"):
        with pytest.raises(Conflict, match="reverted"):
            town.act(verb, rollout)


def test_a_second_person_has_to_approve(town: Town) -> None:
    town.add(names(3))
    noor, twin, zain = (
        Caller(name, "session", user_id=uid) for name, uid in (("noor", "1"), ("noor", "1"), ("zain", "2"))
    )
    new = NewRollout("x", town.release(), "all")
    with Session(town.engine) as session:
        made = acting.create(session, new, noor, town.now_ms)
        assert (made.state, made.why) == (
            "pending",
            "Waits for the approval of a second person (noor has made it).",
        )
        town.pass_time(60)
        assert town.wanted() == {}
        with pytest.raises(Forbidden, match="second person"):
            acting.approve(session, made.id, twin, town.now_ms)
        for _ in range(2):
            assert acting.approve(session, made.id, zain, town.now_ms).approved_by == "zain"
        town.pass_time(60)
        assert len(town.wanted()) == 1
        for_nobody = acting.create(session, new, noor, town.now_ms)
        acting.abort(session, for_nobody.id, noor, town.now_ms, town.tell)
        with pytest.raises(Conflict, match="ended"):
            acting.approve(session, for_nobody.id, zain, town.now_ms)
        with pytest.raises(NotFound):
            acting.approve(session, "nothing", zain, town.now_ms)


def test_whoever_made_it_at_the_terminal_does_not_approve_it_on_the_console_nor_the_other_way_round(
    town: Town,
) -> None:
    town.add(names(3))
    noor, zain = (Caller(name, "session", user_id=name) for name in ("noor", "zain"))
    new = NewRollout("x", town.release(), "all")
    with Session(town.engine) as session:
        for maker, approver in ((noor, "noor (terminal)"), ("noor (terminal)", noor)):
            made = acting.create(session, new, maker, town.now_ms)
            with pytest.raises(Forbidden, match="second person"):
                acting.approve(session, made.id, approver, town.now_ms)
            assert acting.approve(session, made.id, zain, town.now_ms).state == "running"


def test_a_rollout_for_nobody_is_refused_unless_it_stays_open(town: Town) -> None:
    town.add(names(3), sha256=NEW)
    town.add(names(3, 3), board="jetson-orin")
    release = town.release(hw=["raspberry-pi-4"])
    with pytest.raises(
        BadInput, match=r"no device would get this \(3 run it already, 3 have another board\)"
    ):
        town.rollout("all", release)
    rollout = town.rollout("site:multan", release, stays_open=True)
    town.pass_time(120)
    assert town.why(rollout) == "Stage 1 of 3 (1) waits: no device matches the filter now."
    town.add(["cam-new"], site="multan/fort")
    town.pass_time(3000)
    assert town.counts(rollout) == {"succeeded": 1}


def test_what_makes_no_sense_is_refused_before_anything_is_kept(town: Town) -> None:
    town.add(names(1))
    release = town.release()
    for wrong in ({"name": " "}, {"name": "x" * 101}, {"stages": "x"}):
        with pytest.raises(BadInput):
            town.rollout("all", release, **wrong)
    with pytest.raises(BadInput, match=r"\^"):
        town.rollout("bord:pi4", release)
    with pytest.raises(NotFound, match="no release"):
        town.rollout("all", "street-9@1.0")
    with Session(town.engine) as session:
        with pytest.raises(Conflict, match="something else already"):
            add_release(session, NewRelease("model", "street-2", "1.4.0", OTHER, 5), "noor", 1)
        assert withdraw_release(session, release, "noor").state == "withdrawn"
        assert withdraw_release(session, release, "noor").state == "withdrawn"
        assert acting.list_rollouts(session) == []
    with pytest.raises(Conflict, match="withdrawn"):
        town.rollout("all", release)


def test_a_release_that_is_made_twice_at_once_is_one(town: Town) -> None:
    at_once = threading.Barrier(4)

    def make(_: int) -> str:
        at_once.wait(20)
        return town.release()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(make, range(4)))) == 1


def test_a_name_that_two_kinds_of_releases_have_is_not_guessed(town: Town) -> None:
    made = {town.release("street", "1.0", OLD), town.release("street", "1.0", OTHER, kind="firmware")}
    with Session(town.engine) as session:
        with pytest.raises(Conflict, match="more than one release") as refused:
            get_release(session, "street@1.0")
        assert all(one in str(refused.value) for one in made)
        assert {get_release(session, one).id for one in made} == made


def test_silence_while_offline_counts_after_the_deadline_and_a_late_answer_is_heard(town: Town) -> None:
    town.add(names(10))
    town.behave = lambda *_: "silent"
    rollout = town.rollout(stages="1,100%", deadline_s=3600)
    town.tick()
    (device,) = town.wanted()
    town.set_online(False, device)
    town.pass_time(3500)
    assert town.device(rollout, device).state == "told"
    town.pass_time(200)
    assert (town.device(rollout, device).state, town.state(rollout)) == ("failed", "stopped")
    town.says(device, NEW)
    assert town.device(rollout, device).reason == "answered late"


def test_who_is_offline_is_not_told_and_not_counted_as_failed(town: Town) -> None:
    town.add(names(4))
    town.set_online(False, *names(4))
    rollout = town.rollout(stages="1,100%", deadline_s=600)
    town.pass_time(3600)
    assert town.why(rollout) == "Stage 1 of 2 (1) stands still: 4 devices that it needs are offline."
    town.set_online(True, "cam-000002")
    town.run_until(rollout, "done")
    assert town.counts(rollout) == {"succeeded": 1, "skipped": 3}


def test_a_clock_that_jumps_back_and_far_ahead_makes_nobody_late_and_no_rest_short(town: Town) -> None:
    town.add(names(10))
    town.behave = lambda *_: "silent"
    rollout = town.rollout(stages="1,100%", deadline_s=3600, soak_s=3600)
    town.pass_time(60)
    for jump_s in (-86_400.0, 40 * 86_400.0, -3600.0, 86_400.0):
        town.tick(jump_s)
    assert town.counts(rollout) == {"told": 1, "waiting": 9}
    (device,) = town.wanted()
    town.says(device, NEW)
    town.tick(5)
    for jump_s in (86_400.0, -86_400.0, 86_400.0):
        town.tick(jump_s)
    assert "rests" in town.why(rollout)


def test_two_engines_whose_looks_cross_let_a_rollouts_clock_run_once(town: Town) -> None:
    town.add(names(3))
    rollout = town.rollout(stages="1,100%", soak_s=3600)
    town.tick()
    town.answer()
    began_ms, other = town.row(rollout).run_ms, Rollouts(town.engine, town.tell)
    for number in range(1, 31):
        town.rollouts.tick(town.now_ms + 2000 * number + 30_000)
        other.tick(town.now_ms + 2000 * number)
    assert town.row(rollout).run_ms - began_ms <= 2000 * 30 + 30_000


def test_engines_on_postgresql_go_by_its_clock_and_not_by_their_own(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lead.time, "time_ns", lambda: 1_000_000_000)
    with Session(town.engine) as session:
        now_ms = lead.clock_ms(session)
    is_shared = town.engine.dialect.name == "postgresql"
    assert now_ms == 1000 if not is_shared else abs(now_ms - time.time() * 1000) < 60_000


def test_a_link_that_is_down_makes_nobody_late(town: Town) -> None:
    town.add(names(2))
    town.behave = lambda *_: "silent"
    rollout = town.rollout(stages="1,100%", deadline_s=600)
    town.tick()
    town.rollouts._hears_devices = lambda: False
    town.pass_time(7200)
    assert town.counts(rollout) == {"told": 1, "waiting": 1}


def test_a_device_that_flaps_has_failed_once_and_for_good(town: Town) -> None:
    town.add(names(10))
    rollout = town.rollout(stages="10,100%", stop_share_max=0.5)
    town.tick()
    town.answer()
    for _ in range(5):
        town.says("cam-000003", OLD)
        town.says("cam-000003", NEW)
        town.tick()
    row = town.device(rollout, "cam-000003")
    assert (row.state, row.reason) == ("failed", "went back to what it ran before")
    assert town.counts(rollout) == {"succeeded": 9, "failed": 1}


def test_a_device_that_comes_and_goes_is_told_once(town: Town) -> None:
    town.add(names(3))
    town.behave = lambda *_: "downloading"
    rollout = town.rollout("is:online", stages="1,100%")
    town.tick()
    (device,) = town.wanted()
    action = town.device(rollout, device).action
    for is_online in (False, True) * 5:
        town.set_online(is_online, *names(3))
        town.pass_time(120)
    row = town.device(rollout, device)
    assert (row.action, row.tries, row.state) == (action, 1, "downloading")
    assert town.counts(rollout) == {"downloading": 1, "waiting": 2}


def test_a_device_that_reports_another_hash_than_both_has_failed(town: Town) -> None:
    town.add(names(3))
    town.behave = lambda *_: "downloading"
    rollout = town.rollout(stages="1,100%")
    town.tick()
    (device,) = town.wanted()
    town.says(device, OTHER)
    assert town.device(rollout, device).reason == f"runs another: {OTHER}"
    town.tick()
    assert town.state(rollout) == "stopped"


def test_what_fails_on_the_way_is_tried_again_with_growing_pauses(town: Town) -> None:
    town.add(names(1))
    town.behave = lambda *_: "failed:disk full"
    rollout = town.rollout(stages="1", tries=3, backoff_s=600)
    tries = []
    for _ in range(120):
        town.tick(30)
        town.answer()
        tries.append(town.device(rollout, "cam-000000").tries)
    assert [tries.count(n) for n in (1, 2)] == [pytest.approx(21, abs=2), pytest.approx(41, abs=2)]
    assert town.device(rollout, "cam-000000").reason == "failed: disk full"
    assert town.state(rollout) == "stopped"


def test_the_word_of_an_action_that_is_over_changes_nothing(town: Town) -> None:
    town.add(names(1))
    town.behave = lambda *_: "silent"
    rollout = town.rollout(stages="1")
    town.tick()
    with Session(town.engine) as session:
        now_ms, action = town.now_ms, town.device(rollout, "cam-000000").action
        assert note_update(session, "cam-000000", "rejected", "", action="0" * 36, now_ms=now_ms) == 0
        assert note_update(session, "cam-999999", "rejected", "", now_ms=now_ms) == 0
        assert note_update(session, "cam-000000", "rejected", "hw", action=action, now_ms=now_ms) == 1
        assert note_update(session, "cam-000000", "rejected", "hw", action=action, now_ms=now_ms) == 0
        session.commit()


def test_of_two_rollouts_for_one_device_the_first_goes_first_and_the_other_says_so(town: Town) -> None:
    town.add(names(6))
    town.behave = lambda _device, sha256: "silent" if sha256 == NEW else "runs"
    first = town.rollout(name="first", stages="6", release=town.release())
    town.now_ms += 1000
    second = town.rollout(
        "device:cam-00000*", name="second", stages="6", release=town.release("street-3", "2.0", OTHER)
    )
    town.pass_time(300)
    assert town.counts(first) == {"told": 6}
    assert town.counts(second) == {"waiting": 6}
    assert town.why(second).endswith(
        "stands still: 6 devices wait for the rollout 'first', which came first."
    )
    with Session(town.engine) as session:
        seen = preview(session, get_release(session, "street-3@2.0"), "all", "6")
        assert (seen.held, seen.holders) == (6, ("first", "second"))
    for device in names(6):
        town.says(device, NEW)
    town.run_until(second, "done")
    assert town.counts(second) == {"succeeded": 6}
    assert town.counts(first) == {"succeeded": 6}, "what came after is no failure of the first"


def test_a_device_changes_one_thing_at_a_time(town: Town) -> None:
    town.add(names(1))
    town.behave = lambda *_: "silent"
    later_kind = town.release("pehra", "0.3.0", "d" * 64, kind="firmware")
    model = town.rollout(stages="1")
    town.now_ms += 1000
    firmware = town.rollout(stages="1", release=later_kind, name="firmware")
    town.pass_time(60)
    assert (town.counts(model), town.counts(firmware)) == ({"told": 1}, {"waiting": 1})
    town.says("cam-000000", NEW)
    town.pass_time(60)
    assert town.counts(firmware) == {"told": 1}
    with Session(town.engine) as session:
        town.report(session, "cam-000000", NEW, firmware="0.3.0")
        session.commit()
    assert town.counts(firmware) == {"succeeded": 1}


def test_who_leaves_the_filter_while_it_waits_is_left_out_and_who_is_at_it_finishes(town: Town) -> None:
    town.add(names(4))
    with Session(town.engine) as session:
        for device in names(4):
            assert set_tags(session, device, ["night", "night"], "noor") == ["night"]
    town.behave = lambda *_: "downloading"
    rollout = town.rollout("tag:night model<1.4", stages="1,100%")
    town.tick()
    (device,) = town.wanted()
    with Session(town.engine) as session:
        for one in names(4):
            set_tags(session, one, ["day"], "noor")
        assert tags_of(session, device) == ["day"]
        with pytest.raises(BadInput, match="tags"):
            set_tags(session, device, ["Night!"], "noor")
        with pytest.raises(NotFound):
            set_tags(session, "cam-none", ["x"], "noor")
    town.pass_time(120)
    assert town.counts(rollout) == {"downloading": 1, "skipped": 3}
    town.says(device, NEW)
    with Session(town.engine) as session:
        set_tags(session, names(4)[0], ["night"], "noor")
        set_tags(session, names(4)[1], ["night"], "noor")
    town.pass_time(120)
    counts = town.counts(rollout)
    assert counts["succeeded"] == 1, "a device whose version the filter no longer means stays"
    assert counts["waiting"] >= 1, "who matches again is back in line"


def test_only_devices_that_are_let_in_are_told(town: Town) -> None:
    town.add(names(3))
    with Session(town.engine) as session:
        for device, state in (("cam-000000", "active"), ("cam-000001", "revoked"), ("cam-000002", "leaving")):
            session.add(Identity(device=device, state=state, since_ms=1, enrolled_ms=1))
        session.commit()
    rollout = town.rollout()
    town.run_until(rollout, "done")
    assert town.counts(rollout) == {"succeeded": 1}


def test_devices_are_told_only_inside_the_window_of_their_site(town: Town) -> None:
    town.add(names(2), timezone="Asia/Karachi")
    town.add(names(2, 2), timezone="America/Lima")
    rollout = town.rollout(stages="100%", window="12:00-14:00", deadline_s="20h")
    karachi_noon_ms = 1_800_000_000_000 - 1_800_000_000_000 % 86_400_000 + 7 * 3_600_000
    town.now_ms = karachi_noon_ms + 60_000
    town.pass_time(60)
    assert sorted(town.wanted()) == names(2)
    town.pass_time(600)
    assert "wait for their maintenance window, which opens in" in town.why(rollout)
    town.now_ms = karachi_noon_ms + 10 * 3_600_000
    town.pass_time(60)
    assert sorted(town.wanted()) == names(4)


def test_a_pause_lets_who_was_told_finish_and_tells_nobody_else(town: Town) -> None:
    town.add(names(10))
    town.behave = lambda *_: "downloading"
    rollout = town.rollout(stages="3,100%")
    town.tick()
    town.act("pause", rollout)
    town.tick()
    assert town.why(rollout) == "Paused by noor: 3 devices are at it and will finish."
    for device in list(town.wanted()):
        town.says(device, NEW)
    town.pass_time(7200)
    assert town.counts(rollout) == {"succeeded": 3, "waiting": 7}
    town.behave = lambda *_: "runs"
    town.act("resume", rollout)
    town.run_until(rollout, "done")


def test_the_pages_of_devices_and_the_history_of_one_tell_all(town: Town) -> None:
    town.add(names(7))
    rollout = town.rollout(stages="7")
    town.run_until(rollout, "done")
    with Session(town.engine) as session:
        found, cursor = [], None
        while True:
            page = list_members(session, rollout, state="succeeded", limit=3, cursor=cursor)
            found += [row.device for row in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == names(7)
        ((row, of, release),) = history_of(session, "cam-000003")
        assert (row.state, of.id, release.version) == ("succeeded", rollout, "1.4.0")
        shown = show(session, acting.get_rollout(session, rollout))
        assert [(one.size, one.told, one.succeeded, one.state) for one in shown.stages] == [(7, 7, 7, "done")]


def test_an_engine_that_starts_anew_knows_all_that_the_one_before_knew(town: Town) -> None:
    town.add(names(30))
    rollout = town.rollout(stages="1,50%,100%")
    url = town.engine.url.render_as_string(hide_password=False)
    for _ in range(200):
        fresh = open_database(url)
        again = Town(fresh, now_ms=town.now_ms, answered=town.answered)
        again.tick(60)
        again.answer()
        town.now_ms = again.now_ms
        fresh.dispose()
        if town.state(rollout) == "done":
            break
    assert town.counts(rollout) == {"succeeded": 30}


def test_settings_of_a_rollout_survive_the_database(town: Town) -> None:
    town.add(names(1))
    rollout = town.rollout(window="sat,sun 00:00-24:00", soak_s="2d", at_once=7)
    from fleet.rollouts.gather import settings_in

    wanted = settings_of(window="sat,sun 00:00-24:00", soak_s="2d", at_once=7, deadline_s=3600)
    assert settings_in(town.row(rollout)) == wanted


def test_a_rollout_that_another_version_wrote_does_not_keep_the_others_waiting(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    town.add(names(4))
    odd = town.rollout("device:cam-000000", name="odd")
    good = town.rollout("not device:cam-000000", release=town.release("street-3", "2.0", OTHER))
    for field, value in (("filter", "colour:red"), ("settings", {"tries": "many"}), ("stages", "a lot")):
        with Session(town.engine) as session:
            row = session.get_one(Rollout, odd)
            before = getattr(row, field)
            setattr(row, field, value)
            session.add(row)
            session.commit()
            town.rollouts._joined_ms.clear()
            caplog.clear()
            town.pass_time(120)
            setattr(row, field, before)
            session.add(row)
            session.commit()
        assert [odd in record.getMessage() for record in caplog.records] == [True], "said once while it lasts"
    town.run_until(good, "done")
    assert town.counts(good) == {"succeeded": 3}


def test_going_back_waits_for_no_window(town: Town) -> None:
    town.release("street-2", "1.3.0", OLD)
    town.add(names(2))
    rollout = town.rollout(stages="2", window="00:00-24:00")
    town.run_until(rollout, "done")
    town.behave = lambda *_: "silent"
    town.act("revert", rollout)
    town.tick()
    with Session(town.engine) as session:
        ((wanted, release),) = read_wanted(session, "cam-000000")
    assert (wanted.window, release.version) == ("", "1.3.0")


def test_devices_are_asked_again_once_a_minute_and_not_at_every_look(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.add(names(20))
    asked = []
    read = town.rollouts._book.read
    monkeypatch.setattr(town.rollouts._book, "read", lambda *a, **k: asked.append(1) or read(*a, **k))
    town.behave = lambda *_: "rolled-back"
    rollout = town.rollout()
    for state in ("running", "stopped"):
        asked.clear()
        for _ in range(60):
            town.tick(2)
        assert len(asked) == (2 if state == "running" else 0)
        town.answer()
        town.tick(2)
    assert town.state(rollout) == "stopped"
