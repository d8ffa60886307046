"""How a device's updates are said: what runs against what is wanted, how far it is, its rollouts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

from sqlmodel import Session

from fleet.access.caller import Caller
from fleet.access.reach import reach_device
from fleet.access.roles import Permission
from fleet.console.rollout_words import DEVICE_DOTS, DEVICE_STATES
from fleet.console.words import NOTHING, ago, clock_time, url_of
from fleet.rollouts.facts import read_running
from fleet.rollouts.gather import releases_by_mark
from fleet.rollouts.plan import OPEN
from fleet.rollouts.show import history_of
from fleet.rollouts.tags import tags_of
from fleet.rollouts.tell import OS, read_wanted
from fleet.store.tables import Device
from fleet.store.tables_rollouts import Release, Rollout, RolloutDevice, WantedRelease

SHOWN: Final = 50
AT_IT: Final = (*OPEN, "reverting")
"""States in which a device is at an update, or was told to be."""


@dataclass(frozen=True, slots=True)
class Updates:
    """What is known of a device's updates at one moment.

    Attributes:
        wanted: what it is to run, by kind.
        history: how it stood in each rollout, newest first.
        said: how far its updater was when it last said so (struct `Update`); empty where nothing is kept.
        system: the operating system that it has installed last, as far as we know it.
    """

    device: Device
    wanted: list[tuple[WantedRelease, Release]]
    history: list[tuple[RolloutDevice, Rollout, Release]]
    tags: list[str]
    said: Mapping[str, Any] = field(default_factory=dict)
    system: Release | None = None


def read_updates(session: Session, device: str, caller: Caller) -> Updates:
    """Return what is known of a device's updates.

    Raises:
        NotFound: no message of it has ever come, or it is at no site of the caller's.
    """
    row = reach_device(session, caller, Permission.SEE_DEVICES, device)
    return Updates(
        row,
        read_wanted(session, device),
        history_of(session, device),
        tags_of(session, device),
        row.update or {},
        _system(session, device),
    )


def _system(session: Session, device: str) -> Release | None:
    mark = read_running(session, OS, [device]).get(device, "")
    found = releases_by_mark(session, OS, {mark}).get(mark)
    return session.get(Release, found) if found else None


def updates_html(updates: Updates, moment_ms: int, *, sees_rollouts: bool) -> str:
    """Return what runs and what is wanted, how far it is, and the history.

    Args:
        updates: what is known.
        moment_ms: now, Unix milliseconds.
        sees_rollouts: whether names of rollouts lead to their pages.
    """
    return (
        f'<div class="card pad">{running_html(updates)}</div>'
        f"{progress_html(updates, moment_ms)}{history_html(updates, moment_ms, sees_rollouts=sees_rollouts)}"
    )


def running_html(updates: Updates) -> str:
    """Return what runs against what is wanted, by kind."""
    said = (updates.device.info or {}) | (updates.device.reported or {})
    model = said.get("model") or {}
    wanted = {one.kind: release for one, release in updates.wanted}
    system = updates.system
    marks = {
        "model": model.get("sha256", ""),
        "firmware": said.get("firmware", ""),
        OS: system.mark if system else "",
    }
    names = {
        "model": f"{model.get('name', '')} {model.get('version', '')}".strip(),
        "firmware": str(said.get("firmware", "")),
        OS: f"{system.name} {system.version}" if system else "",
    }
    cells = "".join(
        f'<span class="k">{kind.capitalize() if kind != OS else "Operating system"}</span>'
        f'<span class="v">{escape(names.get(kind, "") or NOTHING)}</span>'
        f"<span>{_against(marks.get(kind, ''), wanted.get(kind))}</span>"
        for kind in ("model", "firmware", *([OS] if system or OS in wanted else []))
    )
    return f'<div class="facts wanted">{cells}</div>'


def _against(running: str, wanted: Release | None) -> str:
    if wanted is None:
        return '<span class="quiet">nothing else is wanted</span>'
    name = escape(f"{wanted.name} {wanted.version}")
    if running and running == wanted.mark:
        return f'<span class="state"><i class="dot good"></i>as wanted: {name}</span>'
    return f'<span class="state"><i class="dot warn"></i>wanted: {name}</span>'


def progress_html(updates: Updates, moment_ms: int) -> str:
    """Return how far the update is that the device is at now; nothing where it is at none."""
    now = [(row, release) for row, _, release in updates.history if row.state in AT_IT]
    return "".join(_progress_html(row, release, updates.said, moment_ms) for row, release in now)


def _progress_html(row: RolloutDevice, release: Release, said: Mapping[str, Any], moment_ms: int) -> str:
    is_its_own = bool(row.action) and said.get("action") == row.action
    word = str(said.get("state", "")) if is_its_own else DEVICE_STATES.get(row.state, row.state)
    reason = str(said.get("reason", "")) if is_its_own else row.reason
    percent = float(said.get("progress_pct") or 0) if is_its_own and word == "downloading" else 0.0
    notes = [
        f"since {clock_time(row.changed_ms)[11:]} UTC ({ago(row.changed_ms, moment_ms)})",
        f"told {row.tries} times" if row.tries > 1 else "",
        reason,
    ]
    share = f'<div class="share q-mt-sm"><i style="width:{min(100.0, percent):.0f}%"></i></div>'
    return (
        f'<div class="card why warn q-mt-md">{escape(f"{release.name} {release.version}: {word}")}'
        f"{f' {percent:.0f} %' if percent else ''}"
        f'<div class="quiet small">{escape(" · ".join(note for note in notes if note))}</div>'
        f"{share if percent else ''}</div>"
    )


def history_html(updates: Updates, moment_ms: int, *, sees_rollouts: bool) -> str:
    """Return the rollouts to which the device belonged, newest first."""
    if not updates.history:
        return (
            '<div class="card empty slim q-mt-md"><b>No rollout yet.</b>'
            "Those to which this device belonged would be listed here.</div>"
        )
    lines = "".join(
        _history_line(row, rollout, release, moment_ms, sees_rollouts=sees_rollouts)
        for row, rollout, release in updates.history[:SHOWN]
    )
    heads = "".join(f"<th>{one}</th>" for one in ("Rollout", "Release", "State", "Since", "Why"))
    return (
        '<div class="subtitle q-mt-lg">Rollouts</div><div class="scrolled">'
        f'<table class="plain-table card"><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>'
    )


def _history_line(
    row: RolloutDevice, rollout: Rollout, release: Release, moment_ms: int, *, sees_rollouts: bool
) -> str:
    name = escape(rollout.name)
    linked = f'<a class="link" href="{escape(url_of(f"/rollouts/{rollout.id}"))}">{name}</a>'
    state = (
        f'<span class="state"><i class="dot {DEVICE_DOTS.get(row.state, "")}"></i>'
        f"{DEVICE_STATES.get(row.state, escape(row.state))}</span>"
    )
    return (
        f"<tr><td>{linked if sees_rollouts else name}</td>"
        f"<td>{escape(f'{release.name} {release.version}')}</td><td>{state}</td>"
        f'<td title="{clock_time(row.changed_ms)} UTC">{ago(row.changed_ms, moment_ms)}</td>'
        f"<td>{escape(row.reason or NOTHING)}</td></tr>"
    )
