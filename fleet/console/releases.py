"""What can be rolled out: releases, what each is, how many devices run it; roll out and withdraw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nicegui import ui
from sqlmodel import Session

from fleet.access.caller import Caller
from fleet.access.roles import Permission
from fleet.console.acting import act
from fleet.console.asking import ask_first
from fleet.console.frame import ask, empty_state, page_frame, spared
from fleet.console.release_words import card_html, release_html, running_html
from fleet.console.rollouts import draw_places
from fleet.console.words import url_of
from fleet.rollouts.facts import count_running
from fleet.rollouts.releases import list_releases, withdraw_release
from fleet.services import Services
from fleet.store.tables_rollouts import Release

REFRESH_S: Final = 5.0
SHOWN: Final = 50


@dataclass(frozen=True, slots=True)
class Shelf:
    """The releases, and how many devices run what."""

    releases: list[Release]
    running: dict[tuple[str, str], int]

    def running_of(self, release: Release) -> int:
        """Return how many devices run a release; of an operating system, how many have installed it last."""
        return self.running.get((release.kind, release.mark), 0)


def add_page(services: Services) -> None:
    """Register `/releases`."""

    @ui.page("/releases", title="Releases · Pehra")
    async def releases_page(show: str = "") -> None:
        with page_frame(services, "/rollouts") as caller:
            await ReleasesView(services, caller, opened=show).draw()


def read_shelf(session: Session) -> Shelf:
    """Return all releases, newest first."""
    return Shelf(list_releases(session), count_running(session))


class ReleasesView:
    """The list of one open page; which release lies open is in the URL."""

    def __init__(self, services: Services, caller: Caller, *, opened: str) -> None:
        self._services = services
        self._caller = caller
        self._opened = opened
        self._shown = SHOWN
        self._drawn: list[tuple[str, str]] = []
        self._lines: dict[str, ui.html] = {}

    async def draw(self) -> None:
        """Put the widgets on the page and fill them."""
        with ui.element("div").classes("row-line"):
            draw_places("/releases")
        self._empty = ui.element("div").style("width: 100%")
        self._list = ui.element("div").classes("card people")
        self._questions = ui.element("div")
        self._drawer = ui.dialog().props("position=right full-height")
        self._drawer.on_value_change(self._on_drawer)
        with self._drawer, ui.card().classes("drawer"):
            self._card = ui.element("div").style("width: 100%")
        await self._refresh()
        if release := next((one for one in self._shelf.releases if one.id == self._opened), None):
            self._open(release)
        ui.timer(REFRESH_S, self._refresh)

    @spared
    async def _refresh(self) -> None:
        self._shelf = shelf = await ask(self._services, read_shelf)
        shown = shelf.releases[: self._shown]
        if (now := [(one.id, one.state) for one in shown]) != self._drawn:
            self._drawn = now
            self._redraw(shown)
        for release in shown:
            self._lines[release.id].set_content(
                release_html(release, running_html(shelf.running_of(release)))
            )
        self._list.set_visibility(bool(shown))
        self._say_empty(is_empty=not shown)

    def _redraw(self, shown: list[Release]) -> None:
        self._list.clear()
        self._lines.clear()
        with self._list:
            for release in shown:
                self._draw_release(release)
            if len(self._shelf.releases) > len(shown):
                ui.button("Show more", on_click=self._show_more).props("flat no-caps")

    def _draw_release(self, release: Release) -> None:
        with ui.element("div").classes("person release"):
            self._lines[release.id] = ui.html("", sanitize=False).classes("grow")
            with ui.element("div").classes("deeds"):
                ui.button("Details", on_click=lambda: self._open(release)).props("flat no-caps dense")
                if self._caller.has(Permission.MANAGE_ROLLOUTS) and release.state == "ready":
                    ui.button("Withdraw", on_click=lambda: self._ask_withdraw(release)).props(
                        "flat no-caps dense"
                    )
                    to = url_of("/rollouts/new", release=release.id)
                    ui.button("Roll out", on_click=lambda: ui.navigate.to(to)).props(
                        "unelevated no-caps dense padding='4px 12px'"
                    )

    async def _show_more(self) -> None:
        self._shown += SHOWN
        await self._refresh()

    def _open(self, release: Release) -> None:
        self._card.clear()
        with self._card:
            with ui.element("div").classes("row-line"):
                ui.label(f"{release.name} {release.version}").classes("title grow wrapped")
                ui.button(icon="close", on_click=self._drawer.close).props(
                    "flat round dense aria-label=Close"
                )
            ui.html(card_html(release), sanitize=False)
        self._drawer.open()
        ui.navigate.history.replace(url_of("/releases", show=release.id))

    def _on_drawer(self) -> None:
        if not self._drawer.value:
            ui.navigate.history.replace("/releases")

    def _ask_withdraw(self, release: Release) -> None:
        running = self._shelf.running_of(release)
        keep = f" {running} that run it keep it." if running else ""
        ask_first(
            self._questions,
            f"Withdraw {release.name} {release.version}?",
            f"No new rollout can use it, and that cannot be undone. Rollouts that run go on.{keep}",
            "Withdraw",
            lambda: self._withdraw(release),
        )

    async def _withdraw(self, release: Release) -> None:
        def work(session: Session, caller: Caller) -> Release:
            return withdraw_release(session, release.id, caller)

        done = await act(self._services, self._caller, Permission.MANAGE_ROLLOUTS, work)
        if done is not None:
            ui.notify(f"Withdrawn: {done.name} {done.version}", type="positive")
        await self._refresh()

    def _say_empty(self, *, is_empty: bool) -> None:
        self._empty.set_visibility(is_empty)
        if is_empty and not self._empty.default_slot.children:
            with self._empty:
                empty_state(
                    "No release yet.",
                    "A release is signed away from this machine and then made known to the fleet: "
                    "<b class='mono'>pehra ota publish</b>, or "
                    "<b class='mono'>pehra rollout release add</b>.",
                )
