"""Devices: search, filter, one, and how many stand where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import ColumnElement, case, func, or_
from sqlmodel import Session, col, select

from fleet.errors import NotFound
from fleet.queries.paging import Page, pack_cursor, unpack_cursor
from fleet.queries.sites import EVERYWHERE, Sites, at_sites, of_devices_at
from fleet.standing import GONE_STATES
from fleet.store.tables import Alarm, Device

UNWELL_STATES: Final = ("degraded", "safe")
Seen = Literal["online", "offline"]


@dataclass(frozen=True, slots=True)
class DeviceFilter:
    """Which devices; an empty field does not filter.

    Attributes:
        q: part of the id or the site.
        state: `online` or `offline`, or a state that the device reports (`degraded`, `safe`, ...), which
            counts only while it is there; `stopped` and `lost` are the states of those that are not.
        site: a site and all below it.
    """

    q: str = ""
    state: str = ""
    site: str = ""


@dataclass(frozen=True, slots=True)
class FleetSummary:
    """How many devices stand where, and how many alarms stand."""

    devices: int
    online: int
    alarms: int

    @property
    def offline(self) -> int:
        """Devices that are not online."""
        return self.devices - self.online


def list_devices(
    session: Session, wanted: DeviceFilter, *, limit: int, cursor: str | None, within: Sites = EVERYWHERE
) -> Page[Device]:
    """Return one page of devices at these sites, by id.

    Raises:
        BadQuery: the cursor is not ours.
    """
    where = [*_conditions(wanted), *at_sites(within)]
    if cursor:
        where.append(col(Device.id) > unpack_cursor(cursor, (str,))[0])
    query = select(Device).where(*where).order_by(col(Device.id)).limit(limit + 1)
    found = list(session.exec(query))
    has_more = len(found) > limit
    return Page(found[:limit], pack_cursor(found[limit - 1].id) if has_more else None)


def get_device(session: Session, device: str) -> Device:
    """Return one device.

    Raises:
        NotFound: no message of it has ever come.
    """
    found = session.get(Device, device)
    if found is None:
        raise NotFound(
            f"no device {device!r} has reported to this fleet: see /api/v1/devices for those that have"
        )
    return found


def summarise_fleet(session: Session, within: Sites = EVERYWHERE) -> FleetSummary:
    """Return the numbers of the console's first line, of devices at these sites."""
    here = at_sites(within)
    all_here = select(func.count()).select_from(Device).where(*here)
    devices = session.exec(all_here).one()
    online = session.exec(all_here.where(col(Device.is_online))).one()
    stand = select(func.count()).select_from(Alarm).where(*of_devices_at(Alarm.device, within))
    alarms = session.exec(stand).one()
    return FleetSummary(devices, online, alarms)


def list_needy(session: Session, *, limit: int, within: Sites = EVERYWHERE) -> list[tuple[Device, int]]:
    """Return devices that need a hand, with how many alarms stand: silent, not well, or with an alarm."""
    alarms = select(Alarm.device, func.count().label("n")).group_by(col(Alarm.device)).subquery()
    stand = func.coalesce(alarms.c.n, 0)
    is_needy = or_(col(Device.is_online).is_(False), col(Device.state).in_(UNWELL_STATES), stand > 0)
    query = (
        select(Device, stand)
        .outerjoin(alarms, alarms.c.device == col(Device.id))
        .where(is_needy, *at_sites(within))
        .order_by(col(Device.is_online), col(Device.site), col(Device.id))
        .limit(limit)
    )
    return [(device, int(count)) for device, count in session.exec(query)]


def summarise_sites(session: Session, within: Sites = EVERYWHERE) -> list[tuple[str, int, int]]:
    """Return each site with how many devices it has and how many of them are online, by site."""
    is_online = case((col(Device.is_online), 1), else_=0)
    query = (
        select(Device.site, func.count(), func.sum(is_online))
        .where(*at_sites(within))
        .group_by(col(Device.site))
        .order_by(col(Device.site))
    )
    return [(site, devices, int(online or 0)) for site, devices, online in session.exec(query)]


def shown_state(device: Device) -> str:
    """Return one word for people: what the device says while it is there, else why it is not."""
    if device.is_online:
        return device.state
    return device.state if device.state == "stopped" else "offline"


def _conditions(wanted: DeviceFilter) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if wanted.q:
        where.append(
            or_(
                col(Device.id).icontains(wanted.q, autoescape=True),
                col(Device.site).icontains(wanted.q, autoescape=True),
            )
        )
    if wanted.state in ("online", "offline"):
        where.append(col(Device.is_online).is_(wanted.state == "online"))
    elif wanted.state in GONE_STATES:
        where.append(col(Device.state) == wanted.state)
    elif wanted.state:  # what a silent device said last is not how it stands now
        where += [col(Device.is_online).is_(True), col(Device.state) == wanted.state]
    if wanted.site:
        site = wanted.site.rstrip("/")
        where.append(or_(col(Device.site) == site, col(Device.site).startswith(site + "/", autoescape=True)))
    return where
