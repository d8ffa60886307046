"""The devices of one rollout, in pages, by what became of them."""

from __future__ import annotations

from typing import Any, Final

from nicegui import ui
from sqlmodel import Session

from fleet.console.frame import ask, lead, now_ms, spared
from fleet.console.rollout_words import DEVICE_DOTS, DEVICE_STATES
from fleet.console.words import NOTHING, ago, url_of
from fleet.errors import BadQuery
from fleet.queries.paging import Page
from fleet.rollouts.show import list_members
from fleet.services import Services
from fleet.store.tables_rollouts import RolloutDevice

PAGE_ROWS: Final = 25
COLUMNS: Final[list[dict[str, Any]]] = [
    {"name": "device", "label": "Device", "field": "device", "align": "left"},
    {"name": "state", "label": "State", "field": "state", "align": "left"},
    {"name": "stage", "label": "Stage", "field": "stage", "align": "right"},
    {"name": "tries", "label": "Told", "field": "tries", "align": "right"},
    {"name": "since", "label": "Since", "field": "since", "align": "left"},
    {"name": "reason", "label": "Why", "field": "reason", "align": "left", "classes": "wrapped"},
]
DEVICE_CELL: Final = """
<q-td :props="props"><a class="link"
  :href="'/devices/' + encodeURIComponent(props.value) + '?tab=updates'">{{ props.value }}</a></q-td>"""
STATE_CELL: Final = """
<q-td :props="props">
  <span class="state"><i class="dot" :class="props.row.dot"></i>{{ props.value }}</span></q-td>"""


def member_line(row: RolloutDevice, moment_ms: int) -> dict[str, Any]:
    """Return a device of a rollout as a row of the table."""
    return {
        "device": row.device,
        "state": DEVICE_STATES.get(row.state, row.state),
        "dot": DEVICE_DOTS.get(row.state, ""),
        "stage": str(row.stage + 1) if row.stage >= 0 else NOTHING,
        "tries": f"{row.tries} ×" if row.tries else NOTHING,
        "since": ago(row.changed_ms, moment_ms),
        "reason": row.reason or NOTHING,
    }


class MembersTable:
    """The table of one open page; its filter and its place are in the URL."""

    def __init__(self, services: Services, rollout: str, *, state: str, cursor: str) -> None:
        self._services = services
        self._rollout = rollout
        self._state = state if state in DEVICE_STATES else ""
        self._cursor = cursor

    def draw(self) -> None:
        """Put the widgets on the page."""
        states = {"": "All states"} | {name: said.capitalize() for name, said in DEVICE_STATES.items()}
        with ui.element("div").style("width: 100%") as self._box:
            self._draw(states)
        self._show(Page([], None))

    def show(self, *, is_there: bool) -> None:
        """Show or hide all of it."""
        self._box.set_visibility(is_there)

    def _draw(self, states: dict[str, str]) -> None:
        with ui.element("div").classes("row-line q-mt-lg"):
            ui.label("Devices").classes("subtitle grow").style("margin: 0")
            ui.select(states, value=self._state, on_change=lambda event: self._choose(event.value)).props(
                "dense outlined"
            ).style("width: 200px").mark("member-state")
        self._nobody = ui.html(NOBODY, sanitize=False).style("width: 100%")
        self._table = ui.table(rows=[], columns=COLUMNS, row_key="device")
        self._table.classes("pehra-table").props("flat hide-pagination :rows-per-page-options=[0]")
        self._table.add_slot("body-cell-device", DEVICE_CELL)
        self._table.add_slot("body-cell-state", STATE_CELL)
        with ui.element("div").classes("row-line q-mt-md"):
            self._first = ui.link("First page", "#").classes("link")
            self._next = ui.link("Next page", "#").classes("link")

    @spared
    async def refresh(self) -> None:
        """Show how the devices of this page stand now."""
        state, cursor = self._state, self._cursor
        try:
            page = await ask(self._services, lambda session: self._read(session, state, cursor))
        except BadQuery:
            self._cursor = ""
            return
        if (state, cursor) == (self._state, self._cursor):
            self._show(page)

    def _read(self, session: Session, state: str, cursor: str) -> Page[RolloutDevice]:
        return list_members(session, self._rollout, state=state, limit=PAGE_ROWS, cursor=cursor or None)

    def _show(self, page: Page[RolloutDevice]) -> None:
        lines = [member_line(row, now_ms()) for row in page.items]
        if lines != self._table.rows:
            self._table.rows = lines
        self._table.set_visibility(bool(lines))
        self._nobody.set_visibility(not lines)
        self._first.set_visibility(bool(self._cursor))
        lead(self._first, self._url(""))
        self._next.set_visibility(page.next_cursor is not None)
        lead(self._next, self._url(page.next_cursor or ""))

    async def _choose(self, state: str) -> None:
        self._state, self._cursor = state or "", ""
        ui.navigate.history.replace(self._url(""))
        await self.refresh()

    def _url(self, cursor: str) -> str:
        return url_of(f"/rollouts/{self._rollout}", state=self._state, cursor=cursor)


NOBODY: Final = '<div class="card empty slim"><b>No device here.</b>Choose another state above.</div>'
