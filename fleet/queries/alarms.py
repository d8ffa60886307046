"""Alarms that stand now."""

from __future__ import annotations

from sqlmodel import Session, col, select

from fleet.store.tables import Alarm


def list_alarms(session: Session, *, device: str = "", limit: int = 500) -> list[Alarm]:
    """Return standing alarms, newest first; of one device when it is named."""
    where = [col(Alarm.device) == device] if device else []
    query = select(Alarm).where(*where).order_by(col(Alarm.raised_ms).desc(), col(Alarm.device)).limit(limit)
    return list(session.exec(query))
