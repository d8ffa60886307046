"""What the API takes and answers about releases, rollouts and tags."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from fleet.api.models import Moment, as_moment
from fleet.queries.paging import Storable
from fleet.rollouts.acting import NewRollout
from fleet.rollouts.plan import settings_of
from fleet.rollouts.preview import Preview
from fleet.rollouts.releases import NewRelease
from fleet.rollouts.show import RolloutShown
from fleet.rollouts.stages import DEFAULT_STAGES
from fleet.store.tables_rollouts import Release, Rollout, RolloutDevice

Span = Annotated[Storable, Field(max_length=20, examples=["4h"], description="`90s`, `30m`, `4h` or `2d`")]
Text = Annotated[Storable, Field(max_length=200)]
FilterText = Annotated[
    Storable, Field(max_length=1000, examples=["site:lahore/* board:pi4 model<1.4 not tag:night"])
]
StagesText = Annotated[Storable, Field(max_length=200, examples=[DEFAULT_STAGES])]


class ReleaseIn(BaseModel):
    """A release that the image repository holds."""

    kind: Literal["model", "firmware"]
    name: Annotated[Storable, Field(max_length=100)]
    version: Annotated[Storable, Field(max_length=60)]
    sha256: Annotated[Storable, Field(max_length=64)]
    length: Annotated[int, Field(ge=1, lt=2**53)]
    model_sha256: Annotated[
        Storable,
        Field(max_length=64, description="of a model's `.tflite`, where the target is not that file"),
    ] = ""
    path: Text = ""
    hw: Annotated[list[Text], Field(max_length=32)] = []
    sec_ver: Annotated[int, Field(ge=0, lt=2**31)] = 0
    custom: Annotated[dict[str, Any], Field(max_length=32)] = {}

    def new(self) -> NewRelease:
        """Return what `add_release` takes."""
        return NewRelease(**(self.model_dump() | {"hw": tuple(self.hw)}))


class ReleaseOut(BaseModel):
    """A release."""

    id: str
    kind: str
    name: str
    version: str
    path: str
    sha256: str
    mark: Annotated[str, Field(description="what a device reports while it runs")]
    length: int
    hw: list[str]
    sec_ver: int
    custom: dict[str, Any]
    state: Annotated[str, Field(examples=["ready"], description="`ready` or `withdrawn`")]
    made: Moment
    made_by: str

    @classmethod
    def of(cls, row: Release) -> ReleaseOut:
        """Return the answer for a row."""
        same = {name: getattr(row, name) for name in cls.model_fields if name != "made"}
        return cls(**same, made=as_moment(row.made_ms))


class ReleaseList(BaseModel):
    """One page of releases, newest first."""

    items: list[ReleaseOut]
    next_cursor: str | None


class PreviewIn(BaseModel):
    """Who would get what."""

    release: Annotated[Text, Field(description="id, or NAME@VERSION")]
    filter: FilterText
    stages: StagesText = DEFAULT_STAGES


class PreviewOut(BaseModel):
    """Who would get a release now; nothing was made."""

    devices: int
    online: int
    by_board: dict[str, int]
    by_version: dict[str, int]
    by_stage: list[int]
    sample: list[str]
    have_it: int
    other_boards: int
    held: int
    holders: list[str]

    @classmethod
    def of(cls, seen: Preview) -> PreviewOut:
        """Return the answer for a preview."""
        return cls.model_validate(seen, from_attributes=True)


class RolloutIn(PreviewIn):
    """A rollout that is to be made."""

    name: Annotated[Storable, Field(min_length=1, max_length=100)]
    soak: Span | None = None
    deadline: Span | None = None
    backoff: Span | None = None
    window: Annotated[Storable, Field(max_length=60, examples=["mon-fri 02:00-05:00"])] = ""
    tries: int | None = None
    at_once: int | None = None
    stop_share_max: float | None = None
    stop_failures_max: int | None = None
    revert_on_stop: Annotated[
        bool, Field(description="when it has stopped itself, all who got it are told to go back")
    ] = False
    stays_open: bool = False
    needs_approval: bool = True

    def new(self) -> NewRollout:
        """Return what `create` takes.

        Raises:
            BadInput: a setting makes no sense.
        """
        settings = settings_of(
            soak_s=self.soak,
            deadline_s=self.deadline,
            backoff_s=self.backoff,
            window=self.window,
            tries=self.tries,
            at_once=self.at_once,
            stop_share_max=self.stop_share_max,
            stop_failures_max=self.stop_failures_max,
            revert_on_stop=self.revert_on_stop,
            stays_open=self.stays_open,
        )
        return NewRollout(
            self.name, self.release, self.filter, self.stages, settings, needs_approval=self.needs_approval
        )


class RolloutOut(BaseModel):
    """A rollout in one line; `why` says what it waits for."""

    id: str
    name: str
    release: str
    kind: str
    filter: str
    stages: str
    settings: dict[str, Any]
    state: Annotated[str, Field(examples=["running"])]
    stage: Annotated[int, Field(description="which one runs, from 0")]
    why: str
    made: Moment
    made_by: str
    approved_by: str
    changed_by: str
    started: Moment | None
    ended: Moment | None

    @classmethod
    def of(cls, row: Rollout) -> RolloutOut:
        """Return the answer for a row."""
        return cls(**_line(row))


class RolloutList(BaseModel):
    """One page of rollouts, newest first."""

    items: list[RolloutOut]
    next_cursor: str | None


class StageOut(BaseModel):
    """A stage with its numbers."""

    text: str
    size: int
    told: int
    succeeded: int
    failed: int
    state: Annotated[str, Field(description="`ahead`, `runs`, `rests` or `done`")]


class ErrorOut(BaseModel):
    """A reason for which devices failed, with examples."""

    reason: str
    devices: int
    examples: list[str]


class RolloutDetail(RolloutOut):
    """A rollout with all its numbers."""

    members: int
    counts: Annotated[dict[str, int], Field(description="state of a device -> how many")]
    by_stage: list[StageOut]
    errors: list[ErrorOut]

    @classmethod
    def shown(cls, seen: RolloutShown) -> RolloutDetail:
        """Return the answer for what is shown."""
        return cls(
            **_line(seen.rollout),
            members=seen.members,
            counts=seen.counts,
            by_stage=[StageOut.model_validate(one, from_attributes=True) for one in seen.stages],
            errors=[ErrorOut.model_validate(one, from_attributes=True) for one in seen.errors],
        )


class MemberOut(BaseModel):
    """How far one device is."""

    device: str
    state: Annotated[str, Field(examples=["succeeded"])]
    reason: str
    stage: int
    tries: int
    changed: Moment

    @classmethod
    def of(cls, row: RolloutDevice) -> MemberOut:
        """Return the answer for a row."""
        same = {name: getattr(row, name) for name in ("device", "state", "reason", "stage", "tries")}
        return cls(**same, changed=as_moment(row.changed_ms))


class MemberPage(BaseModel):
    """One page of devices, by id."""

    items: list[MemberOut]
    next_cursor: str | None


class HistoryOut(MemberOut):
    """How a device stood in one rollout."""

    rollout: str
    name: str
    release: Annotated[str, Field(examples=["street-2 1.4.0"])]

    @classmethod
    def entry(cls, row: RolloutDevice, rollout: Rollout, release: Release) -> HistoryOut:
        """Return the answer for a row, its rollout and its release."""
        told = f"{release.name} {release.version}"
        return cls(**MemberOut.of(row).model_dump(), rollout=rollout.id, name=rollout.name, release=told)


class HistoryList(BaseModel):
    """Rollouts of a device, newest first."""

    items: list[HistoryOut]


class Tags(BaseModel):
    """The tags of a device."""

    tags: Annotated[list[Annotated[Storable, Field(max_length=40)]], Field(max_length=100)]


def _line(row: Rollout) -> dict[str, Any]:
    moments = {"made", "started", "ended"}
    same = {name: getattr(row, name) for name in RolloutOut.model_fields if name not in moments}
    return same | {
        "made": as_moment(row.made_ms),
        "started": as_moment(row.started_ms) if row.started_ms else None,
        "ended": as_moment(row.ended_ms) if row.ended_ms else None,
    }
