"""When which device is told: what is marked at once, and everything anew after a reconnection and once a day.

A broker may have forgotten what it kept, and a document expires; so all of them are told again. Whether a
document holds is the device's word alone (`Reported`, `Update`). Several fleet managers may tell: who finds
that he has told an old number marks the device again, so that the newest is told last.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any, Final, cast

from sqlalchemy import Engine, Table, bindparam, case, or_, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import Session, col, select

from fleet.director.documents import documents_of
from fleet.director.seal import Seal
from fleet.errors import first_line
from fleet.link import Link
from fleet.store import tables
from ota.messages import MAX_DOCUMENT_BYTES, Channel, Desired, Topic, encode

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
REPEAT_S: Final = 86_400.0
CHUNK: Final = 250
PAUSE_S: Final = 0.05
"""Between two chunks, so that a fleet of 100,000 that is told anew leaves room for what devices say."""
_DESIRED = cast(Table, tables.Desired.__table__)  # type: ignore[attr-defined]


class Director:
    """Tells devices what is wanted of them; `run` is a part of the fleet.

    Args:
        engine: of the database.
        link: to the broker.
        seal: signs documents; None for a fleet without a home, whose devices take them unsigned.
        is_silent: true for a fleet that could sign and lacks its key: devices would refuse what it says.
    """

    def __init__(
        self, engine: Engine, link: Link, seal: Seal | None = None, *, is_silent: bool = False
    ) -> None:
        self._engine = engine
        self._link = link
        self._seal = seal
        self._is_silent = is_silent
        self._news = threading.Event()
        self._up_since_s: float | None = None
        self._repeat_s = 0.0
        self._anew: str | None = None
        """Up to which device all have been told anew; None when that is done."""

    def wake(self) -> None:
        """Say that somebody wants something new."""
        self._news.set()

    def run(self, stop: threading.Event) -> None:
        """Tell what is wanted until `stop`."""
        has_more = False
        while not stop.is_set():
            if has_more:
                stop.wait(PAUSE_S)
            else:
                self._news.wait(LOOK_S)
            self._news.clear()
            try:
                has_more = self.look(time.monotonic())
            except (DBAPIError, PoolTimeout) as error:
                has_more = False
                log.error("documents wait, the database does not answer reason=%r", first_line(error))
                stop.wait(LOOK_S)

    def look(self, mono_s: float) -> bool:
        """Tell a chunk of what is due; return whether there is more.

        Args:
            mono_s: monotonic seconds.
        """
        if self._is_silent or not self._link.is_up:
            return False
        is_rotated = self._seal is not None and self._seal.look()
        if self._link.up_since_s != self._up_since_s or mono_s >= self._repeat_s or is_rotated:
            self._up_since_s, self._repeat_s = self._link.up_since_s, mono_s + REPEAT_S
            self._anew = ""
        with Session(self._engine) as session:
            due = session.exec(
                select(tables.Desired).where(col(tables.Desired.is_due)).order_by("device").limit(CHUNK)
            ).all()
            if due and not self._tell(session, due):
                return False
            if len(due) == CHUNK:
                return True
            return self._anew is not None and self._tell_anew(session, self._anew)

    def _tell_anew(self, session: Session, after: str) -> bool:
        """Tell the next chunk of all devices; return whether there is more."""
        rows = session.exec(
            select(tables.Desired).where(tables.Desired.device > after).order_by("device").limit(CHUNK)
        ).all()
        last = rows[-1].device if rows else None
        if rows and not self._tell(session, rows):
            return False
        self._anew = last
        return last is not None

    def _tell(self, session: Session, rows: Sequence[tables.Desired]) -> bool:
        """Tell devices; return whether the link took all of it."""
        told: list[dict[str, Any]] = []
        for document in documents_of(session, rows, time.time()):
            if not self._publish(document):
                break
            told.append({"p_device": document.device, "p_seq": document.seq})
        session.rollback()  # what was read is old by now; the write is a transaction of its own
        if told:
            session.connection().execute(_TOLD, told)
            session.commit()
        return len(told) == len(rows)

    def _publish(self, document: Desired) -> bool:
        size = len(encode(document))
        if size > MAX_DOCUMENT_BYTES:
            log.error(
                "document not told device=%s bytes=%d max=%d", document.device, size, MAX_DOCUMENT_BYTES
            )
            return True
        message = document if self._seal is None else self._seal.sign(document)
        return self._link.publish(Topic(document.device, Channel.DESIRED), message)


_TOLD: Final = (
    update(_DESIRED)
    .where(
        _DESIRED.c.device == bindparam("p_device"),
        or_(_DESIRED.c.is_due, _DESIRED.c.seq != bindparam("p_seq")),
    )
    .values(is_due=case((_DESIRED.c.seq == bindparam("p_seq"), False), else_=True))
)
"""Who was told the newest number is told; who was told an older one has to be told again."""
