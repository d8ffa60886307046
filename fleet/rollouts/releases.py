"""Releases that rollouts may hand out: made once, never changed, withdrawn when nobody is to use them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from fleet.access.audit import record
from fleet.access.caller import Caller
from fleet.errors import BadInput, Conflict, NotFound
from fleet.identity.claims import name_of
from fleet.queries.paging import Page, page_of
from fleet.store.tables_rollouts import Release
from ota.messages import new_id

KINDS: Final = ("model", "firmware", "os")
NAME_PATTERN: Final = "[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
VERSION_PATTERN: Final = "[A-Za-z0-9][A-Za-z0-9.+_-]{0,59}"
_NAME: Final = re.compile(NAME_PATTERN, re.ASCII)
_VERSION: Final = re.compile(VERSION_PATTERN, re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NewRelease:
    """What is told of a release when it is made (`Release` says what the fields mean).

    Attributes:
        model_sha256: of a model's `.tflite`, which devices report; empty where the target is that file.
    """

    kind: str
    name: str
    version: str
    sha256: str
    length: int
    model_sha256: str = ""
    path: str = ""
    hw: tuple[str, ...] = ()
    sec_ver: int = 0
    custom: dict[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Check that all of it makes sense.

        Raises:
            BadInput: with what does not.
        """
        if self.kind not in KINDS:
            raise BadInput(f"release: kind {self.kind[:20]!r} is none of {', '.join(KINDS)}")
        if _NAME.fullmatch(self.name) is None or _VERSION.fullmatch(self.version) is None:
            raise BadInput("release: name and version are letters, digits and . _ - (a version may hold +)")
        if any(
            _SHA256.fullmatch(digest) is None for digest in (self.sha256, self.model_sha256 or self.sha256)
        ):
            raise BadInput("release: a sha256 is 64 hexadecimal digits in small letters")
        if not 1 <= self.length < 2**53 or not 0 <= self.sec_ver < 2**31:
            raise BadInput("release: length is at least 1 byte, sec_ver at least 0")
        if len(self.path) > 200 or ".." in self.path.split("/") or not self.path.isprintable():
            raise BadInput("release: path is the target's name in the image repository")


def add_release(session: Session, new: NewRelease, by: Caller | str, now_ms: int) -> Release:
    """Keep a release; the same again is the same release.

    Raises:
        BadInput: something of it makes no sense.
        Conflict: this name and version stand for something else already.
    """
    new.check()
    known = _find_same(session, new)
    if known is not None:
        return known
    row = _row(new, by, now_ms)
    session.add(row)
    try:
        session.flush()
    except IntegrityError:  # the same was sent twice at once, and the other was first
        session.rollback()
        return _find_same(session, new) or add_release(session, new, by, now_ms)
    record(session, by, "release.add", f"{row.name} {row.version}", {"kind": row.kind, "sha256": row.sha256})
    session.commit()
    session.refresh(row)
    return row


def _find_same(session: Session, new: NewRelease) -> Release | None:
    """Return the release of this kind, name and version; None where there is none yet.

    Raises:
        Conflict: it is something else.
    """
    named = select(Release).where(
        Release.kind == new.kind, Release.name == new.name, Release.version == new.version
    )
    known = session.exec(named).first()
    if known is not None and (known.sha256, known.length) != (new.sha256, new.length):
        raise Conflict(f"{new.name} {new.version} is something else already: give it another version")
    return known


def _row(new: NewRelease, by: Caller | str, now_ms: int) -> Release:
    return Release(
        id=new_id(),
        kind=new.kind,
        name=new.name,
        version=new.version,
        path=new.path or f"{new.kind}/{new.name}-{new.version}",
        sha256=new.sha256,
        mark=new.version if new.kind == "firmware" else new.model_sha256 or new.sha256,
        length=new.length,
        hw=list(new.hw),
        sec_ver=new.sec_ver,
        custom=new.custom,
        made_ms=now_ms,
        made_by=name_of(by)[:100],
    )


def get_release(session: Session, release: str) -> Release:
    """Return a release by its id, or by `name@version`.

    Raises:
        NotFound: there is none.
        Conflict: releases of several kinds have that name and version.
    """
    found = session.get(Release, release)
    if found is not None:
        return found
    name, _, version = release.partition("@")
    named = session.exec(select(Release).where(Release.name == name, Release.version == version)).all()
    if not named:
        raise NotFound(
            f"there is no release {release[:80]!r}: `pehra rollout release list` shows those that are, "
            "a publication within seconds"
        )
    if len(named) > 1:
        each = ", ".join(f"{one.id} ({one.kind})" for one in named)
        raise Conflict(f"{release[:80]} is more than one release: name it by its id: {each}")
    return named[0]


def list_releases(session: Session) -> list[Release]:
    """Return all releases, newest first."""
    return list(session.exec(select(Release).order_by(col(Release.made_ms).desc(), col(Release.id))))


def page_releases(session: Session, *, limit: int, cursor: str | None) -> Page[Release]:
    """Return one page of releases, newest first.

    Raises:
        BadQuery: the cursor is not ours.
    """
    order = ((col(Release.made_ms), int), (col(Release.id), str))
    return page_of(
        session, select(Release), order, lambda row: (row.made_ms, row.id), limit=limit, cursor=cursor
    )


def withdraw_release(session: Session, release: str, by: Caller | str) -> Release:
    """Let no new rollout use a release; those that run go on. The second time changes nothing.

    Raises:
        NotFound: there is none.
    """
    row = get_release(session, release)
    if row.state != "withdrawn":
        row.state = "withdrawn"
        session.add(row)
        session.flush()
        record(session, by, "release.withdraw", f"{row.name} {row.version}", {"kind": row.kind})
        session.commit()
        session.refresh(row)
    return row
