"""A ticket survives every way it can be carried; what is not one is refused in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ota.enrolment import Ticket, contradiction, parse_ticket, ticket_json, ticket_text
from ota.errors import BadMessage

TICKET = Ticket(
    claim="c" * 32,
    url="https://fleet.example.org:8443",
    pin="ab" * 32,
    made="2026-11-26T10:00:00.000Z",
    site="lahore/gulberg",
    device="cam-01",
)


def test_a_ticket_survives_file_and_line() -> None:
    assert parse_ticket(ticket_json(TICKET)) == TICKET
    assert parse_ticket("  " + ticket_text(TICKET) + "\r\n") == TICKET


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("https:", "http:"),
        ("fleet.example.org", "user@fleet.example.org"),
        ("ab" * 32, "AB" * 32),
        ("lahore/gulberg", "<b>lahore</b>"),
        ("cam-01", "../cam"),
        ("c" * 32, "c" * 19),
    ],
)
def test_a_part_that_is_not_allowed_is_refused(old: str, new: str) -> None:
    with pytest.raises(BadMessage, match="ticket"):
        parse_ticket(ticket_json(TICKET).replace(old.encode(), new.encode()))


def test_a_line_that_was_cut_says_to_copy_it_whole() -> None:
    with pytest.raises(BadMessage, match="copy the whole"):
        parse_ticket(ticket_text(TICKET)[:-7])


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_anything_else_is_refused_and_nothing_else_is_raised(junk: bytes | str) -> None:
    with pytest.raises(BadMessage):
        parse_ticket(junk)


def test_an_endless_ticket_is_refused() -> None:
    with pytest.raises(BadMessage, match="at most"):
        parse_ticket(b"{" + b" " * 5000 + b"}")


@pytest.mark.parametrize(
    ("claim", "card", "what"),
    [
        (("", ""), ("lahore", "cam-01"), ""),
        (("lahore", "cam-01"), ("", ""), ""),
        (("lahore", "cam-01"), ("lahore", "cam-01"), ""),
        (("lahore", ""), ("lahore/gulberg/north", "cam-01"), ""),
        (("lahore", ""), ("lahore-cantt", ""), "site"),
        (("lahore/gulberg", ""), ("lahore", ""), "site"),
        (("", "cam-01"), ("lahore", "cam-02"), "id"),
        (("", "cam-0"), ("lahore", "cam-0/1"), "id"),
    ],
)
def test_a_card_may_be_below_its_claims_site_and_must_have_its_id(
    claim: tuple[str, str], card: tuple[str, str], what: str
) -> None:
    assert contradiction(*claim, *card) == what
