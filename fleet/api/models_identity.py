"""What the API takes and answers about claims, enrolments and identities."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from fleet.api.models import Moment, as_moment
from fleet.identity.claims import SERIAL_PATTERN, Board, Terms, claim_state
from fleet.identity.revocation import REASONS
from fleet.queries.paging import Storable
from fleet.store import tables_identity as tables
from ota.enrolment import SITE_PATTERN, Ticket, ticket_text
from ota.messages.fields import DEVICE_ID_PATTERN

Id = Annotated[Storable, Field(max_length=40, json_schema_extra={"pattern": f"^$|{DEVICE_ID_PATTERN}"})]
Serial = Annotated[Storable, Field(max_length=64, json_schema_extra={"pattern": f"^({SERIAL_PATTERN})?$"})]
Site = Annotated[
    Storable,
    Field(max_length=200, examples=["lahore/gulberg"], json_schema_extra={"pattern": SITE_PATTERN}),
]


class BoardIn(BaseModel):
    """One board of a list."""

    serial: Annotated[Serial, Field(json_schema_extra={"pattern": f"^{SERIAL_PATTERN}$"})]
    id: Id = ""
    site: Site = ""


class ClaimIn(BaseModel):
    """What a claim is to allow."""

    site: Site = ""
    timezone: Annotated[Storable, Field(max_length=60, examples=["Asia/Karachi"])] = "UTC"
    device: Annotated[Id, Field(description="id of the one device that it is for")] = ""
    serial: Annotated[Serial, Field(description="of the one board that it is for")] = ""
    uses: Annotated[int, Field(ge=1, le=10_000)] = 1
    hours: Annotated[float, Field(gt=0, le=8760, description="until it expires")] = 168.0
    needs_approval: bool = False
    boards: Annotated[list[BoardIn], Field(max_length=10_000, description="only these may enrol")] = []

    def terms(self) -> Terms:
        """Return the terms that `make_claim` takes."""
        return Terms(
            site=self.site,
            timezone=self.timezone,
            device=self.device,
            serial=self.serial,
            uses=self.uses,
            life=timedelta(hours=self.hours),
            needs_approval=self.needs_approval,
            boards=tuple(Board(one.serial, one.id, one.site) for one in self.boards),
        )


class ClaimOut(BaseModel):
    """A claim; `ticket` is there once, when it is made."""

    id: str
    state: Annotated[str, Field(examples=["open"], description="`open`, `used`, `expired`, `cancelled`")]
    site: str
    device: str
    serial: str
    uses: int
    used: int
    made: Moment
    made_by: str
    expires: Moment
    needs_approval: bool
    replaces: bool
    ticket: Annotated[str | None, Field(description="a secret: carry it to the board")] = None

    @classmethod
    def of(cls, row: tables.Claim, ticket: Ticket | None = None) -> ClaimOut:
        """Return the answer for a row."""
        same = ("id", "site", "device", "serial", "uses", "used", "made_by", "needs_approval", "replaces")
        return cls(
            **{name: getattr(row, name) for name in same},
            state=claim_state(row, datetime.now(UTC)),
            made=as_moment(row.made_ms),
            expires=as_moment(row.expires_ms),
            ticket=ticket_text(ticket) if ticket else None,
        )


class ClaimList(BaseModel):
    """One page of claims, newest first."""

    items: list[ClaimOut]
    next_cursor: str | None


class EnrolmentOut(BaseModel):
    """A board that asked to be let in."""

    id: str
    state: Annotated[str, Field(examples=["waiting"])]
    device: str
    site: str
    serial: str
    board: str
    key_sha256: str
    asked: Moment
    decided_by: str

    @classmethod
    def of(cls, row: tables.Enrolment) -> EnrolmentOut:
        """Return the answer for a row."""
        same = ("id", "state", "device", "site", "serial", "board", "key_sha256", "decided_by")
        return cls(**{name: getattr(row, name) for name in same}, asked=as_moment(row.asked_ms))


class EnrolmentList(BaseModel):
    """One page of boards that asked, newest first."""

    items: list[EnrolmentOut]
    next_cursor: str | None


class DecisionIn(BaseModel):
    """Whether a board that waits is let in."""

    state: Literal["approved", "refused"]


class CertificateOut(BaseModel):
    """One certificate of a device."""

    number: str
    begin: Moment
    end: Moment
    revoked: Moment | None
    reason: str

    @classmethod
    def of(cls, row: tables.Certificate) -> CertificateOut:
        """Return the answer for a row."""
        return cls(
            number=row.number,
            begin=as_moment(row.begin_ms),
            end=as_moment(row.end_ms),
            revoked=as_moment(row.revoked_ms) if row.revoked_ms else None,
            reason=row.reason,
        )


class IdentityOut(BaseModel):
    """Who a device is, and its certificates, newest first."""

    device: str
    state: Annotated[str, Field(examples=["active"])]
    since: Moment
    site: str
    serial: str
    board: str
    reason: str
    certificates: list[CertificateOut]

    @classmethod
    def of(cls, row: tables.Identity, certificates: list[tables.Certificate]) -> IdentityOut:
        """Return the answer for the rows of a device."""
        same = {name: getattr(row, name) for name in ("device", "state", "site", "serial", "board", "reason")}
        found = [CertificateOut.of(one) for one in certificates]
        return cls(**same, since=as_moment(row.since_ms), certificates=found)


class RevokeIn(BaseModel):
    """Why a device is shut out."""

    reason: Annotated[
        Storable,
        Field(max_length=40, examples=["keyCompromise"], json_schema_extra={"enum": [*REASONS]}),
    ] = "keyCompromise"


class ReplaceIn(BaseModel):
    """Which board takes over, where that is known."""

    serial: Serial = ""


class SiteIn(BaseModel):
    """Where a device hangs from now on."""

    site: Site


class LeaveIn(BaseModel):
    """How a device is taken out of service."""

    is_gone: Annotated[bool, Field(description="do not wait for it to wipe itself")] = False
