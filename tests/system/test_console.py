"""The console in a real Chromium: each page, live events without a reload, the view state in the URL."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ota.messages import LiveFrame, new_id
from tests.brokers import Mosquitto, running_mosquitto, wait_until
from tests.conftest import missing
from tests.fake_device import FakeDevice, count, event, health, info, moving_objects, now
from tests.integration.test_ingest_killed import FleetProcess

playwright_api = pytest.importorskip("playwright.sync_api")
expect = playwright_api.expect
expect.set_options(timeout=20_000)

pytestmark = pytest.mark.browser

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MINUTE_S = 60


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with running_mosquitto(tmp_path_factory.mktemp("mosquitto")) as running:
        yield running


@pytest.fixture(scope="module")
def fleet(broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetProcess]:
    process = FleetProcess(broker, tmp_path_factory.mktemp("fleet")).start()
    yield process
    assert process.stop() == 0
    assert "Traceback" not in process.log.read_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        missing("Chromium is not installed (Debian package: chromium)")
    with playwright_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def page(browser: Any, fleet: FleetProcess) -> Iterator[Any]:
    with opened_page(browser, fleet) as opened:
        yield opened


@contextlib.contextmanager
def opened_page(browser: Any, fleet: FleetProcess) -> Iterator[Any]:
    """A page that fails its test when it asks anything outside the fleet, or logs an error."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, base_url=fleet.url)
    opened = context.new_page()
    opened.set_default_timeout(20_000)
    complaints: list[str] = []
    opened.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda asked: complaints.extend(outside(asked.url, fleet.url)))
    yield opened
    context.close()
    assert complaints == []


def outside(url: str, own: str) -> list[str]:
    return [] if url.startswith((own, own.replace("http", "ws"), "data:", "blob:")) else [url]


@pytest.fixture(scope="module")
def device(broker: Mosquitto, fleet: FleetProcess) -> Iterator[FakeDevice]:
    with FakeDevice(broker, "cam-01") as running:
        running.birth()
        running.say(info())
        running.say(health(temp_c=51.0, fps=9.8))
        minute_s = fleet_minute()
        for number in range(20):
            running.say(count(number + 1, minute_s - MINUTE_S * (number + 1), cars=number + 3))
        running.raise_alarm("dark", "mean luma 9")
        running.say(event(100))
        wait_until(lambda: 100 in running.acked, "all before it is stored")
        yield running


def fleet_minute() -> float:
    import time

    return time.time() // MINUTE_S * MINUTE_S


def picture(page: Any, name: str) -> None:
    """Keep a screenshot when a folder for them is named."""
    folder = os.environ.get("PEHRA_SCREENSHOTS")
    if folder:
        page.wait_for_timeout(800)
        page.screenshot(path=str(Path(folder) / f"console-{name}.png"))


def test_an_empty_fleet_says_what_to_do(browser: Any, tmp_path: Path) -> None:
    with running_mosquitto(tmp_path / "mosquitto") as broker:
        fleet = FleetProcess(broker, tmp_path).start()
        try:
            with opened_page(browser, fleet) as page:
                page.goto("/")
                expect(page.get_by_text("No camera has reported yet.")).to_be_visible()
                expect(page.get_by_role("img", name="پہرہ")).to_be_visible()
                expect(page.get_by_text("pehra device run")).to_be_visible()
                page.goto("/events")
                expect(page.get_by_text("No event yet.")).to_be_visible()
        finally:
            assert fleet.stop() == 0


def test_a_page_number_out_of_all_bounds_opens_the_last_page(page: Any, device: FakeDevice) -> None:
    page.goto("/?page=999999999999999999999999999")
    expect(page.get_by_text("Broker link up")).to_be_visible()


def test_when_the_database_goes_the_console_says_so_and_logs_no_traceback(
    page: Any, fleet: FleetProcess, device: FakeDevice
) -> None:
    page.goto("/devices/cam-01")
    expect(page.get_by_text("Broker link up")).to_be_visible()
    connection = sqlite3.connect(fleet.database, timeout=20, isolation_level=None)
    connection.execute("alter table alarm rename to alarm_away")
    try:
        expect(page.get_by_text("The database does not answer")).to_be_visible()
    finally:
        connection.execute("alter table alarm_away rename to alarm")
        connection.close()
    expect(page.get_by_text("Broker link up")).to_be_visible()
    assert "Traceback" not in fleet.log.read_text()


def test_the_devices_page_shows_state_fps_and_temperature(page: Any, device: FakeDevice) -> None:
    page.goto("/")
    row = page.get_by_role("row", name=re.compile("cam-01"))
    expect(row).to_contain_text("online")
    expect(row).to_contain_text("9.8")
    expect(row).to_contain_text("51 °C")
    expect(page.locator(".pehra-sums")).to_contain_text("Broker link up")
    expect(page.locator(".pehra-sums")).to_contain_text("1 alarm")
    picture(page, "devices")
    row.click()
    page.wait_for_url("**/devices/cam-01")


def test_a_search_stays_in_the_url_and_over_a_reload(page: Any, device: FakeDevice) -> None:
    page.goto("/")
    page.get_by_placeholder("Search id or site").fill("nobody")
    expect(page.get_by_text("No device matches.")).to_be_visible()
    page.wait_for_url("**/?q=nobody")
    page.reload()
    expect(page.get_by_placeholder("Search id or site")).to_have_value("nobody")
    expect(page.get_by_text("No device matches.")).to_be_visible()


def test_a_new_event_appears_without_a_reload(page: Any, device: FakeDevice) -> None:
    page.goto("/events")
    expect(page.get_by_text("live", exact=True)).to_be_visible()
    expect(page.get_by_text("car #0")).to_be_visible()
    page.evaluate("window.isSameDocument = true")
    device.say(event(137))
    expect(page.locator("tbody tr").first).to_contain_text("car #37")
    assert page.evaluate("window.isSameDocument")
    picture(page, "events")


def test_an_event_filter_is_in_the_url_and_holds_back_the_others(page: Any, device: FakeDevice) -> None:
    page.goto("/events?kind=dwell")
    expect(page.get_by_label("Kind")).to_have_value("dwell")
    device.say(event(138))
    device.say(event(139, kind="dwell", rule="parking", direction=None, duration_s=12.5))
    expect(page.locator("tbody tr").first).to_contain_text("12.5 s")
    expect(page.get_by_text("line-cross")).to_have_count(0)
    page.get_by_label("Rule").fill("gate")
    page.wait_for_url("**/events?kind=dwell&rule=gate")
    expect(page.get_by_text("No event yet.")).to_be_visible()


def test_the_device_page_shows_health_alarms_and_cameras(page: Any, device: FakeDevice) -> None:
    page.goto("/devices/cam-01")
    expect(page.get_by_text("mean luma 9")).to_be_visible()
    expect(page.get_by_text("line gate, zone parking")).to_be_visible()
    picture(page, "device")
    device.clear_alarm("dark")
    expect(page.get_by_text("mean luma 9")).to_have_count(0)


def test_the_chosen_tab_stays_over_a_reload(page: Any, device: FakeDevice) -> None:
    page.goto("/devices/cam-01")
    page.get_by_role("tab", name="Counts").click()
    page.wait_for_url("**/devices/cam-01?tab=counts")
    page.reload()
    expect(page.locator("canvas")).to_be_visible()
    picture(page, "counts")
    page.get_by_role("tab", name="About").click()
    expect(page.get_by_text("raspberry-pi-5")).to_be_visible()


def test_an_unknown_device_is_said_in_words(page: Any) -> None:
    page.goto("/devices/nobody")
    expect(page.get_by_text("No such device.")).to_be_visible()


def test_a_site_of_markup_is_shown_as_text(page: Any, broker: Mosquitto, device: FakeDevice) -> None:
    with FakeDevice(broker, "cam-02") as hostile:
        hostile.birth()
        hostile.say(info("<img src=x onerror=alert(1)>"))
        hostile.raise_alarm("covered", "<script>alert(2)</script>")
        hostile.say(event(1))
        wait_until(lambda: hostile.acked == {1}, "all before it is stored")
        page.goto("/devices/cam-02")
        expect(page.get_by_text("<img src=x onerror=alert(1)>").first).to_be_visible()
        expect(page.get_by_text("<script>alert(2)</script>")).to_be_visible()
        page.goto("/")
        expect(page.get_by_text("<img src=x onerror=alert(1)>")).to_be_visible()
        hostile.clear_alarm("covered")


def test_the_live_view_asks_the_camera_and_draws_its_boxes(page: Any, device: FakeDevice) -> None:
    device.leases.clear()
    page.goto("/devices/cam-01/live/cam0")
    expect(page.get_by_text("Waiting for the camera")).to_be_visible()
    stop = threading.Event()
    sender = threading.Thread(target=send_frames, args=(device, stop))
    sender.start()
    try:
        view = page.locator(".live-view")
        expect(view).to_have_attribute("data-objects", "7")
        expect(page.get_by_text("Waiting for the camera")).to_have_count(0)
        before = int(view.get_attribute("data-frames"))
        page.wait_for_function(f"+document.querySelector('.live-view').dataset.frames > {before + 5}")
        assert device.leases[0] == "cam0"
        drawn = "document.querySelector('.live-view canvas').toDataURL()"
        first = page.evaluate(drawn)
        page.wait_for_function(f"(before) => {drawn} !== before", arg=first)
        picture(page, "live")
    finally:
        stop.set()
        sender.join()


def send_frames(device: FakeDevice, stop: threading.Event) -> None:
    step = 0
    while not stop.wait(0.2):
        if device.leases:
            step += 1
            device.say(LiveFrame(id=new_id(), ts=now(), cam="cam0", objects=moving_objects(step / 5, 2)))


def test_when_the_broker_goes_the_console_says_so(page: Any, broker: Mosquitto) -> None:
    page.goto("/")
    expect(page.get_by_text("Broker link up")).to_be_visible()
    broker.stop()
    try:
        expect(page.get_by_text("Broker link down")).to_be_visible()
    finally:
        broker.start()
    expect(page.get_by_text("Broker link up")).to_be_visible()
