"""Tries a staged model in a child process: what it does to whoever runs it, it does there.

It has to load, be what its card says, compute the golden vectors that were signed, and be quick enough.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from device.errors import ModelUnavailable, UpdateHindered, UpdateRefused, UpdateUnsuited
from device.firmware.updating.probation import too_slow
from device.models.bundle import CARD_FILE
from device.models.examine import KILLED, Examination, examine
from device.models.verify import verify
from ota.trust.release import Release, golden_digest

LIMIT_S: Final = 60.0
"""That the child may take."""


def check_model(
    place: Path,
    release: Release,
    *,
    p95_before_ms: float | None,
    fastest_fps: float,
    is_over: Callable[[], bool],
) -> Examination:
    """Try a model, and return what was found.

    Args:
        place: the slot's folder.
        release: what was signed about it.
        p95_before_ms: of the inferences of what runs.
        fastest_fps: of the cameras.
        is_over: asked often; true ends the child.

    Raises:
        UpdateRefused: it does not stand the check.
        UpdateUnsuited: there is no memory to try it in.
        UpdateHindered: it was broken off.
    """
    _check_golden(place / CARD_FILE, release)
    try:
        seen = examine(place, limit_s=LIMIT_S, is_over=is_over)
    except ModelUnavailable as error:
        raise UpdateRefused(error.reason) from error
    if is_over():
        raise UpdateHindered("the check was broken off")
    if seen.trial.trouble == KILLED:
        raise UpdateUnsuited(KILLED)
    for check in verify(seen):
        if check.state == "WRONG":
            raise UpdateRefused(f"{check.name}: {check.says}")
    if slow := too_slow(seen.trial.invoke_ms, p95_before_ms, fastest_fps):
        raise UpdateRefused(slow)
    return seen


def _check_golden(card: Path, release: Release) -> None:
    try:
        golden = tomllib.loads(card.read_text("utf-8")).get("golden")
    except (OSError, ValueError) as error:
        raise UpdateRefused(f"its card cannot be read: {error}") from error
    if golden_digest(golden) != release.golden_sha256:
        raise UpdateRefused("golden: the vectors on its card are not the ones that were signed")
