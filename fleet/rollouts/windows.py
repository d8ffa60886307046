"""Maintenance windows as people of a fleet write them; the grammar is everybody's (`ota.windows`)."""

from __future__ import annotations

from fleet.errors import BadInput
from ota.errors import BadWindow
from ota.windows import Window
from ota.windows import parse_window as _parse

__all__ = ["Window", "parse_window"]


def parse_window(text: str) -> Window | None:
    """Return the window that a text means; None for an empty one, which is any time.

    Raises:
        BadInput: it cannot be read.
    """
    try:
        return _parse(text)
    except BadWindow as error:
        raise BadInput(str(error)) from error
