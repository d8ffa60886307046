"""The board: which it is, how warm, how well fed, how full its memory, how worn its storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from device.check.finding import Finding, ok, warn
from device.check.finding import fail as failed
from hardware.board import Board, Reading

WORN_PCT = 80.0
FULL_MEMORY_PCT = 90.0


def look_at_board(board: Board, state: Path) -> Iterator[Finding]:
    """Read the board once.

    Args:
        board: this board.
        state: folder of the state; its disk is looked at elsewhere.
    """
    profile, reading = board.profile, board.reading(state)
    days = "" if reading.uptime_s is None else f", up for {reading.uptime_s / 86_400:.1f} days"
    yield ok("board", f"{board.name}, profile {profile.name}{days}")
    yield _warmth(board, reading)
    yield from _power(board, reading)
    if reading.mem_pct is not None:
        yield _memory(reading.mem_pct)
    yield from _storage(reading)


def _warmth(board: Board, reading: Reading) -> Finding:
    thermal, name, temp_c = board.profile.thermal, "board: temperature", reading.temp_c
    shade = "shade and clean the housing, see that the heat sink touches it (docs/boards.md)"
    if temp_c is None:
        if board.profile.name == "generic":
            return ok(name, "this board tells none")
        return warn(name, "the sensor tells nothing", "restart; if it comes back, change the board")
    said = f"{temp_c:.1f} C, it slows itself down from {thermal.throttles_c:.0f} C"
    if temp_c >= thermal.throttles_c:
        return failed(name, said, shade)
    if temp_c >= thermal.steps_c[0]:
        return warn(name, f"{said}; fewer frames from {thermal.steps_c[0]:.0f} C", shade)
    return ok(name, said)


def _power(board: Board, reading: Reading) -> Iterator[Finding]:
    name, profile = "board: power", board.profile
    watts = "" if reading.power_mw is None else f"draws {reading.power_mw / 1000:.1f} W"
    supply = f"use a supply of {profile.supply} and a short, thick cable" if profile.supply else ""
    words = reading.throttling.words() if reading.throttling else []
    if reading.under_voltage:
        yield failed(name, ", ".join(words) or "under-voltage now", supply)
    elif reading.throttling and reading.throttling.had_under_voltage():
        yield warn(name, ", ".join(words), supply)
    elif words:
        yield warn(name, ", ".join(words), "it was too warm, or slows down by design (docs/boards.md)")
    elif profile.throttling != "none" and reading.throttled is None:
        way = "let the user of Pehra into the group video, so that vcgencmd answers"
        yield warn(name, "the firmware does not say whether it throttles", way)
    elif reading.under_voltage is False or watts:
        yield ok(
            name,
            "; ".join(
                part for part in (watts, "not throttled" if profile.throttling != "none" else "") if part
            ),
        )


def _memory(mem_pct: float) -> Finding:
    if mem_pct >= FULL_MEMORY_PCT:
        way = "end what else runs here, or take a smaller model and fewer cameras"
        return warn("board: memory", f"{mem_pct:.0f} % in use", way)
    return ok("board: memory", f"{mem_pct:.0f} % in use")


def _storage(reading: Reading) -> Iterator[Finding]:
    if reading.sd_wear_pct is None and reading.pre_end_of_life is None:
        return
    said = "no estimate" if reading.sd_wear_pct is None else f"{reading.sd_wear_pct:.0f} % of its life used"
    if (reading.sd_wear_pct or 0.0) > WORN_PCT or (reading.pre_end_of_life or 1) > 1:
        yield warn("board: storage", said, "replace the storage soon")
    else:
        yield ok("board: storage", said)
