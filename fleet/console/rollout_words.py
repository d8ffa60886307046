"""How rollouts are said to people: pure functions that give HTML, no widgets."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

from fleet.console.words import NOTHING, clock_time, url_of
from fleet.rollouts.plan import Settings
from fleet.rollouts.show import ErrorShown, RolloutShown, StageShown
from fleet.rollouts.spans import span_text
from fleet.store.tables_rollouts import Release, Rollout

STATE_DOTS: Final = {
    "pending": "warn",
    "running": "good",
    "paused": "warn",
    "stopped": "bad",
    "reverting": "warn",
    "done": "",
    "aborted": "",
    "reverted": "",
}
STATE_NAMES: Final = {
    "pending": "waits for approval",
    "running": "running",
    "paused": "paused",
    "stopped": "stopped itself",
    "reverting": "going back",
    "done": "done",
    "aborted": "aborted",
    "reverted": "reverted",
}
DEVICE_STATES: Final = {
    "succeeded": "succeeded",
    "installed": "installed",
    "downloading": "downloading",
    "told": "told",
    "retrying": "retrying",
    "failed": "failed",
    "withdrawn": "told to let go",
    "reverting": "going back",
    "reverted": "went back",
    "waiting": "waiting",
    "skipped": "left out",
}
"""States of a device in a rollout, in the order in which bars show them, and how they are said."""
DEVICE_DOTS: Final = {"succeeded": "good", "failed": "bad", "retrying": "warn", "withdrawn": "warn"}
STAGE_NAMES: Final = {"ahead": "ahead", "runs": "goes on", "rests": "rests", "done": "done"}
ENDINGS: Final = ("stopped", "aborted", "reverting", "reverted", "paused")


def state_html(rollout: Rollout) -> str:
    """Return the state of a rollout with its dot."""
    state = rollout.state
    return (
        f'<span class="state"><i class="dot {STATE_DOTS.get(state, "")}"></i>'
        f"{escape(STATE_NAMES.get(state, state))}</span>"
    )


def bar_html(counts: Mapping[str, int], total: int) -> str:
    """Return how many devices are in which state as one bar; what is missing of the total waits."""
    told = [(state, counts.get(state, 0)) for state in DEVICE_STATES if state not in ("waiting", "skipped")]
    parts = "".join(
        f'<i class="s-{state}" style="flex-grow:{number}" title="{number} {DEVICE_STATES[state]}"></i>'
        for state, number in told
        if number
    )
    left = max(0, total - sum(number for _, number in told))
    rest = f'<i class="s-waiting" style="flex-grow:{left}" title="{left} waiting"></i>' if left else ""
    return f'<span class="bar" role="img" aria-label="{counts_text(counts)}">{parts}{rest}</span>'


def counts_text(counts: Mapping[str, int]) -> str:
    """Return numbers by state in words, those that are none left out."""
    said = [f"{counts[state]} {name}" for state, name in DEVICE_STATES.items() if counts.get(state)]
    return ", ".join(said) or "no device yet"


def legend_html(counts: Mapping[str, int]) -> str:
    """Return what the colours of the bars mean, with the numbers of the whole rollout."""
    items = "".join(
        f'<span><i class="s-{state}"></i>{number} {name}</span>'
        for state, name in DEVICE_STATES.items()
        if (number := counts.get(state, 0))
    )
    return f'<div class="legend">{items}</div>' if items else ""


def line_html(rollout: Rollout, release: Release | None, counts: Mapping[str, int]) -> str:
    """Return a rollout as one entry of the list, which is a link as a whole."""
    members = sum(counts.values()) - counts.get("skipped", 0)
    what = f"{release.name} {release.version}" if release else NOTHING
    numbers = f"{counts.get('succeeded', 0)} of {members}" if members else ""
    return (
        f'<a class="card rollout-line" href="{escape(url_of(f"/rollouts/{rollout.id}"))}">'
        f'<span class="who"><b>{escape(rollout.name)}</b>'
        f'<span class="quiet small">{escape(what)}</span></span>{state_html(rollout)}'
        f'<span class="how-far">{bar_html(counts, members)}<span class="quiet small">{numbers}</span></span>'
        f'<span class="why-small">{escape(rollout.why)}</span><span class="quiet small when">'
        f"{clock_time(rollout.made_ms)[:16]} by {escape(rollout.made_by)}</span></a>"
    )


def why_html(rollout: Rollout) -> str:
    """Return the sentence that says what a rollout waits for."""
    colour = STATE_DOTS.get(rollout.state, "")
    return f'<div class="card why {colour}" role="status">{escape(rollout.why)}</div>'


def stages_html(seen: RolloutShown) -> str:
    """Return each stage as a bar with its numbers."""
    lines = "".join(_stage_html(number, one, seen.rollout) for number, one in enumerate(seen.stages, start=1))
    return f'<div class="card pad stages">{lines}{legend_html(seen.counts)}</div>'


def _stage_html(number: int, one: StageShown, rollout: Rollout) -> str:
    is_here = one.state in ("runs", "rests")
    word = STATE_NAMES[rollout.state] if is_here and rollout.state in ENDINGS else STAGE_NAMES[one.state]
    is_ahead = one.state == "ahead"
    said = f"{one.own} to tell" if is_ahead else counts_text(one.counts) if one.told else "nobody told"
    return (
        f'<div class="stage{" here" if is_here else ""}{" ahead" if is_ahead else ""}">'
        f'<span class="name">Stage {number} <span class="quiet">{escape(one.text)}</span></span>'
        f"{bar_html(one.counts, one.own)}"
        f'<span class="quiet small numbers">{escape(said)}</span><span class="small word">{word}</span></div>'
    )


def errors_html(rollout: str, errors: tuple[ErrorShown, ...]) -> str:
    """Return for which reasons devices failed, each with a few of them; nothing where none did."""
    if not errors:
        return ""
    lines = "".join(
        f'<div class="failure"><b class="is-bad">{one.devices}</b><span class="wrapped">{escape(one.reason)}'
        f'<span class="small quiet"> {_examples(one)}</span></span></div>'
        for one in errors
    )
    every = escape(url_of(f"/rollouts/{rollout}", state="failed"))
    return (
        f'<div class="subtitle">Why devices failed</div><div class="card pad failures">{lines}'
        f'<a class="link small" href="{every}">All that failed</a></div>'
    )


def _examples(one: ErrorShown) -> str:
    more = one.devices - len(one.examples)
    links = " ".join(device_link(device) for device in one.examples)
    return f"{links}{f' and {more} more' if more > 0 else ''}"


def device_link(device: str) -> str:
    """Return a link to what a device was told."""
    to = escape(url_of(f"/devices/{device}", tab="updates"))
    return f'<a class="link" href="{to}">{escape(device)}</a>'


def facts_html(rollout: Rollout, release: Release, settings: Settings) -> str:
    """Return what a rollout is and how it goes, as facts."""
    facts = [
        ("Release", f"{release.name} {release.version} ({release.kind})"),
        ("For devices", rollout.filter),
        ("Stages", rollout.stages),
        *settings_facts(settings),
        ("Made", f"{clock_time(rollout.made_ms)} UTC by {rollout.made_by}"),
        ("Approved", _approved(rollout)),
        ("Ended", f"{clock_time(rollout.ended_ms)} UTC" if rollout.ended_ms else NOTHING),
    ]
    return rows_html(facts)


def settings_facts(settings: Settings) -> list[tuple[str, str]]:
    """Return how a rollout goes, in words."""
    return [
        ("Rest after a stage", span_text(settings.soak_s)),
        ("Window", f"{settings.window} in each site's own time" if settings.window else "any time"),
        ("Silence counts as failure after", span_text(settings.deadline_s)),
        (
            "Stops by itself",
            f"when surely more than {100 * settings.stop_share_max:g} % of the answers are failures, "
            f"or more than {settings.stop_failures_max} devices have failed"
            f"{'; then all who got it are told to go back' if settings.revert_on_stop else ''}",
        ),
        ("Tries", f"{settings.tries}, the second after {span_text(settings.backoff_s)}"),
        ("At the same time", f"at most {settings.at_once} devices"),
        ("Ends", "never: devices that join later get it too" if settings.stays_open else "after its stages"),
    ]


def rows_html(facts: list[tuple[str, str]]) -> str:
    """Return names and values in two columns."""
    cells = "".join(f'<span class="k">{escape(k)}</span><span class="v">{escape(v)}</span>' for k, v in facts)
    return f'<div class="facts">{cells}</div>'


def _approved(rollout: Rollout) -> str:
    if rollout.approved_by:
        return f"by {rollout.approved_by}"
    return "not yet" if rollout.state == "pending" else "begun without a second person"
