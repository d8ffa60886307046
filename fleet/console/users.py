"""Users, for owners: add, roles, password, disable, unlock."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any, Final

from nicegui import ui
from sqlmodel import Session

from fleet.access import users
from fleet.access.caller import Caller, Grant, site_prefix
from fleet.access.lists import page_users
from fleet.access.roles import Permission, Role, role_of
from fleet.access.users import Person
from fleet.console.acting import act
from fleet.console.frame import ask, now_ms, page_frame, spared
from fleet.errors import BadInput
from fleet.services import Services

SHOWN: Final = 100
Change = Callable[[Session, Caller], Any]
NO_ROLE: Final = '<span class="quiet">no role: sees nothing</span>'
ROLE_NAMES: Final = [str(role) for role in Role]


def add_page(services: Services) -> None:
    """Register `/users`."""

    @ui.page("/users", title="Users · Pehra")
    async def users_page() -> None:
        with page_frame(services, "/users") as caller:
            await UsersView(services, caller).draw()


class UsersView:
    """The list of users of one open page."""

    def __init__(self, services: Services, caller: Caller) -> None:
        caller.need(Permission.MANAGE_USERS)
        self._services = services
        self._caller = caller
        self._shown = SHOWN

    async def draw(self) -> None:
        """Put the widgets on the page and fill them."""
        with ui.element("div").classes("row-line q-mt-lg"):
            ui.label("Users").classes("title grow")
            ui.button("Add a user", on_click=self._ask_new).props("no-caps unelevated")
        self._list = ui.element("div").classes("card people")
        await self._refresh()

    @spared
    async def _refresh(self) -> None:
        page = await ask(self._services, lambda session: page_users(session, now_ms(), limit=self._shown))
        self._list.clear()
        with self._list:
            for person in page.items:
                self._draw_person(person)
            if page.next_cursor is not None:
                ui.button("Show more", on_click=self._show_more).props("flat no-caps")

    async def _show_more(self) -> None:
        self._shown += SHOWN
        await self._refresh()

    def _draw_person(self, person: Person) -> None:
        with ui.element("div").classes("person"):
            ui.html(person_html(person, now_ms()), sanitize=False).classes("grow")
            with ui.button("Change", icon="expand_more").props("flat no-caps dense"), ui.menu():
                for label, work in self._actions(person):
                    ui.menu_item(label, on_click=work)

    def _actions(self, person: Person) -> list[tuple[str, Callable[[], Any]]]:
        name = person.name
        actions: list[tuple[str, Callable[[], Any]]] = [("Roles", lambda: self._ask_roles(person))]
        if person.has_password:
            actions.append(("Reset password", lambda: self._ask_password(name)))
        if person.waits_until_ms:
            actions.append(("Unlock", lambda: self._do(users.unlock_user, name, "Unlocked")))
        if person.has_totp:
            actions.append(("Take TOTP away", lambda: self._do(users.reset_totp, name, "TOTP taken away")))
        if person.is_disabled:
            actions.append(("Enable", lambda: self._do(users.enable_user, name, "Enabled")))
        else:
            actions.append(("Disable", lambda: self._do(users.disable_user, name, "Disabled")))
        return actions

    async def _do(self, change: Callable[..., None], name: str, said: str) -> None:
        await self._change(lambda s, caller: change(s, caller, name, now_ms=now_ms()), f"{said}: {name}")

    async def _change(self, change: Change, said: str) -> bool:
        def work(session: Session, caller: Caller) -> bool:
            change(session, caller)
            return True

        if not await act(self._services, self._caller, Permission.MANAGE_USERS, work):
            return False
        ui.notify(said, type="positive")
        await self._refresh()
        return True

    def _ask_new(self) -> None:
        with ui.dialog() as dialog, ui.card().classes("form"):
            ui.label("Add a user").classes("subtitle")
            name = ui.input("Name").props("outlined dense autocomplete=off")
            password = ui.input("First password", password=True).props(
                "outlined dense autocomplete=new-password"
            )
            grants = GrantsEditor([Grant(Role.VIEWER)])

            async def add() -> None:
                wanted = grants.read()
                if wanted is not None and await self._change(
                    lambda s, caller: users.add_user(
                        s, caller, name.value, password.value, wanted, now_ms=now_ms()
                    ),
                    "Added",
                ):
                    dialog.close()

            _buttons(dialog, "Add", add)
        dialog.open()

    def _ask_roles(self, person: Person) -> None:
        with ui.dialog() as dialog, ui.card().classes("form"):
            ui.label(f"Roles of {person.name}").classes("subtitle")
            grants = GrantsEditor(list(person.grants))

            async def give() -> None:
                wanted = grants.read()
                if wanted is not None and await self._change(
                    lambda s, caller: users.set_grants(s, caller, person.name, wanted, now_ms=now_ms()),
                    f"Roles given: {person.name}",
                ):
                    dialog.close()

            _buttons(dialog, "Give these roles", give)
        dialog.open()

    def _ask_password(self, name: str) -> None:
        with ui.dialog() as dialog, ui.card().classes("form"):
            ui.label(f"A new password for {name}").classes("subtitle")
            password = ui.input("Password", password=True).props("outlined dense autocomplete=new-password")

            async def reset() -> None:
                if await self._change(
                    lambda s, caller: users.reset_password(s, caller, name, password.value, now_ms=now_ms()),
                    f"Password set, sessions ended: {name}",
                ):
                    dialog.close()

            _buttons(dialog, "Set password", reset)
        dialog.open()


class GrantsEditor:
    """Rows of role and site."""

    def __init__(self, grants: list[Grant]) -> None:
        self._rows: list[tuple[ui.select, ui.input]] = []
        self._box = ui.element("div").style("width: 100%")
        for grant in grants:
            self._add(grant)
        ui.button("One more role", on_click=lambda: self._add(Grant(Role.VIEWER))).props("flat dense no-caps")

    def read(self) -> list[Grant] | None:
        """Return the grants, or None after saying what is wrong."""
        try:
            return [Grant(role_of(role.value), site_prefix(site.value or "")) for role, site in self._rows]
        except BadInput as error:
            ui.notify(str(error), type="negative")
            return None

    def _add(self, grant: Grant) -> None:
        with self._box, ui.element("div").classes("row-line") as line:
            role = ui.select(ROLE_NAMES, value=str(grant.role), label="Role").props("outlined dense")
            site = ui.input("Site (empty: everywhere)", value=grant.site).props("outlined dense")
            row = (role.style("width: 150px"), site.classes("grow"))
            self._rows.append(row)

            def remove() -> None:
                self._rows.remove(row)
                line.delete()

            ui.button(icon="close", on_click=remove).props("flat dense round aria-label='Remove role'")


def person_html(person: Person, moment_ms: int) -> str:
    """Return a user in two lines."""
    roles = "".join(f'<span class="pill">{escape(str(one))}</span> ' for one in person.grants)
    marks = [
        ("bad", "disabled", person.is_disabled),
        ("warn", "waits after wrong log-ins", person.waits_until_ms > moment_ms),
        ("", "TOTP", person.has_totp),
        ("", "single sign-on", person.is_single_sign_on),
    ]
    said = "".join(f'<span class="pill {colour}">{word}</span> ' for colour, word, holds in marks if holds)
    return f'<div><b>{escape(person.name)}</b> {said}</div><div class="q-mt-xs">{roles or NO_ROLE}</div>'


def _buttons(dialog: ui.dialog, label: str, work: Callable[[], Any]) -> None:
    with ui.element("div").classes("row-line").style("justify-content: flex-end; margin: 8px 0 0"):
        ui.button("Cancel", on_click=dialog.close).props("flat no-caps")
        ui.button(label, on_click=work).props("unelevated no-caps")
