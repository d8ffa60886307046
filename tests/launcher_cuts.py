"""Cuts the power of the launcher at each of its steps: `python -m tests.launcher_cuts SCENARIO FOLDER`."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

from device.firmware.launcher import Slots, fault, launch
from tests.power_cuts import cut_everywhere
from tests.small_wheels import stand_in

TRIAL = {"slot": "b", "before": "a", "starts": 0, "limit": 3}
SCENARIOS = {
    # name: current, trial, what is broken, what is started in the end
    "counting": ("b", TRIAL, "", "a"),
    "going_back": ("b", TRIAL | {"starts": 3}, "", "a"),
    "going_back_to_the_factory": ("b", TRIAL | {"starts": 3, "before": ""}, "", ""),
    "going_back_from_what_cannot_start": ("b", TRIAL | {"starts": 1}, "b", "a"),
    "going_back_to_what_is_broken": ("b", TRIAL | {"starts": 3}, "a", ""),
    "leaving_what_was_committed": ("b", None, "b", ""),
    "refusing_a_link": ("/elsewhere", TRIAL | {"starts": 2}, "", "a"),
    "forgetting": ("a", TRIAL | {"starts": 3}, "", "a"),
}


class Started(Exception):
    pass


def become(slot: str) -> None:
    raise Started(slot)


def start(folder: Path) -> str:
    """Return what one start of the launcher starts."""
    try:
        launch(Slots(folder), become)
    except Started as started:
        return str(started)
    raise AssertionError("nothing was started")


def lay_out(folder: Path, current: str, trial: dict[str, object] | None, broken: str) -> None:
    for slot in "ab":
        stand_in(folder / slot)
        if slot == broken:
            (folder / slot / "MANIFEST.ok").unlink()
    (folder / "current").symlink_to(current)
    if trial is not None:
        (folder / "trial").write_text(json.dumps(trial))


def cut(folder: Path, name: str) -> int:
    current, trial, broken, last = SCENARIOS[name]
    lay_out(folder / "before", current, trial, broken)
    whole = {"a", "b", ""} - ({broken} if broken else set())
    allowed = 3 - (int(str(trial["starts"])) if trial else 0)

    def check(place: Path) -> None:
        assert all(not fault(place, slot) for slot in whole - {""}), "a slot was changed"
        started = [start(place) for _ in range(6)]
        assert set(started) <= whole, started
        assert trial is None or started.count("b") <= allowed, started
        assert started[-1] == last, started
        assert not (place / "trial").exists()
        link = place / "current"
        assert (str(link.readlink()) if link.is_symlink() else "") == last
        told = json.loads((place / "fell-back").read_text()) if name != "forgetting" else {}
        assert told.get("to", last) == last, told

    def act(place: Path) -> None:
        with contextlib.suppress(Started):
            launch(Slots(place), become)

    return cut_everywhere(folder / "before", folder / "work", act, check)


def main() -> None:
    sys.stdout.write(f"{cut(Path(sys.argv[2]), sys.argv[1])} steps\n")


if __name__ == "__main__":
    main()
