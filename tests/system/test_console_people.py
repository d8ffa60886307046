"""The console of a fleet in which people log in, in a real Chromium."""

# ruff: noqa: F811 - fixtures are arguments

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest

from fleet.store.tables_identity import Identity
from ota.messages import LiveFrame, new_id
from tests.brokers import Mosquitto, wait_until
from tests.fake_device import FakeDevice, event, health, info, now
from tests.home_process import HomeProcess
from tests.integration.test_ingest_killed import FleetProcess
from tests.people import OWNER, PASSWORD, add, services_with_home
from tests.system.test_console import broker, browser, expect, outside, picture  # noqa: F401

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)>"
SITES = {"cam-01": "lahore/gulberg/liberty", "cam-02": "lahore/cantt"}
HOMES = {
    OWNER: "The fleet and its people",
    "adil": "The fleet",
    "amna": "Audit log",
    "tariq": "Devices that need hands",
    "omar": "Alarms and events",
    "piya": "Missions",
    "olga": "The fleet and its people",
    "vera": "Devices",
}


@pytest.fixture(scope="module")
def fleet(broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetProcess]:
    home = tmp_path_factory.mktemp("home")
    services = services_with_home(home)
    for name, *grants in (
        ("vera", "viewer@lahore/gulberg"),
        ("omar", "operator@lahore/gulberg"),
        ("tariq", "technician"),
        ("piya", "pilot"),
        ("olga", "owner@lahore/cantt"),
        ("adil", "fleet-admin"),
        ("amna", "auditor"),
        ("leaver", "operator"),
    ):
        add(services, name, *grants)
    with services.session() as session:
        for device, site in SITES.items():
            session.add(Identity(device=device, site=site, state="active", since_ms=1, enrolled_ms=1))
        session.commit()
    services.close()
    process = HomeProcess(broker, home).start()
    yield process
    assert process.stop() == 0
    assert "Traceback" not in process.log.read_text()


@pytest.fixture(scope="module", autouse=True)
def devices(broker: Mosquitto, fleet: FleetProcess) -> Iterator[FakeDevice]:
    with FakeDevice(broker, "cam-01") as ours, FakeDevice(broker, "cam-02") as theirs:
        for device, site in zip((ours, theirs), SITES.values(), strict=True):
            device.birth()
            device.say(info(site))
            device.say(health(temp_c=51.0))
            device.raise_alarm("dark", f"seen at {site}")
            device.say(event(1))
        for device in (ours, theirs):
            wait_until(lambda device=device: 1 in device.acked, "all before it is stored")
        yield ours


@contextlib.contextmanager
def page_of(browser: Any, fleet: FleetProcess, name: str = "") -> Iterator[Any]:
    """A page in a browser of its own, logged in by the form when a name is given."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 800}, base_url=fleet.url, ignore_https_errors=True
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.on("request", lambda asked: complaints.extend(outside(asked.url, fleet.url)))
    if name:
        log_in(page, name)
    yield page
    context.close()
    assert complaints == []


def log_in(page: Any, name: str, password: str = PASSWORD, path: str = "/") -> None:
    page.goto(path)
    expect(page.get_by_label("Name")).to_be_visible()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(re.compile(r"^(?!.*/login)"))


def test_a_page_asks_for_a_log_in_and_goes_on_to_where_one_wanted(
    browser: Any,
    fleet: FleetProcess,
) -> None:
    with page_of(browser, fleet) as page:
        page.goto("/events?kind=line-cross")
        page.wait_for_url("**/login?next=/events%3Fkind%3Dline-cross")
        picture(page, "login")
        page.get_by_label("Name").fill(OWNER)
        page.get_by_label("Password").fill("not the password")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_contain_text("is wrong")
        expect(page.get_by_label("Name")).to_have_value(OWNER)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/events?kind=line-cross")
        expect(page.get_by_text("car #1").first).to_be_visible()


@pytest.mark.parametrize("name", HOMES)
def test_each_role_has_its_own_home(browser: Any, fleet: FleetProcess, name: str) -> None:
    with page_of(browser, fleet, name) as page:
        expect(page.locator(".title").first).to_have_text(HOMES[name])
        links = page.locator(".pehra-bar a.pehra-nav").all_inner_texts()
        assert ("Users" in links, "Audit" in links) == (name == OWNER, name in (OWNER, "amna"))
        if name != "piya":
            expect(page.locator("table, .card").first).to_be_visible()
        expect(page.locator(".pehra-sums")).to_contain_text("online")
        expect(page.get_by_text("Add a user")).to_have_count(1 if name == OWNER else 0)
        picture(page, f"home-{name}")


def test_who_sees_a_part_of_the_sites_sees_nothing_of_the_others(
    browser: Any,
    fleet: FleetProcess,
    devices: FakeDevice,
) -> None:
    with page_of(browser, fleet, "omar") as page:
        expect(page.get_by_text("seen at lahore/gulberg/liberty")).to_be_visible()
        expect(page.get_by_text("seen at lahore/cantt")).to_have_count(0)
        expect(page.locator(".pehra-sums")).to_contain_text("1 online")
        devices.say(event(40))
        expect(page.get_by_text("car #40")).to_be_visible()
        expect(page.get_by_text("cam-02")).to_have_count(0)
        page.goto("/devices/cam-02")
        expect(page.get_by_text("No such device.")).to_be_visible()
        page.goto("/devices/cam-02/live/cam0")
        expect(page.get_by_text("No such device.")).to_be_visible()


def test_a_page_that_a_role_may_not_open_is_refused_by_its_url_too(
    browser: Any,
    fleet: FleetProcess,
) -> None:
    with page_of(browser, fleet, "vera") as page:
        for path in ("/users", "/audit", "/devices/cam-01/live/cam0"):
            assert page.goto(path).status == 403
            expect(page.get_by_text("Not for your role")).to_be_visible()
        page.goto("/devices/cam-01")
        expect(page.get_by_text("line gate, zone parking")).to_be_visible()
        expect(page.get_by_text("Live view")).to_have_count(0)


def test_the_live_view_opens_for_an_operator_and_is_kept_in_the_log(
    browser: Any,
    fleet: FleetProcess,
    devices: FakeDevice,
) -> None:
    with page_of(browser, fleet, "omar") as page:
        devices.leases.clear()
        page.goto("/devices/cam-01/live/cam0")
        wait_until(lambda: devices.leases, "the camera is asked")
        devices.say(LiveFrame(id=new_id(), ts=now(), cam="cam0", objects=[]))
        expect(page.locator(".live-view")).to_have_attribute("data-frames", "1")
    with page_of(browser, fleet, "amna") as page:
        page.goto("/audit?action=live&who=omar")
        expect(page.get_by_role("cell", name="cam-01/cam0")).to_be_visible()


def test_log_out_closes_every_page_of_the_session(browser: Any, fleet: FleetProcess) -> None:
    with page_of(browser, fleet, "leaver") as page:
        other = page.context.new_page()
        other.goto("/events")
        expect(other.get_by_text("live", exact=True)).to_be_visible()
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/login")
        other.wait_for_url(re.compile("/login"))
        page.goto("/events")
        page.wait_for_url("**/login?next=/events")


def test_a_user_who_is_disabled_loses_the_open_page(browser: Any, fleet: FleetProcess) -> None:
    with page_of(browser, fleet, "leaver") as page, page_of(browser, fleet, OWNER) as owner:
        page.goto("/events")
        expect(page.get_by_text("live", exact=True)).to_be_visible()
        owner.goto("/users")
        owner.locator(".person", has_text="leaver").get_by_role("button", name="Change").click()
        owner.get_by_text("Disable", exact=True).click()
        expect(owner.get_by_text("Disabled: leaver")).to_be_visible()
        page.wait_for_url(re.compile("/login"))


def test_an_owner_adds_a_user_once_whatever_is_clicked_and_markup_is_text(
    browser: Any,
    fleet: FleetProcess,
) -> None:
    with page_of(browser, fleet, OWNER) as page:
        page.goto("/users")
        page.get_by_role("button", name="Add a user").click()
        page.get_by_label("Name").fill(HOSTILE)
        page.get_by_label("First password").fill(PASSWORD)
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_text("no user name")).to_be_visible()
        page.get_by_label("Name").fill("sana")
        page.get_by_label("Site (empty: everywhere)").fill(HOSTILE)
        page.get_by_role("button", name="Add", exact=True).dblclick()
        row = page.locator(".person", has_text="sana")
        expect(row).to_have_count(1)
        expect(row).to_contain_text(f"viewer@{HOSTILE}")
        picture(page, "users")
        page.goto("/audit?action=user.add")
        expect(page.get_by_text("onerror").first).to_be_visible()
        assert page.locator("img[src=x]").count() == 0


def test_totp_is_turned_on_and_then_asked(browser: Any, fleet: FleetProcess) -> None:
    with page_of(browser, fleet, "tariq") as page:
        page.goto("/account")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Begin").click()
        uri = page.get_by_text("otpauth://").inner_text()
        totp = pyotp.parse_uri(uri)
        assert isinstance(totp, pyotp.TOTP)
        page.get_by_label("Code").fill(totp.now())
        page.get_by_role("button", name="Turn on").click()
        expect(page.get_by_text("TOTP is on. Recovery codes")).to_be_visible()
        codes = page.locator(".mono").last.inner_text().split()
        assert len(codes) == 10
        picture(page, "account")
    with page_of(browser, fleet) as page:
        page.goto("/login")
        page.get_by_label("Name").fill("tariq")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/login/code*")
        picture(page, "code")
        page.get_by_label("Code").fill(totp.now())
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_role("alert")).to_contain_text("used before")
        page.get_by_label("Code").fill(codes[0])
        page.get_by_role("button", name="Go on").click()
        expect(page.locator(".title").first).to_have_text(HOMES["tariq"])


def test_the_log_in_works_without_any_script(browser: Any, fleet: FleetProcess) -> None:
    context = browser.new_context(base_url=fleet.url, ignore_https_errors=True, java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(20_000)
    log_in(page, "vera", path="/devices")
    assert page.url.endswith("/devices")
    (cookie,) = [one for one in context.cookies() if "session" in one["name"]]
    assert (cookie["name"], cookie["httpOnly"], cookie["secure"]) == ("__Host-pehra_session", True, True)
    context.close()


def test_the_last_owner_cannot_be_disabled_and_the_page_says_so(
    browser: Any,
    fleet: FleetProcess,
    tmp_path: Path,
) -> None:
    with page_of(browser, fleet, OWNER) as page:
        page.goto("/users")
        page.locator(".person", has_text=OWNER).get_by_role("button", name="Change").click()
        page.get_by_text("Disable", exact=True).click()
        expect(page.get_by_text("the last owner")).to_be_visible()
