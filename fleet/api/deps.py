"""What handlers are given: the services of this fleet, a session, a page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Query, Request
from sqlmodel import Session

from fleet.errors import NotFound
from fleet.identity.office import Office
from fleet.queries.paging import PAGE_MAX
from fleet.services import Services


def get_services(request: Request) -> Services:
    """Return the services that the application was made with."""
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


ServicesDep = Annotated[Services, Depends(get_services)]


def get_office(services: ServicesDep) -> Office:
    """Return the counter for identities.

    Raises:
        NotFound: this fleet has no home, so it lets nobody in and trusts everybody on this machine.
    """
    if services.office is None:
        raise NotFound("this fleet has no authority of its own: `pehra fleet init` makes one")
    return services.office


OfficeDep = Annotated[Office, Depends(get_office)]


def get_session(services: ServicesDep) -> Iterator[Session]:
    """Give a session for the time of the request."""
    with services.session() as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session)]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="rows of a page")]
Cursor = Annotated[
    str | None, Query(max_length=400, description="`next_cursor` of the page before; absent for the first")
]
