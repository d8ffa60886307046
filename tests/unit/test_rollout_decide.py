"""What a rollout does next, as a function of what is known: no database, no clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.rollouts.decide import advance, decide, room, seen_after
from fleet.rollouts.plan import (
    Blocked,
    Course,
    Decision,
    Due,
    GoingBack,
    Settings,
    Standing,
    View,
)
from fleet.rollouts.stages import parse_stages
from fleet.rollouts.stop_rule import Answers

HOUR_MS = 3_600_000


def view(**given: Any) -> View:
    """A rollout over 100 devices in its second stage of three."""
    course = Course(
        given.pop("state", "running"),
        given.pop("stage", 1),
        given.pop("run_ms", 10 * HOUR_MS),
        given.pop("stage_run_ms", 9 * HOUR_MS),
        given.pop("quiet_run_ms", None),
    )
    standing = Standing(
        **({"members": 100, "told": 10, "waiting": 90, "in_stage": 9} | given.pop("standing", {}))
    )
    options = Settings(**({"soak_s": 3600, "deadline_s": 7200} | given.pop("settings", {})))
    stages = parse_stages(given.pop("stages", "1,10%,100%"))
    return View(stages, options, course, standing, **given)


def test_as_many_are_told_as_the_stage_has_room_for() -> None:
    before = view(standing={"told": 1, "in_stage": 0, "waiting": 99})
    assert room(before) == 9
    told = decide(replace(before, candidates=tuple(f"cam-{n}" for n in range(20))))
    assert len(told.tell) == 9
    assert told.why == "Stage 2 of 3 (10 %) goes on: 1 of 10 devices have answered, 9 devices are at it."


def test_no_more_are_at_it_at_once_than_allowed() -> None:
    assert room(view(stage=2, standing={"told": 10, "open": 4}, settings={"at_once": 5})) == 1


def test_a_rollout_that_stopped_itself_goes_back_by_itself_only_if_that_is_wanted() -> None:
    reason = "Stopped by itself in stage 2: 3 of 5 answers in this stage are failures."
    assert decide(view(state="stopped", why=reason)).course.state == "stopped"
    back = decide(view(state="stopped", why=reason, settings={"revert_on_stop": True}))
    assert (back.course.state, back.why) == ("reverting", f"Goes back by itself. {reason}")
    assert back.end_waiting == "the rollout was reverted"
    ended = decide(view(state="reverting", why=back.why, changed_by="itself"))
    assert (ended.course.state, ended.why) == ("reverted", f"Reverted by itself. {reason}")


@pytest.mark.parametrize("state", ["pending", "paused", "stopped", "done", "aborted", "reverted"])
def test_only_what_runs_tells_anybody(state: str) -> None:
    before = view(state=state, standing={"told": 1}, candidates=("cam-1",))
    decision = decide(before)
    assert room(before) == 0
    assert (decision.tell, decision.tell_again, decision.course.state) == ((), (), state)
    assert decision.why.endswith(".")


def test_a_stage_rests_when_all_have_answered_and_then_goes_on() -> None:
    answered = {"standing": {"succeeded": 10, "stage": Answers(9, 0), "whole": Answers(10, 0)}}
    resting = decide(view(**answered))
    assert resting.course.quiet_run_ms == 10 * HOUR_MS
    assert resting.why == "Stage 2 of 3 (10 %) rests: all its devices have answered, it goes on in 1 h."
    still = decide(view(quiet_run_ms=10 * HOUR_MS, run_ms=11 * HOUR_MS - 1, **answered))
    assert still.course.stage == 1
    after = decide(view(quiet_run_ms=10 * HOUR_MS, run_ms=11 * HOUR_MS, **answered))
    assert (after.course.stage, after.course.quiet_run_ms, after.course.stage_run_ms) == (
        2,
        None,
        11 * HOUR_MS,
    )


def test_a_stage_that_tells_nobody_new_is_left_out_without_a_rest() -> None:
    small = view(
        stages="1,1%,10%,100%",
        stage=0,
        quiet_run_ms=0,
        standing={"members": 10, "told": 1, "waiting": 9, "in_stage": 1, "whole": Answers(1, 0)},
    )
    assert decide(small).course.stage == 3


def test_one_failure_of_one_in_stage_one_stops_it() -> None:
    first = {"told": 1, "failed": 1, "in_stage": 1, "stage": Answers(1, 1), "whole": Answers(1, 1)}
    decision = decide(view(stage=0, standing=first))
    assert (decision.course.state, decision.withdraw) == ("stopped", True)
    assert decision.why == (
        "Stopped by itself in stage 1: 1 of 1 answers in this stage are failures, surely more than 5 %."
    )


def test_fifty_failures_of_fifty_answers_stop_a_stage_of_a_thousand() -> None:
    some = Answers(50, 50)
    standing = {
        "members": 1000,
        "told": 1000,
        "waiting": 0,
        "open": 950,
        "failed": 50,
        "stage": some,
        "whole": some,
    }
    assert decide(view(stage=2, standing=standing)).course.state == "stopped"


def test_silence_counts_in_the_moment_in_which_it_is_too_long() -> None:
    due = tuple(Due(f"cam-{n}", "told", 1, 0) for n in range(3))
    decision = decide(view(standing={"open": 9, "stage": Answers(0, 0)}, due=due))
    assert [device for device, _ in decision.fail] == ["cam-0", "cam-1", "cam-2"]
    assert decision.fail[0][1] == "silent for 2 h after it was told"
    assert decision.course.state == "stopped"


def test_who_switched_and_never_said_what_runs_has_failed() -> None:
    decision = decide(
        view(
            standing={"open": 9, "whole": Answers(90, 0), "stage": Answers(90, 0)},
            due=(Due("a", "installed", 1, 0),),
        )
    )
    assert "had switched, but not what runs" in decision.fail[0][1]
    assert decision.course.state == "running"


def test_what_fails_on_the_way_is_tried_again_later_and_later_and_then_has_failed() -> None:
    def after(tries: int) -> Decision:
        calm = {"open": 9, "whole": Answers(90, 0), "stage": Answers(90, 0)}
        return decide(view(standing=calm, due=(Due("a", "retrying", tries, None, "failed: disk full"),)))

    assert after(1).back_off == (("a", 10 * HOUR_MS + 300_000),)
    assert after(2).back_off == (("a", 10 * HOUR_MS + 600_000),)
    assert after(3).fail == (("a", "failed: disk full"),)


def test_a_retry_waits_until_the_device_is_there_and_its_window_open() -> None:
    due = Due("a", "retrying", 1, 5)
    assert decide(view(standing={"open": 1}, due=(due,))).tell_again == ("a",)
    assert decide(view(standing={"open": 1}, due=(replace(due, is_ready=False),))).tell_again == ()
    assert decide(view(state="paused", standing={"open": 1}, due=(due,))).tell_again == ()


def test_who_failed_on_the_way_and_never_comes_back_is_silent_after_the_deadline() -> None:
    calm = {"open": 9, "whole": Answers(90, 0), "stage": Answers(90, 0)}
    due = Due("a", "retrying", 1, 8 * HOUR_MS, "failed: disk full", is_ready=False)
    late = decide(view(standing=calm, due=(due,)))
    assert late.fail == (("a", "silent since it failed on the way: failed: disk full"),)
    assert decide(view(standing=calm, due=(replace(due, due_run_ms=8 * HOUR_MS + 1),))).fail == ()
    assert decide(view(standing=calm, due=(replace(due, is_ready=True),))).tell_again == ("a",)
    assert decide(view(state="paused", standing=calm, due=(due,))).fail == (), "nobody told it"


@pytest.mark.parametrize(
    ("blocked", "says"),
    [
        (Blocked(offline=5), "5 devices that it needs are offline"),
        (Blocked(offline=1), "the device that it needs is offline"),
        (
            Blocked(closed=4, opens_in_s=7200, offline=3),
            "4 devices wait for their maintenance window, which opens in 2 h",
        ),
        (
            Blocked(held=2, holder="old eyes"),
            "2 devices wait for the rollout 'old eyes', which came first.",
        ),
    ],
)
def test_it_says_why_it_stands_still(blocked: Blocked, says: str) -> None:
    decision = decide(view(standing={"told": 1, "in_stage": 0}, blocked=blocked, stage_run_ms=10 * HOUR_MS))
    assert decision.why.startswith(f"Stage 2 of 3 (10 %) stands still: {says}")
    assert decision.course.stage == 1


def test_without_a_device_it_waits_and_says_so() -> None:
    nobody = {"members": 0, "told": 0, "waiting": 0, "in_stage": 0}
    assert (
        decide(view(stage=0, standing=nobody)).why
        == "Stage 1 of 3 (1) waits: no device matches the filter now."
    )


def test_a_stage_short_of_devices_that_are_offline_goes_on_after_the_deadline_if_somebody_answered() -> None:
    short = {"told": 6, "in_stage": 5, "waiting": 94}
    late, offline = 9 * HOUR_MS - 2 * HOUR_MS, Blocked(offline=94)
    some = short | {"stage": Answers(5, 0), "whole": Answers(6, 0)}
    assert decide(view(standing=some, blocked=offline)).course.quiet_run_ms is None
    assert decide(view(standing=some, blocked=offline, stage_run_ms=late)).course.quiet_run_ms is not None
    nobody = short | {"in_stage": 0, "told": 1}
    assert decide(view(standing=nobody, blocked=offline, stage_run_ms=late)).course.quiet_run_ms is None
    for other in (Blocked(offline=90, closed=4), Blocked(offline=90, held=4)):
        assert decide(view(standing=some, blocked=other, stage_run_ms=late)).course.quiet_run_ms is None


def test_at_the_end_who_never_came_is_left_out_and_one_that_stays_open_does_not_end() -> None:
    standing = {"told": 95, "waiting": 5, "in_stage": 85, "succeeded": 95, "whole": Answers(95, 0)}
    end = {
        "stage": 2,
        "quiet_run_ms": 0,
        "stage_run_ms": 0,
        "standing": standing,
        "blocked": Blocked(offline=5),
    }
    done = decide(view(**end))
    assert (done.course.state, done.end_waiting) == ("done", "offline until the rollout ended")
    assert done.why == "Done: 95 devices got it, 0 failed."
    stays = decide(view(settings={"stays_open": True}, **end))
    assert stays.course.state == "running"
    assert stays.why.endswith("it waits for devices that join.")


def test_who_joins_while_the_last_stage_rests_is_told() -> None:
    resting = view(
        stage=2, quiet_run_ms=9 * HOUR_MS, standing={"told": 99, "waiting": 1}, candidates=("new",)
    )
    decision = decide(resting)
    assert decision.tell == ("new",)
    assert decision.course.quiet_run_ms is None
    assert room(replace(resting, course=replace(resting.course, stage=1))) == 0


def test_going_back_ends_when_all_have_said_what_runs() -> None:
    back = (
        GoingBack("a", is_taken=False, runs_before=False, release="old"),
        GoingBack("b", is_taken=False, runs_before=True, release="old"),
        GoingBack("c", is_taken=True, runs_before=False, release="old"),
        GoingBack("d", is_taken=False, runs_before=False, release=None),
    )
    first = decide(view(state="reverting", going_back=back, left_to_revert=4))
    assert first.go_back == (("a", "old"), ("b", "old"))
    assert [(device, state) for device, state, _ in first.settle] == [
        ("b", "reverted"),
        ("c", "skipped"),
        ("d", "failed"),
    ]
    assert (first.course.state, first.why) == ("reverting", "Goes back: 1 device left.")
    last = decide(view(state="reverting", standing={"reverting": 1}, due=(Due("a", "reverting", 1, 0),)))
    assert last.settle == (("a", "failed", "did not go back: silent after it was told"),)
    assert last.course.state == "reverted"


def test_who_may_be_about_to_switch_is_told_to_go_back_and_awaited() -> None:
    back = (
        GoingBack("known", is_taken=False, runs_before=True, release="old", is_at_it=True),
        GoingBack("unknown", is_taken=False, runs_before=True, release=None, is_at_it=True),
        GoingBack("stranger", is_taken=False, runs_before=False, release=None, failed="7 %", is_at_it=True),
        GoingBack("sick", is_taken=False, runs_before=False, release=None, failed="it sees nothing"),
    )
    decision = decide(view(state="reverting", going_back=back, left_to_revert=4))
    nothing = "no release is known of what it ran before"
    assert decision.go_back == (("known", "old"),)
    assert decision.let_go == ("unknown", "stranger", "sick")
    assert decision.settle == (
        ("unknown", "withdrawn", f"the rollout was reverted while it was at it, and {nothing}"),
        ("stranger", "failed", f"cannot go back: {nothing}"),
        ("sick", "failed", f"it sees nothing; cannot go back: {nothing}"),
    )
    assert decision.course.state == "reverting"


def test_a_rollouts_clock_runs_only_while_somebody_looks() -> None:
    assert advance(1000, 50_000, 52_000) == 3000
    assert advance(1000, 50_000, 40_000) == 1000, "a clock that was set back"
    assert advance(1000, 50_000, 50_000 + 10 * HOUR_MS) == 61_000, "an engine that was away"
    assert advance(1000, 50_000, 52_000, hears_devices=False) == 1000, "a link that is down"
    assert advance(0, 0, 1_800_000_000_000) == 0, "the first look"


def test_looks_of_two_engines_out_of_order_count_no_time_twice() -> None:
    assert seen_after(52_000, 50_000) == 52_000
    assert seen_after(50_000, 52_000) == 52_000
    assert seen_after(10 * HOUR_MS, 50_000) == 50_000, "a clock that was set back"


NUMBER = st.integers(0, 60)


@st.composite
def views(draw: st.DrawFn) -> View:
    waiting, open_, succeeded, failed = (draw(NUMBER) for _ in range(4))
    told = open_ + succeeded + failed
    answers = Answers(succeeded + failed, failed)
    devices = tuple(f"w-{n}" for n in range(draw(st.integers(0, waiting))))
    due = draw(
        st.lists(
            st.builds(
                Due,
                device=st.integers(0, 999).map(lambda n: f"o-{n}"),
                state=st.sampled_from(["told", "downloading", "installed", "retrying"]),
                tries=st.integers(1, 4),
                due_run_ms=st.none() | st.integers(0, 100),
                is_ready=st.booleans(),
            ),
            max_size=min(5, open_),
            unique_by=lambda one: one.device,
        )
    )
    seen = view(
        state=draw(st.sampled_from(["running", "paused", "stopped", "reverting", "pending", "done"])),
        stage=draw(st.integers(0, 2)),
        quiet_run_ms=draw(st.none() | st.integers(0, 10 * HOUR_MS)),
        settings={
            "at_once": draw(st.integers(1, 50)),
            "stop_failures_max": draw(NUMBER),
            "revert_on_stop": draw(st.booleans()),
        },
        standing={
            "members": told + waiting,
            "told": told,
            "waiting": waiting,
            "open": open_,
            "in_stage": draw(st.integers(0, told)),
            "succeeded": succeeded,
            "failed": failed,
            "stage": answers,
            "whole": answers,
        },
        candidates=devices,
        due=tuple(due),
        blocked=Blocked(draw(NUMBER), draw(NUMBER), draw(NUMBER)),
    )
    return replace(seen, candidates=seen.candidates[: room(seen)])


@given(views())
@settings(max_examples=500, deadline=None)
def test_whatever_is_known_a_decision_keeps_its_promises(before: View) -> None:
    decision = decide(before)
    course, standing = decision.course, before.standing
    assert decision.why.count(". ") == 0 and decision.why.endswith("."), "one sentence"
    assert course.stage >= before.course.stage, "no stage comes twice"
    assert len(decision.tell) <= room(before)
    assert set(decision.tell) <= set(before.candidates)
    if decision.tell:
        reach = before.stages[before.course.stage].size(standing.members)
        assert standing.told + len(decision.tell) <= reach
        assert standing.open + len(decision.tell) <= before.settings.at_once
        assert course.state == before.course.state == "running"
    if before.course.state not in ("running", "paused"):
        assert not (decision.tell or decision.tell_again or decision.fail)
    fates = (
        [device for device, _ in decision.fail] + [*decision.tell_again] + [d for d, _ in decision.back_off]
    )
    assert len(fates) == len(set(fates)), "one fate a device"
    if course.state == "stopped" and before.course.state == "running":
        assert decision.withdraw and not decision.tell
    if course.stage > before.course.stage:
        assert standing.open - len(decision.fail) == 0, "nobody is at it any more"
