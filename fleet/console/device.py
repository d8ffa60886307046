"""One device: how it stands, its cameras and alarms, its events, its counts."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any, Final

from nicegui import events, ui
from sqlmodel import Session

from fleet.access.caller import Caller
from fleet.access.reach import reach_device
from fleet.access.roles import Permission
from fleet.console.counts_chart import CountsChart
from fleet.console.device_identity import IdentityCard
from fleet.console.device_updates import UpdatesView
from fleet.console.events import EventsTable
from fleet.console.frame import ask, empty_state, now_ms, page_frame, spared
from fleet.console.words import NOTHING, ago, clock_time, duration, number, url_of, word_of
from fleet.desired import config_of, config_state
from fleet.errors import NotFound
from fleet.queries.alarms import list_alarms
from fleet.queries.devices import shown_state
from fleet.queries.events import EventFilter
from fleet.services import Services
from fleet.store.tables import Alarm, Desired, Device

REFRESH_S: Final = 1.0
ALARMS_SHOWN: Final = 100
TABS: Final = {"now": "Now", "events": "Events", "counts": "Counts", "updates": "Updates", "about": "About"}
DOTS: Final = {"online": "good", "starting": "good", "degraded": "warn", "safe": "warn", "offline": "bad"}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the page shows of a device at one moment."""

    device: Device
    alarms: list[Alarm]
    wanted: Desired | None = None


def add_page(services: Services) -> None:
    """Register `/devices/{device}`."""

    @ui.page("/devices/{device}")
    async def device_page(device: str, tab: str = "now", bucket: int = 60) -> None:
        ui.page_title(f"{device} · Pehra")
        with page_frame(services, "/devices") as caller:
            try:
                facts = await ask(services, lambda session: read_facts(session, word_of(device), caller))
            except NotFound as error:
                empty_state("No such device.", escape(str(error)))
                return
            await DeviceView(
                services, facts, caller, tab=tab if tab in TABS else "now", bucket_s=bucket
            ).draw()


def read_facts(
    session: Session, device: str, caller: Caller, needs: Permission = Permission.SEE_DEVICES
) -> Facts:
    """Return what the page shows somebody.

    Raises:
        NotFound: no message of it has ever come, or it is at no site of the caller's.
        Forbidden: the caller may see it, but lacks the permission there.
    """
    row = reach_device(session, caller, needs, device)
    alarms = list_alarms(session, device=device, limit=ALARMS_SHOWN)
    may_see = caller.may(Permission.SEE_CONFIG, row.site)
    return Facts(row, alarms.items, config_of(session, device) if may_see else None)


class DeviceView:
    """One open page of one device."""

    def __init__(self, services: Services, facts: Facts, caller: Caller, *, tab: str, bucket_s: int) -> None:
        self._services = services
        self._caller = caller
        self._id = facts.device.id
        self._facts = facts
        self._tab = tab
        self._chart = CountsChart(services, self._id, bucket_s=bucket_s, on_bucket=self._remember)
        self._events = EventsTable(services, EventFilter(device=self._id))

    async def draw(self) -> None:
        """Put the widgets on the page and fill them."""
        with ui.element("div").classes("row-line"):
            ui.label(self._id).classes("title")
            self._head = ui.html("", sanitize=False).classes("grow quiet")
        with ui.tabs(on_change=self._on_tab).props("align=left dense no-caps") as tabs:
            for name, label in self._tabs.items():
                ui.tab(name, label)
        tabs.set_value(self._tab)
        with ui.tab_panels(tabs, value=self._tab, animated=False).style("width: 100%"):
            with ui.tab_panel("now"):
                self._now = ui.html("", sanitize=False).style("width: 100%")
            if self._sees_events:
                with ui.tab_panel("events"):
                    self._draw_events()
                with ui.tab_panel("counts"):
                    await self._chart.draw()
            with ui.tab_panel("updates"):
                await UpdatesView(self._services, self._caller, self._facts.device).draw()
            with ui.tab_panel("about"):
                self._about = ui.html("", sanitize=False).style("width: 100%")
                await IdentityCard(self._services, self._caller, self._id).draw()
        if self._sees_events:
            await self._events.load()
        self._show()
        ui.timer(REFRESH_S, self._refresh)

    @property
    def _sees_events(self) -> bool:
        return self._caller.may(Permission.SEE_EVENTS, self._facts.device.site)

    @property
    def _tabs(self) -> dict[str, str]:
        hidden = () if self._sees_events else ("events", "counts")
        return {name: label for name, label in TABS.items() if name not in hidden}

    def _draw_events(self) -> None:
        self._events.draw(leave_out=frozenset({"device"}))
        ui.link("All events of this device", url_of("/events", device=self._id)).classes("link small q-mt-sm")

    @spared
    async def _refresh(self) -> None:
        try:
            self._facts = await ask(
                self._services, lambda session: read_facts(session, self._id, self._caller)
            )
        except NotFound:  # it was moved to a site that this caller does not see
            ui.navigate.reload()
            return
        if self._sees_events:
            self._events.follow()
        self._show()

    def _show(self) -> None:
        device, moment_ms = self._facts.device, now_ms()
        self._head.set_content(head_html(device, moment_ms))
        self._now.set_content(
            tiles_html(device.health or {})
            + alarms_html(self._facts.alarms)
            + cameras_html(device, self._facts.alarms, has_live=self._has_live)
        )
        self._about.set_content(about_html(device) + config_html(device, self._facts.wanted))

    @property
    def _has_live(self) -> bool:
        return self._caller.may(Permission.SEE_LIVE, self._facts.device.site)

    async def _on_tab(self, event: events.ValueChangeEventArguments[Any]) -> None:
        self._tab = str(event.value)
        self._remember()

    def _remember(self) -> None:
        tab = "" if self._tab == "now" else self._tab
        bucket = 0 if self._chart.bucket_s == 60 else self._chart.bucket_s
        ui.navigate.history.replace(url_of(f"/devices/{self._id}", tab=tab, bucket=bucket))


def head_html(device: Device, moment_ms: int) -> str:
    """Return state, site and last sign of life."""
    state = shown_state(device)
    parts = [f'<span class="state"><i class="dot {DOTS.get(state, "")}"></i>{escape(state)}</span>']
    parts += [
        escape(part)
        for part in (device.reason, device.site, f"seen {ago(device.last_seen_ms, moment_ms)}")
        if part
    ]
    return " &nbsp;·&nbsp; ".join(parts)


def tiles_html(health: dict[str, Any]) -> str:
    """Return the last health as tiles."""
    tiles = [
        ("Frames/s", number(health.get("fps"), digits=1)),
        ("Temperature", number(health.get("temp_c"), "°C")),
        ("Processor", number(health.get("cpu_pct"), "%")),
        ("Memory", number(health.get("mem_pct"), "%")),
        ("Disk", number(health.get("disk_pct"), "%")),
        ("Inference p50", number(health.get("infer_ms_p50"), "ms")),
        ("Inference p95", number(health.get("infer_ms_p95"), "ms")),
        ("Skipped by motion", number(health.get("skipped_pct"), "%")),
        ("Waiting to send", number(health.get("outbox", 0) if health else None)),
        ("Running for", duration(health.get("uptime_s"))),
    ]
    if dropped := health.get("outbox_dropped", 0):
        tiles.append(("Dropped, outbox full", number(dropped)))
    cells = "".join(
        f'<div class="tile"><div class="k">{k}</div><div class="v">{v}</div></div>' for k, v in tiles
    )
    return f'<div class="tiles">{cells}</div>'


def alarms_html(alarms: list[Alarm]) -> str:
    """Return the standing alarms, or nothing."""
    rows = "".join(
        f'<span class="pill warn">{escape(a.kind)}</span><span class="v">{escape(a.cam)}'
        f"{' · ' + escape(a.detail) if a.detail else ''} · since {clock_time(a.raised_ms)}</span>"
        for a in alarms
    )
    return (
        f'<div class="card pad" style="margin-bottom:16px"><div class="facts">{rows}</div></div>'
        if rows
        else ""
    )


def cameras_html(device: Device, alarms: list[Alarm], *, has_live: bool = True) -> str:
    """Return the cameras, with the way to their live view; one with an alarm that stands is not well."""
    cameras = (device.info or {}).get("cameras", [])
    usual = "ok" if device.health else NOTHING
    states = (device.health or {}).get("cameras", {}) | {alarm.cam: alarm.kind for alarm in alarms}
    rows = "".join(
        _camera_html(device.id, camera, str(states.get(camera["id"], usual)), has_live=has_live)
        for camera in cameras
    )
    if not rows:
        return (
            '<div class="card empty"><b>Its cameras are not known yet.</b>'
            "The device says them each time it connects.</div>"
        )
    return f'<div class="card pad"><div class="facts three">{rows}</div></div>'


def _camera_html(device: str, camera: dict[str, Any], state: str, *, has_live: bool) -> str:
    dot = {"ok": "good", "ended": "", NOTHING: ""}.get(state, "bad")
    rules = ", ".join(f"{rule['kind']} {rule['name']}" for rule in camera.get("rules", [])) or "no rules"
    live = url_of(f"/devices/{device}/live/{camera['id']}")
    says = f"{camera['driver']} · {camera['width']}×{camera['height']} · {rules}"
    return (
        f'<span class="state"><i class="dot {dot}"></i>{escape(camera["id"])}</span>'
        f'<span class="v quiet">{escape(says)}</span>'
        + (f'<a class="link" href="{escape(live)}">Live view</a>' if has_live else "<span></span>")
    )


def about_html(device: Device) -> str:
    """Return the birth certificate as facts."""
    info = device.info or {}
    model = info.get("model", {})
    facts = [
        ("Site", device.site or NOTHING),
        ("Time zone", info.get("timezone", NOTHING)),
        ("Board", info.get("board", NOTHING)),
        ("Firmware", info.get("firmware", NOTHING)),
        ("Model", f"{model.get('name', NOTHING)} {model.get('version', '')}"),
        ("Model file (SHA-256)", model.get("sha256", NOTHING)),
        ("Classes", ", ".join(model.get("labels", [])) or NOTHING),
        ("Configuration (SHA-256)", info.get("config_sha256") or NOTHING),
        ("Card", card_text(info.get("card"))),
        ("First seen", clock_time(device.first_seen_ms)),
        ("Events stored", str(device.events_stored)),
    ]
    cells = "".join(f'<span class="k">{k}</span><span class="v">{escape(str(v))}</span>' for k, v in facts)
    return f'<div class="card pad"><div class="facts">{cells}</div></div>'


def card_text(card: dict[str, Any] | None) -> str:
    """Return what the first boot made of the card, in words."""
    if not card:
        return "set up by hand"
    failed = card.get("failed", "")
    return f"{card.get('sha256', '')}{f': FAILED at {failed}' if failed else ''}"


def config_html(device: Device, wanted: Desired | None) -> str:
    """Return what is wanted of its configuration and what it says of it; nothing where it is neither."""
    reported = device.reported or {}
    errors = reported.get("errors", [])
    if wanted is None and not errors:
        return ""
    facts = [("Configuration from the fleet", config_state(wanted, device))]
    if wanted is not None:
        facts += [("Wanted since", clock_time(wanted.made_ms)), ("Its SHA-256", wanted.sha256)]
    facts += [(str(error.get("path", "")) or "Fault", str(error.get("message", ""))) for error in errors]
    cells = "".join(f'<span class="k">{escape(k)}</span><span class="v">{escape(v)}</span>' for k, v in facts)
    return f'<div class="card pad" style="margin-top:16px"><div class="facts">{cells}</div></div>'
