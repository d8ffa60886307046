"""The router list, and the answer for what does not lie under `/api/v1`."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Match

from fleet.api import (
    audit,
    devices,
    enrolment,
    events,
    identity,
    rollouts,
    sessions,
    stats,
    systems,
    tokens,
    users,
)
from fleet.api.description import RESPONSES
from fleet.errors import NotFound

api = APIRouter(prefix="/api/v1", responses=RESPONSES)
for one in (stats, devices, events, sessions, users, tokens, audit, enrolment, identity, systems, rollouts):
    api.include_router(one.router)


def _refuse_unknown(request: Request) -> Response:
    """Answer for all that is left under `/api/v1`, so that the console does not."""
    found = [route for route in api.routes if isinstance(route, APIRoute)]
    allowed = {
        method
        for route in found
        if route.matches(request.scope)[0] is Match.PARTIAL
        for method in route.methods or ()
    }
    if allowed:
        raise HTTPException(405, headers={"Allow": ", ".join(sorted(allowed))})
    raise NotFound(f"there is nothing at {request.url.path[:120]}: /api/v1/openapi.json lists what there is")


api.add_route(f"{api.prefix}/{{path:path}}", _refuse_unknown, include_in_schema=False)
