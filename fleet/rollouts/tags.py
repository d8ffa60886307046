"""Words that people hang on devices, so that filters can mean them: `tag:night`."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Final

from sqlalchemy import delete
from sqlmodel import Session, col, select

from fleet.access.audit import record
from fleet.access.caller import Caller
from fleet.errors import BadInput
from fleet.queries.devices import get_device
from fleet.store.tables_rollouts import DeviceTag

TAGS_MAX: Final = 32
_TAG: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)


def tags_of(session: Session, device: str) -> list[str]:
    """Return the tags of a device, by name."""
    query = select(DeviceTag.tag).where(DeviceTag.device == device).order_by(col(DeviceTag.tag))
    return list(session.exec(query))


def set_tags(session: Session, device: str, tags: Iterable[str], by: Caller | str) -> list[str]:
    """Let a device have exactly these tags; the same again changes nothing.

    Raises:
        NotFound: no message of the device has ever come.
        BadInput: a tag is none, or there are too many.
    """
    get_device(session, device)
    wanted = sorted({_checked(tag) for tag in tags})
    if len(wanted) > TAGS_MAX:
        raise BadInput(f"tags: a device has at most {TAGS_MAX}")
    before = tags_of(session, device)
    if before == wanted:
        return before
    session.execute(delete(DeviceTag).where(col(DeviceTag.device) == device))
    session.add_all(DeviceTag(device=device, tag=tag) for tag in wanted)
    session.flush()
    detail = {"before": " ".join(before), "tags": " ".join(wanted)}
    record(session, by, "device.tag", device, detail, at_ms=round(time.time() * 1000))
    session.commit()
    return wanted


def _checked(tag: str) -> str:
    if _TAG.fullmatch(tag) is None:
        raise BadInput(f"tags: {tag[:40]!r} is none: small letters, digits and dashes, at most 40")
    return tag
