"""What handlers are given: the services of this fleet, a session, a page, and who asks.

Every route names one of the callers below or `PUBLIC`; a test fails for one that does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Final

from fastapi import Depends, Query, Request
from fastapi.security import APIKeyCookie, HTTPBearer
from sqlmodel import Session

from fleet.access.caller import Caller
from fleet.access.roles import Permission
from fleet.api.entry import SESSION_COOKIE, identify
from fleet.errors import Forbidden, NotFound
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

_by_cookie = APIKeyCookie(name=SESSION_COOKIE, auto_error=False, description="a browser that has logged in")
_by_token = HTTPBearer(auto_error=False, scheme_name="token", description="an API token, `pehra_...`")


def get_caller(
    request: Request,
    services: ServicesDep,
    _cookie: Annotated[str | None, Depends(_by_cookie)],
    _token: Annotated[object, Depends(_by_token)],
) -> Caller:
    """Return who asks.

    Raises:
        NotLoggedIn: nobody we know.
    """
    return identify(services, request)


AnyCaller = Annotated[Caller, Depends(get_caller)]
"""Whoever has logged in; for what concerns only the caller's own account."""


def may(permission: Permission) -> Callable[[Caller], Caller]:
    """Return a dependency that gives the caller, who has the permission at some site at least."""

    def check(caller: AnyCaller) -> Caller:
        caller.need(permission)
        return caller

    check.__dict__["permission"] = permission
    return check


SeeDevices = Annotated[Caller, Depends(may(Permission.SEE_DEVICES))]
SeeEvents = Annotated[Caller, Depends(may(Permission.SEE_EVENTS))]
SeeStats = Annotated[Caller, Depends(may(Permission.SEE_STATS))]
SeeConfig = Annotated[Caller, Depends(may(Permission.SEE_CONFIG))]
ChangeConfig = Annotated[Caller, Depends(may(Permission.CHANGE_CONFIG))]
MakeClaims = Annotated[Caller, Depends(may(Permission.MAKE_CLAIMS))]
ApproveEnrolment = Annotated[Caller, Depends(may(Permission.APPROVE_ENROLMENT))]
ReplaceDevice = Annotated[Caller, Depends(may(Permission.REPLACE_DEVICE))]
RevokeDevice = Annotated[Caller, Depends(may(Permission.REVOKE_DEVICE))]
DecommissionDevice = Annotated[Caller, Depends(may(Permission.DECOMMISSION_DEVICE))]
ManageRollouts = Annotated[Caller, Depends(may(Permission.MANAGE_ROLLOUTS))]
ApproveRollouts = Annotated[Caller, Depends(may(Permission.APPROVE_ROLLOUTS))]
SeeAudit = Annotated[Caller, Depends(may(Permission.SEE_AUDIT))]
ManageUsers = Annotated[Caller, Depends(may(Permission.MANAGE_USERS))]
ManageTokens = Annotated[Caller, Depends(may(Permission.MANAGE_TOKENS))]


def browser_only(caller: AnyCaller) -> Caller:
    """Give the caller, who has logged in as a person: a token changes no passwords and makes no tokens.

    Raises:
        Forbidden: it is a token, or a fleet without log-in.
    """
    if caller.kind != "session":
        raise Forbidden("this needs somebody who has logged in with a browser or POST /api/v1/sessions")
    return caller


OwnAccount = Annotated[Caller, Depends(browser_only)]


def open_to_all() -> None:
    """Mark a route that needs no log-in."""


PUBLIC: Final = Depends(open_to_all)
