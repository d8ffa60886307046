"""What a device runs, what is wanted of it, how far its update is, its rollouts, and its tags."""

from __future__ import annotations

from typing import Final

from nicegui import ui
from sqlmodel import Session

from fleet.access.caller import Caller
from fleet.access.reach import reach_device
from fleet.access.roles import Permission
from fleet.console.acting import act
from fleet.console.frame import ask, now_ms, spared
from fleet.console.update_words import read_updates, updates_html
from fleet.errors import Forbidden, NotFound
from fleet.rollouts.tags import set_tags, tags_of
from fleet.services import Services
from fleet.store.tables import Device

REFRESH_S: Final = 2.0


class UpdatesView:
    """The updates of one device on one open page."""

    def __init__(self, services: Services, caller: Caller, device: Device) -> None:
        self._services = services
        self._caller = caller
        self._id = device.id
        self._may_tag = caller.may(Permission.CHANGE_CONFIG, device.site)

    async def draw(self) -> None:
        """Put the widgets on the page and fill them."""
        self._shown = ui.html("", sanitize=False).style("width: 100%").mark("updates")
        self._tags: list[str] | None = None
        with ui.element("div").classes("card pad q-mt-md") as self._card:
            ui.label("Tags").classes("subtitle")
            ui.label("Words by which a rollout's filter can mean this device: tag:night.").classes(
                "quiet small"
            )
            self._chips = ui.element("div").classes("chips")
            if self._may_tag:
                self._field = (
                    ui.input("New tag")
                    .props("outlined dense maxlength=40 autocapitalize=none")
                    .classes("new-tag")
                )
                self._field.on("keydown.enter", self._add)
                with self._field.add_slot("append"):
                    ui.button(icon="add", on_click=self._add).props(
                        "flat round dense aria-label='Add the tag'"
                    )
        await self._refresh()
        ui.timer(REFRESH_S, self._refresh)

    @spared
    async def _refresh(self) -> None:
        try:
            updates = await ask(self._services, lambda s: read_updates(s, self._id, self._caller))
        except (NotFound, Forbidden):
            return
        self._shown.set_content(updates_html(updates, now_ms(), sees_rollouts=self._caller.sees_all))
        self._show_tags(updates.tags)

    def _show_tags(self, tags: list[str]) -> None:
        if tags == self._tags:
            return
        self._tags = tags
        self._chips.clear()
        with self._chips:
            for tag in tags:
                self._draw_tag(tag)
            if not tags:
                ui.label("No tag yet.").classes("quiet")

    def _draw_tag(self, tag: str) -> None:
        with ui.element("span").classes("pill tag"):
            ui.label(tag)
            if self._may_tag:
                ui.button(icon="close", on_click=lambda: self._set(drop=tag)).props(
                    f"flat round dense size=xs aria-label='Remove the tag {tag}'"
                )

    async def _add(self) -> None:
        tag = (self._field.value or "").strip().lower()
        if tag and await self._set(add=tag):
            self._field.set_value("")

    async def _set(self, *, add: str = "", drop: str = "") -> bool:
        """Change one tag; what others changed meanwhile stays."""

        def work(session: Session, caller: Caller) -> list[str] | bool:
            reach_device(session, caller, Permission.CHANGE_CONFIG, self._id)
            wanted = (set(tags_of(session, self._id)) | ({add} - {""})) - {drop}
            return set_tags(session, self._id, wanted, caller) or True

        with self._card:  # the chip whose button was pressed may go meanwhile
            done = await act(self._services, self._caller, Permission.CHANGE_CONFIG, work)
            if done is not None:
                self._services.rollouts.wake()
                await self._refresh()
        return done is not None
