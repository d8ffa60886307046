"""What the wizard says: where a filter is wrong, and what a rollout would do, in sentences. Pure."""

from __future__ import annotations

from html import escape
from typing import Final

from fleet.console.wizard_draft import Draft
from fleet.rollouts.filter import FIELDS
from fleet.rollouts.filter_parser import BadFilter, parse_filter
from fleet.rollouts.plan import Settings
from fleet.rollouts.preview import Preview
from fleet.rollouts.spans import span_text
from fleet.rollouts.stages import Stage, parse_stages
from fleet.store.tables_rollouts import Release

AT_HAND: Final = ("all", "is:online", "tag:night", "not tag:lab")
MISSING: Final = "\u00a0\u00a0"
"""Stands where something is missing, so that there is a place to mark."""
NOTHING_TYPED: Final = '<div class="quiet small">Write who shall get it, or click an example.</div>'


def filter_error_html(text: str, *, is_tried: bool = True) -> str:
    """Return the filter with its mistake marked, and what would be right; empty if it is right.

    Args:
        text: the filter.
        is_tried: somebody wanted to go on with it, so that an empty one is a mistake too.
    """
    if not text.strip() and not is_tried:
        return NOTHING_TYPED
    try:
        parse_filter(text)
    except BadFilter as error:
        before, wrong = text[: error.at], text[error.at : error.at + error.length].strip() or MISSING
        after = text[error.at + error.length :]
        marked = f"{escape(before)}<mark>{escape(wrong)}</mark>{escape(after)}"
        return (
            f'<div class="filter-error" role="alert"><div class="mono wrapped">{marked}</div>'
            f'<div class="is-bad">{escape(error.reason.replace("`", ""))}</div></div>'
        )
    return ""


def fields_html() -> str:
    """Return what a filter can ask for."""
    rows = "".join(
        f'<span class="mono">{name}</span><span class="v">{escape(said).replace("`", "")}</span>'
        for name, said in FIELDS.items()
    )
    rest = (
        "Conditions side by side must all hold; write <b class='mono'>or</b>, <b class='mono'>not</b> and "
        "parentheses for others, <b class='mono'>a,b</b> for one of several values, and "
        "<b class='mono'>*</b> for any letters."
    )
    return f'<div class="facts">{rows}</div><div class="small quiet q-mt-md">{rest}</div>'


def with_example(text: str, example: str) -> str:
    """Return a filter with one more condition."""
    if example == "all" or text.strip() in ("", "all"):
        return example
    return text if example in text.split() else f"{text.strip()} {example}"


def summary(draft: Draft, release: Release, seen: Preview) -> list[str]:
    """Return what a rollout would do, in sentences.

    Args:
        draft: without a mistake.
        release: that it names.
        seen: who would get it now.
    """
    stages, settings = parse_stages(draft.stages), draft.new().settings
    return [
        f"{release.name} {release.version} goes to {_devices(seen.devices)}: "
        f"what matches “{draft.to.strip()}” now{', and later too' if settings.stays_open else ''}.",
        "It begins at once, without a second person."
        if draft.alone
        else "It begins when a second person has approved it.",
        *_stage_sentences(stages, seen, settings),
        _window(settings),
        *_not_yet(seen),
        f"A device that is silent for {span_text(settings.deadline_s)} after it was told counts as failed; "
        f"one that fails on the way is told {settings.tries} times in all.",
        f"It stops by itself when surely more than {100 * settings.stop_share_max:g} % of the answers are "
        f"failures, or more than {settings.stop_failures_max} devices have failed"
        f"{', and then all who got it are told to go back' if settings.revert_on_stop else ''}.",
        "It stays open until it is ended." if settings.stays_open else "",
    ]


def _stage_sentences(stages: tuple[Stage, ...], seen: Preview, settings: Settings) -> list[str]:
    """Return how many are told in each stage; one that tells nobody new is skipped."""
    told, steps = 0, list[tuple[int, int]]()
    for stage, size in zip(stages, seen.by_stage, strict=True):
        if size > told:
            steps.append((size - told, settings.soak_s if stage.soak_s is None else stage.soak_s))
            told = size
    if not steps:
        return []
    left = seen.devices - told
    never = f" {_devices(left)} never get it, because the stages end before." if left > 0 else ""
    return [f"{_told(steps)}{never}"]


def _told(steps: list[tuple[int, int]]) -> str:
    if len(steps) == 1:
        return "All are told at once, in one stage."
    rests = {rest_s for _, rest_s in steps[:-1]}
    if len(rests) == 1:
        numbers = ", then ".join(str(number) for number, _ in steps)
        rest_s = rests.pop()
        rest = f"with {span_text(rest_s)} of rest between them" if rest_s else "without a rest between them"
        return f"In {len(steps)} stages: first {numbers}, {rest}."
    said = ", ".join(f"{number} (then {span_text(rest_s)} of rest)" for number, rest_s in steps[:-1])
    return f"In {len(steps)} stages: {said}, and {steps[-1][0]} at last."


def _window(settings: Settings) -> str:
    if not settings.window:
        return "Devices are told at any time of the day."
    return f"Devices are told and change only at {settings.window}, in each site's own time."


def _not_yet(seen: Preview) -> list[str]:
    offline = seen.devices - seen.online
    said = [f"{_are(offline)} offline and told when they are back."] if offline else []
    if seen.held:
        holders = ", ".join(f"“{name}”" for name in seen.holders)
        said.append(f"{_are(seen.held)} in the hands of {holders}, and told after it.")
    return said


def _devices(number: int) -> str:
    return "1 device" if number == 1 else f"{number} devices"


def _are(number: int) -> str:
    return "1 device is" if number == 1 else f"{number} devices are"
