"""Pages: a cursor says where the last page ended, so that new rows do not shift the next one."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from pydantic import AfterValidator
from sqlalchemy import ColumnElement, and_, or_
from sqlmodel import Session
from sqlmodel.sql.expression import SelectOfScalar

from fleet.errors import BadQuery

Item = TypeVar("Item")
PAGE_MAX: Final = 500


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """One page.

    Attributes:
        next_cursor: for the following page; None on the last.
    """

    items: list[Item]
    next_cursor: str | None


def pages(read: Callable[[str | None], Page[Item]]) -> Iterator[Item]:
    """Give the rows of all pages, of which one at a time is in memory; `read` takes a cursor."""
    page = read(None)
    yield from page.items
    while page.next_cursor is not None:
        page = read(page.next_cursor)
        yield from page.items


def pack_cursor(*position: str | int) -> str:
    """Return a cursor that names a row's place in the order."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def unpack_cursor(cursor: str, shape: tuple[type, ...]) -> list[Any]:
    """Return the place that a cursor names.

    Raises:
        BadQuery: it is not one of ours.
    """
    try:
        position = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise BadQuery("cursor: take it from next_cursor of the page before, unchanged") from error
    is_ours = isinstance(position, list) and len(position) == len(shape)
    if not is_ours or not all(type(part) is kind for part, kind in zip(position, shape, strict=True)):
        raise BadQuery("cursor: take it from next_cursor of the page before, unchanged")
    if any(isinstance(part, int) and abs(part) >= 2**63 for part in position):
        raise BadQuery("cursor: a number in it is out of range")
    if not all(is_storable(part) for part in position if isinstance(part, str)):
        raise BadQuery("cursor: a text in it is none that could be stored")
    return list(position)


def page_of(
    session: Session,
    wanted: SelectOfScalar[Item],
    order: Sequence[tuple[Any, type]],
    place: Callable[[Item], tuple[str | int, ...]],
    *,
    limit: int,
    cursor: str | None,
) -> Page[Item]:
    """Return one page of rows, the greatest first.

    Args:
        session: to read with.
        wanted: which rows.
        order: the columns that the rows fall in, together unique, each with the type of its values.
        place: of a row: its values of these columns.
        limit: rows of a page.
        cursor: of the page before; None for the first.

    Raises:
        BadQuery: the cursor is not ours.
    """
    columns = [column for column, _ in order]
    if cursor:
        position = unpack_cursor(cursor, tuple(kind for _, kind in order))
        wanted = wanted.where(rows_after(list(zip(columns, position, strict=True))))
    query = wanted.order_by(*(column.desc() for column in columns)).limit(limit + 1)
    found = list(session.exec(query))
    return Page(found[:limit], pack_cursor(*place(found[limit - 1])) if len(found) > limit else None)


def rows_after(place: list[tuple[ColumnElement[object], str | int]]) -> ColumnElement[bool]:
    """Rows that come later when every column falls: smaller in the first column that differs."""
    (column, value), *rest = place
    if not rest:
        return column < value
    return or_(column < value, and_(column == value, rows_after(rest)))


def is_storable(word: str) -> bool:
    """Whether both databases could hold a text at all: no NUL, no half of a surrogate pair.

    PostgreSQL refuses to be asked for others, and SQLite ends a word at its NUL.
    """
    return "\0" not in word and not any("\ud800" <= letter <= "\udfff" for letter in word)


def _storable(word: str) -> str:
    if not is_storable(word):
        raise ValueError("a NUL or half a surrogate pair is in no text of ours")
    return word


Storable = Annotated[str, AfterValidator(_storable)]
"""A text of a request that the database may be asked for."""
