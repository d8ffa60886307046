"""The router list, and the table of what lies under `/api/v1`."""

from __future__ import annotations

from fastapi import APIRouter

from fleet.api import devices, events, stats
from fleet.api.problems import RESPONSES
from fleet.errors import NotFound

api = APIRouter(prefix="/api/v1", responses=RESPONSES)
api.include_router(stats.router)
api.include_router(devices.router)
api.include_router(events.router)


@api.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
def refuse_unknown(path: str) -> None:
    """Answer for all other paths, so that the console does not."""
    raise NotFound(f"there is nothing at /api/v1/{path[:100]}: /api/v1/openapi.json lists what there is")
