"""How the number of a device's document rises: within the transaction of whoever wants something else of it.

A row that is marked is told by the director; what it says is read then. So a kill leaves either nothing, or
something that is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Table, case
from sqlalchemy.dialects import postgresql, sqlite

from fleet.store import tables
from ota.messages import new_id

DESIRED = cast(Table, tables.Desired.__table__)  # type: ignore[attr-defined]


def mark(connection: Connection, devices: Iterable[str], now_s: float) -> None:
    """Let documents of devices have a new number, and be told.

    The number is at least the Unix time: beyond what a device has seen, even if we have lost our memory.
    """
    rows = [_new_row(device, now_s) for device in dict.fromkeys(devices)]
    if not rows:
        return
    insert = (sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert)(DESIRED)
    changed = {"seq": _risen(insert.excluded["seq"]), "is_due": True}
    connection.execute(insert.on_conflict_do_update(index_elements=["device"], set_=changed), rows)


def _risen(least: ColumnElement[int]) -> ColumnElement[int]:
    return case((DESIRED.c.seq >= least, DESIRED.c.seq + 1), else_=least)


def _new_row(device: str, now_s: float) -> dict[str, Any]:
    """Return a row that says nothing of the configuration."""
    return {
        "device": device,
        "seq": int(now_s),
        "action": new_id(),
        "sha256": "",
        "overlay": "",
        "made_ms": round(now_s * 1000),
        "config_seq": 0,
        "is_due": True,
    }
