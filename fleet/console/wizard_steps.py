"""The fields of the wizard's steps; each tells what was typed, and shows what is wrong with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from nicegui import ui
from sqlmodel import Session, col, select

from fleet.console.release_words import release_html
from fleet.console.wizard_draft import Draft
from fleet.console.wizard_words import AT_HAND, fields_html, filter_error_html, with_example
from fleet.rollouts.releases import list_releases
from fleet.store.tables import Device
from fleet.store.tables_rollouts import DeviceTag, Release

SITES_LOOKED_AT: Final = 500
EXAMPLES: Final = 6
Change = Callable[..., Awaitable[None]]
"""Called with the fields that changed."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the fleet has, for choices and examples.

    Attributes:
        releases: those that can be rolled out, by id.
        examples: filters that mean something here.
    """

    releases: dict[str, Release]
    examples: tuple[str, ...]


def read_known(session: Session) -> Known:
    """Return what the fleet has."""
    ready = {one.id: one for one in list_releases(session) if one.state == "ready"}
    tags = session.exec(select(DeviceTag.tag).distinct().order_by(col(DeviceTag.tag)).limit(EXAMPLES))
    places = session.exec(select(Device.site).distinct().order_by(col(Device.site)).limit(SITES_LOOKED_AT))
    tops = list(dict.fromkeys(site.split("/")[0] for site in places if site))[:EXAMPLES]
    examples = [*AT_HAND[:2], *(f"site:{top}" for top in tops), "board:pi4", *(f"tag:{tag}" for tag in tags)]
    return Known(ready, tuple(dict.fromkeys([*examples, *AT_HAND[2:]])))


class ReleaseStep:
    """Which release."""

    def __init__(self, known: Known, draft: Draft, change: Change) -> None:
        self._known = known
        options = {one.id: f"{one.name} {one.version} ({one.kind})" for one in known.releases.values()}
        self._field = ui.select(
            options,
            value=draft.release if draft.release in options else None,
            label="Release",
            with_input=True,
            on_change=lambda event: change(release=event.value or ""),
        )
        self._field.props("outlined").classes("wide")
        self._facts = ui.html("", sanitize=False)

    def show(self, draft: Draft, errors: dict[str, str], *, is_tried: bool) -> None:
        """Show the release that is chosen."""
        release = self._known.releases.get(draft.release)
        self._facts.set_content(release_html(release) if release else "")
        self._field.error = errors.get("release") if draft.release or is_tried else None


class WhomStep:
    """The filter."""

    def __init__(self, known: Known, draft: Draft, change: Change) -> None:
        self._change = change
        self._field = ui.input("Devices", value=draft.to, placeholder="site:lahore/* board:pi4 not tag:lab")
        self._field.props(
            "outlined hide-bottom-space debounce=250 maxlength=1000 autocapitalize=none spellcheck=false"
        ).classes("wide mono-input")
        self._field.on_value_change(lambda event: change(to=event.value or ""))
        self._said = ui.html("", sanitize=False).mark("filter-said")
        with ui.element("div").classes("chips"):
            for example in known.examples:
                ui.button(example, on_click=lambda _, text=example: self._add(text)).props(
                    "outline no-caps dense"
                ).classes("mono")
        with ui.expansion("What a filter can ask").classes("folded"):
            ui.html(fields_html(), sanitize=False)

    def show(self, draft: Draft, errors: dict[str, str], *, is_tried: bool) -> None:
        """Show what is wrong with the filter, at its place."""
        self._said.set_content(filter_error_html(draft.to, is_tried=is_tried))
        is_wrong = "to" in errors and (is_tried or bool(draft.to.strip()))
        self._field.props(add="error" if is_wrong else "", remove="" if is_wrong else "error")

    def _add(self, example: str) -> None:
        self._field.set_value(with_example(self._field.value or "", example))


USUAL: Final = (
    ("stages", "Stages", "so many devices, or which share, when each stage is full: 1,1%,10%,50%,100%"),
    ("soak", "Rest after a stage", "90s, 30m, 4h or 2d, once all its devices have answered"),
    ("window", "Window (empty: any time)", "02:00-05:00 or mon-fri 22:00-05:00, in each site's own time"),
    ("deadline", "Silence counts as failure after", "90s, 30m, 4h or 2d after a device was told"),
    ("stop_share", "Stops itself above % failures", "surely more than this share of those that answered"),
    ("stop_failures", "Stops itself above failures", "devices in all"),
)
ADVANCED: Final = (
    ("tries", "Tries", "when a download or a disk fails"),
    ("backoff", "Second try after", "doubles with each"),
    ("at_once", "At the same time", "devices at most"),
)


class HowStep:
    """How it goes: what most want to see, and the rest folded."""

    def __init__(self, draft: Draft, change: Change, *, has_people: bool, may_alone: bool) -> None:
        self._change = change
        self._fields: dict[str, ui.input] = {}
        with ui.element("div").classes("two"):
            for name, label, hint in USUAL:
                self._add(name, label, hint, draft)
        ui.checkbox(
            "If it stops itself, all who got it are told to go back",
            value=bool(draft.back),
            on_change=lambda event: change(back="1" if event.value else ""),
        )
        approval = ui.checkbox(
            "A second person has to approve it",
            value=not draft.alone,
            on_change=lambda event: change(alone="" if event.value else "1"),
        )
        approval.set_enabled(has_people and may_alone)
        if not has_people:
            ui.label("This fleet has no log-in, so nobody else could.").classes("quiet small")
        with ui.expansion("Advanced").classes("folded"):
            with ui.element("div").classes("two"):
                for name, label, hint in ADVANCED:
                    self._add(name, label, hint, draft)
            ui.checkbox(
                "It stays open: devices that join later get it too",
                value=bool(draft.open),
                on_change=lambda event: change(open="1" if event.value else ""),
            )

    def _add(self, name: str, label: str, hint: str, draft: Draft) -> None:
        field = ui.input(label, value=getattr(draft, name))
        field.props(f'outlined dense hide-bottom-space debounce=250 hint="{hint}"').classes("wide")
        field.on_value_change(lambda event, name=name: self._tell(name, event.value))
        self._fields[name] = field

    async def _tell(self, name: str, value: Any) -> None:  # noqa: ANN401  # of a widget
        await self._change(**{name: str(value or "").strip()})

    def show(self, _draft: Draft, errors: dict[str, str], *, is_tried: bool) -> None:
        """Show what is wrong, each at its field; these are never empty at first, so it is shown at once."""
        del is_tried
        for name, field in self._fields.items():
            field.error = errors.get(name)
