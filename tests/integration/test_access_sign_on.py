"""Single sign-on against a real small provider: who gets in, with which roles, and what is not believed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey
from sqlmodel import select

from fleet.access.caller import SYSTEM, Grant
from fleet.access.provider import Provider
from fleet.access.roles import Role
from fleet.access.sign_on import SignOn
from fleet.access.users import disable_user
from fleet.api.entry import now_ms
from fleet.app import create_api
from fleet.console import login as login_forms
from fleet.services import Services
from fleet.store.tables_people import AuditEntry
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, OidcProvider, running_provider
from tests.people import add, served, services_with_home


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    with running_provider() as running:
        yield running


@pytest.fixture
def services(provider: OidcProvider, tmp_path: Path) -> Iterator[Services]:
    trusted = Provider(
        provider.issuer,
        CLIENT_ID,
        CLIENT_SECRET,
        grants=(
            ("guards", Grant(Role.OPERATOR, "lahore")),
            ("it", Grant(Role.FLEET_ADMIN)),
        ),
    )
    plain = services_with_home(tmp_path / "home")
    built = replace(plain, sign_on=SignOn(trusted))
    yield built
    built.close()


@pytest.fixture
def url(services: Services) -> Iterator[str]:
    def make(services: Services) -> Any:
        app = create_api(services)
        app.include_router(login_forms.router)
        return app

    with served(services, make) as address:
        yield address


@pytest.fixture
def browser(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=20) as client:
        yield client


def walk(browser: httpx.Client, path: str = "/login/sso?next=/events") -> httpx.Response:
    """Go to the provider and come back, as a browser does; the last answer is the fleet's."""
    to_provider = browser.get(path)
    assert to_provider.status_code == 303, to_provider.text
    back = httpx.get(to_provider.headers["location"])
    return browser.get(back.headers["location"])


def refusal(answer: httpx.Response) -> str:
    assert answer.status_code == 401, answer.headers
    assert "pehra_session" not in answer.headers.get("set-cookie", "")
    return answer.text


def test_groups_become_roles_and_follow_at_every_log_in(
    browser: httpx.Client, provider: OidcProvider, services: Services
) -> None:
    assert "Log in with single sign-on" in browser.get("/login").text
    answer = walk(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/events")
    me = browser.get("/api/v1/me").json()
    assert (me["name"], me["grants"]) == ("asad", [{"role": "operator", "site": "lahore"}])
    provider.person["groups"] = ["it", "others"]
    walk(browser)
    assert browser.get("/api/v1/me").json()["grants"] == [{"role": "fleet-admin", "site": ""}]
    with services.session() as session:
        seen = [(row.who, row.action) for row in session.exec(select(AuditEntry))]
    assert ("single sign-on", "user.add") in seen
    assert seen[-1] == ("asad", "login.in")


def test_who_has_no_group_any_more_is_out_with_his_open_sessions(
    browser: httpx.Client, provider: OidcProvider, url: str
) -> None:
    walk(browser)
    provider.person["groups"] = []
    with httpx.Client(base_url=url) as other:
        assert "any more" in refusal(walk(other))
    assert browser.get("/api/v1/me").status_code == 401


def test_a_stranger_without_a_group_becomes_no_user(browser: httpx.Client, provider: OidcProvider) -> None:
    provider.person |= {"sub": "1002", "preferred_username": "stranger", "groups": "nothing"}
    assert "none of your groups" in refusal(walk(browser))


def test_a_local_user_of_the_same_name_is_not_taken_over(browser: httpx.Client, services: Services) -> None:
    add(services, "asad", "owner")
    assert "does not log in by single sign-on" in refusal(walk(browser))


def test_a_disabled_user_is_not_let_in(browser: httpx.Client, services: Services) -> None:
    walk(browser)
    with services.session() as session:
        disable_user(session, SYSTEM, "asad", now_ms=now_ms())
    assert "may not log in" in refusal(walk(browser))


@pytest.mark.parametrize(
    "twist",
    [
        {"iss": "https://evil.example"},
        {"aud": "another-program"},
        {"aud": ["pehra", "another"]},
        {"azp": "another-program"},
        {"nonce": "of-another-log-in"},
        {"nonce": None},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"nbf": 4_000_000_000},
        {"preferred_username": "<img src=x onerror=alert(1)>"},
        {"preferred_username": None},
    ],
    ids=str,
)
def test_an_id_token_that_says_something_else_is_not_believed(
    browser: httpx.Client, provider: OidcProvider, twist: dict[str, Any]
) -> None:
    provider.twist = twist
    assert "<img" not in refusal(walk(browser))


def test_a_signature_by_another_key_is_not_believed(browser: httpx.Client, provider: OidcProvider) -> None:
    provider.signing_key = ECKey.generate_key("P-256", {"kid": "one"})
    assert "does not hold" in refusal(walk(browser))


def test_a_token_without_a_signature_is_not_believed(
    browser: httpx.Client, provider: OidcProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = provider.id_token

    def unsigned(nonce: str) -> str:
        payload = good(nonce).split(".")[1]
        return f"eyJhbGciOiJub25lIn0.{payload}."

    monkeypatch.setattr(provider, "id_token", unsigned)
    assert "does not hold" in refusal(walk(browser))


def test_keys_that_the_provider_has_changed_are_asked_for_anew(
    browser: httpx.Client, provider: OidcProvider
) -> None:
    assert walk(browser).status_code == 303
    provider.key = provider.signing_key = ECKey.generate_key("P-256", {"kid": "one", "alg": "ES256"})
    assert walk(browser).status_code == 303


def test_a_provider_that_calls_itself_otherwise_or_is_away_is_said_on_the_log_in(
    browser: httpx.Client, provider: OidcProvider
) -> None:
    provider.discovery_twist = {"issuer": "https://evil.example"}
    answer = browser.get("/login/sso")
    assert (answer.status_code, "calls itself" in answer.text) == (503, True)


def test_an_answer_that_was_not_begun_here_or_comes_twice_is_refused(
    browser: httpx.Client, provider: OidcProvider, url: str
) -> None:
    back = httpx.get(browser.get("/login/sso").headers["location"]).headers["location"]
    with httpx.Client(base_url=url) as victim:  # an attacker's code in another browser
        assert "begin again" in refusal(victim.get(back))
        victim.get("/login/sso")
        assert "begin again" in refusal(victim.get(back))
    assert browser.get(back).status_code == 303
    assert "begin again" in refusal(browser.get(back))


def test_a_refusal_by_the_provider_is_said(browser: httpx.Client, provider: OidcProvider) -> None:
    provider.refuses = True
    assert "did not let you in" in refusal(walk(browser))


def test_after_log_in_one_goes_to_no_other_site(browser: httpx.Client) -> None:
    assert walk(browser, "/login/sso?next=//evil.example/").headers["location"] == "/"
