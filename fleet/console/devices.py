"""All devices in one table: search, state, last seen, fps, temperature."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from nicegui import events, ui
from sqlmodel import Session, col, func, select

from fleet.access.roles import Permission
from fleet.console.frame import ask, empty_state, now_ms, page_frame, spared
from fleet.console.words import device_line, url_of, word_of
from fleet.queries.devices import DeviceFilter, list_devices
from fleet.queries.sites import EVERYWHERE, Sites
from fleet.services import Services
from fleet.store.tables import Alarm

SHOWN_MAX: Final = 500
ROWS_PER_PAGE: Final = 25
PAGES_MAX: Final = SHOWN_MAX // ROWS_PER_PAGE
REFRESH_S: Final = 2.0
STATES: Final = {
    "": "All states",
    "online": "Online",
    "offline": "Offline",
    "degraded": "Degraded",
    "safe": "Safe mode",
}

COLUMNS: Final[list[dict[str, Any]]] = [
    {"name": "state", "label": "State", "field": "state", "align": "left", "sortable": True},
    {"name": "id", "label": "Device", "field": "id", "align": "left", "sortable": True},
    {"name": "site", "label": "Site", "field": "site", "align": "left", "sortable": True},
    {"name": "seen", "label": "Last seen", "field": "seen_ms", "align": "left", "sortable": True},
    {"name": "fps", "label": "Frames/s", "field": "fps", "align": "right", "sortable": True},
    {"name": "temp_c", "label": "Temp", "field": "temp_c", "align": "right", "sortable": True},
    {"name": "alarms", "label": "Alarms", "field": "alarms", "align": "right", "sortable": True},
    {"name": "events", "label": "Events", "field": "events", "align": "right", "sortable": True},
]
STATE_CELL: Final = """
<q-td :props="props"><span class="state"><i class="dot" :class="{
  online: 'good', starting: 'good', degraded: 'warn', safe: 'warn', offline: 'bad', lost: 'bad'
}[props.value] || ''"></i>{{ props.value }}</span></q-td>"""
SEEN_CELL: Final = '<q-td :props="props">{{ props.row.seen }}</q-td>'
FPS_CELL: Final = "<q-td :props=\"props\">{{ props.value == null ? '–' : props.value.toFixed(1) }}</q-td>"
TEMP_CELL: Final = """
<q-td :props="props"><span :class="props.value >= 80 ? 'is-bad' : props.value >= 70 ? 'is-warn' : ''">
  {{ props.value == null ? '–' : props.value.toFixed(0) + ' °C' }}</span></q-td>"""
ALARMS_CELL: Final = """
<q-td :props="props">
  <span :class="props.value ? 'pill warn' : 'quiet'">{{ props.value || '–' }}</span></q-td>"""
CELLS: Final = {
    "state": STATE_CELL,
    "seen": SEEN_CELL,
    "fps": FPS_CELL,
    "temp_c": TEMP_CELL,
    "alarms": ALARMS_CELL,
}


def add_page(services: Services) -> None:
    """Register `/devices`."""

    @ui.page("/devices", title="Devices · Pehra")
    async def devices_page(q: str = "", state: str = "", page: int = 1) -> None:
        with page_frame(services, "/devices") as caller:
            within = caller.sites(Permission.SEE_DEVICES)
            view = DevicesView(services, q=q, state=state, page=page, path="/devices", within=within)
            await view.draw()


def read_lines(
    session: Session, wanted: DeviceFilter, within: Sites = EVERYWHERE
) -> tuple[list[dict[str, Any]], bool]:
    """Return the table's rows of devices at these sites, and whether there are more than are shown."""
    page = list_devices(session, wanted, limit=SHOWN_MAX, cursor=None, within=within)
    alarms = Counter(dict(session.exec(select(Alarm.device, func.count()).group_by(col(Alarm.device))).all()))
    moment_ms = now_ms()
    return [device_line(row, alarms[row.id], moment_ms) for row in page.items], page.next_cursor is not None


class DevicesView:
    """The table of one open page and its state, which the URL repeats."""

    def __init__(
        self,
        services: Services,
        *,
        q: str,
        state: str,
        page: int,
        path: str = "/",
        within: Sites = EVERYWHERE,
    ) -> None:
        self._services = services
        self._path = path
        self._within = within
        self._q = word_of(q)
        self._state = state if state in STATES else ""
        self._page = min(max(1, page), PAGES_MAX)

    async def draw(self) -> None:
        """Put the widgets on the page and fill them."""
        with ui.element("div").classes("row-line"):
            ui.label("Devices").classes("title grow")
            search = ui.input(placeholder="Search id or site", value=self._q, on_change=self._on_search)
            search.props("dense outlined clearable debounce=250").style("width: 260px")
            ui.select(STATES, value=self._state, on_change=self._on_state).props("dense outlined").style(
                "width: 150px"
            )
        self._empty = ui.element("div").style("width: 100%")
        self._table = self._make_table()
        self._more = ui.label("").classes("quiet small q-mt-sm")
        await self._refresh()
        ui.timer(REFRESH_S, self._refresh)

    def _make_table(self) -> ui.table:
        pagination = {"rowsPerPage": ROWS_PER_PAGE, "page": self._page}
        table = ui.table(
            rows=[], columns=COLUMNS, row_key="id", pagination=pagination, on_pagination_change=self._on_page
        )
        table.classes("pehra-table clickable").props("flat :rows-per-page-options=[25]")
        for name, template in CELLS.items():
            table.add_slot(f"body-cell-{name}", template)
        table.on("rowClick", self._on_row, args=[[], ["id"], None])
        return table

    @spared
    async def _refresh(self) -> None:
        wanted = DeviceFilter(q=self._q, state=self._state)
        lines, has_more = await ask(self._services, lambda session: read_lines(session, wanted, self._within))
        if lines != self._table.rows:
            self._table.rows = lines
        self._table.set_visibility(bool(lines))
        self._more.set_text(f"The first {SHOWN_MAX} are shown: search to narrow them." if has_more else "")
        self._say_empty(is_empty=not lines)

    def _say_empty(self, *, is_empty: bool) -> None:
        self._empty.set_visibility(is_empty)
        if not is_empty or self._empty.default_slot.children:
            return
        settings = self._services.settings
        with self._empty:
            if self._q or self._state:
                empty_state("No device matches.", "Change the search or choose all states.")
            else:
                empty_state(
                    "No camera has reported yet.",
                    f"Point a device at the broker {settings.mqtt_host}:{settings.mqtt_port} and run "
                    "<b class='mono'>pehra device run</b> on it, or see it all with "
                    "<b class='mono'>pehra demo</b>.",
                )

    async def _on_search(self, event: events.ValueChangeEventArguments[Any]) -> None:
        self._q = word_of(event.value or "")
        await self._changed()

    async def _on_state(self, event: events.ValueChangeEventArguments[Any]) -> None:
        self._state = event.value or ""
        await self._changed()

    async def _changed(self) -> None:
        self._page = 1
        self._empty.clear()
        self._remember()
        await self._refresh()

    def _on_page(self, event: events.ValueChangeEventArguments[Any]) -> None:
        page = int((event.value or {}).get("page") or 1)
        if page != self._page:
            self._page = page
            self._remember()

    def _remember(self) -> None:
        page = self._page if self._page > 1 else 0
        ui.navigate.history.replace(url_of(self._path, q=self._q, state=self._state, page=page))

    def _on_row(self, event: events.GenericEventArguments) -> None:
        ui.navigate.to(url_of(f"/devices/{event.args[1]['id']}"))
