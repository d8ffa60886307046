"""Which of the tracks a rule is about, where they stand, and what is remembered of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from device.firmware.geometry import Box
from device.firmware.rules.happening import Sighting
from device.firmware.tracks import Standing, Tracks

State = TypeVar("State")


def of_classes(tracks: Tracks, classes: frozenset[int]) -> list[Standing]:
    """Return the tracks of these classes; all for none."""
    if not classes:
        return tracks.standing
    return [one for one in tracks.standing if one[2] in classes]


def sighting(tracks: Tracks, row: int) -> Sighting:
    """Return one row of the tracks as a value."""
    return Sighting(
        int(tracks.ids[row]), int(tracks.classes[row]), float(tracks.scores[row]), box_of(tracks, row)
    )


def box_of(tracks: Tracks, row: int) -> Box:
    """Return the box of one row of the tracks in plain numbers."""
    left, top, right, bottom = tracks.boxes[row].tolist()
    return left, top, right, bottom


def follow_renames(
    states: dict[int, State], tracks: Tracks, join: Callable[[State, State], State] | None = None
) -> None:
    """Move what is known of a track to the id under which it goes on.

    Args:
        states: by id of the track.
        tracks: of this frame.
        join: makes one of the state before and the one that the new id has already; the one before where
            absent.
    """
    for before, after in tracks.renames:
        if before not in states:
            continue
        old = states.pop(before)
        new = states.get(after)
        states[after] = old if new is None or join is None else join(old, new)


def take_ended(states: dict[int, State], tracks: Tracks) -> list[State]:
    """Forget the tracks that will not come back; return what was known of them."""
    return [states.pop(track) for track in tracks.ended if track in states]
