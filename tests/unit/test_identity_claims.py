"""What a claim may say, and what each wrong line of a list is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import Session, select

from fleet.errors import BadClaim, NotFound
from fleet.identity.claims import (
    Board,
    Terms,
    cancel_claim,
    claim_state,
    digest,
    list_claims,
    make_claim,
    read_boards,
)
from fleet.store.database import open_database
from fleet.store.tables_identity import Claim, ClaimBoard, Identity
from ota.enrolment import Ticket, parse_ticket, ticket_text

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    engine = open_database(f"sqlite:///{tmp_path_factory.mktemp('claims')}/fleet.db")
    with Session(engine) as opened:
        for device, state in (("cam-on", "active"), ("cam-going", "leaving"), ("cam-off", "revoked")):
            opened.add(Identity(device=device, state=state, since_ms=1, enrolled_ms=1))
        opened.commit()
        yield opened
    engine.dispose()


def made(session: Session, terms: Terms, by: str = "noor") -> tuple[Claim, Ticket]:
    return make_claim(session, terms, url="https://fleet.example:8443", pin="ab" * 32, by=by, now=NOW)


def test_the_database_keeps_the_digest_of_a_secret_that_only_the_ticket_has(session: Session) -> None:
    claim, ticket = made(session, Terms(site="lahore/gulberg", device="cam-01"))
    assert claim.secret_sha256 == digest(ticket.claim)
    assert ticket.claim not in repr(claim.model_dump())
    assert parse_ticket(ticket_text(ticket)) == ticket
    assert (ticket.site, ticket.device) == ("lahore/gulberg", "cam-01")
    assert len({made(session, Terms())[1].claim for _ in range(20)}) == 20


WRONG = {
    "site": Terms(site="Lahore"),
    "site with a dot": Terms(site="lahore/../x"),
    "site with a line": Terms(site="lahore\n"),
    "site too long": Terms(site="a" * 201),
    "site in HTML": Terms(site="<script>"),
    "id": Terms(device="CAM"),
    "id too short": Terms(device="ab"),
    "id with a wildcard": Terms(device="cam-+"),
    "id with SQL": Terms(device="x'; drop table claim; --"),
    "the fleet's name": Terms(device="fleet"),
    "serial": Terms(serial="a b"),
    "serial too long": Terms(serial="a" * 65),
    "timezone": Terms(timezone="Mars/Olympus"),
    "timezone with a path": Terms(timezone="../../etc/passwd"),
    "no timezone": Terms(timezone=""),
    "no use": Terms(uses=0),
    "too many": Terms(uses=10_001),
    "a short life": Terms(life=timedelta(seconds=59)),
    "a long life": Terms(life=timedelta(days=366)),
    "several with one id": Terms(uses=2, device="cam-02"),
    "several with one serial": Terms(uses=2, serial="x"),
    "a list with one id": Terms(boards=(Board("a"), Board("b")), device="cam-02"),
    "an id that is enrolled": Terms(device="cam-on"),
    "an id that is leaving": Terms(device="cam-going"),
    "a list with an id that is enrolled": Terms(boards=(Board("a"), Board("b", "cam-on"))),
    "a list with the fleet's name": Terms(boards=(Board("a", "fleet"),)),
    "a list with an odd id": Terms(boards=(Board("a", "cam/#"),)),
    "a list with an odd site": Terms(boards=(Board("a", "", "<b>"),)),
    "a list with one serial twice": Terms(boards=(Board("a"), Board("a"))),
    "replaces nobody": Terms(replaces=True),
    "replaces one who never was": Terms(replaces=True, device="cam-none"),
}


@pytest.mark.parametrize("terms", WRONG.values(), ids=WRONG.keys())
def test_terms_that_make_no_sense_are_refused_in_a_sentence(session: Session, terms: Terms) -> None:
    before = len(list_claims(session))
    with pytest.raises(BadClaim) as refused:
        made(session, terms)
    assert 0 < len(str(refused.value)) < 200
    assert len(list_claims(session)) == before


def test_an_id_that_ended_may_be_given_again_and_an_enrolled_one_replaced(session: Session) -> None:
    assert made(session, Terms(device="cam-off"))[0].device == "cam-off"
    assert made(session, Terms(device="cam-on", replaces=True))[0].replaces


def test_a_claim_says_in_one_word_how_it_stands(session: Session) -> None:
    claim, _ = made(session, Terms(life=timedelta(minutes=1)))
    assert claim_state(claim, NOW) == "open"
    assert claim_state(claim, NOW + timedelta(seconds=60)) == "expired"
    assert claim_state(Claim(**claim.model_dump() | {"used": 1}), NOW) == "used"
    for _ in range(2):
        assert claim_state(cancel_claim(session, claim.id), NOW) == "cancelled"
    with pytest.raises(NotFound):
        cancel_claim(session, "x' or '1'='1")


def test_sql_and_html_in_who_made_it_are_only_text(session: Session) -> None:
    nasty = "Robert'); DROP TABLE claim;--<img src=x onerror=alert(1)>" * 3
    claim, _ = made(session, Terms(), by=nasty)
    assert claim.made_by == nasty[:100]


def test_a_list_is_kept_with_its_claim(session: Session) -> None:
    boards = read_boards("\ufeffserial,id,site\r\n100, cam-7 ,lahore\r\n\r\n101,,\r\n")
    assert boards == (Board("100", "cam-7", "lahore"), Board("101"))
    claim, _ = made(session, replace(Terms(), boards=boards))
    assert (claim.uses, claim.has_list) == (2, True)
    kept = session.exec(select(ClaimBoard).where(ClaimBoard.claim == claim.id)).all()
    assert {(one.serial, one.device, one.site) for one in kept} == {
        ("100", "cam-7", "lahore"),
        ("101", "", ""),
    }
    assert read_boards("serial\nA.b_c:d-1") == (Board("A.b_c:d-1"),)


LINES = {
    "": "line 1: the columns",
    "id,site\n1,a": "line 1: the columns",
    "serial,model\n1,a": "line 1: the columns",
    "serial,serial\n1,2": "line 1: the columns",
    "serial": "names no board",
    "serial,id\n1,cam-1\n1,cam-2": "line 3: serial 1 stands twice",
    "serial,id\n1,cam-1\n2,cam-1": "line 3: id cam-1 stands twice",
    "serial\n1\n\n \n": "line 4: serial ''",
    "serial\n1,2": "line 2: more values",
    "serial,id\n1,Cam": "line 2: id 'Cam'",
    "serial,id\n1,fleet": "line 2: id 'fleet'",
    "serial,site\n1,Lahore/..": "line 2: site",
    "serial\n=cmd|'/c calc'!A1": "line 2: serial",
    "serial\n1\x002": "line 2: ",
    "serial\n" + "9" * 140_000: "line 2: ",
}


@pytest.mark.parametrize(("text", "words"), LINES.items(), ids=range(len(LINES)))
def test_a_wrong_line_of_a_list_is_named(text: str, words: str) -> None:
    with pytest.raises(BadClaim) as refused:
        read_boards(text)
    assert words in str(refused.value)


def test_the_largest_list_is_read_in_a_moment() -> None:
    assert len(read_boards("serial,id\n" + "".join(f"{n},cam-{n}\n" for n in range(100, 10_100)))) == 10_000


@given(st.text(max_size=200) | st.text(alphabet='serial,id\n"1\r\t', max_size=60).map("serial\n".__add__))
def test_no_text_raises_anything_but_a_refusal(text: str) -> None:
    try:
        boards = read_boards(text)
    except BadClaim:
        return
    assert boards
