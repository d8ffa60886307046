"""Events as they come: the newest on top without a reload, filters, older pages."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, Final

from nicegui import ui
from sqlmodel import Session

from fleet.access import audit
from fleet.access.caller import Caller
from fleet.access.roles import Permission
from fleet.console.frame import ask, empty_state, now_ms, page_frame, spared
from fleet.console.words import event_line, url_of, word_of
from fleet.errors import BadQuery
from fleet.queries.events import EventFilter, list_events
from fleet.queries.paging import Page
from fleet.queries.sites import EVERYWHERE, Sites
from fleet.services import Services
from fleet.store.tables import Event

PAGE_ROWS: Final = 50
REFRESH_S: Final = 0.5
FIELDS: Final = {"device": "Device", "cam": "Camera", "kind": "Kind", "rule": "Rule", "object_class": "Class"}

COLUMNS: Final[list[dict[str, Any]]] = [
    {"name": "at", "label": "When (UTC)", "field": "at", "align": "left"},
    {"name": "device", "label": "Device", "field": "device", "align": "left"},
    {"name": "cam", "label": "Camera", "field": "cam", "align": "left"},
    {"name": "kind", "label": "Kind", "field": "kind", "align": "left"},
    {"name": "rule", "label": "Rule", "field": "rule", "align": "left"},
    {"name": "what", "label": "What", "field": "what", "align": "left"},
    {"name": "conf", "label": "Conf", "field": "conf", "align": "right"},
    {"name": "detail", "label": "Detail", "field": "detail", "align": "left"},
]
DEVICE_CELL: Final = """
<q-td :props="props">
  <a class="link" :href="'/devices/' + encodeURIComponent(props.value)">{{ props.value }}</a></q-td>"""
KIND_CELL: Final = """
<q-td :props="props">
  <span class="pill" :class="{high:'bad', medium:'warn'}[props.row.sev] || ''">{{ props.value }}</span>
  <span v-if="props.row.late" class="quiet small"> late</span></q-td>"""


def add_page(services: Services) -> None:
    """Register `/events`."""

    @ui.page("/events", title="Events · Pehra")
    async def events_page(
        device: str = "",
        cam: str = "",
        kind: str = "",
        rule: str = "",
        object_class: str = "",
        cursor: str = "",
    ) -> None:
        device, cam, kind, rule, object_class = map(word_of, (device, cam, kind, rule, object_class))
        wanted = EventFilter(device=device, cam=cam, kind=kind, rule=rule, object_class=object_class)
        with page_frame(services, "/events") as caller:
            await ask(services, lambda session: _note_look(session, caller, wanted))
            within = caller.sites(Permission.SEE_EVENTS)
            await EventsView(services, wanted, cursor=cursor, within=within).draw()


def _note_look(session: Session, caller: Caller, wanted: EventFilter) -> bool:
    told = {name: value for name, value in asdict(wanted).items() if value and name != "device"}
    audit.look(session, caller, "events.list", wanted.device, told, at_ms=now_ms())
    return True


class EventsTable:
    """A table of events that follows the stream while it shows the newest page."""

    def __init__(
        self,
        services: Services,
        wanted: EventFilter,
        *,
        rows_max: int = PAGE_ROWS,
        within: Sites = EVERYWHERE,
    ) -> None:
        self._services = services
        self._within = within
        self.wanted = wanted
        self._rows_max = rows_max
        self._version = -1

    def draw(self, *, leave_out: frozenset[str] = frozenset()) -> None:
        """Put the table on the page, without the named columns."""
        self._empty = ui.element("div").style("width: 100%")
        columns = [column for column in COLUMNS if column["name"] not in leave_out]
        self._table = ui.table(rows=[], columns=columns, row_key="key")
        self._table.classes("pehra-table").props("flat hide-pagination :rows-per-page-options=[0]")
        self._table.add_slot("body-cell-device", DEVICE_CELL)
        self._table.add_slot("body-cell-kind", KIND_CELL)

    async def load(self, cursor: str | None = None) -> Page[Event] | None:
        """Read a page from the database and show it; None when the filter was changed meanwhile.

        Raises:
            BadQuery: the cursor is not ours.
        """
        version = self._services.feed.version
        wanted, limit = self.wanted, self._rows_max
        within = self._within
        page = await ask(
            self._services, lambda s: list_events(s, wanted, limit=limit, cursor=cursor, within=within)
        )
        if wanted is not self.wanted:
            return None
        # What came while we read may be missing in the answer, so it is followed from before the question.
        self._version = version
        self._show([event_line(row) for row in page.items])
        return page

    @spared
    async def keep_up(self) -> None:
        """Show what came since; who sees only some sites gets it from the database, which knows them."""
        if "" in self._within:
            self.follow()
        elif self._services.feed.version != self._version:
            await self.load()

    def follow(self) -> int:
        """Put on top what came since; return how many that were."""
        self._version, rows = self._services.feed.since(self._version)
        events = [Event(**row) for row in rows]
        self._amend([event for event in events if event.amends is not None])
        fresh = [event_line(event) for event in events if self.wanted.passes(event)]
        shown = {line["key"] for line in self._table.rows}
        fresh = [line for line in reversed(fresh) if line["key"] not in shown]
        if fresh:
            self._show((fresh + self._table.rows)[: self._rows_max])
        return len(fresh)

    def _amend(self, amendments: list[Event]) -> None:
        """Bring the shown events up to date that others amend."""
        details = {f"{one.device}/{one.amends}": event_line(one)["detail"] for one in amendments}
        if any(line["key"] in details for line in self._table.rows):
            self._show(
                [line | {"detail": details.get(line["key"], line["detail"])} for line in self._table.rows]
            )

    def _show(self, lines: list[dict[str, Any]]) -> None:
        self._table.rows = lines
        self._table.set_visibility(bool(lines))
        self._empty.set_visibility(not lines)
        if not lines and not self._empty.default_slot.children:
            with self._empty:
                empty_state(
                    "No event yet.",
                    "Events come when a rule of a camera comes true: draw a line or a zone in the device's "
                    "configuration, or loosen the filters above.",
                )


class EventsView:
    """The page: filters, the table, older and newest."""

    def __init__(
        self, services: Services, wanted: EventFilter, *, cursor: str, within: Sites = EVERYWHERE
    ) -> None:
        self._table = EventsTable(services, wanted, within=within)
        self._cursor = cursor
        self._next: str | None = None

    async def draw(self) -> None:
        """Put the widgets on the page and fill them."""
        with ui.element("div").classes("row-line"):
            ui.label("Events").classes("title")
            self._mode = ui.html("", sanitize=False).classes("grow")
            for name, label in FIELDS.items():
                field = ui.input(label, value=getattr(self._table.wanted, name))
                field.props("dense outlined clearable debounce=300").style("width: 128px")
                field.on_value_change(lambda event, name=name: self._on_filter(name, event.value or ""))
        self._table.draw()
        with ui.element("div").classes("row-line q-mt-md"):
            self._newest = ui.link("Newest", self._url("")).classes("link")
            self._older = ui.link("Older", "#").classes("link")
        await self._load()
        if not self._cursor:
            ui.timer(REFRESH_S, self._table.keep_up)

    @spared
    async def _load(self) -> None:
        try:
            page = await self._table.load(self._cursor or None)
        except BadQuery:
            ui.navigate.to(self._url(""))
            return
        if page is None:
            return
        dot, word = ("", "older events") if self._cursor else ("good", "live")
        self._mode.set_content(f'<span class="pehra-sum"><i class="dot {dot}"></i>{word}</span>')
        self._newest.set_visibility(bool(self._cursor))
        self._older.set_visibility(page.next_cursor is not None)
        self._older.props["href"] = self._url(page.next_cursor or "")

    async def _on_filter(self, name: str, value: str) -> None:
        self._table.wanted = _with_word(self._table.wanted, name, word_of(value))
        if self._cursor:
            ui.navigate.to(self._url(""))
            return
        ui.navigate.history.replace(self._url(""))
        await self._load()

    def _url(self, cursor: str) -> str:
        state = {name: value for name, value in asdict(self._table.wanted).items() if name in FIELDS}
        return url_of("/events", **state, cursor=cursor)


def _with_word(wanted: EventFilter, name: str, word: str) -> EventFilter:
    changed: dict[str, Any] = {name: word}
    return replace(wanted, **changed)
