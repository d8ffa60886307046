"""Lists of people, tokens, sessions, claims and boards on both databases: pages, of one's own sites."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlmodel import Session

from fleet.access.caller import Grant
from fleet.access.lists import page_sessions, page_tokens, page_users
from fleet.access.roles import Role
from fleet.access.sessions import ABSOLUTE_S, CLOCK_SLACK_S, IDLE_S, is_standing
from fleet.errors import BadQuery
from fleet.queries.admission import page_claims, page_enrolments
from fleet.queries.paging import Page, pages
from fleet.services import Services
from fleet.store.tables_identity import Claim, Enrolment
from fleet.store.tables_people import ApiToken, LoginDelay, LoginSession, User, UserGrant
from tests.people import OWNER, add, logged_in, problem_of, served, services_with_home

NOW_MS = 1_800_000_000_000
Read = Callable[[Session, str | None], Page[Any]]


def claim(number: int, site: str = "", made_ms: int = NOW_MS) -> Claim:
    name = f"claim-{number:03}"
    return Claim(id=name, secret_sha256=name, made_ms=made_ms, expires_ms=NOW_MS, site=site)


def board(number: int, site: str = "", state: str = "waiting") -> Enrolment:
    name = f"board-{number:03}"
    return Enrolment(
        id=name, claim="c", key_sha256=name, device=name, site=site, state=state, asked_ms=NOW_MS + number
    )


def log_in_of(number: int, made_ms: int = NOW_MS, seen_ms: int = NOW_MS) -> LoginSession:
    return LoginSession(hash=f"{number:064}", user="asad", made_ms=made_ms, seen_ms=seen_ms)


def token(number: int, user: str = "asad") -> ApiToken:
    name = f"{user}-{number:03}"
    return ApiToken(
        id=name,
        hash=name,
        user=user,
        name=name,
        permissions=[],
        sites=[""],
        made_ms=NOW_MS,
        expires_ms=NOW_MS,
    )


def user(number: int) -> User:
    return User(id=f"id-{number:03}", name=f"user-{number:03}", made_ms=NOW_MS)


def keep(engine: Engine, *rows: Any) -> None:
    with Session(engine) as session:
        session.add_all(rows)
        session.commit()


def seen(engine: Engine, read: Read, key: str) -> list[str]:
    with Session(engine) as session:
        return [getattr(one, key) for one in pages(lambda cursor: read(session, cursor))]


READS: dict[str, tuple[Callable[[int], Any], Read, str]] = {
    "claims": (claim, lambda s, cursor: page_claims(s, limit=3, cursor=cursor), "id"),
    "boards": (board, lambda s, cursor: page_enrolments(s, "", limit=3, cursor=cursor), "id"),
    "tokens": (token, lambda s, cursor: page_tokens(s, "asad", limit=3, cursor=cursor), "id"),
    "sessions": (
        log_in_of,
        lambda s, cursor: page_sessions(s, "asad", NOW_MS, limit=3, cursor=cursor),
        "hash",
    ),
    "users": (user, lambda s, cursor: page_users(s, NOW_MS, limit=3, cursor=cursor), "name"),
}


@pytest.mark.parametrize("what", READS)
@pytest.mark.parametrize("number", [0, 3, 7])
def test_the_pages_of_a_list_hold_each_row_once_and_no_more_than_asked(
    engine: Engine, what: str, number: int
) -> None:
    make, read, key = READS[what]
    keep(engine, *map(make, range(number)))
    found = seen(engine, read, key)
    assert len(found) == len(set(found)) == number
    assert found == sorted(found, reverse=what != "users")
    with Session(engine) as session:
        assert len(read(session, None).items) == min(number, 3)


@pytest.mark.parametrize("what", READS)
@pytest.mark.parametrize("cursor", ["x", "W10", "WyJhIiwgMV0", "bnVsbA"])
def test_a_cursor_that_is_not_ours_is_refused(engine: Engine, what: str, cursor: str) -> None:
    with Session(engine) as session, pytest.raises(BadQuery):
        READS[what][1](session, cursor)


def test_claims_and_boards_are_those_of_the_callers_sites_alone(engine: Engine) -> None:
    sites = [
        "",
        "lahore",
        "lahore/gulberg",
        "lahore/gulberg/x",
        "lahore/gulbergia",
        "LAHORE/GULBERG",
        "multan",
    ]
    keep(
        engine, *(claim(n, site) for n, site in enumerate(sites)), *(board(n, s) for n, s in enumerate(sites))
    )
    for within, wanted in (
        (("",), set(sites)),
        (("lahore/gulberg",), {"lahore/gulberg", "lahore/gulberg/x"}),
        (("multan", "lahore/gulberg/x"), {"multan", "lahore/gulberg/x"}),
        ((), set()),
    ):
        with Session(engine) as session:
            assert {one.site for one in page_claims(session, limit=9, within=within).items} == wanted
            assert {one.site for one in page_enrolments(session, "", limit=9, within=within).items} == wanted


def test_boards_are_listed_by_their_state(engine: Engine) -> None:
    keep(engine, board(1), board(2, state="enrolled"), board(3))
    with Session(engine) as session:
        assert [one.id for one in page_enrolments(session, "waiting", limit=9).items] == [
            "board-003",
            "board-001",
        ]


def test_the_sessions_of_a_list_are_those_that_hold(engine: Engine) -> None:
    ages_s = (-CLOCK_SLACK_S - 1, -CLOCK_SLACK_S, 0, IDLE_S - 1, IDLE_S, ABSOLUTE_S - 1, ABSOLUTE_S)
    rows = [
        log_in_of(n, NOW_MS - made_s * 1000, NOW_MS - seen_s * 1000)
        for n, (made_s, seen_s) in enumerate((made, idle) for made in ages_s for idle in ages_s)
    ]
    wanted = {row.hash for row in rows if is_standing(row.made_ms, row.seen_ms, NOW_MS)}
    keep(engine, *rows)
    with Session(engine) as session:
        assert {one.hash for one in page_sessions(session, "asad", NOW_MS, limit=99).items} == wanted


def test_a_page_of_users_tells_roles_and_waits_and_costs_three_queries(engine: Engine) -> None:
    keep(engine, *map(user, range(20)), UserGrant(user="id-001", role="viewer", site="lahore"))
    keep(engine, UserGrant(user="id-001", role="of a later version", site=""))
    keep(engine, LoginDelay(key="user:user-002", failures=9, last_ms=NOW_MS, until_ms=NOW_MS + 5))
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *words: asked.append(words[2]))
    with Session(engine) as session:
        people = page_users(session, NOW_MS, limit=20).items
    assert people[1].grants == (Grant(Role.VIEWER, "lahore"),)
    assert [one.waits_until_ms for one in people[:4]] == [0, 0, NOW_MS + 5, 0]
    assert len(asked) == 3


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder: Path = tmp_path_factory.mktemp("home")
    built = services_with_home(folder)
    add(built, "tech", "technician@lahore/gulberg")
    keep(built.engine, *(claim(n, "lahore/gulberg", NOW_MS + n) for n in range(5)), claim(9, "multan"))
    yield built
    built.close()


def test_the_api_gives_lists_in_pages_of_what_the_caller_may_see(services: Services) -> None:
    with served(services) as url, logged_in(url, "tech") as tech, logged_in(url, OWNER) as owner:
        first = tech.get("/claims", params={"limit": 3}).json()
        rest = tech.get("/claims", params={"limit": 3, "cursor": first["next_cursor"]}).json()
        assert [one["id"][-1] for one in first["items"] + rest["items"]] == ["4", "3", "2", "1", "0"]
        assert rest["next_cursor"] is None
        assert len(owner.get("/claims").json()["items"]) == 6
        for path in ("/users", "/enrolments", "/sessions", "/tokens"):
            assert owner.get(path, params={"limit": 1}).json()["items"] is not None
            assert problem_of(owner.get(path, params={"limit": 501}))["status"] == 422
            assert problem_of(owner.get(path, params={"cursor": "x"}))["status"] == 422
        names = owner.get("/users", params={"limit": 1}).json()
        assert [one["name"] for one in names["items"]] == [OWNER]
        assert names["next_cursor"] is not None
