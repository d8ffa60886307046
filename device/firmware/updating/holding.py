"""Why nothing may be switched now: an aircraft that is armed or in the air, for whoever knows of it.

A drone's flight link will be such a `Hold`. Until then, and for whatever else must not be disturbed, there is
a file: while it is there, nothing is switched, and what stands in it is the reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

MOST_BYTES: Final = 200


class Hold(Protocol):
    """Asked before every switch, there and back."""

    def __call__(self) -> str:
        """Return why nothing may be switched now; empty where it may."""


class FileHold:
    """A file that holds everything up while it is there.

    Args:
        file: read anew each time; one that is there and cannot be read holds too.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self) -> str:
        """See `Hold`."""
        try:
            with self._file.open("rb") as opened:
                said = opened.read(MOST_BYTES).decode(errors="replace").strip()
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except OSError as error:
            return f"held by {self._file}, which cannot be read ({error.strerror})"
        return said.splitlines()[0] if said else f"held by {self._file}"


def never() -> str:
    """Hold nothing up."""
    return ""


def first_of(*holds: Hold) -> Hold:
    """Return a hold that holds while any of some does."""
    return lambda: next((reason for hold in holds if (reason := hold())), "")
