"""Waiting after wrong log-ins on both databases, with many tries at once and clocks that jump."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Engine, update
from sqlmodel import Session

from fleet.access.caller import SYSTEM
from fleet.access.lockout import DELAY_MAX_S, FREE_TRIES, give_back, take_try, unlock, waiting_until_ms
from fleet.access.login import Entered, Visit, log_in
from fleet.access.places import mark_of
from fleet.access.secrets import hash_of
from fleet.access.sessions import KNOWN_PLACE_S
from fleet.access.users import add_user, create_owner, disable_user, set_grants
from fleet.errors import Conflict, NotLoggedIn, TooManyTries
from fleet.store.tables_people import LoginSession
from tests.people import OWNER, PASSWORD

NOW_MS = 1_800_000_000_000
FREE = FREE_TRIES["user"]
KEYS = ("user:asad", "address:10.0.0.1")


def tries(engine: Engine, count: int, now_ms: int = NOW_MS) -> list[int]:
    """Try so often at one moment; the seconds to wait of those that were refused."""
    waits = []
    for _ in range(count):
        with Session(engine) as session:
            try:
                take_try(session, KEYS, now_ms)
            except TooManyTries as error:
                waits.append(error.retry_after_s)
    return waits


def test_tries_beyond_the_free_ones_wait_longer_and_longer(engine: Engine) -> None:
    now_ms, waits = NOW_MS, []
    assert tries(engine, FREE) == []
    for _ in range(14):
        (wait_s,) = tries(engine, 1, now_ms)
        waits.append(wait_s)
        now_ms += wait_s * 1000
        assert tries(engine, 1, now_ms) == []
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900]


def test_a_try_that_comes_too_early_makes_nobody_wait_longer(engine: Engine) -> None:
    tries(engine, FREE + 1)
    assert set(tries(engine, 50)) == {1}
    assert tries(engine, 1, NOW_MS + 1000) == []


def test_many_tries_at_once_are_as_many_tries(engine: Engine) -> None:
    refused: list[int] = []
    threads = [threading.Thread(target=lambda: refused.extend(tries(engine, 1))) for _ in range(FREE + 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7


def test_the_wait_is_in_the_database_and_an_administrator_ends_it(engine: Engine) -> None:
    tries(engine, FREE)
    with Session(engine) as session:
        assert waiting_until_ms(session, "asad", NOW_MS) == NOW_MS + 1000
        unlock(session, "asad")
        session.commit()
    assert tries(engine, 1) == []


def test_a_good_try_begins_anew_for_the_user_and_takes_one_from_the_address(engine: Engine) -> None:
    for _ in range(3 * FREE_TRIES["address"]):
        assert tries(engine, 1) == []
        with Session(engine) as session:
            give_back(session, KEYS, NOW_MS)
            session.commit()


def test_counts_are_forgotten_after_a_day(engine: Engine) -> None:
    tries(engine, FREE)
    assert tries(engine, FREE, NOW_MS + 86_400_001) == []


def test_a_clock_that_jumps_back_makes_nobody_wait_longer_than_the_most(engine: Engine) -> None:
    tries(engine, FREE)
    back_ms = NOW_MS - 7 * 86_400_000
    (wait_s,) = tries(engine, 1, back_ms)
    assert 0 < wait_s <= DELAY_MAX_S
    assert tries(engine, 1, back_ms + wait_s * 1000) == []


def test_log_in_waits_and_opens_on_both_databases(engine: Engine) -> None:
    create_owner(engine, OWNER, PASSWORD)
    for n in range(FREE):
        with Session(engine) as session, pytest.raises(NotLoggedIn):
            log_in(session, OWNER, f"wrong wrong {n}", Visit("10.0.0.9", "", NOW_MS))
    with Session(engine) as session, pytest.raises(TooManyTries):
        log_in(session, OWNER, PASSWORD, Visit("10.0.0.9", "", NOW_MS))
    with Session(engine) as session:
        assert isinstance(log_in(session, OWNER, PASSWORD, Visit("10.0.0.9", "", NOW_MS + 1000)), Entered)


def test_two_owners_who_disable_each_other_at_once_leave_one(engine: Engine) -> None:
    from fleet.access.caller import SYSTEM, Grant
    from fleet.access.roles import Role
    from fleet.access.users import add_user

    create_owner(engine, OWNER, PASSWORD)
    with Session(engine) as session:
        add_user(session, SYSTEM, "second", PASSWORD, [Grant(Role.OWNER)], now_ms=NOW_MS)
    refused: list[str] = []

    def leave(name: str) -> None:
        with Session(engine) as session:
            try:
                if name == OWNER:
                    disable_user(session, SYSTEM, name, now_ms=NOW_MS)
                else:
                    set_grants(session, SYSTEM, name, [], now_ms=NOW_MS)
            except Conflict:
                refused.append(name)

    threads = [threading.Thread(target=leave, args=(name,)) for name in (OWNER, "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1


ADDRESS = "10.0.0.9"


def make_wait(engine: Engine, address: str = ADDRESS) -> None:
    """Try so many wrong names from an address that it waits."""
    for n in range(FREE_TRIES["address"] + 2):
        with Session(engine) as session, pytest.raises((NotLoggedIn, TooManyTries)):
            log_in(session, f"nobody-{n}", "wrong wrong wrong", Visit(address, "", NOW_MS))


def entered(engine: Engine, visit: Visit, password: str = PASSWORD) -> str:
    """Log in; the mark that it leaves in the browser."""
    with Session(engine) as session:
        found = log_in(session, OWNER, password, visit)
    assert isinstance(found, Entered)
    return mark_of(hash_of(found.secret))


def test_wrong_names_at_his_own_address_keep_nobody_out_whose_browser_is_known(engine: Engine) -> None:
    create_owner(engine, OWNER, PASSWORD)
    mark = entered(engine, Visit(ADDRESS, "", NOW_MS))
    make_wait(engine)
    assert entered(engine, Visit(ADDRESS, "", NOW_MS, mark)) != mark


def test_the_mark_is_good_after_log_out_and_for_thirty_days(engine: Engine) -> None:
    create_owner(engine, OWNER, PASSWORD)
    mark = entered(engine, Visit(ADDRESS, "", NOW_MS))
    with Session(engine) as session:
        session.execute(update(LoginSession).values(ended_ms=NOW_MS))
        session.commit()
    make_wait(engine)
    entered(engine, Visit(ADDRESS, "", NOW_MS, mark))
    with Session(engine) as session:
        session.execute(update(LoginSession).values(made_ms=NOW_MS - KNOWN_PLACE_S * 1000))
        session.commit()
    with pytest.raises(TooManyTries):
        entered(engine, Visit(ADDRESS, "", NOW_MS, mark))


def test_a_mark_gives_a_guesser_no_more_tries_than_a_user_has_anywhere(engine: Engine) -> None:
    create_owner(engine, OWNER, PASSWORD)
    mark = entered(engine, Visit(ADDRESS, "", NOW_MS))
    make_wait(engine)
    for n in range(FREE):
        with pytest.raises(NotLoggedIn):
            entered(engine, Visit(ADDRESS, "", NOW_MS, mark), f"wrong wrong {n}")
    with pytest.raises(TooManyTries):
        entered(engine, Visit(ADDRESS, "", NOW_MS, mark))


def test_a_mark_is_nothing_for_another_user_and_one_that_is_made_up_is_nothing(engine: Engine) -> None:
    create_owner(engine, OWNER, PASSWORD)
    with Session(engine) as session:
        add_user(session, SYSTEM, "vera", PASSWORD, [], now_ms=NOW_MS)
    mark = entered(engine, Visit(ADDRESS, "", NOW_MS))
    make_wait(engine)
    for name, shown in (("vera", mark), (OWNER, "0" * 64), (OWNER, ""), ("no name", mark)):
        with Session(engine) as session, pytest.raises(TooManyTries):
            log_in(session, name, PASSWORD, Visit(ADDRESS, "", NOW_MS, shown))


def test_an_address_that_waits_looks_at_no_password_of_who_has_no_mark(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the time of the answer would tell who is known there."""
    create_owner(engine, OWNER, PASSWORD)
    entered(engine, Visit(ADDRESS, "", NOW_MS))
    make_wait(engine)
    monkeypatch.setattr("fleet.access.login.is_password", None)
    for name in (OWNER, "nobody"):
        with Session(engine) as session, pytest.raises(TooManyTries):
            log_in(session, name, PASSWORD, Visit(ADDRESS, "", NOW_MS))


def test_all_addresses_of_an_ipv6_network_wait_together_and_others_do_not(engine: Engine) -> None:
    create_owner(engine, OWNER, PASSWORD)
    for n in range(FREE_TRIES["address"]):
        with Session(engine) as session, pytest.raises(NotLoggedIn):
            log_in(session, f"nobody-{n}", "wrong wrong", Visit(f"2001:db8::{n:x}", "", NOW_MS))
    with pytest.raises(TooManyTries):
        entered(engine, Visit("2001:db8::ffff", "", NOW_MS))
    entered(engine, Visit("2001:db8:0:1::1", "", NOW_MS))


def test_another_address_of_a_known_ipv6_network_is_a_known_place(engine: Engine) -> None:
    create_owner(engine, OWNER, PASSWORD)
    entered(engine, Visit("2001:db8::1", "", NOW_MS))
    for n in range(FREE):
        with Session(engine) as session, pytest.raises(NotLoggedIn):
            log_in(session, OWNER, f"wrong wrong {n}", Visit("10.9.9.9", "", NOW_MS))
    with pytest.raises(TooManyTries):
        entered(engine, Visit("10.8.8.8", "", NOW_MS))
    entered(engine, Visit("2001:db8::2", "", NOW_MS))
