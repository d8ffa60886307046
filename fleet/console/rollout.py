"""One rollout, live: what it waits for, its stages, why devices failed, and what one may do with it."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Standing:
    """What the page shows at one moment.

    Attributes:
        coming: who would get it now, of one that has not begun.
    """

    seen: RolloutShown
    coming: Preview | None = None


def add_page(services: Services) -> None:
    """Register `/rollouts/{rollout}`."""

    @ui.page("/rollouts/{rollout}", title="Rollout · Pehra")
    async def rollout_page(rollout: str, state: str = "", cursor: str = "") -> None:
        with page_frame(services, "/rollouts") as caller:
            try:
                standing = await ask(services, lambda session: _open(session, word_of(rollout), caller))
            except NotFound as error:
                empty_state("No such rollout.", escape(str(error)))
                return
            ui.page_title(f"{standing.seen.rollout.name} · Pehra")
            await RolloutView(services, caller, standing, state=state, cursor=cursor).draw()


def _open(session: Session, rollout_id: str, caller: Caller) -> Standing:
    """Return how a rollout stands, and keep that somebody looks."""
    audit.look(session, caller, "rollout.open", get_rollout(session, rollout_id).name, at_ms=now_ms())
    return read_standing(session, rollout_id)


def read_standing(session: Session, rollout_id: str) -> Standing:
    """Return how a rollout stands; of one that waits for approval also who would get it now.

    Raises:
        NotFound: there is none.
    """
    rollout = get_rollout(session, rollout_id)
    seen = show(session, rollout)
    if rollout.state != "pending":
        return Standing(seen)
    try:
        return Standing(seen, preview(session, seen.release, rollout.filter, rollout.stages))
    except BadInput:  # its filter was written by another version
        return Standing(seen)


class RolloutView:
    """One open page of one rollout."""

    def __init__(
        self, services: Services, caller: Caller, standing: Standing, *, state: str, cursor: str
    ) -> None:
        self._services = services
        self._id = standing.seen.rollout.id
        self._standing = standing
        self._buttons = RolloutButtons(services, caller, self._refresh)
        self._members = MembersTable(services, self._id, state=state, cursor=cursor)

    async def draw(self) -> None:
        """Put the widgets on the page and fill them."""
        with ui.element("div").classes("row-line"):
            ui.label(self._standing.seen.rollout.name).classes("title wrapped")
            self._head = ui.html("", sanitize=False).classes("grow quiet")
            self._buttons.draw()
        self._why = ui.html("", sanitize=False).style("width: 100%").mark("why")
        self._coming = ui.html("", sanitize=False).style("width: 100%")
        self._stages = ui.html("", sanitize=False).style("width: 100%").mark("stages")
        self._errors = ui.html("", sanitize=False).style("width: 100%").mark("errors")
        self._members.draw()
        with ui.expansion("How it goes").classes("card folded q-mt-lg"):
            self._facts = ui.html("", sanitize=False)
        self._show()
        await self._members.refresh()
        ui.timer(REFRESH_S, self._refresh)

    @spared
    async def _refresh(self) -> None:
        try:
            self._standing = await ask(self._services, lambda session: read_standing(session, self._id))
        except NotFound:
            ui.navigate.reload()
            return
        self._show()
        await self._members.refresh()

    def _show(self) -> None:
        seen, coming = self._standing.seen, self._standing.coming
        rollout = seen.rollout
        self._head.set_content(head_html(seen))
        self._why.set_content(why_html(rollout))
        self._coming.set_content(preview_html(coming, seen.release) if coming else "")
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
