"""The audit log as a page: filters, the chain's state, the way to the export."""

from __future__ import annotations

import json
from typing import Any, Final

from nicegui import ui
from sqlmodel import Session

from fleet.access import audit
from fleet.access.caller import Caller
from fleet.access.chain import Finding, Head
from fleet.access.roles import Permission
from fleet.console.frame import ask, now_ms, page_frame, spared
from fleet.console.words import clock_time, url_of, word_of
from fleet.errors import BadQuery
from fleet.queries.paging import Page
from fleet.services import Services
from fleet.store.tables_people import AuditEntry

PAGE_ROWS: Final = 50
FIELDS: Final = {"who": "Who", "action": "Action", "target": "What"}
COLUMNS: Final[list[dict[str, Any]]] = [
    {"name": "n", "label": "Row", "field": "n", "align": "right"},
    {"name": "at", "label": "When (UTC)", "field": "at", "align": "left"},
    {"name": "who", "label": "Who", "field": "who", "align": "left"},
    {"name": "action", "label": "Action", "field": "action", "align": "left"},
    {"name": "target", "label": "What", "field": "target", "align": "left"},
    {"name": "detail", "label": "Detail", "field": "detail", "align": "left", "classes": "wrapped"},
]


def add_page(services: Services) -> None:
    """Register `/audit`."""

    @ui.page("/audit", title="Audit log · Pehra")
    async def audit_page(who: str = "", action: str = "", target: str = "", cursor: str = "") -> None:
        words = {"who": word_of(who), "action": word_of(action), "target": word_of(target)}
        with page_frame(services, "/audit") as caller:
            ui.label("Audit log").classes("title q-mb-md")
            await AuditTable(services, caller, words, cursor=cursor).draw()


class AuditTable:
    """The log of one open page; its filters stand in the URL."""

    def __init__(
        self, services: Services, caller: Caller, words: dict[str, str] | None = None, *, cursor: str = ""
    ) -> None:
        caller.need(Permission.SEE_AUDIT)
        self._services = services
        self._caller = caller
        self._words = words or dict.fromkeys(FIELDS, "")
        self._cursor = cursor

    async def draw(self) -> None:
        """Put the widgets on the page and fill them."""
        with ui.element("div").classes("row-line"):
            ui.button("Check the chain", on_click=self._check).props("outline no-caps")
            ui.link("Export CSV", "/api/v1/audit/export.csv").classes("link")
            self._said = ui.label("").classes("grow quiet")
            for name, label in FIELDS.items():
                field = ui.input(label, value=self._words[name])
                field.props("dense outlined clearable debounce=300").style("width: 150px")
                field.on_value_change(lambda event, name=name: self._on_filter(name, event.value or ""))
        self._table = ui.table(rows=[], columns=COLUMNS, row_key="n")
        self._table.classes("pehra-table").props("flat hide-pagination :rows-per-page-options=[0]")
        with ui.element("div").classes("row-line q-mt-md"):
            self._older = ui.link("Older", "#").classes("link")
        await self._load()

    @spared
    async def _load(self) -> None:
        try:
            page = await ask(self._services, self._read)
        except BadQuery:
            ui.navigate.to(url_of("/audit", **self._words))
            return
        self._table.rows = [audit_line(row) for row in page.items]
        self._older.set_visibility(page.next_cursor is not None)
        self._older.props["href"] = url_of("/audit", **self._words, cursor=page.next_cursor)

    def _read(self, session: Session) -> Page[AuditEntry]:
        told = {"who": self._words["who"], "action": self._words["action"], "to": self._words["target"]}
        audit.look(session, self._caller, "audit.read", "", told, at_ms=now_ms())
        wanted = audit.AuditFilter(self._words["who"], self._words["action"], self._words["target"])
        return audit.list_entries(session, wanted, limit=PAGE_ROWS, cursor=self._cursor or None)

    async def _check(self) -> None:
        def check(session: Session) -> tuple[list[Finding], Head]:
            audit.look(session, self._caller, "audit.check", at_ms=now_ms())
            return audit.verify(session), audit.read_head(session)

        findings, head = await ask(self._services, check)
        if findings:
            self._said.set_text(f"The log is damaged. {findings[0]}")
            self._said.classes(replace="grow is-bad")
        else:
            self._said.set_text(f"The log is whole: {head.n} rows, head {head.hash[:16]}…")

    async def _on_filter(self, name: str, value: str) -> None:
        self._words[name] = word_of(value)
        self._cursor = ""
        ui.navigate.history.replace(url_of("/audit", **self._words))
        await self._load()


def audit_line(row: AuditEntry) -> dict[str, Any]:
    """Return a row of the log as a row of the table."""
    return {
        "n": row.n,
        "at": clock_time(row.at_ms),
        "who": row.who,
        "action": row.action,
        "target": row.target,
        "detail": detail_words(row.detail),
    }


def detail_words(detail: str) -> str:
    """Return the canonical JSON of a row for people; what is not of that form stays as it is."""
    try:
        told = json.loads(detail)
    except ValueError:
        return detail
    return " · ".join(f"{name} {value}" for name, value in told.items()) if isinstance(told, dict) else detail
