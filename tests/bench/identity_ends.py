"""How long a revoked device still hears and is heard, and what a long revocation list costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from cryptography import x509
from sqlmodel import Session

from fleet.identity.claims import as_ms
from fleet.identity.keeper import Keeper
from fleet.identity.revocation import revoke_device
from fleet.store.tables_identity import Certificate
from ota.messages import Channel, Status, Topic, encode, format_ts, new_id
from tests.bench.identity_ground import Ground, Member
from tests.brokers import Client, wait_until

LIMIT_S: Final = 60.0
SAY_S: Final = 0.1
"""So often a device says something."""


@dataclass(frozen=True, slots=True)
class Endings:
    """Seconds from the commit of `revoke_device`, one for each device.

    Attributes:
        closed_s: until its connection was closed.
        refused_s: until ingest refused what it said.
        came_back: devices that the broker took again afterwards.
    """

    closed_s: np.ndarray
    refused_s: np.ndarray
    came_back: int


@dataclass(frozen=True, slots=True)
class LongList:
    """What a revocation list of many entries costs.

    Attributes:
        entries: on it.
        size_bytes: of the file, PEM.
        listed_s: from the commit of all of them until the list lay in the home.
        taken_s: from then until the broker refused one of them.
        write_ms: the keeper's look that writes it.
        look_ms: the keeper's look, once a second, that finds nothing new.
        connect_ms: one connection to the broker with it, median.
        connect_before_ms: the same before it.
    """

    entries: int
    size_bytes: int
    listed_s: float
    taken_s: float
    write_ms: float
    look_ms: float
    connect_ms: float
    connect_before_ms: float


class _Talking:
    """A device with a connection that stands; notes when it is closed."""

    def __init__(self, ground: Ground, member: Member) -> None:
        self.member = member
        self.revoked_s = self.closed_s = self.refused_s = self.said_s = 0.0
        context = ground.context(member.file)
        options = {"client_id": member.device, "context": context, "reconnect_on_failure": False}
        self.client = Client(ground.mqtt_port, **options)
        self.client.client.on_disconnect = self._on_disconnect

    def _on_disconnect(self, *_: Any) -> None:
        self.closed_s = self.closed_s or time.perf_counter()

    def say(self) -> None:
        """Say something, unless it was said just now."""
        if time.perf_counter() - self.said_s < SAY_S:
            return
        self.said_s = time.perf_counter()
        status = Status(id=new_id(), ts=format_ts(time.time()), state="online", session=new_id())
        self.client.client.publish(str(Topic(self.member.device, Channel.STATUS)), encode(status), qos=0)


def end_all(ground: Ground, number: int) -> Endings:
    """Connect devices, revoke all of them, and look when each is cut off and kept out."""
    members = ground.let_in([f"cam-e{n:03d}" for n in range(number)])
    time.sleep(2.0)  # the keeper looks once a second: they are trusted from then on
    with _connected(ground, members) as talking:
        before = len(ground.fleet.log.read_text())
        for one in talking:
            with Session(ground.engine) as session:
                revoke_device(session, one.member.device, "keyCompromise", datetime.now(UTC))
            one.revoked_s = time.perf_counter()
        wait_until(lambda: _are_over(ground, talking, before), ground.fleet.log.read_text, 2 * LIMIT_S)
    came_back = sum(ground.is_taken(one.file, one.device) for one in members)
    closed = np.array([one.closed_s - one.revoked_s for one in talking])
    return Endings(closed, np.array([one.refused_s - one.revoked_s for one in talking]), came_back)


@contextmanager
def _connected(ground: Ground, members: list[Member]) -> Iterator[list[_Talking]]:
    with ExitStack() as stack:
        talking = [_Talking(ground, one) for one in members]
        for one in talking:
            stack.enter_context(one.client)
            assert one.client.refused is False, one.client.refused
        yield talking


def _are_over(ground: Ground, talking: list[_Talking], before: int) -> bool:
    """Let all speak that still can; note whom ingest has refused; whether all is over."""
    said, now_s = ground.fleet.log.read_text()[before:], time.perf_counter()
    for one in talking:
        if not one.refused_s and f"no certificate of {one.member.device} is trusted" in said:
            one.refused_s = now_s
        if not one.closed_s:
            one.say()
    return all(one.closed_s and one.refused_s for one in talking)


def list_many(ground: Ground, number: int) -> LongList:
    """Revoke so many certificates at once; the last of them is one that the broker has let in before."""
    (last,) = ground.let_in(["cam-last"])
    time.sleep(2.0)
    connect_before_ms = _connect_ms(ground, last)
    _revoke_many(ground, last, number - 1)
    begun_s = time.perf_counter()
    wait_until(lambda: last.number in ground.crl(), ground.fleet.log.read_text, LIMIT_S)
    listed_s = time.perf_counter() - begun_s
    wait_until(lambda: not ground.is_taken(last.file, last.device), ground.broker.log.read_text, LIMIT_S)
    taken_s = time.perf_counter() - begun_s - listed_s
    (other,) = ground.let_in(["cam-other"])
    connect_ms = _connect_ms(ground, other)
    entries, size = len(ground.crl()), ground.home.crl.stat().st_size
    write_ms, look_ms = _keeper_ms(ground, other)
    return LongList(entries, size, listed_s, taken_s, write_ms, look_ms, connect_ms, connect_before_ms)


def _revoke_many(ground: Ground, last: Member, number: int) -> None:
    """Write revoked certificates into the database: real numbers, the words of one."""
    now = as_ms(datetime.now(UTC))
    with Session(ground.engine) as session:
        row = session.get_one(Certificate, format(last.number, "x"))
        pem, end_ms = row.pem, row.end_ms
        session.add_all(
            Certificate(
                number=format(x509.random_serial_number(), "x"),
                device=f"cam-x{n:05d}",
                key_sha256=format(n, "064x"),
                pem=pem,
                begin_ms=now,
                end_ms=end_ms,
                revoked_ms=now,
                reason="superseded",
            )
            for n in range(number)
        )
        revoke_device(session, last.device, "keyCompromise", datetime.now(UTC))


def _connect_ms(ground: Ground, member: Member, times: int = 30) -> float:
    taken = []
    for _ in range(times):
        begun_s = time.perf_counter()
        assert ground.is_taken(member.file, member.device)
        taken.append((time.perf_counter() - begun_s) * 1000.0)
    return float(np.median(taken))


def _keeper_ms(ground: Ground, other: Member) -> tuple[float, float]:
    """Stop the fleet; return what a look costs that writes the list anew, and one that finds nothing."""
    ground.fleet.stop()
    keeper = Keeper(ground.engine, ground.home)
    looks = [_look_ms(keeper) for _ in range(6)][1:]
    with Session(ground.engine) as session:
        revoke_device(session, other.device, "superseded", datetime.now(UTC))
    return _look_ms(keeper), float(np.median(looks))


def _look_ms(keeper: Keeper) -> float:
    begun_s = time.perf_counter()
    assert keeper.look(datetime.now(UTC)) == []
    return (time.perf_counter() - begun_s) * 1000.0
