"""The tables of releases and rollouts: what can be installed, who is to get it, how far each device is.

Moments are whole milliseconds since 1970 UTC. A field in `run_ms` is on a rollout's own clock, which runs
only while an engine looks at it (`Rollout.run_ms`): no outage of ours and no wrong clock shortens a rest or
makes a device late.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

Json = dict[str, Any]


class Release(SQLModel, table=True):
    """A signed, versioned thing that a device can install.

    Attributes:
        kind: `model`, `firmware` or `os`.
        path: its name in the image repository.
        sha256: of the target, hexadecimal.
        mark: what tells that a device runs it: a firmware's version, else a digest (of a model's `.tflite`,
            of an OS image).
        length: in bytes.
        hw: boards that it is for; empty or `any` for all.
        sec_ver: security version; a device takes none below its floor.
        custom: what else the image repository says of it (docs/rollouts.md).
        state: `ready` or `withdrawn`.
    """

    __tablename__ = "release"
    __table_args__ = (
        UniqueConstraint("kind", "name", "version", name="uq_release_name"),
        Index("ix_release_mark", "kind", "mark"),
    )

    id: str = Field(primary_key=True, max_length=36)
    kind: str = Field(max_length=10)
    name: str = Field(max_length=100)
    version: str = Field(max_length=60)
    path: str = Field(default="", max_length=200)
    sha256: str = Field(max_length=64)
    mark: str = Field(max_length=64)
    length: int = Field(sa_type=BigInteger)
    hw: list[str] = Field(default_factory=list, sa_type=JSON)
    sec_ver: int = Field(default=0, sa_type=BigInteger)
    custom: Json = Field(default_factory=dict, sa_type=JSON)
    state: str = Field(default="ready", max_length=10)
    made_ms: int = Field(sa_type=BigInteger)
    made_by: str = Field(default="", max_length=100)


class Rollout(SQLModel, table=True):
    """One release going to a filtered set of devices, in stages.

    Attributes:
        kind: of the release.
        filter: as written (docs/rollouts.md).
        stages: as written, `1,1%,10%,50%,100%`.
        settings: soak, deadline, window, tries, stop rule (struct `fleet.rollouts.plan.Settings`).
        state: `pending running paused stopped done aborted reverting reverted`.
        stage: which one, from 0.
        run_ms: how long an engine has looked at it: this rollout's clock.
        seen_ms: when an engine looked last, Unix milliseconds.
        stage_run_ms: when its stage began, on its clock.
        quiet_run_ms: since when the stage's devices have all answered, on its clock; else None.
        round: rises when somebody resumes what the stop rule stopped; only answers of a round count together.
        why: one sentence: what it waits for.
        made_by_id: the user's id; empty for who is none.
        started_ms: when it was approved; who was first goes first.
    """

    __tablename__ = "rollout"

    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(max_length=100)
    release: str = Field(max_length=36, index=True)
    kind: str = Field(max_length=10)
    filter: str = Field(sa_type=Text)
    stages: str = Field(max_length=200)
    settings: Json = Field(default_factory=dict, sa_type=JSON)
    state: str = Field(max_length=10, index=True)
    stage: int = 0
    run_ms: int = Field(default=0, sa_type=BigInteger)
    seen_ms: int = Field(default=0, sa_type=BigInteger)
    stage_run_ms: int = Field(default=0, sa_type=BigInteger)
    quiet_run_ms: int | None = Field(default=None, sa_type=BigInteger)
    round: int = 0
    why: str = Field(default="", max_length=400)
    made_ms: int = Field(sa_type=BigInteger)
    made_by: str = Field(default="", max_length=100)
    made_by_id: str = Field(default="", max_length=36)
    approved_by: str = Field(default="", max_length=100)
    changed_by: str = Field(default="", max_length=100)
    started_ms: int = Field(default=0, sa_type=BigInteger)
    ended_ms: int | None = Field(default=None, sa_type=BigInteger)


class RolloutDevice(SQLModel, table=True):
    """How far one device is in one rollout.

    Attributes:
        state: `waiting told downloading installed retrying succeeded failed skipped withdrawn reverting
            reverted` (docs/rollouts.md).
        reason: why, where the state alone does not say it.
        stage: in which it was told; -1 before.
        round: of the rollout when it answered.
        rank: its place in the line; mixes sites and boards.
        timezone: of its site, for maintenance windows.
        before: what ran when it was told (a model's digest, the firmware's version): `revert` goes back to
            it.
        action: id of what it was told last; empty when its going back is settled.
        tries: how often it was told.
        due_run_ms: on the rollout's clock: when its silence counts as failure, or when it is told again.
        changed_ms: when its state changed.
    """

    __tablename__ = "rollout_device"
    __table_args__ = (
        Index("ix_rollout_device_line", "rollout", "state", "rank"),
        Index("ix_rollout_device_tally", "rollout", "stage", "state", "round"),
        Index("ix_rollout_device_device", "device", "state"),
        {"sqlite_with_rowid": False},
    )

    rollout: str = Field(primary_key=True, max_length=36)
    device: str = Field(primary_key=True, max_length=40)
    state: str = Field(max_length=12)
    reason: str = Field(default="", max_length=200)
    stage: int = -1
    round: int = 0
    rank: int = Field(sa_type=BigInteger)
    timezone: str = Field(default="UTC", max_length=60)
    before: str = Field(default="", max_length=200)
    action: str = Field(default="", max_length=36)
    tries: int = 0
    due_run_ms: int | None = Field(default=None, sa_type=BigInteger)
    changed_ms: int = Field(default=0, sa_type=BigInteger)


class WantedRelease(SQLModel, table=True):
    """What a device is to run of one kind; the director reads it and tells the device.

    Attributes:
        release: id of a release.
        rollout: who wants it.
        action: id of the document's action; another one whenever the device is told anew.
        window: maintenance window in the site's timezone; empty for any time.
        since_ms: when it was wanted, Unix milliseconds.
    """

    __tablename__ = "wanted_release"
    __table_args__ = (Index("ix_wanted_release_rollout", "rollout"),)

    device: str = Field(primary_key=True, max_length=40)
    kind: str = Field(primary_key=True, max_length=10)
    release: str = Field(max_length=36)
    rollout: str = Field(max_length=36)
    action: str = Field(max_length=36)
    window: str = Field(default="", max_length=100)
    since_ms: int = Field(sa_type=BigInteger)


class DeviceTag(SQLModel, table=True):
    """A word that people hang on a device, for filters."""

    __tablename__ = "device_tag"
    __table_args__ = (Index("ix_device_tag_tag", "tag"),)

    device: str = Field(primary_key=True, max_length=40)
    tag: str = Field(primary_key=True, max_length=40)
