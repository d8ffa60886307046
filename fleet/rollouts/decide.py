"""What a rollout does next: pure functions of what is known. No clock, no database.

fail who is silent too long -> stop if too many failed (and go back, where that is wanted)
  -> tell as many as the stage has room for
  -> rest when all have answered -> next stage, or done
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from fleet.rollouts import why
from fleet.rollouts.plan import (
    BACKOFF_MAX_S,
    REVERTED,
    RUNS_BEFORE,
    SILENT,
    STEP_MAX_MS,
    Decision,
    Due,
    GoingBack,
    Standing,
    View,
)
from fleet.rollouts.spans import span_text
from fleet.rollouts.stages import Stage
from fleet.rollouts.stop_rule import why_stopped

_NOTHING_KNOWN: Final = "no release is known of what it ran before"


def advance(run_ms: int, seen_ms: int, now_ms: int, *, hears_devices: bool = True) -> int:
    """Return a rollout's clock at this look.

    A clock that was set back, an engine that was away and a link that is down do not let it run on.

    Args:
        run_ms: at the look before.
        seen_ms: when that was, Unix milliseconds; 0 for never.
        now_ms: Unix milliseconds.
        hears_devices: whether devices could answer us now.
    """
    if not seen_ms or not hears_devices:
        return run_ms
    return run_ms + min(max(0, now_ms - seen_ms), STEP_MAX_MS)


def seen_after(seen_ms: int, now_ms: int) -> int:
    """Return when a rollout was looked at last, after a look.

    Two engines may look a little out of order: the time between is not counted twice. A clock that was set
    back further is taken as it is.
    """
    return max(seen_ms, now_ms) if seen_ms - now_ms <= STEP_MAX_MS else now_ms


def room(view: View) -> int:
    """Return how many more devices could be told now."""
    course, standing = view.course, view.standing
    if course.state != "running" or (course.quiet_run_ms is not None and not _is_last(view)):
        return 0
    left = view.stages[course.stage].size(standing.members) - standing.told
    return max(0, min(left, view.settings.at_once - standing.open, standing.waiting))


def decide(view: View) -> Decision:
    """Return what is to be done now."""
    state = view.course.state
    if state == "reverting":
        return _decide_reverting(view)
    if state == "stopped" and view.settings.revert_on_stop:
        back = replace(view.course, state="reverting")
        return Decision(back, why.turns_back(view), end_waiting=REVERTED)
    if state not in ("running", "paused"):
        return Decision(view.course, why.sentence(view))
    fates = _fates(view)
    after = replace(view, standing=_with_failures(view.standing, len(fates.fail)))
    reason = why_stopped(view.settings.stop_rule, after.standing.stage, after.standing.whole)
    if reason:
        stopped = replace(view.course, state="stopped")
        return Decision(stopped, why.stopped(view.course.stage, reason), fail=fates.fail, withdraw=True)
    if state == "paused":
        return Decision(view.course, why.sentence(after), fail=fates.fail, back_off=fates.back_off)
    return _go_on(after, fates)


@dataclass(frozen=True, slots=True)
class _Fates:
    """What becomes of the devices that are due."""

    fail: tuple[tuple[str, str], ...]
    back_off: tuple[tuple[str, int], ...]
    again: tuple[str, ...]


def _fates(view: View) -> _Fates:
    fail: list[tuple[str, str]] = []
    back_off: list[tuple[str, int]] = []
    again: list[str] = []
    for due in view.due:
        if due.state != "retrying":
            fail.append((due.device, _silence(due, view.settings.deadline_s)))
        elif due.due_run_ms is None and due.tries >= view.settings.tries:
            fail.append((due.device, due.reason or f"failed {due.tries} times"))
        elif due.due_run_ms is None:
            wait_s = min(BACKOFF_MAX_S, view.settings.backoff_s * 2 ** max(0, due.tries - 1))
            back_off.append((due.device, view.course.run_ms + 1000 * wait_s))
        elif view.course.state != "running":
            continue
        elif due.is_ready:
            again.append(due.device)
        elif view.course.run_ms - due.due_run_ms >= 1000 * view.settings.deadline_s:
            fail.append((due.device, f"{SILENT} since it failed on the way: {due.reason}"))
    return _Fates(tuple(fail), tuple(back_off), tuple(again))


def _silence(due: Due, deadline_s: int) -> str:
    if due.state == "installed":
        return f"{SILENT} for {span_text(deadline_s)}: it said that it had switched, but not what runs"
    return f"{SILENT} for {span_text(deadline_s)} after it was told"


def _with_failures(standing: Standing, failed: int) -> Standing:
    """Failures of this moment count at once, as of the stage that runs: nearly all are."""
    return replace(
        standing,
        open=standing.open - failed,
        failed=standing.failed + failed,
        stage=standing.stage.more(failed),
        whole=standing.whole.more(failed),
    )


def _go_on(view: View, fates: _Fates) -> Decision:
    tell = view.candidates[: room(view)]
    decision = Decision(
        view.course, "", tell=tell, tell_again=fates.again, back_off=fates.back_off, fail=fates.fail
    )
    if tell or fates.again or view.standing.open or not _is_complete(view):
        busy = replace(view.course, quiet_run_ms=None)
        told = len(tell)
        standing = replace(
            view.standing,
            told=view.standing.told + told,
            waiting=view.standing.waiting - told,
            open=view.standing.open + told,
            in_stage=view.standing.in_stage + told,
        )
        return replace(decision, course=busy, why=why.sentence(replace(view, course=busy, standing=standing)))
    return _rest_or_next(view, decision)


def _is_complete(view: View) -> bool:
    """Whether a stage in which nobody is at it has done what it can."""
    course, standing = view.course, view.standing
    if not standing.members:
        return False
    if standing.told >= view.stages[course.stage].size(standing.members):
        return True
    has_waited = course.run_ms - course.stage_run_ms >= 1000 * view.settings.deadline_s
    evidence = standing.whole if _is_last(view) else standing.stage
    waits_for_more = view.blocked.held or view.blocked.closed
    return bool(has_waited and evidence.answered and view.blocked.offline and not waits_for_more)


def _rest_or_next(view: View, decision: Decision) -> Decision:
    course = view.course
    quiet_ms = course.run_ms if course.quiet_run_ms is None else course.quiet_run_ms
    resting = replace(course, quiet_run_ms=quiet_ms)
    soak_s = soak_of(view.stages[course.stage], view.settings.soak_s)
    if view.standing.in_stage and course.run_ms - quiet_ms < 1000 * soak_s:
        return replace(decision, course=resting, why=why.sentence(replace(view, course=resting)))
    following = _following(view)
    if following is not None:
        begun = replace(course, stage=following, stage_run_ms=course.run_ms, quiet_run_ms=None)
        empty = replace(view.standing, in_stage=0)
        return replace(decision, course=begun, why=why.sentence(replace(view, course=begun, standing=empty)))
    if view.settings.stays_open:
        return replace(decision, course=resting, why=why.stays_open(view.standing))
    done = replace(resting, state="done")
    left = (
        "its stages ended before it" if view.stages[-1].size(100) < 100 else "offline until the rollout ended"
    )
    return replace(decision, course=done, why=why.sentence(replace(view, course=done)), end_waiting=left)


def soak_of(stage: Stage, usual_s: int) -> int:
    """Return how long a stage rests, seconds."""
    return usual_s if stage.soak_s is None else stage.soak_s


def _following(view: View) -> int | None:
    """Return the next stage that tells more devices than have been told; None after the last."""
    later = range(view.course.stage + 1, len(view.stages))
    return next((n for n in later if view.stages[n].size(view.standing.members) > view.standing.told), None)


def _is_last(view: View) -> bool:
    return view.course.stage == len(view.stages) - 1


def _decide_reverting(view: View) -> Decision:
    late = tuple(
        (due.device, "failed", f"did not go back: {due.reason or f'{SILENT} after it was told'}")
        for due in view.due
        if due.state == "reverting"
    )
    settled = tuple(fate for one in view.going_back if (fate := _way_back(one)) is not None)
    back = tuple(
        (one.device, one.release) for one in view.going_back if not one.is_taken and one.release is not None
    )
    left = view.left_to_revert - len(view.going_back)
    still = view.standing.reverting - len(late) + len(view.going_back) - len(settled)
    ended = still <= 0 and left <= 0
    course = replace(view.course, state="reverted" if ended else "reverting")
    standing = replace(view.standing, reverting=still)
    return Decision(
        course,
        why.sentence(replace(view, course=course, standing=standing, left_to_revert=left)),
        go_back=back,
        let_go=tuple(one.device for one in view.going_back if not one.is_taken and one.release is None),
        settle=late + settled,
        end_waiting=REVERTED,
    )


def _way_back(one: GoingBack) -> tuple[str, str, str] | None:
    """Return what a device ends as without an answer of its own; None for one that has to report first."""
    if one.is_taken:
        return one.device, "skipped", "another rollout has it now"
    if one.runs_before and not one.is_at_it:
        return one.device, "reverted", "; ".join(filter(None, (one.failed, RUNS_BEFORE)))
    if one.release is None and one.runs_before:
        return one.device, "withdrawn", f"{REVERTED} while it was at it, and {_NOTHING_KNOWN}"
    if one.release is None:
        failed = "" if one.is_at_it else one.failed
        return one.device, "failed", "; ".join(filter(None, (failed, f"cannot go back: {_NOTHING_KNOWN}")))
    return None
