"""The router list, and the answer for what does not lie under `/api/v1`."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Match

from fleet.api import devices, enrolment, events, stats
from fleet.api.problems import RESPONSES
from fleet.errors import NotFound

api = APIRouter(prefix="/api/v1", responses=RESPONSES)
api.include_router(stats.router)
api.include_router(devices.router)
api.include_router(events.router)
api.include_router(enrolment.router)


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
