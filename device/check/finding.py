"""One line of the table."""

from __future__ import annotations

from typing import Literal

import msgspec

Result = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """What one check found.

    Attributes:
        check: what was looked at, such as `link: tls`.
        result: `ok`, `warn` (it works, but somebody should look) or `fail`.
        found: in words and numbers.
        do: what to do; empty where nothing is to be done.
    """

    check: str
    result: Result
    found: str
    do: str = ""


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", found)


def warn(check: str, found: str, do: str) -> Finding:
    """It works, but somebody should look."""
    return Finding(check, "warn", found, do)


def fail(check: str, found: str, do: str) -> Finding:
    """It does not work."""
    return Finding(check, "fail", found, do)
