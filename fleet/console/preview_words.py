"""Who would get a release, said before anybody does: pure functions that give HTML."""

from __future__ import annotations

from html import escape
from typing import Final

from fleet.console.rollout_words import device_link
from fleet.rollouts.preview import Preview
from fleet.store.tables_rollouts import Release

ROWS: Final = 8
SAMPLE: Final = 6


def preview_html(seen: Preview, release: Release) -> str:
    """Return who would get a release, by board and by what runs now, by stage, and who would not yet."""
    what = escape(f"{release.name} {release.version}")
    head = f'<div class="big" data-devices="{seen.devices}">{_devices(seen.devices)}</div>'
    return (
        f'<div class="card pad preview">{head}<div class="quiet">would get {what} now</div>'
        f"{_notes(seen)}<div class='columns'>{_counts('By board', seen.by_board, seen.devices)}"
        f"{_counts('Runs now', seen.by_version, seen.devices)}</div>{_stages(seen)}{_sample(seen)}</div>"
    )


def _notes(seen: Preview) -> str:
    offline = seen.devices - seen.online
    holders = ", ".join(f"“{name}”" for name in seen.holders)
    notes = [
        ("warn", f"{_are(offline)} offline: told when back", offline),
        ("warn", f"{_are(seen.held)} held by {holders}, and told after it", seen.held),
        ("", f"{_match(seen.have_it)} and {'run' if seen.have_it > 1 else 'runs'} it already", seen.have_it),
        ("", f"{_match(seen.other_boards)}, but it is not for that board", seen.other_boards),
    ]
    lines = "".join(
        f'<div class="note"><i class="dot {colour}"></i><span>{escape(text)}</span></div>'
        for colour, text, number in notes
        if number
    )
    return f'<div class="notes">{lines}</div>' if lines else ""


def _counts(title: str, counts: dict[str, int], whole: int) -> str:
    if not counts:
        return ""
    shown, rest = list(counts.items())[:ROWS], sum(list(counts.values())[ROWS:])
    rows = [*shown, ("others", rest)] if rest else shown
    lines = "".join(
        f'<span class="wrapped">{escape(name)}</span><span class="share">'
        f'<i style="width:{100 * number / whole:.1f}%"></i></span><b>{number}</b>'
        for name, number in rows
    )
    return f'<div><div class="k">{title}</div><div class="counted">{lines}</div></div>'


def _stages(seen: Preview) -> str:
    if not seen.devices:
        return ""
    sizes = list(dict.fromkeys(seen.by_stage))  # a stage that tells nobody new is skipped
    return f'<div class="k">Told when each stage is full</div><div>{" → ".join(map(str, sizes))}</div>'


def _sample(seen: Preview) -> str:
    if not seen.sample:
        return ""
    more = seen.devices - min(SAMPLE, len(seen.sample))
    links = ", ".join(device_link(device) for device in seen.sample[:SAMPLE])
    said = f"{links} and {more} more" if more > 0 else links
    return f'<div class="k">For example</div><div class="wrapped">{said}</div>'


def _devices(number: int) -> str:
    return "1 device" if number == 1 else f"{number} devices"


def _are(number: int) -> str:
    return "1 device is" if number == 1 else f"{number} devices are"


def _match(number: int) -> str:
    return "1 more device matches" if number == 1 else f"{number} more devices match"
