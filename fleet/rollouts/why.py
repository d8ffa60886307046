"""Why a rollout stands where it stands: always one sentence for people. Pure."""

from __future__ import annotations

from typing import Final

from fleet.rollouts.plan import Blocked, Standing, View
from fleet.rollouts.spans import span_text

STOPPED: Final = "Stopped by itself"


def sentence(view: View) -> str:
    """Return one sentence."""
    state, by = view.course.state, view.changed_by or "somebody"
    if state == "running":
        return _running(view)
    standing, cause = view.standing, _cause(view.why)
    at_it = f": {_are(standing.open)} at it and will finish" if standing.open else ""
    sentences = {
        "pending": f"Waits for the approval of a second person ({by} has made it).",
        "paused": f"Paused by {by}{at_it}.",
        "stopped": view.why or f"{STOPPED}.",
        "aborted": f"Aborted by {by}: {_devices(standing.succeeded)} had got it and keep it.",
        "reverting": f"Goes back: {_devices(standing.reverting + max(0, view.left_to_revert))} left.{cause}",
        "reverted": f"Reverted by {by}.{cause}",
        "done": f"Done: {_devices(standing.succeeded)} got it, {standing.failed} failed.",
    }
    return sentences[state]


def _cause(why: str) -> str:
    """Return why a rollout had stopped itself, as what follows; it is what people look for afterwards."""
    at = why.find(STOPPED)
    return f" {why[at:]}" if at >= 0 else ""


def stopped(stage: int, reason: str) -> str:
    """Return why a rollout has stopped itself."""
    return f"{STOPPED} in stage {stage + 1}: {reason}."


def turns_back(view: View) -> str:
    """Return what a rollout says when it goes back because it has stopped itself."""
    return f"Goes back by itself.{_cause(view.why)}"


def stays_open(standing: Standing) -> str:
    """Return what a rollout without an end says when all have it."""
    ends = f"{standing.succeeded} got it, {standing.failed} failed"
    return f"All are done ({ends}): it waits for devices that join."


def _running(view: View) -> str:
    course, standing = view.course, view.standing
    stage = view.stages[course.stage]
    where = f"Stage {course.stage + 1} of {len(view.stages)} ({stage})"
    if not standing.members:
        return f"{where} waits: no device matches the filter now."
    if course.quiet_run_ms is not None:
        soak_s = view.settings.soak_s if stage.soak_s is None else stage.soak_s
        left_s = soak_s - (course.run_ms - course.quiet_run_ms) / 1000
        return f"{where} rests: all its devices have answered, it goes on in {span_text(left_s)}."
    size = stage.size(standing.members)
    if standing.open:
        done = f"{standing.told - standing.open} of {size} devices have answered"
        return f"{where} goes on: {done}, {_are(standing.open)} at it."
    if standing.told >= size or view.candidates:
        return f"{where} goes on: {standing.told} of {size} devices have been told."
    return f"{where} stands still: {_blocked(view.blocked, size - standing.told)}."


def _blocked(blocked: Blocked, missing: int) -> str:
    """Return what is in the way, the nearest to being solved first."""
    if blocked.closed:
        opens = f", which opens in {span_text(blocked.opens_in_s)}" if blocked.opens_in_s else ""
        return f"{_devices(blocked.closed)} wait for their maintenance window{opens}"
    if blocked.held:
        who = f"the rollout {blocked.holder!r}, which came first" if blocked.holder else "another rollout"
        return f"{_devices(blocked.held)} wait for {who}"
    if blocked.offline:
        return (
            f"{_devices(blocked.offline)} that it needs are offline"
            if blocked.offline > 1
            else ("the device that it needs is offline")
        )
    return f"{_devices(missing)} will be told next"


def _devices(number: int) -> str:
    return "1 device" if number == 1 else f"{number} devices"


def _are(number: int) -> str:
    return "1 device is" if number == 1 else f"{number} devices are"
