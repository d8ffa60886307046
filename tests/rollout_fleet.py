"""A fleet of devices in the database that do what they are told: no broker, no threads.

`Town` keeps a clock. `pass_time` lets the engine look every few seconds and the devices answer in between, as
ingest would let them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from sqlalchemy import Engine, Table, func, select, update
from sqlmodel import Session, col

from fleet.rollouts import acting
from fleet.rollouts.acting import NewRollout
from fleet.rollouts.answers import note_reported, note_update
from fleet.rollouts.engine import Rollouts
from fleet.rollouts.plan import settings_of
from fleet.rollouts.releases import NewRelease, add_release
from fleet.rollouts.tell import WantedTable
from fleet.store.tables import Device
from fleet.store.tables_rollouts import Release, Rollout, RolloutDevice, WantedRelease

START_MS = 1_800_000_000_000
OLD, NEW, OTHER = "a" * 64, "b" * 64, "c" * 64
DEVICE = cast(Table, Device.__table__)

Behaviour = Callable[[str, str], str]
"""Of a device and the digest that is wanted of it: what becomes of it."""


def obey(_device: str, _sha256: str) -> str:
    return "runs"


def device_row(device: str, **facts: Any) -> dict[str, Any]:
    model = {
        "name": "street-2",
        "version": facts.get("version", "1.3.0"),
        "sha256": facts.get("sha256", OLD),
    }
    info = {
        "firmware": facts.get("firmware", "0.2.0"),
        "board": "Raspberry Pi 4 Model B Rev 1.4",
        "profile": facts.get("board", "raspberry-pi-4"),
        "model": model,
        "cameras": [],
        "timezone": facts.get("timezone", "Asia/Karachi"),
    }
    values = {"id": device, "site": facts.get("site", "lahore/gulberg"), "info": info, "info_ms": 1}
    row = Device(**values, is_online=facts.get("is_online", True), first_seen_ms=1).model_dump()
    return row | {"reported": {"firmware": info["firmware"], "model": model}, "reported_ms": 1}


@dataclass
class Town:
    """A fleet and its clock."""

    engine: Engine
    now_ms: int = START_MS
    behave: Behaviour = obey
    answered: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.tell = WantedTable()
        self.rollouts = Rollouts(self.engine, self.tell)

    def add(self, devices: Iterable[str], **facts: Any) -> None:
        rows = [device_row(device, **facts) for device in devices]
        with self.engine.begin() as connection:
            connection.execute(DEVICE.insert(), rows)

    def release(self, name: str = "street-2", version: str = "1.4.0", sha256: str = NEW, **more: Any) -> str:
        new = NewRelease(more.pop("kind", "model"), name, version, sha256, 3_000_000, **more)
        with Session(self.engine) as session:
            return add_release(session, new, "noor", self.now_ms).id

    def rollout(self, wanted: str = "all", release: str = "", **more: Any) -> str:
        """A rollout that runs at once."""
        name, stages = more.pop("name", "new eyes"), more.pop("stages", "1,10%,100%")
        settings = settings_of(**({"soak_s": 600, "deadline_s": 3600} | more))
        new = NewRollout(name, release or self.release(), wanted, stages, settings, needs_approval=False)
        with Session(self.engine) as session:
            return acting.create(session, new, "noor", self.now_ms).id

    def act(self, verb: str, rollout: str, by: str = "noor") -> Rollout:
        with Session(self.engine) as session:
            return acting.ACTIONS[verb](session, rollout, by, self.now_ms, self.tell)

    def tick(self, step_s: float = 5.0) -> None:
        self.now_ms += round(step_s * 1000)
        self.rollouts.tick(self.now_ms)

    def pass_time(self, seconds: float, step_s: float = 30.0) -> None:
        until_ms = self.now_ms + round(seconds * 1000)
        while self.now_ms < until_ms:
            self.tick(step_s)
            self.answer()

    def run_until(self, rollout: str, *states: str, limit_s: float = 400_000, step_s: float = 60.0) -> str:
        until_ms = self.now_ms + round(limit_s * 1000)
        while self.now_ms < until_ms:
            self.tick(step_s)
            self.answer()
            if self.state(rollout) in states:
                return self.state(rollout)
        raise AssertionError(f"{self.state(rollout)}: {self.why(rollout)} {self.counts(rollout)}")

    def answer(self) -> None:
        """Every device that was told something new does what `behave` says of it."""
        with Session(self.engine) as session:
            query = select(WantedRelease, Release).join(
                Release, col(Release.id) == col(WantedRelease.release)
            )
            for wanted, release in session.execute(query).all():
                if wanted.action not in self.answered:
                    self.answered.add(wanted.action)
                    fate = self.behave(wanted.device, release.sha256)
                    self._do(session, wanted.device, release, wanted.action, fate)
            session.commit()

    def _do(self, session: Session, device: str, release: Release, action: str, fate: str) -> None:
        if fate == "runs":
            note_update(session, device, "downloading", "", action=action, now_ms=self.now_ms)
            note_update(session, device, "switched", "", action=action, now_ms=self.now_ms)
            self.report(session, device, release.sha256)
        elif fate != "silent":
            word, _, reason = fate.partition(":")
            note_update(session, device, word, reason, action=action, now_ms=self.now_ms)

    def report(self, session: Session, device: str, sha256: str, firmware: str = "0.2.0") -> None:
        """What ingest does with a message `Reported`."""
        model = {"name": "street-2", "version": "1.4.0" if sha256 == NEW else "1.3.0", "sha256": sha256}
        values = {"reported": {"firmware": firmware, "model": model}, "reported_ms": self.now_ms}
        session.execute(update(DEVICE).where(DEVICE.c.id == device).values(values))
        note_reported(session, device, sha256, firmware, now_ms=self.now_ms)

    def says(self, device: str, sha256: str) -> None:
        with Session(self.engine) as session:
            self.report(session, device, sha256)
            session.commit()

    def set_online(self, is_online: bool, *devices: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(update(DEVICE).where(DEVICE.c.id.in_(devices)).values(is_online=is_online))

    def row(self, rollout: str) -> Rollout:
        with Session(self.engine) as session:
            return session.get_one(Rollout, rollout)

    def state(self, rollout: str) -> str:
        return self.row(rollout).state

    def why(self, rollout: str) -> str:
        return self.row(rollout).why

    def device(self, rollout: str, device: str) -> RolloutDevice:
        with Session(self.engine) as session:
            return session.get_one(RolloutDevice, (rollout, device))

    def counts(self, rollout: str) -> Counter[str]:
        query = select(col(RolloutDevice.state), func.count()).where(col(RolloutDevice.rollout) == rollout)
        with Session(self.engine) as session:
            return Counter(dict(session.execute(query.group_by(col(RolloutDevice.state))).all()))

    def running(self) -> Counter[str]:
        """Digest of a model -> how many devices report that it runs."""
        with Session(self.engine) as session:
            return Counter(
                told["model"]["sha256"] for told in session.execute(select(DEVICE.c.reported)).scalars()
            )

    def wanted(self) -> dict[str, str]:
        """Device -> release that is wanted of it."""
        with Session(self.engine) as session:
            return {row.device: row.release for row in session.execute(select(WantedRelease)).scalars()}


def names(number: int, start: int = 0) -> list[str]:
    return [f"cam-{n:06d}" for n in range(start, start + number)]
