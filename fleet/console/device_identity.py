"""Who a device is, on its page: certificates, and the three ways in which it ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from html import escape
from typing import Any, Final

from nicegui import ui
from sqlmodel import Session

from fleet.access.caller import Caller
from fleet.access.reach import need_at
from fleet.access.roles import Permission
from fleet.console.acting import act
from fleet.console.enrol import show_ticket
from fleet.console.frame import ask, spared
from fleet.console.words import clock_time
from fleet.identity.office import replacement_terms
from fleet.identity.revocation import begin_leaving, list_certificates, revoke_device
from fleet.services import Services
from fleet.store.tables_identity import Certificate, Identity
from ota.enrolment import Ticket

STATES: Final = {"active": "good", "leaving": "warn", "retired": "", "revoked": "bad"}


class IdentityCard:
    """Identity of one device on one open page."""

    def __init__(self, services: Services, caller: Caller, device: str) -> None:
        self._services = services
        self._caller = caller
        self._device = device

    async def draw(self) -> None:
        """Put the widgets on the page and fill them; nothing for a device that never enrolled."""
        self._box = ui.element("div").style("width: 100%")
        await self._refresh()

    @spared
    async def _refresh(self) -> None:
        identity, certificates = await ask(self._services, self._read)
        self._box.clear()
        if identity is None:
            return
        with self._box:
            ui.label("Identity").classes("subtitle q-mt-md")
            with ui.element("div").classes("card pad"):
                ui.html(identity_html(identity, certificates), sanitize=False)
                self._draw_actions(identity)

    def _read(self, session: Session) -> tuple[Identity | None, list[Certificate]]:
        return session.get(Identity, self._device), list_certificates(session, self._device)

    def _draw_actions(self, identity: Identity) -> None:
        ways: tuple[tuple[str, Permission, str, Callable[[], Any]], ...] = (
            ("Replace", Permission.REPLACE_DEVICE, REPLACE, self._replace),
            ("Decommission", Permission.DECOMMISSION_DEVICE, LEAVE, self._leave),
            ("Revoke", Permission.REVOKE_DEVICE, REVOKE, self._revoke),
        )
        with ui.element("div").classes("row-line q-mt-md").style("margin-bottom: 0"):
            for label, permission, sentence, work in ways:
                if identity.state == "active" and self._caller.may(permission, identity.site):
                    ui.button(label, on_click=lambda w=work, s=sentence, n=label: self._ask(n, s, w)).props(
                        "outline no-caps"
                    )

    def _ask(self, label: str, sentence: str, work: Callable[[], Any]) -> None:
        with ui.dialog() as dialog, ui.card().classes("form"):
            ui.label(f"{label} {self._device}?").classes("subtitle")
            ui.label(sentence)

            async def go() -> None:
                dialog.close()
                await work()

            with ui.element("div").classes("row-line").style("justify-content: flex-end; margin: 8px 0 0"):
                ui.button("Cancel", on_click=dialog.close).props("flat no-caps")
                ui.button(label, on_click=go).props("unelevated no-caps")
        dialog.open()

    async def _replace(self) -> None:
        office = self._services.office
        if office is None:
            return

        def work(session: Session, caller: Caller) -> Ticket:
            terms = replacement_terms(session, self._device, "")
            need_at(caller, Permission.REPLACE_DEVICE, terms.site)
            return office.new_ticket(session, terms, caller)[1]

        ticket = await act(self._services, self._caller, Permission.REPLACE_DEVICE, work)
        if ticket is not None:
            show_ticket(ticket)

    async def _revoke(self) -> None:
        await self._end(
            Permission.REVOKE_DEVICE,
            lambda s, caller: revoke_device(s, self._device, "keyCompromise", datetime.now(UTC), caller),
        )

    async def _leave(self) -> None:
        await self._end(
            Permission.DECOMMISSION_DEVICE,
            lambda s, caller: begin_leaving(s, self._device, datetime.now(UTC), caller),
        )

    async def _end(self, permission: Permission, change: Callable[[Session, Caller], Identity]) -> None:
        def work(session: Session, caller: Caller) -> Identity:
            known = session.get(Identity, self._device)
            need_at(caller, permission, known.site if known else "")
            return change(session, caller)

        if await act(self._services, self._caller, permission, work):
            self._services.keeper_wake()
            await self._refresh()


REPLACE: Final = (
    "You get a ticket for the new board. It takes over id, site, configuration, rules and history; "
    "this one's certificates end when it enrols."
)
LEAVE: Final = (
    "It is told to wipe its key, its certificate and its state. Its history stays until it expires."
)
REVOKE: Final = (
    "For a stolen camera: nothing it says is taken any more, and its session ends within a minute."
)


def identity_html(identity: Identity, certificates: list[Certificate]) -> str:
    """Return state, board and the standing certificate as facts."""
    standing = next((one for one in certificates if one.revoked_ms is None), None)
    until = f"until {clock_time(standing.end_ms)}, number {standing.number}" if standing else "none stands"
    facts = [
        ("State", f"{identity.state}{f' ({identity.reason})' if identity.reason else ''}"),
        ("Since", clock_time(identity.since_ms)),
        ("Board", f"{identity.board or 'unknown'}, serial {identity.serial or 'unknown'}"),
        ("Certificate", until),
    ]
    dot = f'<i class="dot {STATES.get(identity.state, "")}"></i> '
    cells = "".join(
        f'<span class="k">{name}</span><span class="v">{dot if name == "State" else ""}{escape(text)}</span>'
        for name, text in facts
    )
    return f'<div class="facts">{cells}</div>'
