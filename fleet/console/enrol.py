"""Letting cameras in: tickets, and boards that wait for an administrator."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any, Final

from nicegui import ui
from sqlmodel import Session

from fleet.access.caller import Caller
from fleet.access.reach import need_at
from fleet.access.roles import Permission
from fleet.console.acting import act
from fleet.console.frame import ask, empty_state, page_frame, spared
from fleet.console.words import clock_time
from fleet.identity.claims import Terms, cancel_claim, claim_state
from fleet.identity.enrolment import decide
from fleet.identity.office import Office
from fleet.queries.admission import page_claims, page_enrolments
from fleet.services import Services
from fleet.store.tables_identity import Claim, Enrolment
from ota.enrolment import Ticket, ticket_text

REFRESH_S: Final = 3.0
SHOWN: Final = 50
COLOURS: Final = {"open": "", "used": "", "expired": "warn", "cancelled": "warn"}


def add_page(services: Services) -> None:
    """Register `/enrol`."""

    @ui.page("/enrol", title="Enrol · Pehra")
    async def enrol_page() -> None:
        with page_frame(services, "/enrol") as caller:
            if services.office is None:
                empty_state(
                    "This fleet lets nobody in by ticket.",
                    "It has no authority of its own: <b class='mono'>pehra fleet init</b> makes one.",
                )
                return
            await EnrolView(services, services.office, caller).draw()


class EnrolView:
    """Tickets and waiting boards of one open page."""

    def __init__(self, services: Services, office: Office, caller: Caller) -> None:
        self._services = services
        self._office = office
        self._caller = caller

    async def draw(self) -> None:
        """Put the widgets on the page and fill them."""
        with ui.element("div").classes("row-line q-mt-lg"):
            ui.label("Enrol cameras").classes("title grow")
            ui.button("Make a ticket", on_click=self._ask_ticket).props("no-caps unelevated")
        self._waiting = ui.element("div").style("width: 100%")
        ui.label("Tickets").classes("subtitle")
        self._tickets = ui.element("div").classes("card people")
        await self._refresh()
        ui.timer(REFRESH_S, self._refresh)

    @spared
    async def _refresh(self) -> None:
        claims, boards = await ask(self._services, self._read)
        self._waiting.clear()
        with self._waiting:
            for board in boards:
                self._draw_board(board)
        self._tickets.clear()
        with self._tickets:
            for claim in claims:
                self._draw_claim(claim)
            if not claims:
                ui.html(NO_TICKETS, sanitize=False).classes("empty slim")

    def _read(self, session: Session) -> tuple[list[Claim], list[Enrolment]]:
        makes = self._caller.sites(Permission.MAKE_CLAIMS)
        approves = self._caller.sites(Permission.APPROVE_ENROLMENT)
        claims = page_claims(session, limit=SHOWN, within=makes)
        boards = page_enrolments(session, "waiting", limit=SHOWN, within=approves)
        return claims.items, boards.items

    def _draw_board(self, board: Enrolment) -> None:
        with ui.element("div").classes("card pad row-line"):
            ui.html(board_html(board), sanitize=False).classes("grow")
            ui.button("Refuse", on_click=lambda: self._decide(board, "refused")).props("flat no-caps")
            ui.button("Let in", on_click=lambda: self._decide(board, "approved")).props("unelevated no-caps")

    def _draw_claim(self, claim: Claim) -> None:
        state = claim_state(claim, datetime.now(UTC))
        with ui.element("div").classes("person"):
            ui.html(claim_html(claim, state), sanitize=False).classes("grow")
            if state == "open":
                ui.button("Cancel", on_click=lambda: self._cancel(claim.id)).props("flat no-caps dense")

    async def _decide(self, board: Enrolment, state: str) -> None:
        def work(session: Session, caller: Caller) -> Enrolment:
            need_at(caller, Permission.APPROVE_ENROLMENT, board.site)
            return decide(session, board.id, state, caller, datetime.now(UTC))

        if await act(self._services, self._caller, Permission.APPROVE_ENROLMENT, work):
            await self._refresh()

    async def _cancel(self, claim_id: str) -> None:
        def work(session: Session, caller: Caller) -> Claim:
            return cancel_claim(session, claim_id, caller)

        if await act(self._services, self._caller, Permission.MAKE_CLAIMS, work):
            await self._refresh()

    def _ask_ticket(self) -> None:
        with ui.dialog() as dialog, ui.card().classes("form"):
            ui.label("Make a ticket").classes("subtitle")
            site = ui.input("Site", placeholder="lahore/gulberg/liberty-chowk").props("outlined dense")
            timezone = ui.input("Timezone of the site", value="Asia/Karachi").props("outlined dense")
            device = ui.input("Id of the camera (empty: it is given one)").props("outlined dense")
            serial = ui.input("Serial number of the board (empty: any)").props("outlined dense")
            uses = ui.number("For how many boards", value=1, min=1, max=10_000, format="%d").props(
                "outlined dense"
            )
            approve = ui.checkbox("An administrator must agree to each board")

            async def make() -> None:
                terms = Terms(
                    site=(site.value or "").strip().strip("/"),
                    timezone=(timezone.value or "").strip(),
                    device=(device.value or "").strip(),
                    serial=(serial.value or "").strip(),
                    uses=int(uses.value or 1),
                    life=timedelta(days=7),
                    needs_approval=bool(approve.value),
                )
                if await self._make(terms):
                    dialog.close()

            _buttons(dialog, "Make it", make)
        dialog.open()

    async def _make(self, terms: Terms) -> bool:
        def work(session: Session, caller: Caller) -> tuple[Claim, Ticket]:
            need_at(caller, Permission.MAKE_CLAIMS, terms.site)
            return self._office.new_ticket(session, terms, caller)

        made = await act(self._services, self._caller, Permission.MAKE_CLAIMS, work)
        if made is None:
            return False
        show_ticket(made[1])
        await self._refresh()
        return True


NO_TICKETS: Final = "<b>No ticket yet.</b>A ticket lets one new camera in: on its card, by cable, or typed."


def show_ticket(ticket: Ticket) -> None:
    """Show a ticket once, to be copied."""
    text = ticket_text(ticket)
    with ui.dialog().props("persistent") as dialog, ui.card().classes("form"):
        ui.label("The ticket, shown only now").classes("subtitle")
        ui.label(text).classes("mono wrapped").mark("ticket")
        ui.label("pehra flash --claim ..., pehra provision, or pehra device enrol take it.").classes(
            "quiet small"
        )
        with ui.element("div").classes("row-line").style("justify-content: flex-end; margin: 8px 0 0"):
            ui.button("Copy", on_click=lambda: ui.clipboard.write(text)).props("flat no-caps")
            ui.button("Done", on_click=dialog.close).props("unelevated no-caps")
    dialog.open()


def claim_html(claim: Claim, state: str) -> str:
    """Return a claim in two lines."""
    what = [claim.device or "any id", claim.site or "any site"]
    what += [f"board {claim.serial}"] if claim.serial else []
    marks = [
        state,
        *(["takes over"] if claim.replaces else []),
        *(["approval"] if claim.needs_approval else []),
    ]
    pills = "".join(f'<span class="pill {COLOURS.get(one, "")}">{escape(one)}</span> ' for one in marks)
    used = f"used {claim.used} of {claim.uses}, until {clock_time(claim.expires_ms)}, by {claim.made_by}"
    said = escape(" · ".join(what))
    return f'<div><b>{said}</b> {pills}</div><div class="quiet small q-mt-xs">{escape(used)}</div>'


def board_html(board: Enrolment) -> str:
    """Return a board that waits in two lines."""
    where = f"{board.device} at {board.site or 'any site'} waits to be let in"
    what = (
        f"{board.board or 'unknown board'}, serial {board.serial or 'unknown'}, key {board.key_sha256[:16]}"
    )
    return f'<div><b>{escape(where)}</b></div><div class="quiet small q-mt-xs">{escape(what)}</div>'


def _buttons(dialog: ui.dialog, label: str, work: Callable[[], Any]) -> None:
    with ui.element("div").classes("row-line").style("justify-content: flex-end; margin: 8px 0 0"):
        ui.button("Cancel", on_click=dialog.close).props("flat no-caps")
        ui.button(label, on_click=work).props("unelevated no-caps")
