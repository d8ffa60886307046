"""Claims, boards that wait, and how identities end: for people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query

from fleet.access.caller import Caller
from fleet.access.reach import check_site, need_at
from fleet.access.roles import Permission
from fleet.api.deps import (
    ApproveEnrolment,
    Cursor,
    DecommissionDevice,
    Limit,
    MakeClaims,
    OfficeDep,
    ReplaceDevice,
    RevokeDevice,
    SeeDevices,
    ServicesDep,
    SessionDep,
)
from fleet.api.models_identity import (
    ClaimIn,
    ClaimList,
    ClaimOut,
    DecisionIn,
    EnrolmentList,
    EnrolmentOut,
    IdentityOut,
    LeaveIn,
    ReplaceIn,
    RevokeIn,
    SiteIn,
)
from fleet.errors import NotFound
from fleet.identity import claims, enrolment, revocation
from fleet.identity.office import replacement_terms
from fleet.queries.admission import page_claims, page_enrolments
from fleet.queries.paging import Storable
from fleet.store.tables_identity import Claim, Enrolment

router = APIRouter(tags=["identity"])

Id = Annotated[Storable, Path(max_length=60)]
State = Annotated[Storable, Query(max_length=20, description="`waiting`, `enrolled`, ...; empty for all")]


@router.get("/claims", summary="List claims, newest first")
def read_claims(
    caller: MakeClaims, session: SessionDep, limit: Limit = 100, cursor: Cursor = None
) -> ClaimList:
    """Claims for sites at which the caller makes them, in pages; their secrets are not kept."""
    within = caller.sites(Permission.MAKE_CLAIMS)
    page = page_claims(session, limit=limit, cursor=cursor, within=within)
    return ClaimList(items=[ClaimOut.of(row) for row in page.items], next_cursor=page.next_cursor)


@router.post("/claims", summary="Make a claim")
def post_claim(caller: MakeClaims, session: SessionDep, office: OfficeDep, body: ClaimIn) -> ClaimOut:
    """Make a claim; its ticket is in this answer and never again."""
    terms = body.terms()
    for site in {terms.site, *(board.site for board in terms.boards if board.site)}:
        need_at(caller, Permission.MAKE_CLAIMS, site)
    claim, ticket = office.new_ticket(session, terms, caller)
    return ClaimOut.of(claim, ticket)


@router.delete("/claims/{claim}", summary="Cancel a claim")
def delete_claim(caller: MakeClaims, session: SessionDep, claim: Id) -> ClaimOut:
    """End a claim that is not to be used any more; devices that enrolled with it stay."""
    row = session.get(Claim, claim)
    if row is None or not caller.may(Permission.MAKE_CLAIMS, row.site):
        raise NotFound("there is no such claim")
    return ClaimOut.of(claims.cancel_claim(session, claim, caller))


@router.get("/enrolments", summary="List boards that asked to be let in, newest first")
def read_enrolments(
    caller: ApproveEnrolment,
    session: SessionDep,
    state: State = "waiting",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> EnrolmentList:
    """Boards at sites at which the caller lets them in; in pages."""
    within = caller.sites(Permission.APPROVE_ENROLMENT)
    page = page_enrolments(session, state, limit=limit, cursor=cursor, within=within)
    return EnrolmentList(items=[EnrolmentOut.of(row) for row in page.items], next_cursor=page.next_cursor)


@router.post("/enrolments/{enrolment_id}", summary="Let a board in that waits, or refuse it")
def post_decision(
    caller: ApproveEnrolment, session: SessionDep, enrolment_id: Id, body: DecisionIn
) -> EnrolmentOut:
    """Decide once; a second decision changes nothing."""
    row = session.get(Enrolment, enrolment_id)
    if row is None or not caller.may(Permission.APPROVE_ENROLMENT, row.site):
        raise NotFound("no such board waits")
    decided = enrolment.decide(session, enrolment_id, body.state, caller, datetime.now(UTC))
    return EnrolmentOut.of(decided)


@router.get("/devices/{device}/identity", summary="Read who a device is")
def read_identity(caller: SeeDevices, session: SessionDep, device: Id) -> IdentityOut:
    """Who it is, and its certificates."""
    return _identity(session, caller, Permission.SEE_DEVICES, device)


@router.post("/devices/{device}/replace", summary="Make the ticket with which a new board takes over")
def post_replace(
    caller: ReplaceDevice, session: SessionDep, office: OfficeDep, device: Id, body: ReplaceIn
) -> ClaimOut:
    """Make a claim for a board that takes over id, site, configuration and history of a device."""
    _identity(session, caller, Permission.REPLACE_DEVICE, device)
    terms = replacement_terms(session, device, body.serial)
    claim, ticket = office.new_ticket(session, terms, caller)
    return ClaimOut.of(claim, ticket)


@router.put("/devices/{device}/site", summary="Say that a device hangs elsewhere")
def put_site(caller: ReplaceDevice, session: SessionDep, device: Id, body: SiteIn) -> IdentityOut:
    """Move a device; who may see and change it follows at once."""
    _identity(session, caller, Permission.REPLACE_DEVICE, device)
    need_at(caller, Permission.REPLACE_DEVICE, body.site)
    revocation.move_device(session, device, body.site, datetime.now(UTC), caller)
    return _identity(session, caller, Permission.REPLACE_DEVICE, device)


@router.post("/devices/{device}/revoke", summary="Trust a device no longer")
def post_revoke(
    caller: RevokeDevice, session: SessionDep, services: ServicesDep, device: Id, body: RevokeIn
) -> IdentityOut:
    """Shut a device out: broker and API follow within a minute."""
    _identity(session, caller, Permission.REVOKE_DEVICE, device)
    revocation.revoke_device(session, device, body.reason, datetime.now(UTC), caller)
    services.keeper_wake()
    return _identity(session, caller, Permission.REVOKE_DEVICE, device)


@router.post("/devices/{device}/decommission", summary="Take a device out of service")
def post_decommission(
    caller: DecommissionDevice, session: SessionDep, services: ServicesDep, device: Id, body: LeaveIn
) -> IdentityOut:
    """Let a device wipe itself, then retire it; or retire it at once when it is gone."""
    _identity(session, caller, Permission.DECOMMISSION_DEVICE, device)
    now = datetime.now(UTC)
    if body.is_gone:
        revocation.retire_device(session, device, "decommissioned without its answer", now, caller)
    else:
        revocation.begin_leaving(session, device, now, caller)
    services.keeper_wake()
    return _identity(session, caller, Permission.DECOMMISSION_DEVICE, device)


def _identity(session: SessionDep, caller: Caller, permission: Permission, device: str) -> IdentityOut:
    """Return who a device is, if the caller may know of it.

    Raises:
        NotFound: there is none, or it hangs where the caller sees nothing.
        Forbidden: he sees it, but may not do this there.
    """
    row = revocation.get_identity(session, device)
    check_site(caller, permission, row.site, f"no device {device[:60]!r} was ever enrolled")
    return IdentityOut.of(row, revocation.list_certificates(session, device))
