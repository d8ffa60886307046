"""Devices, what is wanted of them, and their standing alarms."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Path, Query

from fleet.access import audit
from fleet.access.reach import reach_device
from fleet.access.roles import Permission
from fleet.api.deps import (
    ChangeConfig,
    Cursor,
    Limit,
    SeeConfig,
    SeeDevices,
    ServicesDep,
    SessionDep,
)
from fleet.api.entry import now_ms
from fleet.api.models import AlarmOut, AlarmPage, ConfigIn, ConfigOut, DeviceOut, DevicePage
from fleet.desired import config_of, want_config
from fleet.queries.alarms import list_alarms
from fleet.queries.devices import DeviceFilter, get_device, list_devices
from fleet.queries.paging import Storable

router = APIRouter(tags=["devices"])

Q = Annotated[Storable, Query(max_length=100, description="part of the id or the site")]
State = Annotated[Storable, Query(max_length=20, description="`online`, `offline`, or a reported state")]
Site = Annotated[Storable, Query(max_length=200, description="a site and all below it")]
Id = Annotated[Storable, Query(max_length=60, description="of one device; empty for all")]
DeviceId = Annotated[Storable, Path(max_length=60)]


@router.get("/devices", summary="List devices by id")
def read_devices(
    caller: SeeDevices,
    session: SessionDep,
    q: Q = "",
    state: State = "",
    site: Site = "",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> DevicePage:
    """Devices that have reported, by id; filtered and in pages."""
    wanted, within = DeviceFilter(q=q, state=state, site=site), caller.sites(Permission.SEE_DEVICES)
    page = list_devices(session, wanted, limit=limit, cursor=cursor, within=within)
    return DevicePage(items=[DeviceOut.of(row) for row in page.items], next_cursor=page.next_cursor)


@router.get("/devices/{device}", summary="Read one device")
def read_device(caller: SeeDevices, session: SessionDep, device: DeviceId) -> DeviceOut:
    """One device with its last health and birth certificate."""
    return DeviceOut.of(reach_device(session, caller, Permission.SEE_DEVICES, device))


@router.get("/devices/{device}/config", summary="Read what is wanted of a device's configuration")
def read_config(caller: SeeConfig, session: SessionDep, device: DeviceId) -> ConfigOut:
    """What is wanted, and what the device says that it runs."""
    reach_device(session, caller, Permission.SEE_CONFIG, device)
    audit.look(session, caller, "config.read", device, at_ms=now_ms())
    return ConfigOut.of(get_device(session, device), config_of(session, device))


@router.put("/devices/{device}/config", summary="Want another configuration of a device")
def put_config(
    caller: ChangeConfig, session: SessionDep, services: ServicesDep, device: DeviceId, body: ConfigIn
) -> ConfigOut:
    """Keep an overlay and tell the device; whether it holds is said by `state` once the device answers."""
    reach_device(session, caller, Permission.CHANGE_CONFIG, device)
    wanted = want_config(session, device, body.overlay, time.time(), caller)
    services.director.wake()
    return ConfigOut.of(get_device(session, device), wanted)


@router.get("/alarms", summary="List standing alarms, newest first")
def read_alarms(
    caller: SeeDevices, session: SessionDep, device: Id = "", limit: Limit = 100, cursor: Cursor = None
) -> AlarmPage:
    """Alarms that stand now, newest first; in pages."""
    within = caller.sites(Permission.SEE_DEVICES)
    page = list_alarms(session, device=device, limit=limit, cursor=cursor, within=within)
    return AlarmPage(items=[AlarmOut.of(row) for row in page.items], next_cursor=page.next_cursor)
