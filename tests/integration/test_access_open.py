"""A fleet without a home: open to this machine and to nothing that merely pretends to be it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fleet.errors import SettingsError
from fleet.services import Services, build_services
from fleet.settings import Settings
from tests.people import problem_of, served


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    built = build_services(Settings(database_url=f"sqlite:///{tmp_path_factory.mktemp('open')}/fleet.db"))
    yield built
    built.close()


@pytest.fixture(scope="module")
def url(services: Services) -> Iterator[str]:
    with served(services) as address:
        yield address


def test_everybody_on_this_machine_is_its_owner(url: str) -> None:
    me = httpx.get(f"{url}/api/v1/me").json()
    assert (me["name"], me["grants"]) == ("local", [{"role": "owner", "site": ""}])


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "10.0.0.5", ""]
)
def test_another_host_name_is_refused_because_a_page_could_have_rebound_it(url: str, host: str) -> None:
    answer = httpx.get(f"{url}/api/v1/devices", headers={"host": host})
    assert (answer.status_code, "no log-in" in problem_of(answer)["detail"]) == (421, True)


def test_a_page_of_another_site_changes_nothing(url: str) -> None:
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
        answer = httpx.put(f"{url}/api/v1/devices/x/config", json={"overlay": ""}, headers=headers)
        assert answer.status_code == 403


def test_a_program_without_a_browser_needs_no_word_of_where_it_comes_from(url: str) -> None:
    assert httpx.put(f"{url}/api/v1/devices/x/config", json={"overlay": ""}).status_code == 404


def test_there_is_no_own_account_without_log_in(url: str) -> None:
    for path in ("sessions", "tokens"):
        assert httpx.get(f"{url}/api/v1/{path}").status_code == 403


def test_what_is_done_is_in_the_log_all_the_same(url: str) -> None:
    httpx.get(f"{url}/api/v1/events")
    rows = httpx.get(f"{url}/api/v1/audit", params={"action": "events"}).json()["items"]
    assert [(row["who"], row["action"]) for row in rows] == [("local", "events.list")]


def test_another_address_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    import threading

    from fleet.app import run

    file = tmp_path / "fleet.db"
    settings = Settings(database_url=f"sqlite:///{file}", http_host="0.0.0.0")
    with pytest.raises(SettingsError, match="pehra fleet init"):
        run(settings, threading.Event())
    assert not file.exists()
