"""One's own API tokens; made by a person who has logged in, never by another token."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from fleet.access.lists import page_tokens
from fleet.access.tokens import make_token, revoke_token
from fleet.api.deps import Cursor, Limit, ManageTokens, SessionDep, browser_only
from fleet.api.entry import now_ms
from fleet.api.models_people import Done, MadeToken, TokenIn, TokenList, TokenOut
from fleet.queries.paging import Storable

router = APIRouter(tags=["people"])


@router.get("/tokens", summary="List your API tokens")
def read_tokens(
    caller: ManageTokens, session: SessionDep, limit: Limit = 100, cursor: Cursor = None
) -> TokenList:
    """Your tokens that were not revoked, newest first; in pages."""
    page = page_tokens(session, browser_only(caller).user_id, limit=limit, cursor=cursor)
    return TokenList(items=[TokenOut.of(row) for row in page.items], next_cursor=page.next_cursor)


@router.post("/tokens", summary="Make an API token")
def post_token(caller: ManageTokens, session: SessionDep, body: TokenIn) -> MadeToken:
    """Make a token with a part of your permissions; it is in this answer and nowhere else."""
    row, token = make_token(
        session,
        browser_only(caller),
        body.name,
        body.permissions,
        body.sites,
        days=body.days,
        now_ms=now_ms(),
    )
    return MadeToken(**TokenOut.of(row).model_dump(), token=token)


@router.delete("/tokens/{id}", summary="Revoke one of your API tokens")
def delete_token(
    caller: ManageTokens,
    session: SessionDep,
    id: Annotated[Storable, Path(max_length=64)],
) -> Done:
    """Revoke a token at once."""
    revoke_token(session, browser_only(caller), id, now_ms())
    return Done()
