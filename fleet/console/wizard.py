"""Making a rollout: which release, for whom, how, and a last look; all that was typed is in the URL."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from nicegui import ui
from sqlmodel import Session

from fleet.access.caller import Caller
from fleet.access.roles import Permission
from fleet.console.acting import act
from fleet.console.frame import ask, empty_state, now_ms, page_frame
from fleet.console.wizard_draft import PATH, PLACES, STEPS, Draft, draft_of, find_errors
from fleet.console.wizard_preview import PreviewCard
from fleet.console.wizard_steps import HowStep, Known, ReleaseStep, WhomStep, read_known
from fleet.console.wizard_words import summary
from fleet.console.words import url_of
from fleet.errors import Conflict, NotFound
from fleet.rollouts import acting
from fleet.rollouts.preview import Preview
from fleet.rollouts.releases import get_release
from fleet.services import Services
from fleet.store.tables_rollouts import Rollout
from ota.messages import new_id

NAMES: Final = {"release": "the release", "to": "the filter", "name": "the name"}


def add_page(services: Services) -> None:
    """Register `/rollouts/new`."""

    @ui.page(PATH, title="New rollout · Pehra")
    async def wizard_page() -> None:
        draft = draft_of(ui.context.client.request.query_params)
        with page_frame(services, "/rollouts") as caller:
            known, draft, made = await ask(services, lambda session: _open(session, draft, caller))
            if made is not None:
                _say_made(made)
                return
            await WizardView(services, caller, known, draft).draw()


def _open(session: Session, draft: Draft, caller: Caller) -> tuple[Known, Draft, Rollout | None]:
    """Return what the fleet has, the draft with its release by id, and what was made of it already."""
    known = read_known(session)
    if draft.release:
        try:
            draft = draft.changed(release=get_release(session, draft.release).id)
        except (NotFound, Conflict):
            draft = draft.changed(release="")
    if caller.kind == "local":
        draft = draft.changed(alone="1")
    return known, draft, session.get(Rollout, draft.form) if draft.form else None


def _say_made(made: Rollout) -> None:
    to = escape(url_of(f"/rollouts/{made.id}"))
    empty_state(
        "This rollout is made.",
        f'See how <a class="link" href="{to}">{escape(made.name)}</a> stands, or begin '
        f'<a class="link" href="{PATH}">another one</a>.',
    )


class WizardView:
    """One open wizard."""

    def __init__(self, services: Services, caller: Caller, known: Known, draft: Draft) -> None:
        self._services = services
        self._caller = caller
        self._known = known
        self._draft = draft if draft.form else draft.changed(form=new_id())
        self._is_making = False
        self._tried: set[str] = set()
        self._preview = PreviewCard(services, self._on_seen)
        self._seen: Preview | None = None

    async def draw(self) -> None:
        """Put the widgets on the page and fill them."""
        ui.label("New rollout").classes("title q-mb-md")
        with ui.element("div").classes("wizard"):
            with ui.element("div").classes("card pad steps"):
                with ui.tabs(on_change=lambda event: self._change(step=str(event.value))) as tabs:
                    for step, label in STEPS.items():
                        ui.tab(step, label)
                tabs.props("align=left dense no-caps").set_value(self._draft.step)
                self._tabs = tabs
                with ui.tab_panels(tabs, value=self._draft.step, animated=False).style("width: 100%"):
                    self._draw_steps()
                self._draw_ways()
            with ui.element("div"):
                self._preview.draw()
        ui.navigate.history.replace(self._draft.url)
        self._name_it()
        self._show()
        await self._preview.show(self._draft)

    def _draw_steps(self) -> None:
        change = self._change
        with ui.tab_panel("release"):
            release = ReleaseStep(self._known, self._draft, change)
        with ui.tab_panel("whom"):
            whom = WhomStep(self._known, self._draft, change)
        with ui.tab_panel("how"):
            how = HowStep(
                self._draft,
                change,
                has_people=self._caller.kind != "local",
                may_alone=self._caller.has(Permission.APPROVE_ROLLOUTS),
            )
        with ui.tab_panel("check"):
            self._name = ui.input("Name", value=self._draft.name)
            self._name.props("outlined debounce=250 maxlength=100").classes("wide")
            self._name.on_value_change(lambda event: change(name=event.value or ""))
            self._words = ui.html("", sanitize=False).mark("summary-of-rollout")
        self._steps: tuple[Any, ...] = (release, whom, how)

    def _draw_ways(self) -> None:
        with ui.element("div").classes("row-line ways"):
            self._back = ui.button("Back", on_click=lambda: self._go(-1)).props("flat no-caps")
            ui.element("div").classes("grow")
            self._next = ui.button("Next", on_click=lambda: self._go(1)).props("unelevated no-caps")
            self._make = ui.button("Make the rollout", on_click=self._create).props("unelevated no-caps")

    def _go(self, by: int) -> None:
        """Go to the step before, or to the next one if nothing is wrong in this."""
        steps, here = list(STEPS), self._draft.step
        if by > 0 and any(PLACES[field] == here for field in self._errors()):
            self._tried.add(here)
            self._show()
            return
        self._tabs.set_value(steps[steps.index(self._draft.step) + by])

    async def _change(self, **texts: str) -> None:
        """Take in what was typed."""
        before, self._draft = self._draft, self._draft.changed(**texts)
        if self._draft == before:
            return
        ui.navigate.history.replace(self._draft.url)
        is_counted_anew = any(name in texts for name in ("release", "to", "stages"))
        if is_counted_anew:
            self._seen = None  # it is about what was typed before
        if "release" in texts:
            self._name_it()
        self._show()
        if is_counted_anew:
            await self._preview.show(self._draft)

    def _name_it(self) -> None:
        """Give it a name while nobody has."""
        names = {f"{one.name} {one.version}" for one in self._known.releases.values()}
        release = self._known.releases.get(self._draft.release)
        if release is not None and self._draft.name in ("", *names):
            self._name.set_value(f"{release.name} {release.version}")

    def _on_seen(self, seen: Preview | None) -> None:
        self._seen = seen
        self._show()

    def _show(self) -> None:
        draft = self._draft
        errors = self._errors()
        for name, step in zip(STEPS, self._steps, strict=False):
            step.show(draft, errors, is_tried=name in self._tried)
        self._name.error = errors.get("name")
        self._words.set_content(self._check_html(errors))
        is_last = draft.step == "check"
        self._back.set_visibility(draft.step != "release")
        self._next.set_visibility(not is_last)
        self._make.set_visibility(is_last)
        self._make.set_enabled(not errors and self._has_somebody and not self._is_making)

    def _errors(self) -> dict[str, str]:
        errors = find_errors(self._draft)
        if self._draft.release and self._draft.release not in self._known.releases:
            errors["release"] = "this one was withdrawn: choose another"
        return errors

    @property
    def _has_somebody(self) -> bool:
        return bool(self._draft.open) or (self._seen is not None and self._seen.devices > 0)

    def _check_html(self, errors: dict[str, str]) -> str:
        """Return what it would do, or what is to be put right before."""
        if errors:
            lines = "".join(
                f"<li>{STEPS[PLACES[field]]}: {escape(NAMES.get(field, field.replace('_', ' ')))}: "
                f"{escape(said)}</li>"
                for field, said in errors.items()
            )
            return f'<div class="is-bad">Put this right first:</div><ul class="said">{lines}</ul>'
        release = self._known.releases[self._draft.release]
        if self._seen is None:
            return '<div class="quiet">Counting…</div>'
        if not self._has_somebody:
            return '<div class="is-bad">No device would get it: change the filter, or let it stay open.</div>'
        lines = "".join(f"<li>{escape(one)}</li>" for one in summary(self._draft, release, self._seen) if one)
        return f'<ul class="said">{lines}</ul>'

    async def _create(self) -> None:
        if self._is_making:
            return
        self._is_making = True
        self._make.set_enabled(False)
        new = self._draft.new()

        def work(session: Session, caller: Caller) -> Rollout:
            if not new.needs_approval:
                caller.need(Permission.APPROVE_ROLLOUTS)
            return acting.create(session, new, caller, now_ms())

        made = await act(self._services, self._caller, Permission.MANAGE_ROLLOUTS, work)
        if made is None:
            self._is_making = False
            self._show()
            return
        self._services.rollouts.wake()
        ui.navigate.to(url_of(f"/rollouts/{made.id}"))
