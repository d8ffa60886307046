"""What somebody does on a page: his right is asked again at that moment, and a refusal is said in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from nicegui import ui
from sqlmodel import Session

from fleet.access.caller import Caller
from fleet.access.roles import Permission
from fleet.access.sessions import renewed
from fleet.console.frame import ask, now_ms
from fleet.errors import FleetError, NotLoggedIn
from fleet.services import Services

Result = TypeVar("Result")


async def act(
    services: Services,
    caller: Caller,
    permission: Permission | None,
    change: Callable[[Session, Caller], Result],
) -> Result | None:
    """Do something as the caller stands now; None when it was refused, which is shown.

    Args:
        services: of this fleet.
        caller: who opened the page.
        permission: what it needs; None for one's own account.
        change: does it; must not return None.
    """

    def work(session: Session) -> Result:
        now = renewed(session, caller, now_ms())
        if now is None:
            raise NotLoggedIn("the session has ended: log in again")
        if permission is not None:
            now.need(permission)
        return change(session, now)

    try:
        return await ask(services, work)
    except FleetError as error:
        ui.notify(str(error), type="negative")
        return None
