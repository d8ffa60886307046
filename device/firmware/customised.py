"""What the first boot made of the card that the flasher wrote: read from the state folder, to be reported.

The flasher's first-boot script writes the file (`hardware/flash/files/first-boot.sh`); nothing here writes.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

APPLIED: Final = "customisation.json"
_MAX_BYTES: Final = 4096
_log = logging.getLogger(__name__)


class Applied(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """A customisation that was applied, or that failed.

    Attributes:
        sha256: of the customisation; `pehra flash` told the same when it wrote the card.
        format: how the system was told: `firstrun` or `cloud-init`.
        at: when, by the board's clock, which may not have been set.
        result: whether all of it was applied.
        step: which failed; empty where none did.
        reason: the last line of the failed step.
    """

    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
    format: Literal["firstrun", "cloud-init"]
    at: Annotated[str, Meta(max_length=40)]
    result: Literal["ok", "failed"]
    step: Annotated[str, Meta(max_length=100)] = ""
    reason: Annotated[str, Meta(max_length=300)] = ""


def read_applied(state: Path) -> Applied | None:
    """Return what was applied; None on a board that was set up by hand, or whose record cannot be read."""
    file = state / APPLIED
    try:
        with file.open("rb") as opened:
            return msgspec.json.decode(opened.read(_MAX_BYTES), type=Applied)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        _log.warning("the record of the first boot cannot be read file=%s reason=%s", file, error)
        return None
