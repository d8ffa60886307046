"""What the launcher starts, for everything that it may find in the slots."""

from __future__ import annotations

import ast
import errno
import json
import os
import sys
from pathlib import Path

import pytest

from device.firmware import launcher
from device.firmware.launcher import FACTORY, Slots, fault, launch
from device.firmware.updating import firmware_slot
from tests.small_wheels import stand_in

TRIAL = {"slot": "b", "before": "a", "starts": 0, "limit": 3}


class Started(Exception):
    """A process that has become another never comes back."""


class Board:
    """A folder of slots, and what is started from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "slots" / "firmware"
        self.folder.mkdir(parents=True)
        self.cannot: set[str] = set()

    def put(self, current: str = "", trial: object = None) -> None:
        if current:
            (self.folder / "current").symlink_to(current)
        if trial is not None:
            (self.folder / "trial").write_text(trial if isinstance(trial, str) else json.dumps(trial))

    def start(self, *, looks: bool = False) -> str:
        """Return what a start of the launcher starts."""
        with pytest.raises(Started) as started:
            launch(Slots(self.folder, is_onlooker=looks), self._become)
        return str(started.value)

    def _become(self, slot: str) -> None:
        if slot in self.cannot:
            raise OSError(errno.ENOEXEC, os.strerror(errno.ENOEXEC))
        raise Started(slot)

    @property
    def current(self) -> str:
        link = self.folder / "current"
        return str(link.readlink()) if link.is_symlink() else FACTORY

    def told(self, name: str) -> dict[str, object] | None:
        file = self.folder / name
        return json.loads(file.read_text()) if file.exists() else None


@pytest.fixture
def board(tmp_path):
    return Board(tmp_path)


@pytest.fixture
def both(board):
    stand_in(board.folder / "a")
    stand_in(board.folder / "b")
    return board


def test_without_any_slot_the_factory_starts_and_nothing_is_written(tmp_path):
    with pytest.raises(Started, match=r"^$"):
        launch(Slots(tmp_path / "none"), Board(tmp_path)._become)
    assert not (tmp_path / "none").exists()


def test_what_current_names_starts(both):
    both.put("b")
    assert [both.start() for _ in range(20)] == ["b"] * 20
    assert (both.told("trial"), both.told("fell-back")) == (None, None)


def test_a_trial_has_three_starts_and_then_what_was_before_starts(both):
    both.put("b", TRIAL)
    assert [both.start() for _ in range(5)] == ["b", "b", "b", "a", "a"]
    assert both.current == "a"
    assert both.told("trial") is None
    assert both.told("fell-back") == {"slot": "b", "to": "a", "reason": "3 starts without a commit"}


def test_a_trial_of_the_first_release_goes_back_to_the_factory(board):
    stand_in(board.folder / "a")
    board.put("a", TRIAL | {"slot": "a", "before": ""})
    assert [board.start() for _ in range(4)] == ["a", "a", "a", FACTORY]
    assert not (board.folder / "current").is_symlink()


def test_a_trial_that_is_committed_is_not_counted_any_more(both):
    both.put("b", TRIAL | {"starts": 2})
    assert both.start() == "b"
    (both.folder / "trial").unlink()
    assert [both.start() for _ in range(5)] == ["b"] * 5


def test_starts_of_what_was_before_are_not_counted_while_a_trial_is_only_armed(both):
    both.put("a", TRIAL)
    assert [both.start() for _ in range(5)] == ["a"] * 5
    assert both.told("trial") == TRIAL


def test_a_trial_that_was_left_already_is_forgotten(both):
    both.put("a", TRIAL | {"starts": 3})
    assert both.start() == "a"
    assert both.told("trial") is None


def test_a_trial_whose_before_is_broken_goes_to_the_factory_and_says_so(both):
    both.put("b", TRIAL | {"starts": 3})
    (both.folder / "a/MANIFEST.ok").unlink()
    assert both.start() == FACTORY
    reason = both.told("fell-back")["reason"]
    assert reason.startswith("INCONSISTENT: 3 starts without a commit; nor can slot a be started")


SPOILT = [
    "",
    "{",
    "[]",
    "null",
    "\0" * 60,
    "x" * 100_000,
    '{"slot": "b"}',
    json.dumps(TRIAL | {"slot": ["b"], "before": {}}),
    json.dumps(TRIAL | {"slot": "../x"}),
    json.dumps(TRIAL | {"before": "b"}),
    json.dumps(TRIAL | {"starts": -1}),
    json.dumps(TRIAL | {"starts": True}),
    json.dumps(TRIAL | {"starts": 1e3}),
    json.dumps(TRIAL | {"limit": 10**9}),
]


@pytest.mark.parametrize("content", SPOILT)
def test_a_record_of_a_trial_that_cannot_be_read_still_bounds_the_starts(both, content):
    both.put("b", content)
    assert [both.start() for _ in range(5)] == ["b", "b", "b", FACTORY, FACTORY]


def test_a_record_that_cannot_be_read_does_not_hurt_the_factory(board):
    board.put("", "{")
    assert board.start() == FACTORY


BREAKINGS = {
    "no manifest": lambda place: (place / "MANIFEST.ok").unlink(),
    "an empty manifest": lambda place: (place / "MANIFEST.ok").write_text(""),
    "half a manifest": lambda place: (place / "MANIFEST.ok").write_text('{"version": "1.'),
    "a manifest that is a link": lambda place: (
        (place / "MANIFEST.ok").replace(place / "x") and (place / "MANIFEST.ok").symlink_to("x")
    ),
    "no interpreter": lambda place: (place / "venv/bin/python").unlink(),
    "an interpreter that is gone": lambda place: (
        (place / "venv/bin/python").unlink() or (place / "venv/bin/python").symlink_to("/usr/bin/python3.0")
    ),
    "links in a circle": lambda place: (
        (place / "venv/bin/python").unlink() or (place / "venv/bin/python").symlink_to("python")
    ),
    "no pyvenv.cfg": lambda place: (place / "venv/pyvenv.cfg").unlink(),
    "no folder": lambda place: place.rename(place.parent / "gone"),
    "a folder elsewhere": lambda place: place.rename(place.parent / "gone") and place.symlink_to("gone"),
    "a file": lambda place: place.rename(place.parent / "gone") and place.write_text(""),
    "half a pyvenv.cfg": lambda place: (place / "venv/pyvenv.cfg").write_text("home = /usr/bin\nvers"),
    "another Python": lambda place: (place / "venv/pyvenv.cfg").write_text("version = 3.0.1\n"),
    "no program": lambda place: next(place.glob("venv/lib/*/*/pehra/__main__.py")).unlink(),
    "an empty program": lambda place: next(place.glob("venv/lib/*/*/pehra/__main__.py")).write_text(""),
}


@pytest.mark.parametrize("breaking", BREAKINGS)
def test_a_trial_that_cannot_start_is_left_at_once(both, breaking):
    both.put("b", TRIAL)
    BREAKINGS[breaking](both.folder / "b")
    assert both.start() == "a"
    assert both.current == "a"
    assert both.told("trial") is None
    assert both.told("fell-back")["reason"]


@pytest.mark.parametrize("breaking", BREAKINGS)
def test_a_committed_firmware_that_cannot_start_is_left_for_the_other_slot_and_then_the_factory(
    both, breaking
):
    both.put("b")
    BREAKINGS[breaking](both.folder / "b")
    # The other slot may never have run: it is on trial.
    assert [both.start() for _ in range(5)] == ["a", "a", "a", FACTORY, FACTORY]
    assert both.told("fell-back")["slot"] == "a"


def test_a_committed_firmware_that_cannot_start_is_told_as_inconsistent(both):
    both.put("b")
    both.cannot.add("b")
    assert both.start() == "a"
    told = both.told("fell-back")
    assert (told["slot"], told["to"]) == ("b", "a")
    assert told["reason"] == "INCONSISTENT: it cannot be started (Exec format error)"


def test_an_armed_trial_keeps_its_starts_when_it_is_needed_before_its_time(both):
    both.put("a", TRIAL | {"starts": 1})
    both.cannot.add("a")
    assert [both.start() for _ in range(3)] == ["b", "b", FACTORY]


def test_with_both_slots_broken_the_factory_starts(both):
    both.put("b")
    both.cannot |= {"a", "b"}
    assert both.start() == FACTORY
    assert both.current == FACTORY


def test_without_a_factory_what_is_there_starts(both):
    both.cannot.add(FACTORY)
    assert both.start() == "a"
    assert both.told("fell-back")["reason"].startswith("INCONSISTENT: it cannot be started")


def test_with_nothing_left_it_says_so_and_comes_back(both, capsys):
    both.cannot |= {"a", "b", FACTORY}
    launch(Slots(both.folder), both._become)
    assert "is left for" in capsys.readouterr().err


@pytest.mark.parametrize("to", ["../../elsewhere", "/opt/evil", "c", "a/venv"])
def test_a_current_that_leads_anywhere_else_is_refused(both, to):
    both.put(to)
    assert both.start() == FACTORY
    assert both.current == FACTORY
    assert "INCONSISTENT: current leads to" in both.told("fell-back")["reason"]


def test_a_current_that_leads_anywhere_else_in_a_trial_goes_to_what_was_before(both):
    both.put("/elsewhere", TRIAL | {"starts": 1})
    assert [both.start() for _ in range(4)] == ["a"] * 4
    assert both.told("trial") is None


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_current_that_is_no_link_is_refused(both, kind):
    place = both.folder / "current"
    place.write_text("b") if kind == "file" else (place / "x").mkdir(parents=True)
    assert [both.start() for _ in range(2)] == [FACTORY, FACTORY]


def test_on_a_full_disk_a_trial_is_not_started_uncounted(both, monkeypatch, capsys):
    both.put("b", TRIAL)

    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(launcher, "write_whole", full)
    assert [both.start() for _ in range(3)] == ["a"] * 3
    assert both.current == "a"
    assert "its start cannot be counted (No space left on device)" in capsys.readouterr().err


def test_on_a_disk_that_takes_nothing_at_all_the_board_starts_what_was_before_each_time(both, monkeypatch):
    both.put("b", TRIAL)

    def refuse(*_args: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for name in ("write_whole", "point", "remove"):
        monkeypatch.setattr(launcher, name, refuse)
    assert [both.start() for _ in range(5)] == ["a"] * 5
    assert both.current == "b"


def test_an_onlooker_follows_and_writes_nothing(both):
    both.put("b", TRIAL)
    before = {path: path.lstat().st_mtime_ns for path in both.folder.rglob("*")}
    assert both.start(looks=True) == "b"
    (both.folder / "b/MANIFEST.ok").rename(both.folder / "b/gone")
    assert both.start(looks=True) == "a"
    (both.folder / "b/gone").rename(both.folder / "b/MANIFEST.ok")
    assert {path: path.lstat().st_mtime_ns for path in both.folder.rglob("*")}.keys() == before.keys()
    assert both.told("trial") == TRIAL


def test_a_defect_of_the_launcher_starts_the_factory(tmp_path, monkeypatch):
    def break_down(*_args: object, **_named: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(launcher, "Slots", break_down)
    became = []
    monkeypatch.setattr(os, "execve", lambda *call: became.append(call))
    monkeypatch.setattr(launcher, "say", lambda words: None)
    launcher.main(["--state", str(tmp_path), "--factory", "/opt/pehra/bin/python", "--", "device", "run"])
    assert became[0][:2] == (
        "/opt/pehra/bin/python",
        ["/opt/pehra/bin/python", "-I", "-m", "pehra", "device", "run"],
    )


def test_the_launcher_becomes_the_firmware_with_its_arguments_and_says_who_it_was(both, monkeypatch):
    both.put("b")
    became = []

    def become(*call: object) -> None:
        became.append(call)
        raise SystemExit

    monkeypatch.setattr(os, "execve", become)
    state = both.folder.parent.parent
    words = ["device", "run", "--config", "/etc/pehra/device.toml"]
    with pytest.raises(SystemExit):
        launcher.main(["--state", str(state), "--factory", "/opt/pehra/bin/python", "--", *words])
    python = str(both.folder / "b/venv/bin/python")
    (program, command, environment) = became[0]
    assert (program, command) == (python, [python, "-I", "-m", "pehra", *words])
    assert environment.items() >= {("PEHRA_LAUNCHER", "1"), ("PEHRA_FACTORY", "/opt/pehra/bin/python")}


def test_the_launcher_needs_the_standard_library_alone():
    tree = ast.parse(Path(launcher.__file__).read_text())
    named = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {name.partition(".")[0] for name in named} <= sys.stdlib_module_names


def test_launcher_and_slots_mean_the_same_files(both):
    manifest = firmware_slot.read_manifest(both.folder / "a")
    assert manifest is not None
    assert firmware_slot.MANIFEST in ast.unparse(ast.parse(Path(launcher.__file__).read_text()))
    assert firmware_slot.python_of(both.folder / "a").exists()
    assert fault(both.folder, "a") == ""
