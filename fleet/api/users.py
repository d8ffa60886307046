"""Users: for owners."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from fleet.access import users
from fleet.access.lists import page_users
from fleet.api.deps import Cursor, Limit, ManageUsers, SessionDep
from fleet.api.entry import now_ms
from fleet.api.models_people import Done, GrantsIn, ResetIn, StateIn, UserIn, UserList, UserOut
from fleet.queries.paging import Storable

router = APIRouter(tags=["people"])

UserName = Annotated[Storable, Path(max_length=64)]


@router.get("/users", summary="List users")
def read_users(
    _caller: ManageUsers, session: SessionDep, limit: Limit = 100, cursor: Cursor = None
) -> UserList:
    """Users with their roles, by name; in pages."""
    page = page_users(session, now_ms(), limit=limit, cursor=cursor)
    return UserList(items=[UserOut.of(one) for one in page.items], next_cursor=page.next_cursor)


@router.post("/users", summary="Add a user")
def post_user(caller: ManageUsers, session: SessionDep, body: UserIn) -> UserOut:
    """Add a user who logs in with a password."""
    grants = [one.grant() for one in body.grants]
    moment_ms = now_ms()
    user = users.add_user(session, caller, body.name, body.password, grants, now_ms=moment_ms)
    return UserOut.of(users.show_user(session, user, moment_ms))


@router.put("/users/{name}/grants", summary="Give a user roles")
def put_grants(caller: ManageUsers, session: SessionDep, name: UserName, body: GrantsIn) -> Done:
    """Give a user exactly these roles."""
    grants = [one.grant() for one in body.grants]
    users.set_grants(session, caller, name, grants, now_ms=now_ms())
    return Done()


@router.put("/users/{name}/state", summary="Disable or enable a user")
def put_state(caller: ManageUsers, session: SessionDep, name: UserName, body: StateIn) -> Done:
    """Let a user in no more, or again; to disable ends all his sessions."""
    change = users.disable_user if body.is_disabled else users.enable_user
    change(session, caller, name, now_ms=now_ms())
    return Done()


@router.put("/users/{name}/password", summary="Reset a user's password")
def put_user_password(caller: ManageUsers, session: SessionDep, name: UserName, body: ResetIn) -> Done:
    """Set a user's password; all his sessions end."""
    users.reset_password(session, caller, name, body.password, now_ms=now_ms())
    return Done()


@router.post("/users/{name}/unlock", summary="Let a user try again at once")
def post_unlock(caller: ManageUsers, session: SessionDep, name: UserName) -> Done:
    """Forget a user's wrong log-ins."""
    users.unlock_user(session, caller, name, now_ms=now_ms())
    return Done()


@router.delete("/users/{name}/totp", summary="Take a lost second factor from a user")
def delete_totp(caller: ManageUsers, session: SessionDep, name: UserName) -> Done:
    """Take TOTP and recovery codes from a user; all his sessions end."""
    users.reset_totp(session, caller, name, now_ms=now_ms())
    return Done()


@router.delete("/users/{name}", summary="Remove a user")
def delete_user(caller: ManageUsers, session: SessionDep, name: UserName) -> Done:
    """Remove a user with roles, tokens and sessions; what he did stays in the audit log."""
    users.remove_user(session, caller, name, now_ms=now_ms())
    return Done()
