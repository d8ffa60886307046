"""Who may enrol: claims are made, listed and cancelled here, and spent in `enrolment.py`.

A claim's secret is shown once, in its ticket; the database keeps its digest alone.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import update
from sqlmodel import Session, col, select

from fleet.access.audit import Detail, record
from fleet.access.caller import SYSTEM, Caller
from fleet.access.roles import Permission
from fleet.broker.acl import FLEET
from fleet.errors import BadClaim, Forbidden, NotFound
from fleet.store.tables_identity import Claim, ClaimBoard, Enrolment, Identity
from ota.enrolment import SITE_PATTERN, Ticket
from ota.messages import format_ts, new_id
from ota.messages.fields import DEVICE_ID_PATTERN

DEFAULT_LIFE: Final = timedelta(days=7)
LIFE_MAX: Final = timedelta(days=365)
USES_MAX: Final = 10_000
SECRET_BYTES: Final = 24
"""192 bits: nobody guesses one, so the enrolment needs no other defence against trying."""
SERIAL_PATTERN: Final = r"[A-Za-z0-9._:-]{1,64}"


@dataclass(frozen=True, slots=True)
class Board:
    """One board of a list: its serial number, and the id and site it will have (empty: not said)."""

    serial: str
    device: str = ""
    site: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a claim allows.

    Attributes:
        site: where; or anywhere below; empty for anywhere.
        timezone: IANA name.
        device: id of the one device; empty for any.
        serial: of the one board; empty for any.
        uses: how many boards, 1..10,000.
        life: until it expires, at most a year.
        needs_approval: an administrator must agree to each board.
        replaces: the board takes over from `device`.
        boards: only these; then `uses` is their number.
    """

    site: str = ""
    timezone: str = "UTC"
    device: str = ""
    serial: str = ""
    uses: int = 1
    life: timedelta = DEFAULT_LIFE
    needs_approval: bool = False
    replaces: bool = False
    boards: tuple[Board, ...] = ()


def make_claim(
    session: Session, terms: Terms, *, url: str, pin: str, by: Caller | str, now: datetime
) -> tuple[Claim, Ticket]:
    """Keep a new claim; return it with the ticket, which is never shown again.

    Raises:
        BadClaim: the terms make no sense.
        Forbidden: it is for a device that the caller may not take over or bring back.
    """
    check_terms(session, terms)
    if isinstance(by, Caller):
        _check_known(session, terms, by)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    claim = Claim(
        id=new_id(),
        secret_sha256=digest(secret),
        made_ms=as_ms(now),
        made_by=name_of(by)[:100],
        expires_ms=as_ms(now + terms.life),
        site=terms.site,
        timezone=terms.timezone,
        device=terms.device,
        serial=terms.serial,
        uses=len(terms.boards) or terms.uses,
        has_list=bool(terms.boards),
        needs_approval=terms.needs_approval,
        replaces=terms.replaces,
    )
    session.add(claim)
    session.add_all(
        ClaimBoard(claim=claim.id, serial=board.serial, device=board.device, site=board.site)
        for board in terms.boards
    )
    detail: Detail = {"claim": claim.id, "uses": claim.uses, "replaces": claim.replaces, "site": claim.site}
    record(session, by, "claim.make", terms.device or terms.site or "any site", detail)
    session.commit()
    session.refresh(claim)
    made = format_ts(now.timestamp())
    ticket = Ticket(claim=secret, url=url, pin=pin, made=made, site=terms.site, device=terms.device)
    return claim, ticket


def check_terms(session: Session, terms: Terms) -> None:
    """Check what a claim is to allow.

    Raises:
        BadClaim: with a sentence that says what would be right.
    """
    _check_words(terms)
    seen = _Seen()
    for board in terms.boards:
        seen.check(board)
    if not 1 <= terms.uses <= USES_MAX or len(terms.boards) > USES_MAX:
        raise BadClaim(f"a claim is for 1 to {USES_MAX} boards")
    if not timedelta(minutes=1) <= terms.life <= LIFE_MAX:
        raise BadClaim(f"a claim lives from one minute to {LIFE_MAX.days} days")
    if max(terms.uses, len(terms.boards)) > 1 and (terms.device or terms.serial):
        raise BadClaim("a claim for several boards cannot be bound to one id or one serial number")
    if terms.replaces and (not terms.device or session.get(Identity, terms.device) is None):
        raise BadClaim(f"there is no device {terms.device!r} that could be replaced")
    if not terms.replaces:
        _check_free(session, terms)


def list_claims(session: Session) -> list[Claim]:
    """Return all claims, newest first."""
    return list(session.exec(select(Claim).order_by(col(Claim.made_ms).desc())))


def cancel_claim(session: Session, claim_id: str, by: Caller | str = SYSTEM) -> Claim:
    """End a claim and refuse boards that wait with it; those that enrolled stay. Twice changes nothing.

    Raises:
        NotFound: there is none of this id.
    """
    claim = session.get(Claim, claim_id)
    if claim is None:
        raise NotFound(f"there is no claim {claim_id[:60]!r}")
    if not claim.is_cancelled:
        claim.is_cancelled = True
        session.add(claim)
        _refuse_waiting(session, claim_id, by)
        record(session, by, "claim.cancel", claim.device or claim.site, {"claim": claim.id})
        session.commit()
    session.refresh(claim)
    return claim


def _refuse_waiting(session: Session, claim_id: str, by: Caller | str) -> None:
    session.execute(
        update(Enrolment)
        .where(col(Enrolment.claim) == claim_id, col(Enrolment.state).in_(("waiting", "approved")))
        .values(state="refused", decided_by=name_of(by)[:100]),
        execution_options={"synchronize_session": False},
    )


def claim_state(claim: Claim, now: datetime) -> str:
    """Return one word: `open`, `used`, `expired` or `cancelled`."""
    if claim.is_cancelled:
        return "cancelled"
    if claim.used >= claim.uses:
        return "used"
    return "expired" if as_ms(now) >= claim.expires_ms else "open"


def read_boards(text: str) -> tuple[Board, ...]:
    """Return the boards of a CSV list with the columns `serial`, `id`, `site` (the last two may be missing).

    Raises:
        BadClaim: with the line; a column is missing or unknown, a value is not allowed, or one stands twice.
    """
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), restkey="more")
    seen = _Seen()
    try:
        _check_columns(list(rows.fieldnames or ()))
        boards = tuple(_board_of(row, seen) for row in rows)
    except (BadClaim, csv.Error) as error:
        raise BadClaim(f"line {max(rows.reader.line_num, 1)}: {error}") from error
    if not boards:
        raise BadClaim("the list names no board")
    return boards


def digest(secret: str) -> str:
    """Return what the database keeps of a claim's secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def name_of(who: Caller | str) -> str:
    """Return how somebody is called in a list."""
    return who.name if isinstance(who, Caller) else who


def as_ms(moment: datetime) -> int:
    """Return Unix milliseconds."""
    return round(moment.timestamp() * 1000)


def _check_words(terms: Terms) -> None:
    check_site_path(terms.site)
    _check_device(terms.device)
    if terms.serial and not re.fullmatch(SERIAL_PATTERN, terms.serial):
        raise BadClaim(f"serial {terms.serial[:60]!r}: 1 to 64 of letters, digits and . _ : -")
    try:
        ZoneInfo(terms.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadClaim(f"there is no timezone {terms.timezone[:60]!r}, try 'Asia/Karachi'") from error


def _check_known(session: Session, terms: Terms, by: Caller) -> None:
    """Check that a caller may give an id away that was a device's before, with its history.

    Raises:
        BadClaim: it is a device of sites of which the caller knows nothing.
        Forbidden: it was revoked, which the caller could not have done.
    """
    known = session.get(Identity, terms.device) if terms.device else None
    if known is None:
        return
    needs = Permission.REPLACE_DEVICE if terms.replaces else Permission.MAKE_CLAIMS
    if not by.may(needs, known.site):
        raise BadClaim(f"{terms.device} is not free: choose another id")
    if known.state == "revoked" and not by.may(Permission.REVOKE_DEVICE, known.site):
        raise Forbidden(f"{terms.device} was revoked: only who may revoke it brings it back")


def _check_free(session: Session, terms: Terms) -> None:
    wanted = {terms.device, *(board.device for board in terms.boards)} - {""}
    known = select(Identity.device).where(col(Identity.state).in_(("active", "leaving")))
    taken = sorted(wanted & set(session.exec(known).all())) if wanted else []
    if taken:
        raise BadClaim(f"{taken[0]} is enrolled already: replace it, or choose another id")


class _Seen:
    """Serial numbers and ids of a list's boards so far."""

    def __init__(self) -> None:
        self._serials: set[str] = set()
        self._devices: set[str] = set()

    def check(self, board: Board) -> None:
        """Take one more board.

        Raises:
            BadClaim: a value is not allowed, or stood there before.
        """
        if not re.fullmatch(SERIAL_PATTERN, board.serial):
            raise BadClaim(f"serial {board.serial[:60]!r}: 1 to 64 of letters, digits and . _ : -")
        check_site_path(board.site)
        _check_device(board.device)
        if board.serial in self._serials:
            raise BadClaim(f"serial {board.serial} stands twice")
        if board.device and board.device in self._devices:
            raise BadClaim(f"id {board.device} stands twice")
        self._serials.add(board.serial)
        self._devices.add(board.device)


def _check_columns(columns: list[str]) -> None:
    is_once = len(set(columns)) == len(columns)
    if "serial" not in columns or set(columns) - {"serial", "id", "site"} or not is_once:
        raise BadClaim("the columns are serial, id and site, each once; only serial must be there")


def _board_of(row: Mapping[str, Any], seen: _Seen) -> Board:
    if "more" in row:
        raise BadClaim("more values than columns")
    board = Board(*((row.get(name) or "").strip() for name in ("serial", "id", "site")))
    seen.check(board)
    return board


def check_site_path(site: str) -> None:
    """Check where something is to hang.

    Raises:
        BadClaim: it is no path of a site.
    """
    if len(site) > 200 or not re.fullmatch(SITE_PATTERN, site):
        raise BadClaim(
            f"site {site[:60]!r}: a path of a-z, 0-9 and '-', such as lahore/gulberg/liberty-chowk"
        )


def _check_device(device: str) -> None:
    if device and not re.fullmatch(DEVICE_ID_PATTERN, device):
        raise BadClaim(f"id {device[:60]!r}: 3 to 40 of a-z, 0-9 and '-', not beginning with '-'")
    if device == FLEET:
        raise BadClaim(f"id {FLEET!r} is the fleet's own name")
