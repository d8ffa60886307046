"""All rollouts, newest first, each with what it waits for; and the way to make one."""

from __future__ import annotations

from typing import Final

from nicegui import ui
from sqlmodel import Session, col, select

from fleet.access.caller import Caller
from fleet.access.roles import Permission
from fleet.console.frame import ask, empty_state, lead, page_frame, spared
from fleet.console.rollout_words import line_html
from fleet.console.words import url_of
from fleet.errors import BadQuery
from fleet.queries.paging import Page
from fleet.rollouts.plan import LIVE
from fleet.rollouts.show import count_devices, page_rollouts
from fleet.services import Services
from fleet.store.tables_rollouts import Release, Rollout

PAGE_ROWS: Final = 25
UNDER_WAY: Final = 5
REFRESH_S: Final = 2.0
STATES: Final = {
    "": "All rollouts",
    "live": "Under way",
    "pending": "Wait for approval",
    "stopped": "Stopped themselves",
    "done": "Done",
}
_MEANT: Final[dict[str, tuple[str, ...]]] = {"live": LIVE}


def add_page(services: Services) -> None:
    """Register `/rollouts`."""

    @ui.page("/rollouts", title="Rollouts · Pehra")
    async def rollouts_page(state: str = "", cursor: str = "") -> None:
        with page_frame(services, "/rollouts") as caller:
            await RolloutsView(services, caller, state=state, cursor=cursor).draw()


def read_lines(session: Session, state: str, cursor: str | None) -> Page[str]:
    """Return one page of rollouts as HTML.

    Raises:
        BadQuery: the cursor is not ours.
    """
    states = _MEANT.get(state, (state,)) if state else ()
    page = page_rollouts(session, limit=PAGE_ROWS, cursor=cursor, states=states)
    return Page(_lines(session, page.items), page.next_cursor)


def under_way_html(session: Session) -> str:
    """Return the rollouts that are under way or wait for approval; nothing where there are none."""
    page = page_rollouts(session, limit=UNDER_WAY, states=("pending", *LIVE))
    if not page.items:
        return ""
    more = '<a class="link small" href="/rollouts">All rollouts</a>' if page.next_cursor else ""
    return f'<div class="subtitle">Rollouts</div>{"".join(_lines(session, page.items))}{more}'


def _lines(session: Session, rows: list[Rollout]) -> list[str]:
    counts, releases = count_devices(session, [row.id for row in rows]), _releases(session, rows)
    return [line_html(row, releases.get(row.release), counts.get(row.id, {})) for row in rows]


def _releases(session: Session, rows: list[Rollout]) -> dict[str, Release]:
    query = select(Release).where(col(Release.id).in_({row.release for row in rows}))
    return {one.id: one for one in session.exec(query)}


def draw_places(here: str) -> None:
    """Draw the way between the section's two pages."""
    with ui.element("div").classes("places"):
        for label, path in (("Rollouts", "/rollouts"), ("Releases", "/releases")):
            ui.link(label, path).classes("title" + ("" if path == here else " quiet"))


class RolloutsView:
    """The list of one open page."""

    def __init__(self, services: Services, caller: Caller, *, state: str, cursor: str) -> None:
        self._services = services
        self._caller = caller
        self._state = state if state in STATES else ""
        self._cursor = cursor

    async def draw(self) -> None:
        """Put the widgets on the page and fill them."""
        with ui.element("div").classes("row-line"):
            draw_places("/rollouts")
            ui.element("div").classes("grow")
            ui.select(STATES, value=self._state, on_change=lambda event: self._choose(event.value)).props(
                "dense outlined"
            ).style("width: 190px")
            if self._caller.has(Permission.MANAGE_ROLLOUTS):
                ui.button("New rollout", on_click=lambda: ui.navigate.to("/rollouts/new")).props(
                    "no-caps unelevated"
                )
        self._empty = ui.element("div").style("width: 100%")
        self._list = ui.html("", sanitize=False).style("width: 100%")
        with ui.element("div").classes("row-line q-mt-md"):
            self._newest = ui.link("Newest", url_of("/rollouts", state=self._state)).classes("link")
            self._older = ui.link("Older", "#").classes("link")
        await self._refresh()
        ui.timer(REFRESH_S, self._refresh)

    @spared
    async def _refresh(self) -> None:
        try:
            page = await ask(self._services, lambda s: read_lines(s, self._state, self._cursor or None))
        except BadQuery:
            ui.navigate.to("/rollouts")
            return
        self._list.set_content("".join(page.items))
        self._newest.set_visibility(bool(self._cursor))
        self._older.set_visibility(page.next_cursor is not None)
        lead(self._older, url_of("/rollouts", state=self._state, cursor=page.next_cursor))
        self._say_empty(is_empty=not page.items)

    def _say_empty(self, *, is_empty: bool) -> None:
        self._empty.set_visibility(is_empty)
        if not is_empty or self._empty.default_slot.children:
            return
        with self._empty:
            if self._state or self._cursor:
                empty_state("No such rollout.", "Choose all rollouts above.")
            else:
                empty_state(
                    "No rollout yet.",
                    "A rollout hands one release to some of your devices, a few first, and stops by itself "
                    "when they fail. Choose a release under <b>Releases</b>.",
                )

    def _choose(self, state: str) -> None:
        ui.navigate.to(url_of("/rollouts", state=state))
