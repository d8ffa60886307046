"""Log-in over a real HTTP server: who gets in, what the cookie is, what comes after."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleet.services import Services
from tests.people import OWNER, PASSWORD, add, client_of, logged_in, problem_of, served, services_with_home


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    built = services_with_home(tmp_path_factory.mktemp("home"))
    add(built, "vera", "viewer")
    yield built
    built.close()


@pytest.fixture(scope="module")
def url(services: Services) -> Iterator[str]:
    with served(services) as address:
        yield address


def test_without_log_in_nothing_but_health_and_log_in_is_answered(url: str) -> None:
    with client_of(url) as client:
        assert client.get("/healthz").status_code == 200
        answer = client.get("/devices")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "log in" in problem_of(answer)["detail"]


def test_a_role_is_allowed_what_it_may_and_refused_the_rest(url: str) -> None:
    with logged_in(url, "vera") as vera:
        assert vera.get("/devices").json() == {"items": [], "next_cursor": None}
        assert vera.get("/users").status_code == 403
    with logged_in(url, OWNER) as owner:
        assert [one["name"] for one in owner.get("/users").json()["items"]] == [OWNER, "vera"]


def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(url: str) -> None:
    with client_of(url) as client:
        wrong = client.post("/sessions", json={"name": "vera", "password": "x" * 20})
        unknown = client.post("/sessions", json={"name": "nobody", "password": PASSWORD})
    assert (wrong.status_code, wrong.json()) == (unknown.status_code, unknown.json())
