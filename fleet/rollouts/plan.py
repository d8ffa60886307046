"""What a rollout is told, what is known when it is decided, and what was decided: values only.

A rollout has a clock of its own (`run_ms`), which runs while an engine looks at it and the fleet hears its
devices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from fleet.errors import BadInput
from fleet.rollouts.spans import parse_span
from fleet.rollouts.stages import Stage
from fleet.rollouts.stop_rule import NONE, Z_DEFAULT, Answers, StopRule
from fleet.rollouts.windows import parse_window

STEP_MAX_MS: Final = 60_000
"""How far a rollout's clock goes in one look at most: an outage of ours is no silence of a device."""
BACKOFF_MAX_S: Final = 86_400
REASON_CHARS: Final = 200
REVERTED: Final = "the rollout was reverted"
"""Why who waited is left out."""
RUNS_BEFORE: Final = "runs what it ran before"
"""How the reason of who failed, and has gone back by itself, ends."""
ITSELF: Final = "itself"
"""Who takes a rollout back that has stopped itself."""
SILENT: Final = "silent"
"""How the reason of who failed by silence begins."""

OPEN: Final = ("told", "downloading", "installed", "retrying")
"""States of a device that was told and has not answered yet."""
ANSWERED: Final = ("succeeded", "failed")
UNFINISHED: Final = ("waiting", *OPEN, "reverting")
"""States in which a rollout still has a claim on a device."""
LIVE: Final = ("running", "paused", "stopped", "reverting")
"""States of a rollout in which it holds its devices."""
ENDED: Final = ("done", "aborted", "reverted")
VERBS: Final = {
    "approve": ("pending",),
    "pause": ("running",),
    "resume": ("paused", "stopped"),
    "abort": ("pending", "running", "paused", "stopped"),
    "revert": ("running", "paused", "stopped", "aborted", "done"),
}
"""What can be done with a rollout, and in which states of it."""


class Settings(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a rollout goes.

    Attributes:
        soak_s: how long a stage rests when all its devices have answered.
        deadline_s: silence after which a device that was told has failed.
        window: maintenance window in the site's timezone; empty for any time.
        tries: how often a device is told when it fails on the way (download, disk).
        backoff_s: before the second try; doubles with each.
        at_once: how many devices may be at it at the same time.
        revert_on_stop: when the stop rule has stopped it, all who were told go back without anybody's word.
        stays_open: it does not end: devices that join later get it too.
    """

    soak_s: Annotated[int, msgspec.Meta(ge=0)] = 4 * 3600
    deadline_s: Annotated[int, msgspec.Meta(ge=60)] = 86_400
    window: str = ""
    tries: Annotated[int, msgspec.Meta(ge=1, le=20)] = 3
    backoff_s: Annotated[int, msgspec.Meta(ge=1)] = 300
    at_once: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 500
    stop_share_max: float = 0.05
    stop_failures_max: int = 100
    stop_z: float = Z_DEFAULT
    revert_on_stop: bool = False
    stays_open: bool = False

    @property
    def stop_rule(self) -> StopRule:
        """What is allowed to fail."""
        return StopRule(self.stop_share_max, self.stop_failures_max, self.stop_z)

    def check(self) -> None:
        """Check that all of it makes sense.

        Raises:
            BadInput: with what does not.
        """
        self.stop_rule.check()
        parse_window(self.window)
        for name, low, high in _LIMITS:
            if not low <= getattr(self, name) <= high:
                raise BadInput(f"{name}: from {low} to {high}")


_LIMITS: Final = (
    ("soak_s", 0, 90 * 86_400),
    ("deadline_s", 60, 90 * 86_400),
    ("tries", 1, 20),
    ("backoff_s", 1, BACKOFF_MAX_S),
    ("at_once", 1, 100_000),
)


def settings_of(**given: str | float | bool | None) -> Settings:
    """Return checked settings; spans may be written as `4h`, what is None keeps its default.

    Raises:
        BadInput: a name or a value makes no sense.
    """
    read = {
        name: parse_span(value, name) if name.endswith("_s") and isinstance(value, str) else value
        for name, value in given.items()
        if value is not None
    }
    unknown = [name for name in read if name not in Settings.__struct_fields__]
    if unknown:
        raise BadInput(f"no setting {unknown[0]!r}: choose among {', '.join(Settings.__struct_fields__)}")
    settings = Settings(**read)  # type: ignore[arg-type]
    settings.check()
    return settings


@dataclass(frozen=True, slots=True)
class Course:
    """Where a rollout stands.

    Attributes:
        state: of the rollout.
        stage: which one runs, from 0.
        run_ms: its clock now.
        stage_run_ms: when the stage began.
        quiet_run_ms: since when all devices of the stage have answered; None while some have not.
    """

    state: str
    stage: int
    run_ms: int
    stage_run_ms: int
    quiet_run_ms: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How many devices stand where.

    Attributes:
        members: all that belong to the rollout.
        told: of them, those that were ever told.
        waiting: those that were not.
        open: told, and not answered yet.
        in_stage: told in the stage that runs.
        succeeded: run the release.
        failed: do not, for good.
        reverting: told to go back.
        stage: answers in the stage that runs, of this round.
        whole: answers in all stages, of this round.
    """

    members: int = 0
    told: int = 0
    waiting: int = 0
    open: int = 0
    in_stage: int = 0
    succeeded: int = 0
    failed: int = 0
    reverting: int = 0
    stage: Answers = NONE
    whole: Answers = NONE


@dataclass(frozen=True, slots=True)
class Due:
    """A device about which something is to be decided now.

    Attributes:
        state: `told`, `downloading`, `installed`, `retrying` or `reverting`.
        due_run_ms: None for one that has just failed on the way.
        is_ready: online, and in its maintenance window.
    """

    device: str
    state: str
    tries: int
    due_run_ms: int | None
    reason: str = ""
    is_ready: bool = True


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why devices that wait cannot be told now.

    Attributes:
        offline: so many are not there.
        closed: so many lie outside their maintenance window.
        held: so many are in the hands of another rollout.
        holder: name of one that holds them.
        opens_in_s: until the first window opens.
    """

    offline: int = 0
    closed: int = 0
    held: int = 0
    holder: str = ""
    opens_in_s: int = 0


@dataclass(frozen=True, slots=True)
class GoingBack:
    """A device that is to go back to what it ran before.

    Attributes:
        is_taken: another rollout has told it something since.
        runs_before: it said at last that it runs what it ran before.
        is_at_it: it was told and has not answered: it may be about to switch.
        release: id of what it ran before; None where no release of it is known.
        failed: why it had failed, where it had.
    """

    device: str
    is_taken: bool
    runs_before: bool
    release: str | None
    failed: str = ""
    is_at_it: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """All that is known when a rollout is decided.

    Attributes:
        candidates: devices that could be told now, in their order; at most as many as there is room for.
        going_back: devices that are to go back, while it reverts.
        left_to_revert: how many there are of them in all.
        changed_by: who did something with it last.
        why: the sentence of the look before.
    """

    stages: tuple[Stage, ...]
    settings: Settings
    course: Course
    standing: Standing
    due: tuple[Due, ...] = ()
    candidates: tuple[str, ...] = ()
    blocked: Blocked = Blocked()
    going_back: tuple[GoingBack, ...] = ()
    left_to_revert: int = 0
    changed_by: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done; nothing else changes.

    Attributes:
        course: where the rollout stands then.
        why: one sentence: what it waits for.
        tell: devices that are told for the first time.
        tell_again: devices that are told once more.
        back_off: devices that failed on the way, and when they are told again (on the rollout's clock).
        fail: devices that have failed for good, and why.
        withdraw: take back what was told to all that have not answered.
        end_waiting: devices that wait are left out, for this reason; empty for none.
        go_back: devices that are told to go back, and to which release.
        let_go: devices from which only the order is taken back, because nothing is known to go back to.
        settle: devices whose going back is decided, whether they are told or not: device, state, reason.
    """

    course: Course
    why: str
    tell: tuple[str, ...] = ()
    tell_again: tuple[str, ...] = ()
    back_off: tuple[tuple[str, int], ...] = ()
    fail: tuple[tuple[str, str], ...] = ()
    withdraw: bool = False
    end_waiting: str = ""
    go_back: tuple[tuple[str, str], ...] = ()
    let_go: tuple[str, ...] = ()
    settle: tuple[tuple[str, str, str], ...] = ()
