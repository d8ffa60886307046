"""Claims, and boards that asked to be let in: of some sites, newest first, in pages."""

from __future__ import annotations

from sqlmodel import Session, col, select

from fleet.queries.paging import Page, page_of
from fleet.queries.sites import EVERYWHERE, Sites, at_sites
from fleet.store.tables_identity import Claim, Enrolment


def page_claims(
    session: Session, *, limit: int, cursor: str | None = None, within: Sites = EVERYWHERE
) -> Page[Claim]:
    """Return one page of claims for these sites, newest first; one for any site is for who is everywhere.

    Raises:
        BadQuery: the cursor is not ours.
    """
    wanted = select(Claim).where(*at_sites(within, Claim.site))
    order = ((col(Claim.made_ms), int), (col(Claim.id), str))
    return page_of(session, wanted, order, lambda row: (row.made_ms, row.id), limit=limit, cursor=cursor)


def page_enrolments(
    session: Session, state: str, *, limit: int, cursor: str | None = None, within: Sites = EVERYWHERE
) -> Page[Enrolment]:
    """Return one page of boards at these sites, newest first; an empty state is all.

    Raises:
        BadQuery: the cursor is not ours.
    """
    wanted = select(Enrolment).where(*at_sites(within, Enrolment.site))
    if state:
        wanted = wanted.where(Enrolment.state == state)
    order = ((col(Enrolment.asked_ms), int), (col(Enrolment.id), str))
    return page_of(session, wanted, order, lambda row: (row.asked_ms, row.id), limit=limit, cursor=cursor)
