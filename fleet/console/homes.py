"""The first page of each role: what that one looks for first, and nothing that the role may not see."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from html import escape
from typing import Final

from nicegui import ui
from sqlmodel import Session

from fleet.access import audit
from fleet.access.caller import Caller
from fleet.access.roles import Permission, Role
from fleet.console.audit import AuditTable
from fleet.console.devices import DevicesView
from fleet.console.events import EventsTable
from fleet.console.frame import ask, now_ms, page_frame, spared
from fleet.console.rollouts import under_way_html
from fleet.console.users import UsersView
from fleet.console.words import NOTHING, ago, clock_time, url_of
from fleet.queries.alarms import list_alarms
from fleet.queries.devices import FleetSummary, list_needy, shown_state, summarise_fleet, summarise_sites
from fleet.queries.events import EventFilter
from fleet.services import Services
from fleet.store.tables import Alarm, Device

REFRESH_S: Final = 2.0
SHOWN_MAX: Final = 100
TITLES: Final = {
    Role.OWNER: "The fleet and its people",
    Role.FLEET_ADMIN: "The fleet",
    Role.AUDITOR: "Audit log",
    Role.TECHNICIAN: "Devices that need hands",
    Role.OPERATOR: "Alarms and events",
    Role.PILOT: "Missions",
    Role.VIEWER: "Devices",
}
DOTS: Final = {"online": "good", "starting": "good", "degraded": "warn", "safe": "warn", "offline": "bad"}


def add_page(services: Services) -> None:
    """Register `/`."""

    @ui.page("/", title="Pehra")
    async def home_page(q: str = "", state: str = "", page: int = 1) -> None:
        with page_frame(services, "/") as caller:
            role = caller.main_role
            if caller.kind == "local" or role is Role.VIEWER:
                within = caller.sites(Permission.SEE_DEVICES)
                await DevicesView(services, q=q, state=state, page=page, within=within).draw()
                return
            ui.label(TITLES[role]).classes("title q-mb-md")
            for section, permission in HOMES[role]:
                if caller.has(permission):
                    await section(services, caller)


Section = Callable[[Services, Caller], Awaitable[None]]


async def _kept(services: Services, question: Callable[[Session], str]) -> None:
    """Show HTML that a question to the database gives, and keep it fresh."""
    shown = ui.html("", sanitize=False).style("width: 100%")

    @spared
    async def refresh() -> None:
        shown.set_content(await ask(services, question))

    await refresh()
    ui.timer(REFRESH_S, refresh)


async def show_state(services: Services, caller: Caller) -> None:
    """Show the fleet in a few numbers."""
    within = caller.sites(Permission.SEE_DEVICES)
    await _kept(services, lambda session: state_html(summarise_fleet(session, within)))


async def show_sites(services: Services, caller: Caller) -> None:
    """Show each site with how many of its devices are there."""
    within = caller.sites(Permission.SEE_DEVICES)
    await _kept(services, lambda session: sites_html(summarise_sites(session, within)))


async def show_rollouts(services: Services, _caller: Caller) -> None:
    """Show the rollouts that are under way, or wait for a second person."""
    await _kept(services, under_way_html)


async def show_needy(services: Services, caller: Caller) -> None:
    """Show the devices that need a hand."""
    within = caller.sites(Permission.SEE_DEVICES)
    await _kept(
        services, lambda session: needy_html(list_needy(session, limit=SHOWN_MAX, within=within), now_ms())
    )


async def show_alarms(services: Services, caller: Caller) -> None:
    """Show the alarms that stand."""
    within = caller.sites(Permission.SEE_DEVICES)
    await _kept(
        services,
        lambda session: alarms_html(list_alarms(session, limit=SHOWN_MAX, within=within).items, now_ms()),
    )


async def show_events(services: Services, caller: Caller) -> None:
    """Show the newest events as they come, and keep that somebody looks."""

    def note(session: Session) -> bool:
        audit.look(session, caller, "events.list", at_ms=now_ms())
        return True

    await ask(services, note)
    ui.label("Events").classes("subtitle")
    table = EventsTable(services, EventFilter(), rows_max=25, within=caller.sites(Permission.SEE_EVENTS))
    table.draw()
    await table.load()
    ui.timer(REFRESH_S / 4, table.keep_up)


async def show_missions(_services: Services, _caller: Caller) -> None:
    """Say what a pilot finds here today."""
    ui.html(
        '<div class="card empty"><b>No missions yet.</b>Plans and flights come with the drones; today '
        'you see <a class="link" href="/devices">devices</a> and <a class="link" href="/events">events</a> '
        "of your sites, with the live view.</div>",
        sanitize=False,
    ).style("width: 100%")


async def show_audit(services: Services, caller: Caller) -> None:
    """Show the audit log."""
    await AuditTable(services, caller).draw()


async def show_users(services: Services, caller: Caller) -> None:
    """Show the users."""
    await UsersView(services, caller).draw()


_STATE: Final = (show_state, Permission.SEE_DEVICES)
_NEEDY: Final = (show_needy, Permission.SEE_DEVICES)
_ROLLOUTS: Final = (show_rollouts, Permission.MANAGE_ROLLOUTS)
HOMES: Final[dict[Role, tuple[tuple[Section, Permission], ...]]] = {
    Role.OWNER: (_STATE, _ROLLOUTS, _NEEDY, (show_users, Permission.MANAGE_USERS)),
    Role.FLEET_ADMIN: (_STATE, _ROLLOUTS, _NEEDY, (show_sites, Permission.SEE_DEVICES)),
    Role.AUDITOR: ((show_audit, Permission.SEE_AUDIT), _STATE),
    Role.TECHNICIAN: (_NEEDY,),
    Role.OPERATOR: ((show_alarms, Permission.SEE_DEVICES), (show_events, Permission.SEE_EVENTS)),
    Role.PILOT: ((show_missions, Permission.PLAN_MISSIONS),),
}
"""The sections of each role's page; one whose permission the caller has nowhere is left out, for example the
users on the page of an owner of one site."""


def state_html(summary: FleetSummary) -> str:
    """Return the fleet as tiles."""
    tiles = (
        ("Devices", summary.devices, ""),
        ("Online", summary.online, ""),
        ("Offline", summary.offline, "is-bad" if summary.offline else ""),
        ("Alarms that stand", summary.alarms, "is-warn" if summary.alarms else ""),
    )
    cells = "".join(
        f'<div class="tile"><div class="k">{k}</div><div class="v {colour}">{v}</div></div>'
        for k, v, colour in tiles
    )
    return f'<div class="tiles">{cells}</div>'


def needy_html(rows: list[tuple[Device, int]], moment_ms: int) -> str:
    """Return devices that need a hand as a table."""
    if not rows:
        return _nothing("Every device is well.", "Silent ones and those with alarms would be listed here.")
    lines = "".join(_needy_line(device, alarms, moment_ms) for device, alarms in rows)
    return _table(("State", "Device", "Site", "Alarms", "Why", "Last seen"), lines)


def _needy_line(device: Device, alarms: int, moment_ms: int) -> str:
    state = shown_state(device)
    return (
        f'<tr><td><span class="state"><i class="dot {DOTS.get(state, "")}"></i>{escape(state)}</span></td>'
        f"<td>{_device_link(device.id)}</td><td>{escape(device.site or NOTHING)}</td>"
        f"<td>{_pill(alarms)}</td>"
        f"<td>{escape(device.reason or NOTHING)}</td><td>{ago(device.last_seen_ms, moment_ms)}</td></tr>"
    )


def _pill(alarms: int) -> str:
    return f'<span class="pill warn">{alarms}</span>' if alarms else NOTHING


def alarms_html(alarms: list[Alarm], moment_ms: int) -> str:
    """Return standing alarms as a table."""
    if not alarms:
        return _nothing("No alarm stands.", "Cameras that are covered, moved or dark would be listed here.")
    lines = "".join(
        f'<tr><td><span class="pill warn">{escape(one.kind)}</span></td><td>{_device_link(one.device)}</td>'
        f"<td>{escape(one.cam)}</td><td>{escape(one.detail or NOTHING)}</td>"
        f'<td title="{clock_time(one.raised_ms)} UTC">{ago(one.raised_ms, moment_ms)}</td></tr>'
        for one in alarms
    )
    return _table(("Alarm", "Device", "Camera", "Detail", "Since"), lines)


def sites_html(rows: list[tuple[str, int, int]]) -> str:
    """Return the sites as a table."""
    if not rows:
        return _nothing("No site yet.", "A device tells its site when it first connects.")
    lines = "".join(
        f"<tr><td>{escape(site or NOTHING)}</td><td>{devices}</td><td>{online}</td>"
        f'<td class="{"is-bad" if devices > online else ""}">{devices - online}</td></tr>'
        for site, devices, online in rows
    )
    return _table(("Site", "Devices", "Online", "Offline"), lines)


def _device_link(device: str) -> str:
    return f'<a class="link" href="{escape(url_of(f"/devices/{device}"))}">{escape(device)}</a>'


def _table(heads: tuple[str, ...], lines: str) -> str:
    head = "".join(f"<th>{one}</th>" for one in heads)
    return f'<table class="plain-table card"><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>'


def _nothing(title: str, what: str) -> str:
    return f'<div class="card empty slim"><b>{title}</b>{what}</div>'
