"""How releases are said to people: pure functions that give HTML."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

from fleet.console.rollout_words import rows_html
from fleet.console.words import NOTHING, clock_time
from fleet.store.tables_rollouts import Release

KIND_NAMES: Final = {"model": "model", "firmware": "firmware", "os": "operating system"}
LABELS_SHOWN: Final = 100


def release_html(release: Release, running: str = "") -> str:
    """Return a release in a few lines.

    Args:
        release: the row.
        running: HTML: how many devices run it; empty to leave that out.
    """
    withdrawn = ' <span class="pill bad">withdrawn</span>' if release.state == "withdrawn" else ""
    facts = [
        boards_text(release),
        f"security version {release.sec_ver}" if release.sec_ver else "",
        size_text(release.length),
        f"since {clock_time(release.made_ms)[:10]}",
    ]
    return (
        f"<div><b>{escape(release.name)} {escape(release.version)}</b> "
        f'<span class="pill">{KIND_NAMES.get(release.kind, release.kind)}</span>{withdrawn}</div>'
        f'<div class="quiet small q-mt-xs">{escape(" · ".join(fact for fact in facts if fact))}</div>'
        f'<div class="small q-mt-xs">{running}</div>'
    )


def running_html(running: int) -> str:
    """Return how many devices run a release."""
    word = "device runs" if running == 1 else "devices run"
    return (
        f"<b>{running}</b> {word} it now" if running else '<span class="quiet">no device runs it now</span>'
    )


def boards_text(release: Release) -> str:
    """Return for which boards a release is."""
    return ", ".join(release.hw) if release.hw and "any" not in release.hw else "any board"


def size_text(length: int) -> str:
    """Return a number of bytes for people."""
    for unit, size in (("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)):
        if length >= size:
            return f"{length / size:.1f} {unit}"
    return f"{length} bytes"


def card_html(release: Release) -> str:
    """Return all that is known of a release: labels and licence from its card, digests, who made it known."""
    card = _mapping(release.custom.get("card"))
    facts = [
        ("Kind", KIND_NAMES.get(release.kind, release.kind)),
        ("State", "withdrawn: no new rollout can use it" if release.state == "withdrawn" else "ready"),
        ("Boards", boards_text(release)),
        ("Security version", str(release.sec_ver)),
        ("Size", size_text(release.length)),
        *_card_facts(card),
        *_needs(release.custom),
        ("In the image repository", release.path),
        ("SHA-256", release.sha256),
        ("Devices report", release.mark if release.mark != release.sha256 else "the same SHA-256"),
        ("Made known", f"{clock_time(release.made_ms)} UTC by {release.made_by or NOTHING}"),
    ]
    return rows_html(facts) + _labels_html(card)


def _card_facts(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not card:
        return []
    picture = _mapping(card.get("input"))
    size = f"{picture.get('width', '?')} × {picture.get('height', '?')} {picture.get('dtype', '')}".strip()
    return [
        ("Licence", str(card.get("licence") or "none named")),
        ("Decoder", str(card.get("decoder", NOTHING))),
        ("Input", size if picture else NOTHING),
    ]


def _needs(custom: Mapping[str, Any]) -> list[tuple[str, str]]:
    requires = _mapping(custom.get("requires"))
    needs = [f"{name} {version} or later" for name, version in requires.items()]
    if agent := custom.get("min_agent"):
        needs.append(f"firmware {agent} or later")
    return [("Needs", ", ".join(needs))] if needs else []


def _labels_html(card: Mapping[str, Any]) -> str:
    labels = card.get("labels")
    if not isinstance(labels, list) or not labels:
        return ""
    shown = "".join(f'<span class="pill">{escape(str(one))}</span> ' for one in labels[:LABELS_SHOWN])
    more = f" and {len(labels) - LABELS_SHOWN} more" if len(labels) > LABELS_SHOWN else ""
    return f'<div class="k quiet small q-mt-md">Sees {len(labels)} classes</div><div>{shown}{more}</div>'


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
