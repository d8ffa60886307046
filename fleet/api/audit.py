"""The audit log: read, checked, exported. To read it is itself kept in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from fleet.access import audit
from fleet.access.export import csv_lines
from fleet.api.deps import Cursor, Limit, SeeAudit, ServicesDep, SessionDep
from fleet.api.description import gives_file
from fleet.api.entry import now_ms
from fleet.api.events import Moment, as_ms
from fleet.api.models_people import AuditCheck, AuditOut, AuditPage
from fleet.queries.paging import Storable

router = APIRouter(prefix="/audit", tags=["audit"])

Word = Annotated[Storable, Query(max_length=100)]


@router.get("", summary="Read the audit log, newest first")
def read_audit(
    caller: SeeAudit,
    session: SessionDep,
    who: Word = "",
    action: Word = "",
    target: Word = "",
    since: Moment = None,
    until: Moment = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> AuditPage:
    """Rows of the log; filtered by who, the beginning of the action, a part of the target; in pages."""
    wanted = audit.AuditFilter(who, action, target, as_ms(since), as_ms(until))
    audit.look(
        session, caller, "audit.read", "", {"who": who, "action": action, "to": target}, at_ms=now_ms()
    )
    page = audit.list_entries(session, wanted, limit=limit, cursor=cursor)
    return AuditPage(items=[AuditOut.of(row) for row in page.items], next_cursor=page.next_cursor)


@router.get("/check", summary="Check that the audit log is whole")
def check_audit(caller: SeeAudit, session: SessionDep) -> AuditCheck:
    """Follow the chain of hashes from the first row to the last."""
    audit.look(session, caller, "audit.check", at_ms=now_ms())
    findings, head = audit.verify(session), audit.read_head(session)
    told = [str(one) for one in findings[:100]]
    return AuditCheck(is_whole=not findings, rows=head.n, head=str(head), findings=told)


@router.get(
    "/export.csv",
    summary="Export the audit log as CSV",
    response_class=StreamingResponse,
    responses=gives_file("text/csv"),
)
def export_audit(caller: SeeAudit, session: SessionDep, services: ServicesDep) -> StreamingResponse:
    """All rows, oldest first; safe to open in a spreadsheet."""
    audit.look(session, caller, "audit.export", at_ms=now_ms())

    def lines() -> Iterator[str]:
        with services.session() as own:
            yield from csv_lines(own)

    name = {"content-disposition": 'attachment; filename="pehra-audit.csv"'}
    return StreamingResponse(lines(), media_type="text/csv", headers=name)
