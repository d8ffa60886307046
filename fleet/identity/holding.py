"""Keeps others away from a claim or a device until a transaction ends: who decides about it is alone.

Without it a board whose first question is still being answered would be refused at its second, and a
certificate could be signed for a device in the moment in which it is revoked. An update that changes nothing
takes the row's lock on PostgreSQL and the write lock on SQLite; what was read before is read anew. A device
that has no row yet is held by its name.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import func, select, update
from sqlmodel import Session, col

from fleet.store.tables_identity import Claim, Identity

NAMES: Final = 0x70656872
"""Sets our names apart from other advisory locks of the database."""


def hold_claim(session: Session, claim: str) -> None:
    """Be the only one who spends a claim."""
    session.execute(
        update(Claim).where(col(Claim.id) == claim).values(used=Claim.used),
        execution_options={"synchronize_session": False},
    )
    session.expire_all()


def hold_identity(session: Session, device: str) -> None:
    """Be the only one who gives a device certificates or ends them."""
    if session.connection().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(device, NAMES))))
    session.execute(
        update(Identity).where(col(Identity.device) == device).values(state=Identity.state),
        execution_options={"synchronize_session": False},
    )
    session.expire_all()
