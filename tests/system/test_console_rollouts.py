"""Rollouts on the console in a real Chromium, with a real engine and devices that answer."""

# ruff: noqa: F811 - fixtures are arguments

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlmodel import Session

from fleet.rollouts import acting
from fleet.rollouts.acting import NewRollout
from fleet.rollouts.plan import settings_of
from fleet.rollouts.releases import get_release
from tests.brokers import Mosquitto
from tests.rollout_console import RolloutFleet, running_fleet
from tests.rollout_fleet import NEW, OLD, OTHER, names
from tests.system.test_console import broker, browser, expect, outside, picture  # noqa: F401
from tests.system.test_console_people import HOSTILE, log_in

pytestmark = pytest.mark.browser

LAHORE, CANTT, KARACHI = names(12), names(4, 20), names(3, 40)
BAD = "d" * 64
ODD = "<b>odd</b> & <i>bold</i>"
FATES: dict[tuple[str, str], str] = {
    (LAHORE[3], NEW): "rejected:golden vectors fail",
    (LAHORE[5], NEW): "rejected:golden vectors fail",
}
"""What becomes of a device and a digest, where it is not success."""


def behave(device: str, sha256: str) -> str:
    return FATES.get((device, sha256), "silent" if sha256 in (OTHER, BAD) else "runs")


@pytest.fixture(scope="module")
def fleet(broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RolloutFleet]:
    with running_fleet(broker, tmp_path_factory.mktemp("home"), behave) as running:
        town = running.town
        town.add(LAHORE, site="lahore/gulberg/liberty")
        town.add(CANTT, site="lahore/cantt", board="raspberry-pi-5")
        town.add(KARACHI, site="karachi/port", is_online=False)
        card = {"labels": ["person", "rickshaw"], "licence": "Apache-2.0", "decoder": "pehra-ltrb"}
        town.release("street-2", "1.3.0", OLD)
        boards = ("raspberry-pi-4", "raspberry-pi-5")
        town.release("street-2", "1.4.0", NEW, hw=boards, sec_ver=2, custom={"card": card})
        town.release("street-2", "1.5.0", OTHER)
        town.release("street-2", "1.6.0", BAD)
        town.release("street-2", "1.7.0", "f" * 64, custom={"card": card})
        yield running


@contextlib.contextmanager
def page_as(browser: Any, fleet: RolloutFleet, name: str, width: int = 1280) -> Iterator[Any]:
    """A page of somebody who has logged in; it fails its test when it asks elsewhere or logs an error."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        base_url=fleet.url,
        ignore_https_errors=True,
        storage_state=SESSIONS.get(f"{fleet.url}/{name}"),
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if is_error(said) else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.on("request", lambda asked: complaints.extend(outside(asked.url, fleet.url)))
    if f"{fleet.url}/{name}" not in SESSIONS:
        log_in(page, name)
        SESSIONS[f"{fleet.url}/{name}"] = context.storage_state()
    yield page
    context.close()
    assert complaints == []


SESSIONS: dict[str, Any] = {}


def is_error(said: Any) -> bool:
    """A page that is refused is an error of the console's own words, and wanted here."""
    return said.type == "error" and "403" not in said.text


def begin(fleet: RolloutFleet, release: str, wanted: str, name: str) -> str:
    """A rollout that runs at once; returns its page."""
    with Session(fleet.engine) as session:
        known = get_release(session, release).id
    return f"/rollouts/{fleet.town.rollout(wanted, known, name=name, stages='2,100%', soak_s=0)}"


def ask_for(fleet: RolloutFleet, name: str) -> str:
    """A rollout that farid has made and nobody approved yet; returns its page."""
    settings = settings_of(soak_s=0, stop_share_max=0.9)
    new = NewRollout(name, "street-2@1.4.0", "site:lahore", "4,100%", settings)
    with Session(fleet.engine) as session:
        return f"/rollouts/{acting.create(session, new, 'farid', fleet.town.now_ms).id}"


def press(page: Any, label: str) -> str:
    """Press a button of a rollout and its confirmation; returns what the question said."""
    page.locator(".deeds").get_by_role("button", name=label, exact=True).click()
    dialog = page.locator(".q-dialog")
    said = str(dialog.inner_text())
    dialog.get_by_role("button", name=label, exact=True).click()
    expect(dialog).to_have_count(0)
    return said


def test_the_wizard_shows_who_would_get_it_and_makes_one_rollout(browser: Any, fleet: RolloutFleet) -> None:
    with page_as(browser, fleet, "farid") as page:
        page.goto("/releases")
        row = page.locator(".release", has_text="street-2 1.4.0")
        expect(row).to_contain_text("security version 2")
        row.get_by_role("button", name="Roll out").click()
        page.get_by_role("button", name="Next").click()
        page.get_by_label("Devices").fill("site:lahore bord:pi4")
        expect(page.locator(".filter-error mark")).to_have_text("bord")
        expect(page.get_by_text("did you mean board?")).to_be_visible()
        page.get_by_role("button", name="Next").click()
        expect(page.get_by_label("Devices")).to_be_visible()
        page.get_by_label("Devices").fill("")
        page.get_by_role("button", name="all", exact=True).click()
        preview = page.locator(".preview")
        expect(preview).to_contain_text("19 devices")
        expect(preview).to_contain_text("3 devices are offline")
        expect(preview).to_contain_text(re.compile(r"raspberry-pi-4\s*15\s*raspberry-pi-5\s*4"))
        expect(preview).to_contain_text(re.compile(r"street-2 1.3.0\s*19"))
        page.get_by_role("button", name="site:lahore").click()
        expect(preview).to_contain_text("16 devices")
        picture(page, "wizard-whom")
        page.get_by_role("button", name="Next").click()
        page.get_by_label("Rest after a stage").fill("1 week")
        expect(page.get_by_text("'1 week' is no span of time")).to_be_visible()
        page.get_by_label("Rest after a stage").fill("0s")
        page.get_by_label("Stops itself above % failures").fill("90")
        page.get_by_role("checkbox", name="all who got it are told to go back").click()
        page.get_by_label("Stages").fill("1,50%,100%")
        page.wait_for_url("**stages=1%2C50%25%2C100%25**")
        page.reload()
        expect(page.get_by_label("Stages")).to_have_value("1,50%,100%")
        expect(page.get_by_role("checkbox", name="all who got it are told to go back")).to_be_checked()
        picture(page, "wizard-how")
        expect(preview).to_contain_text("1 → 8 → 16")
        page.get_by_role("button", name="Next").click()
        expect(page.locator("ul.said")).to_contain_text("first 1, then 7, then 8")
        expect(page.locator("ul.said")).to_contain_text("and then all who got it are told to go back")
        page.get_by_label("Name").fill(HOSTILE)
        page.wait_for_url("**name=**")
        picture(page, "wizard-check")
        page.get_by_role("button", name="Make the rollout").dblclick()
        page.wait_for_url(re.compile(r"/rollouts/[0-9a-f-]{36}$"))
        expect(page.get_by_text("Waits for the approval of a second person")).to_be_visible()
        expect(page.locator(".deeds").get_by_role("button")).to_have_text(["Abort"])
        page.go_back()
        expect(page.get_by_text("This rollout is made.")).to_be_visible()
        page.goto("/rollouts")
        expect(page.locator(".rollout-line", has_text=HOSTILE)).to_have_count(1)


def test_a_second_person_approves_and_the_stages_move_without_a_reload(
    browser: Any, fleet: RolloutFleet
) -> None:
    ask_for(fleet, "new eyes")
    with page_as(browser, fleet, "zain") as page:
        page.goto("/rollouts")
        page.locator(".rollout-line", has_text="new eyes").click()
        expect(page.locator(".preview")).to_contain_text("16 devices")
        page.evaluate("window.isSameDocument = true")
        assert "4 devices in the first stage, 16 devices in the end" in press(page, "Approve")
        expect(page.locator(".stage").nth(0)).to_contain_text(re.compile("[234] succeeded"))
        expect(page.locator(".stage").nth(1)).to_contain_text(re.compile("1[012] succeeded"))
        expect(page.locator(".why")).to_contain_text("Done: 14 devices got it, 2 failed.")
        failures = page.locator(".failures")
        expect(failures).to_contain_text("rejected: golden vectors fail")
        assert page.evaluate("window.isSameDocument")
        picture(page, "rollout")
        failures.get_by_role("link", name="All that failed").click()
        expect(page.locator("tbody tr").first).to_contain_text("rejected: golden vectors fail")
        expect(page.locator("tbody tr").get_by_text("succeeded")).to_have_count(0)
        page.locator("tbody tr a").first.click()
        page.wait_for_url("**?tab=updates")
        expect(page.get_by_role("cell", name="new eyes")).to_be_visible()


def test_pause_resume_abort_and_revert_say_first_what_will_happen(browser: Any, fleet: RolloutFleet) -> None:
    path = begin(fleet, "street-2@1.5.0", "site:lahore/cantt", "shy")
    with page_as(browser, fleet, "farid") as page:
        page.goto(path)
        expect(page.locator(".stage").first).to_contain_text("2 told")
        assert "2 devices that are at it will finish. 2 devices that are in line" in press(page, "Pause")
        expect(page.locator(".why")).to_contain_text("Paused by farid: 2 devices are at it")
        assert "It goes on: 2 devices" in press(page, "Resume")
        expect(page.locator(".why")).to_contain_text("goes on")
        said = press(page, "Abort")
        assert "2 devices that are in line will not get it" in said
        assert "2 devices that are at it will be told to let go" in said
        expect(page.locator(".why")).to_contain_text("Aborted by farid")
        expect(page.locator(".legend")).to_contain_text("2 told to let go")
        assert "2 devices will be told to go back" in press(page, "Revert")
        expect(page.locator(".why")).to_contain_text("Reverted by farid")
        expect(page.locator(".deeds").get_by_role("button")).to_have_count(0)


def test_a_device_shows_its_update_its_rollouts_and_its_tags(browser: Any, fleet: RolloutFleet) -> None:
    begin(fleet, "street-2@1.6.0", f"device:{LAHORE[0]}", "to one")
    with page_as(browser, fleet, "farid") as page:
        page.goto(f"/devices/{LAHORE[0]}?tab=updates")
        expect(page.locator(".facts.wanted")).to_contain_text("wanted: street-2 1.6.0")
        expect(page.locator(".card.why")).to_contain_text("street-2 1.6.0: told")
        page.get_by_label("New tag").fill("Not A Tag!")
        page.keyboard.press("Enter")
        expect(page.get_by_text("small letters, digits and dashes")).to_be_visible()
        page.get_by_label("New tag").fill("night")
        page.keyboard.press("Enter")
        expect(page.locator(".tag")).to_contain_text("night")
        picture(page, "device-updates")
        fleet.town.says(LAHORE[0], BAD)
        expect(page.locator(".facts.wanted")).to_contain_text("as wanted: street-2 1.6.0")
        page.goto("/rollouts/new?release=street-2@1.3.0&to=tag:night&step=whom")
        expect(page.locator(".preview")).to_contain_text("1 device")
        page.goto(f"/devices/{LAHORE[0]}?tab=updates")
        page.get_by_role("button", name="Remove the tag night").click()
        expect(page.get_by_text("No tag yet.")).to_be_visible()


def test_a_release_shows_its_card_and_is_withdrawn_after_a_question(
    browser: Any, fleet: RolloutFleet
) -> None:
    with page_as(browser, fleet, "farid") as page:
        page.goto("/releases")
        row = page.locator(".release", has_text="street-2 1.7.0")
        row.get_by_role("button", name="Details").click()
        expect(page.locator(".drawer")).to_contain_text("Apache-2.0")
        expect(page.locator(".drawer")).to_contain_text("rickshaw")
        page.wait_for_url("**/releases?show=*")
        page.reload()
        expect(page.locator(".drawer")).to_contain_text("rickshaw")
        page.get_by_role("button", name="Close").click()
        picture(page, "releases")
        row.get_by_role("button", name="Withdraw").click()
        expect(page.get_by_text("No new rollout can use it, and that cannot be undone.")).to_be_visible()
        page.locator(".q-dialog").get_by_role("button", name="Withdraw").click()
        expect(row).to_contain_text("withdrawn")
        expect(row.get_by_role("button")).to_have_text(["Details"])
        page.goto("/rollouts/new?release=street-2@1.7.0&to=all")
        expect(page.get_by_text("this one was withdrawn: choose another")).to_be_visible()


def test_who_only_looks_has_no_buttons_and_who_sees_a_part_sees_no_rollouts(
    browser: Any, fleet: RolloutFleet
) -> None:
    rollout = begin(fleet, "street-2@1.6.0", f"device:{LAHORE[7]}", ODD)
    with page_as(browser, fleet, "vera") as page:
        page.goto("/rollouts")
        expect(page.get_by_role("button", name="New rollout")).to_have_count(0)
        page.locator(".rollout-line", has_text=ODD).click()
        expect(page.locator(".why")).to_contain_text("1 device is at it")
        expect(page.locator(".deeds").get_by_role("button")).to_have_count(0)
        assert page.goto("/rollouts/new").status == 403
        page.goto("/releases")
        expect(page.locator(".release").first.get_by_role("button")).to_have_text(["Details"])
    with page_as(browser, fleet, "near") as page:
        page.goto("/")
        expect(page.locator(".pehra-bar")).to_contain_text("Devices")
        assert "Rollouts" not in page.locator(".pehra-bar").inner_text()
        for path in ("/rollouts", "/releases", "/rollouts/new", rollout):
            assert page.goto(path).status == 403
        page.goto(f"/devices/{LAHORE[7]}?tab=updates")
        expect(page.get_by_role("cell", name=ODD)).to_be_visible()
        expect(page.get_by_role("link", name=ODD)).to_have_count(0)


def test_the_pages_fit_a_phone(browser: Any, fleet: RolloutFleet) -> None:
    rollout = ask_for(fleet, "a name that is much too long for any phone to show it in one line")
    with page_as(browser, fleet, "zain", width=390) as page:
        for path in ("/rollouts", rollout, "/releases", "/rollouts/new?step=how", "/rollouts/new?step=whom"):
            page.goto(path)
            expect(page.locator(".pehra-sums")).to_contain_text("online")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
