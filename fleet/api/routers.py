"""The router list, and the table of what lies under `/api/v1`."""

from __future__ import annotations

from fastapi import APIRouter

from fleet.api import devices, events, stats
from fleet.api.problems import RESPONSES

api = APIRouter(prefix="/api/v1", responses=RESPONSES)
api.include_router(stats.router)
api.include_router(devices.router)
api.include_router(events.router)
