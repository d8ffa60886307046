"""Guessing passwords from many hands at once, and pages of other sites, against a real HTTP server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlmodel import select

from fleet.access.lockout import FREE_TRIES
from fleet.api.entry import SESSION_COOKIE, STEP_COOKIE
from fleet.api.gate import SAFE_METHODS
from fleet.app import create_api
from fleet.console import login as login_forms
from fleet.services import Services
from fleet.store.tables_people import User
from tests.integration.test_access_login import form_of, turn_totp_on
from tests.integration.test_access_matrix import ROUTES
from tests.people import NOW_MS, OWNER, PASSWORD, add, client_of, logged_in, served, services_with_home

FREE = FREE_TRIES["user"]
JUDGED, SENT_AWAY = 401, 429
CHANGES = [(method, path) for method, path, _ in ROUTES if method not in SAFE_METHODS]
FOREIGN: dict[str, dict[str, str]] = {
    "another site": {"origin": "https://evil.example"},
    "no origin of its own": {"origin": "null"},
    "our name in another": {"origin": "http://127.0.0.1.evil.example"},
    "another site by its own word": {"sec-fetch-site": "cross-site"},
    "a site beside ours": {"sec-fetch-site": "same-site"},
    "no word at all": {},
}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    built = services_with_home(tmp_path_factory.mktemp("home"))
    add(built, "vera", "viewer")
    yield built
    built.close()


@pytest.fixture(scope="module")
def url(services: Services) -> Iterator[str]:
    def make(services: Services) -> Any:
        app = create_api(services)
        app.include_router(login_forms.router)
        return app

    with served(services, make) as address:
        yield address


@pytest.fixture
def stopped_clock(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait is ever over: whatever is judged, was judged because it was free."""
    with services.engine.begin() as connection:
        connection.execute(text("delete from login_delay"))
    monkeypatch.setattr("fleet.api.entry.now_ms", lambda: NOW_MS)


def at_once(hands: int, guess: Callable[[int], int], guesses: int = 40) -> Counter[int]:
    """Let so many hands guess at once; how often each status was answered."""
    with ThreadPoolExecutor(hands) as threads:
        return Counter(threads.map(guess, range(guesses)))


def guess_password(url: str, name: str, number: int, **headers: str) -> int:
    body = {"name": name, "password": f"wrong wrong {number:03}"}
    with client_of(url, **headers) as client:
        return client.post("/sessions", json=body).status_code


@pytest.mark.usefixtures("stopped_clock")
@pytest.mark.parametrize("hands", [1, 8, 40])
def test_however_many_guess_at_once_no_more_guesses_than_the_free_ones_are_looked_at(
    url: str, hands: int
) -> None:
    found = at_once(hands, lambda number: guess_password(url, "vera", number))
    assert found == {JUDGED: FREE, SENT_AWAY: 40 - FREE}
    with client_of(url) as client:
        good = {"name": "vera", "password": PASSWORD}
        assert client.post("/sessions", json=good).status_code == SENT_AWAY, (
            "a guess that hits learns nothing"
        )


@pytest.mark.usefixtures("stopped_clock")
def test_an_address_that_one_makes_up_and_another_spelling_give_no_further_guess(url: str) -> None:
    def guess(number: int) -> int:
        word = f"10.0.{number}.1"
        headers = {"x-forwarded-for": word, "x-real-ip": word, "forwarded": f"for={word}"}
        return guess_password(url, "vera" if number % 2 else " VERA ", number, **headers)

    found = at_once(8, guess)
    assert found[JUDGED] <= 2 * FREE
    assert guess_password(url, "vera", 99) == SENT_AWAY


@pytest.mark.usefixtures("stopped_clock")
def test_one_who_guesses_at_many_users_is_held_by_his_address(url: str) -> None:
    free = FREE_TRIES["address"]
    found = at_once(8, lambda number: guess_password(url, f"user-{number}", number), 2 * free)
    assert found == {JUDGED: free, SENT_AWAY: free}


@pytest.mark.usefixtures("stopped_clock")
def test_the_form_and_the_api_count_the_same_guesses(url: str) -> None:
    with httpx.Client(base_url=url, headers={"origin": url}, timeout=20) as browser:
        form = form_of(browser, "/login")
        step = browser.cookies[STEP_COOKIE]

    def guess(number: int) -> int:
        if number % 2:
            return guess_password(url, "vera", number)
        sent = {"name": "vera", "password": f"wrong wrong {number:03}", "form": form}
        headers = {"origin": url, "cookie": f"{STEP_COOKIE}={step}"}
        return httpx.post(f"{url}/login", data=sent, headers=headers, timeout=20).status_code

    assert at_once(8, guess) == {JUDGED: FREE, SENT_AWAY: 40 - FREE}


def test_codes_are_guessed_no_oftener_than_passwords(
    url: str, services: Services, request: pytest.FixtureRequest
) -> None:
    add(services, "coded", "viewer")
    turn_totp_on(url, "coded")
    request.getfixturevalue("stopped_clock")
    body = {"name": "coded", "password": PASSWORD}

    def guess(number: int) -> int:
        with client_of(url) as client:
            return client.post("/sessions", json=body | {"code": f"{number:06}"}).status_code

    assert at_once(8, guess) == {JUDGED: FREE, SENT_AWAY: 40 - FREE}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN.keys())
def test_no_page_of_another_site_changes_anything_by_any_route(
    url: str, services: Services, headers: dict[str, str]
) -> None:
    assert len(CHANGES) > 20
    with logged_in(url, OWNER) as owner:
        del owner.headers["origin"]
        before = users(services)
        for method, path in CHANGES:
            answer = owner.request(method, path.replace("{name}", "vera"), json={}, headers=headers)
            assert answer.status_code == 403, (method, path)
            assert "refused, because it" in answer.json()["detail"], (method, path)
        assert owner.get("/me").status_code == 200, "the session stands"
    assert users(services) == before


def users(services: Services) -> list[tuple[str, bool]]:
    with services.session() as session:
        return [(one.name, one.is_disabled) for one in session.exec(select(User).order_by(User.name))]


def test_a_form_counts_only_with_the_token_of_the_same_browser(url: str) -> None:
    good = {"name": "vera", "password": PASSWORD}
    with (
        httpx.Client(base_url=url, headers={"origin": url}, timeout=20) as browser,
        httpx.Client(base_url=url, timeout=20) as hostile,
    ):
        own, other = form_of(browser, "/login"), form_of(hostile, "/login")
        for sent in (good, good | {"form": ""}, good | {"form": other}):
            answer = browser.post("/login", data=sent)
            assert answer.status_code == 403
            assert SESSION_COOKIE not in answer.cookies
        for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "null"}):
            assert browser.post("/login", data=good | {"form": own}, headers=headers).status_code == 403
        assert browser.post("/login", data=good | {"form": own}).status_code == 303


def test_a_change_by_get_or_under_another_methods_name_is_none(url: str, services: Services) -> None:
    """A picture on another site's page is a GET, and a form can name another method only in words."""
    with logged_in(url, OWNER) as owner:
        before = users(services)
        for path in ("/users/vera?_method=DELETE", "/users/vera"):
            assert owner.get(path).status_code in (404, 405)
        words = {"x-http-method-override": "DELETE", "x-method-override": "DELETE"}
        assert owner.post("/users/vera", headers=words).status_code in (404, 405)
        assert users(services) == before
        assert owner.get("/logout").status_code in (404, 405)
        assert owner.get("/me").status_code == 200
