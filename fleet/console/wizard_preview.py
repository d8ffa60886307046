"""Who would get it, beside the wizard: asked at each change and every few seconds, as fast as it can."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from nicegui import ui
from sqlmodel import Session

from fleet.console.frame import ask, spared
from fleet.console.preview_words import preview_html
from fleet.console.wizard_draft import Draft, find_errors
from fleet.errors import BadInput, NotFound
from fleet.rollouts.preview import Preview, preview
from fleet.rollouts.releases import get_release
from fleet.services import Services
from fleet.store.tables_rollouts import Release

REFRESH_S: Final = 5.0
REST: Final = 20.0
"""After an answer that took long the next one by itself comes after so many times its length."""
HOLLOW: Final = (
    '<div class="card empty slim"><b>Who would get it</b>You see it here, with numbers, as soon as there is '
    "a release and a filter without a mistake.</div>"
)


class PreviewCard:
    """The card of one open wizard.

    Args:
        services: of this fleet.
        on_seen: called with each answer, None where there is none.
    """

    def __init__(self, services: Services, on_seen: Callable[[Preview | None], None]) -> None:
        self._services = services
        self._on_seen = on_seen
        self._draft = Draft()
        self._rests_until_s = 0.0

    def draw(self) -> None:
        """Put the card on the page."""
        self._shown = ui.html(HOLLOW, sanitize=False).style("width: 100%").mark("preview")
        ui.timer(REFRESH_S, self._renew, immediate=False)

    @spared
    async def show(self, draft: Draft) -> None:
        """Show who would get what a draft asks for now."""
        self._draft = draft
        errors = find_errors(draft)
        if "release" in errors or "to" in errors:
            self._show_none()
            return
        asked = draft.changed(stages="100%") if "stages" in errors else draft
        began_s = time.monotonic()
        try:
            seen, release = await ask(self._services, lambda session: _read(session, asked))
        except (BadInput, NotFound):
            self._show_none()
            return
        ended_s = time.monotonic()
        self._rests_until_s = ended_s + REST * (ended_s - began_s)
        if draft is self._draft:
            self._shown.set_content(preview_html(seen, release))
            self._on_seen(seen)

    def _show_none(self) -> None:
        self._shown.set_content(HOLLOW)
        self._on_seen(None)

    async def _renew(self) -> None:
        if time.monotonic() >= self._rests_until_s:
            await self.show(self._draft)


def _read(session: Session, draft: Draft) -> tuple[Preview, Release]:
    release = get_release(session, draft.release)
    return preview(session, release, draft.to, draft.stages), release
