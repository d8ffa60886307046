"""Cuts the power of a piece of work at each of its steps on the disk, and asks what is left.

`python -m tests.power_cuts SCENARIO FOLDER` does a scenario again and again in a child of its own: the first
time the child is killed at its first change of the disk, then at its second, until it gets through. A cut is
not only a SIGKILL: what was written and not synced is emptied, as a file system may do it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.truncate"}
Seen = dict[int, tuple[int, int]]


def cut_everywhere(
    before: Path,
    work: Path,
    act: Callable[[Path], None],
    check: Callable[[Path], None],
    *,
    first: int = 1,
    stride: int = 1,
) -> int:
    """Do `act` on a copy of `before`, cut at each step, `check` what is left; return how many there were.

    With a stride, only every so many steps are cut.
    """
    step = first - stride
    while True:
        step += stride
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(before, work, symlinks=True)
        child = os.fork()
        if child == 0:
            _act_until(step, work, act)
        _, status = os.waitpid(child, 0)
        check(work)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, f"step {step}"
            return step - 1


def _act_until(step: int, work: Path, act: Callable[[Path], None]) -> NoReturn:
    synced = _seen(work)
    really_sync = os.fsync
    left = step

    def sync(handle: int) -> None:
        really_sync(handle)
        state = os.fstat(handle)
        synced[state.st_ino] = (state.st_mtime_ns, state.st_size)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        is_writing = (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if event in CHANGES or is_writing:
            left -= 1
            if left == 0:
                left = -1
                _empty_what_is_not_synced(work, synced)
                os.kill(os.getpid(), signal.SIGKILL)

    code = 1
    try:
        os.fsync = sync
        sys.addaudithook(watch)
        act(work)
        code = 0
    finally:
        if code:
            import traceback

            traceback.print_exc()
        os._exit(code)


def _seen(folder: Path) -> Seen:
    return {
        file.stat().st_ino: (file.stat().st_mtime_ns, file.stat().st_size)
        for file in folder.rglob("*")
        if file.is_file() and not file.is_symlink()
    }


def _empty_what_is_not_synced(folder: Path, synced: Seen) -> None:
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            state = file.stat()
            if synced.get(state.st_ino) != (state.st_mtime_ns, state.st_size):
                os.truncate(file, 0)


def main() -> None:
    from tests import power_cut_scenarios

    scenario, folder = sys.argv[1], Path(sys.argv[2])
    steps = getattr(power_cut_scenarios, scenario)(folder)
    sys.stdout.write(f"{steps} steps\n")


if __name__ == "__main__":
    main()
