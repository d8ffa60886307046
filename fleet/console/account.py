"""One's own account: password, TOTP, sessions, API tokens."""

from __future__ import annotations

from typing import Any, Final

from nicegui import ui
from sqlmodel import Session

from fleet.access.caller import Caller
from fleet.access.lists import page_sessions
from fleet.access.roles import MEANINGS, Permission
from fleet.access.second_factor import begin_totp, confirm_totp, drop_totp
from fleet.access.sessions import end_own_session, public_id
from fleet.access.tokens import NOT_FOR_TOKENS, list_tokens, make_token, revoke_token
from fleet.access.users import change_password, get_user
from fleet.console.acting import act
from fleet.console.frame import ask, now_ms, page_frame, spared
from fleet.console.words import ago, clock_time
from fleet.services import Services
from fleet.store.tables_people import ApiToken, LoginSession

SESSIONS_SHOWN: Final = 50


def add_page(services: Services) -> None:
    """Register `/account`."""

    @ui.page("/account", title="Your account · Pehra")
    async def account_page() -> None:
        with page_frame(services, "/account") as caller:
            ui.label(caller.name).classes("title q-mb-md")
            with ui.element("div").classes("two"):
                await SecretsView(services, caller).draw()
                await SessionsView(services, caller).draw()
            if caller.has(Permission.MANAGE_TOKENS):
                await TokensView(services, caller).draw()


class SecretsView:
    """Password and TOTP."""

    def __init__(self, services: Services, caller: Caller) -> None:
        self._services = services
        self._caller = caller

    async def draw(self) -> None:
        """Put the widgets on the page."""
        name = self._caller.name

        def state(session: Session) -> tuple[bool, bool]:
            user = get_user(session, name)
            return user.password is not None, user.totp_secret is not None

        has_password, has_totp = await ask(self._services, state)
        with ui.element("div").classes("card pad"):
            if not has_password:
                ui.label("You log in by single sign-on: password and second factor are its provider's.")
                return
            self._draw_password()
            self._box = ui.element("div").classes("q-mt-lg")
            with self._box:
                self._draw_totp(is_on=has_totp)

    def _draw_password(self) -> None:
        ui.label("Password").classes("subtitle")
        old = _secret("Password now", "current-password")
        new = _secret("New password (at least 12 letters)", "new-password")

        def change(session: Session, caller: Caller) -> bool:
            change_password(session, caller, old.value, new.value, now_ms=now_ms())
            return True

        async def work() -> None:
            if await act(self._services, self._caller, None, change):
                ui.navigate.to("/login")

        ui.button("Change; all sessions end", on_click=work).props("no-caps unelevated")

    def _draw_totp(self, *, is_on: bool) -> None:
        ui.label("Second factor (TOTP)").classes("subtitle")
        ui.label("On: log-in asks for a code." if is_on else "Off: log-in asks for the password alone.")
        password = _secret("Password", "current-password")

        async def begin() -> None:
            begun = await act(
                self._services,
                self._caller,
                None,
                lambda s, caller: begin_totp(s, caller, password.value, now_ms=now_ms()),
            )
            if begun is not None:
                self._box.clear()
                with self._box:
                    self._draw_confirmation(begun.secret, begun.uri)

        async def drop() -> None:
            def work(session: Session, caller: Caller) -> bool:
                drop_totp(session, caller, password.value, now_ms=now_ms())
                return True

            if await act(self._services, self._caller, None, work):
                ui.navigate.reload()

        ui.button("Turn off" if is_on else "Begin", on_click=drop if is_on else begin).props(
            "no-caps outline"
        )

    def _draw_confirmation(self, secret: str, uri: str) -> None:
        ui.label("Second factor (TOTP)").classes("subtitle")
        ui.label("Give this to your authenticator app, then type the code that it shows.").classes("quiet")
        ui.label(secret).classes("mono wrapped q-my-sm")
        ui.label(uri).classes("mono wrapped quiet small q-mb-sm")
        code = ui.input("Code").props("outlined dense autocomplete=one-time-code")

        async def confirm() -> None:
            codes = await act(
                self._services,
                self._caller,
                None,
                lambda s, caller: confirm_totp(s, caller, code.value, now_ms=now_ms()),
            )
            if codes is not None:
                self._box.clear()
                with self._box:
                    ui.label("TOTP is on. Recovery codes").classes("subtitle")
                    ui.label("Each stands in for the phone once. They are not shown again.").classes("quiet")
                    ui.label("\n".join(codes)).classes("mono").style("white-space: pre")

        ui.button("Turn on", on_click=confirm).props("no-caps unelevated")


class SessionsView:
    """The browsers in which one is logged in."""

    def __init__(self, services: Services, caller: Caller) -> None:
        self._services = services
        self._caller = caller

    async def draw(self) -> None:
        """Put the widgets on the page and fill them."""
        with ui.element("div").classes("card pad"):
            ui.label("Sessions").classes("subtitle")
            self._list = ui.element("div")
        await self._refresh()

    @spared
    async def _refresh(self) -> None:
        page = await ask(
            self._services,
            lambda session: page_sessions(session, self._caller.user_id, now_ms(), limit=SESSIONS_SHOWN),
        )
        self._list.clear()
        with self._list:
            for row in page.items:
                self._draw_row(row)

    def _draw_row(self, row: LoginSession) -> None:
        is_this = row.hash == self._caller.session
        with ui.element("div").classes("person"):
            with ui.element("div").classes("grow"):
                ui.label(f"{row.address}{' · this one' if is_this else ''}")
                ui.label(row.agent or "no name").classes("quiet small wrapped")
                ui.label(f"since {clock_time(row.made_ms)}, used {ago(row.seen_ms, now_ms())}").classes(
                    "quiet small"
                )
            ui.button("End", on_click=lambda: self._end(public_id(row))).props("flat no-caps dense")

    async def _end(self, public: str) -> None:
        def work(session: Session, caller: Caller) -> bool:
            end_own_session(session, caller, public, now_ms())
            return True

        if await act(self._services, self._caller, None, work):
            await self._refresh()


class TokensView:
    """One's API tokens."""

    def __init__(self, services: Services, caller: Caller) -> None:
        self._services = services
        self._caller = caller

    async def draw(self) -> None:
        """Put the widgets on the page and fill them."""
        with ui.element("div").classes("card pad q-mt-md"):
            ui.label("API tokens").classes("subtitle")
            ui.label("For programs, in the header Authorization: Bearer pehra_…, never in a URL.").classes(
                "quiet"
            )
            self._list = ui.element("div")
            self._draw_form()
            self._made = ui.element("div")
        await self._refresh()

    def _draw_form(self) -> None:
        held = {
            str(one): f"{one}: {MEANINGS[one]}"
            for one in Permission
            if self._caller.has(one) and one not in NOT_FOR_TOKENS
        }
        with ui.element("div").classes("row-line q-mt-md"):
            name = ui.input("Name").props("outlined dense")
            permissions = ui.select(held, label="May", multiple=True, value=[]).props("outlined dense")
            site = ui.input("Site (empty: all of yours)").props("outlined dense")
            days = ui.number("Days", value=90, min=1, max=366, precision=0).props("outlined dense")

            async def make() -> None:
                wanted: dict[str, Any] = {"days": int(days.value or 0), "now_ms": now_ms()}
                sites = [site.value] if site.value else []
                made = await act(
                    self._services,
                    self._caller,
                    Permission.MANAGE_TOKENS,
                    lambda s, caller: make_token(s, caller, name.value, permissions.value, sites, **wanted),
                )
                if made is not None:
                    await self._show_made(made[1])

            permissions.style("min-width: 240px; max-width: 420px")
            ui.button("Make a token", on_click=make).props("no-caps unelevated")

    async def _show_made(self, token: str) -> None:
        self._made.clear()
        with self._made:
            ui.label("Copy it now, it is not shown again:").classes("quiet")
            ui.label(token).classes("mono wrapped")
        await self._refresh()

    @spared
    async def _refresh(self) -> None:
        rows = await ask(self._services, lambda session: list_tokens(session, self._caller.user_id))
        self._list.clear()
        with self._list:
            for row in rows:
                self._draw_row(row)

    def _draw_row(self, row: ApiToken) -> None:
        with ui.element("div").classes("person"):
            with ui.element("div").classes("grow"):
                ui.label(row.name)
                where = ", ".join(site or "everywhere" for site in row.sites)
                ui.label(f"pehra_{row.id}_… · {', '.join(row.permissions)} · {where}").classes("quiet small")
                ui.label(f"until {clock_time(row.expires_ms)}").classes("quiet small")
            ui.button("Revoke", on_click=lambda: self._revoke(row.id)).props("flat no-caps dense")

    async def _revoke(self, public: str) -> None:
        def work(session: Session, caller: Caller) -> bool:
            revoke_token(session, caller, public, now_ms())
            return True

        if await act(self._services, self._caller, Permission.MANAGE_TOKENS, work):
            await self._refresh()


def _secret(label: str, autocomplete: str) -> ui.input:
    field = ui.input(label, password=True)
    field.props(f"outlined dense autocomplete={autocomplete}").classes("q-mb-sm")
    return field
