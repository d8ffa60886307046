"""One rollout, live: what it waits for, its stages, why devices failed, and what one may do with it."""

from __future__ import annotations

import time
from html import escape
from typing import Final

from nicegui import ui
from sqlmodel import Session

from fleet.access import audit
from fleet.access.caller import Caller
from fleet.console.frame import ask, empty_state, now_ms, page_frame, spared
from fleet.console.preview_words import preview_html
from fleet.console.rollout_buttons import RolloutButtons
from fleet.console.rollout_members import MembersTable
from fleet.console.rollout_words import errors_html, facts_html, stages_html, state_html, why_html
from fleet.console.words import word_of
from fleet.errors import BadInput, NotFound
from fleet.rollouts.acting import get_rollout
from fleet.rollouts.gather import settings_in
from fleet.rollouts.preview import Preview, preview
from fleet.rollouts.show import RolloutShown, show
from fleet.services import Services
from fleet.store.tables_rollouts import Release

REFRESH_S: Final = 1.0
COUNT_REST: Final = 20.0
"""After a count of who would get it the next one comes after so many times its length."""


def add_page(services: Services) -> None:
    """Register `/rollouts/{rollout}`."""

    @ui.page("/rollouts/{rollout}", title="Rollout · Pehra")
    async def rollout_page(rollout: str, state: str = "", cursor: str = "") -> None:
        with page_frame(services, "/rollouts") as caller:
            try:
                seen = await ask(services, lambda session: _open(session, word_of(rollout), caller))
            except NotFound as error:
                empty_state("No such rollout.", escape(str(error)))
                return
            ui.page_title(f"{seen.rollout.name} · Pehra")
            await RolloutView(services, caller, seen, state=state, cursor=cursor).draw()


def _open(session: Session, rollout_id: str, caller: Caller) -> RolloutShown:
    """Return how a rollout stands, and keep that somebody looks.

    Raises:
        NotFound: there is none.
    """
    audit.look(session, caller, "rollout.open", get_rollout(session, rollout_id).name, at_ms=now_ms())
    return show(session, get_rollout(session, rollout_id))


def read_coming(session: Session, rollout_id: str) -> Preview | None:
    """Return who would get it now; None where its filter cannot be read any more."""
    rollout = get_rollout(session, rollout_id)
    try:
        return preview(session, session.get_one(Release, rollout.release), rollout.filter, rollout.stages)
    except BadInput:
        return None


class RolloutView:
    """One open page of one rollout."""

    def __init__(
        self, services: Services, caller: Caller, seen: RolloutShown, *, state: str, cursor: str
    ) -> None:
        self._services = services
        self._id = seen.rollout.id
        self._seen = seen
        self._coming: Preview | None = None
        self._counted_until_s = 0.0
        self._buttons = RolloutButtons(services, caller, self._refresh)
        self._members = MembersTable(services, self._id, state=state, cursor=cursor)

    async def draw(self) -> None:
        """Put the widgets on the page and fill them."""
        with ui.element("div").classes("row-line"):
            ui.label(self._seen.rollout.name).classes("title wrapped")
            self._head = ui.html("", sanitize=False).classes("grow quiet")
            self._buttons.draw()
        self._why = ui.html("", sanitize=False).style("width: 100%").mark("why")
        self._coming_shown = ui.html("", sanitize=False).style("width: 100%")
        self._stages = ui.html("", sanitize=False).style("width: 100%").mark("stages")
        self._errors = ui.html("", sanitize=False).style("width: 100%").mark("errors")
        self._members.draw()
        with ui.expansion("How it goes").classes("card folded q-mt-lg"):
            self._facts = ui.html("", sanitize=False)
        await self._count()
        self._show()
        await self._members.refresh()
        ui.timer(REFRESH_S, self._refresh)

    @spared
    async def _refresh(self) -> None:
        try:
            self._seen = await ask(self._services, lambda s: show(s, get_rollout(s, self._id)))
        except NotFound:
            ui.navigate.reload()
            return
        await self._count()
        self._show()
        await self._members.refresh()

    async def _count(self) -> None:
        """Count who would get one that waits for approval; in a large fleet not every second."""
        if self._seen.rollout.state != "pending":
            self._coming = None
        elif (began_s := time.monotonic()) >= self._counted_until_s:
            self._coming = await ask(self._services, lambda session: read_coming(session, self._id))
            ended_s = time.monotonic()
            self._counted_until_s = ended_s + COUNT_REST * (ended_s - began_s)

    def _show(self) -> None:
        seen, coming = self._seen, self._coming
        rollout = seen.rollout
        self._head.set_content(head_html(seen))
        self._why.set_content(why_html(rollout))
        self._coming_shown.set_content(preview_html(coming, seen.release) if coming else "")
        self._stages.set_content("" if coming else stages_html(seen))
        self._errors.set_content(errors_html(rollout.id, seen.errors))
        self._facts.set_content(facts_html(rollout, seen.release, settings_in(rollout)))
        self._members.show(is_there=rollout.state != "pending")
        self._buttons.show(rollout)


def head_html(seen: RolloutShown) -> str:
    """Return the state, the release and the devices that are meant, in one line."""
    release: Release = seen.release
    what = f"{release.name} {release.version} ({release.kind})"
    return (
        f"{state_html(seen.rollout)} &nbsp;·&nbsp; {escape(what)} &nbsp;·&nbsp; "
        f'<span class="mono">{escape(seen.rollout.filter)}</span>'
    )
