"""The pictures of rollouts in the documents: a real fleet manager and engine, devices that are rows.

`python -m tests.screenshots` takes them with all others; alone: `python -m tests.rollout_pictures [FOLDER]`.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page, expect, sync_playwright
from sqlmodel import Session

from fleet.rollouts import acting
from fleet.rollouts.acting import NewRollout
from fleet.rollouts.plan import settings_of
from tests.brokers import running_mosquitto
from tests.rollout_console import RolloutFleet, running_fleet
from tests.rollout_fleet import NEW, OLD, OTHER
from tests.system.test_console import FLAGS
from tests.system.test_console_people import log_in

PICTURES: Final = Path(__file__).resolve().parent.parent / "docs" / "pictures"
SITES: Final = (
    ("lahore/gulberg/liberty", "liberty", 24, "raspberry-pi-4"),
    ("lahore/gulberg/main-boulevard", "boulevard", 18, "raspberry-pi-5"),
    ("lahore/cantt", "cantt", 14, "raspberry-pi-4"),
    ("karachi/port", "port", 9, "jetson-orin"),
)
CARD: Final = {
    "labels": ["person", "bicycle", "motorbike", "car", "bus", "truck", "rickshaw"],
    "licence": "Apache-2.0",
    "decoder": "pehra-ltrb",
    "input": {"width": 320, "height": 320, "dtype": "int8"},
}
EARLY: Final = 6
SEES_NOTHING: Final = "rejected:it sees nothing: golden vectors fail"
WORDS: Final = (
    "runs",
    "runs",
    "downloading",
    "runs",
    "runs",
    "switched",
    "runs",
    "downloading",
    SEES_NOTHING,
)
PATIENCE_MS: Final = 60_000
WIZARD: Final = "/rollouts/new?release=street-2@1.5.0&step=whom&to=site:lahore%2F*%20model%3C1.5"


def take_rollouts(folder: Path) -> list[Path]:
    """Take all pictures of rollouts; returns their files."""
    taken: list[Path] = []
    with (
        tempfile.TemporaryDirectory() as home,
        running_town(Path(home)) as fleet,
        browser_page(fleet) as page,
    ):
        path = begin(fleet)
        page.goto(path)
        expect(page.locator(".stage.here")).to_contain_text("Stage 3")
        expect(page.locator(".stage.here")).to_contain_text("downloading")
        taken.append(shoot(page, folder / "rollout.png"))
        page.goto(WIZARD)
        expect(page.locator(".preview")).to_contain_text("held by")
        taken.append(shoot(page, folder / "rollout-wizard.png"))
    return taken


@contextmanager
def running_town(folder: Path) -> Iterator[RolloutFleet]:
    """A fleet of two towns with three releases."""
    (folder / "broker").mkdir()
    (folder / "home").mkdir()
    with (
        running_mosquitto(folder / "broker") as broker,
        running_fleet(broker, folder / "home", Fates()) as fleet,
    ):
        for site, name, number, board in SITES:
            devices = [f"{name}-{n:02d}" for n in range(1, number + 1)]
            fleet.town.add(devices[2:], site=site, board=board)
            fleet.town.add(devices[:2], site=site, board=board, is_online=name != "cantt")
        boards: dict[str, Any] = {"hw": ("raspberry-pi-4", "raspberry-pi-5"), "custom": {"card": CARD}}
        fleet.town.release("street-2", "1.3.0", OLD, **boards)
        fleet.town.release("street-2", "1.4.0", NEW, sec_ver=2, **boards)
        fleet.town.release("street-2", "1.5.0", OTHER, sec_ver=2, **boards)
        fleet.town.release("pehra", "0.3.0", "e" * 64, kind="firmware")
        yield fleet


class Fates:
    """What becomes of devices: those of the first stages do well, of the others some are at it still."""

    def __init__(self) -> None:
        self._asked = 0

    def __call__(self, _device: str, _sha256: str) -> str:
        """Return what becomes of the next device."""
        self._asked += 1
        return "runs" if self._asked <= EARLY else WORDS[self._asked % len(WORDS)]


def begin(fleet: RolloutFleet) -> str:
    """A rollout that zain has approved; returns its page."""
    with Session(fleet.engine) as session:
        settings = settings_of(soak_s=0, stop_share_max=0.2)
        new = NewRollout(
            "street 1.4 for Lahore", "street-2@1.4.0", "site:lahore/*", "1,10%,50%,100%", settings
        )
        made = acting.create(session, new, "farid", fleet.town.now_ms)
        acting.approve(session, made.id, "zain", fleet.town.now_ms)
        return f"/rollouts/{made.id}"


@contextmanager
def browser_page(fleet: RolloutFleet) -> Iterator[Page]:
    """A page in which zain has logged in."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed (Debian package: chromium)")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(
            viewport={"width": 1280, "height": 800}, base_url=fleet.url, ignore_https_errors=True
        )
        log_in(page, "zain")
        page.wait_for_url(re.compile("/$"))
        yield page
        browser.close()


def shoot(page: Page, file: Path) -> Path:
    """Take one picture once what moves has come to rest."""
    page.wait_for_timeout(1500)
    page.screenshot(path=file)
    return file


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=PICTURES)
    for picture in take_rollouts(parser.parse_args().folder):
        sys.stdout.write(f"{picture} {picture.stat().st_size / 1000:.0f} kB\n")
