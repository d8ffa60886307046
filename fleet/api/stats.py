"""The fleet in numbers, and that it is alive."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import text

from fleet.access.roles import Permission
from fleet.api.deps import PUBLIC, AnyCaller, SeeStats, ServicesDep, SessionDep
from fleet.api.models import HealthOut, StatsOut
from fleet.errors import NotWell
from fleet.queries.devices import summarise_fleet
from fleet.queries.events import count_by_device

router = APIRouter(tags=["fleet"])


@router.head("/healthz", include_in_schema=False, dependencies=[PUBLIC])
@router.get("/healthz", summary="Is the fleet manager there", dependencies=[PUBLIC])
def read_health(session: SessionDep, services: ServicesDep) -> HealthOut:
    """200 when the database answers and takes what comes, else 503; `link_up`: whether devices are heard."""
    session.connection().execute(text("SELECT 1"))
    if ended := services.parts.ended():
        raise NotWell(f"{', '.join(ended)} ended by itself: restart the fleet manager, its log says why")
    if services.ingest.is_database_away:
        raise NotWell("the database takes nothing (locked, full or away): devices keep their messages")
    return HealthOut(status="ok", link_up=services.link.is_up)


@router.get("/openapi.json", include_in_schema=False)
def read_description(_caller: AnyCaller, request: Request) -> JSONResponse:
    """Return the description of the API (OpenAPI)."""
    return JSONResponse(request.app.openapi())


@router.get("/stats", summary="The fleet in numbers")
def read_stats(caller: SeeStats, session: SessionDep, services: ServicesDep) -> StatsOut:
    """Devices, alarms, what was stored, refused and repeated, and how long it took."""
    within = caller.sites(Permission.SEE_STATS)
    summary = summarise_fleet(session, within)
    by_device = count_by_device(session, within)
    tally = asdict(services.tally.view()) if "" in within else {}
    return StatsOut(
        devices=summary.devices,
        online=summary.online,
        offline=summary.offline,
        alarms=summary.alarms,
        events_stored=sum(by_device.values()),
        events_by_device=by_device,
        link_up=services.link.is_up,
        **tally,
    )
