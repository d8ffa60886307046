"""Writes the documents' pictures anew: `python -m tests.screenshots [FOLDER]`, by default `docs/pictures`.

Runs the real `pehra demo` with four cameras, waits until it has something to show, and takes each page of the
console in Debian's Chromium. Nothing on these pictures is staged; those of rollouts show devices that are
rows of the database (`rollout_pictures.py`). It is no test and asserts nothing.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from playwright.sync_api import Page, ViewportSize, sync_playwright

from tests.brokers import free_port, wait_until
from tests.rollout_pictures import take_rollouts
from tests.system.test_console import FLAGS

PICTURES: Final = Path(__file__).resolve().parent.parent / "docs" / "pictures"
SIZE: Final[ViewportSize] = {"width": 1280, "height": 800}
CAMERAS: Final = 4
EVENTS: Final = 40
MINUTES: Final = 3
"""Closed minutes that the chart of counts shows at least."""

BOXES: Final = 5
KINDS: Final = 3
"""Classes among the boxes of the live view, at least."""

PATIENCE_S: Final = 400.0
LARGEST_BYTES: Final = 150_000
SEVERAL_BOXES: Final = (
    f"+(document.querySelector('.live-view')?.dataset.objects ?? 0) >= {BOXES}"
    f" && document.querySelectorAll('.legend span').length >= {KINDS}"
)
DEVICE: Final = "demo-01"


def main() -> None:
    """Take all pictures and say how large they are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=PICTURES)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with running_demo() as url, console(url) as page:
        for name, path, is_ready in (
            ("devices", "/", f"document.querySelectorAll('tbody tr').length >= {CAMERAS}"),
            ("device", f"/devices/{DEVICE}", "document.querySelectorAll('.card').length > 0"),
            ("counts", f"/devices/{DEVICE}?tab=counts", "document.querySelector('canvas') !== null"),
            ("events", "/events", "document.querySelectorAll('tbody tr').length >= 10"),
            ("live", f"/devices/{DEVICE}/live/cam0", SEVERAL_BOXES),
        ):
            page.goto(path)
            page.wait_for_timeout(4000)  # charts, chips and trails are drawn
            page.wait_for_function(is_ready)
            page.screenshot(path=folder / f"{name}.png")
            say(folder / f"{name}.png")
    take_those_behind_a_log_in(folder)
    for picture in take_rollouts(folder):
        say(picture)


def take_those_behind_a_log_in(folder: Path) -> None:
    """Take the pages of a fleet with its locks on, as those see them who work with them."""
    with running_secure_demo() as (url, password):
        for role, name, path in (
            ("technician", "enrol", "/enrol"),
            ("fleet-admin", "identity", f"/devices/{DEVICE}?tab=about"),
        ):
            with console(url) as page:
                page.goto("/login")
                page.fill("input[name=name]", role)
                page.fill("input[name=password]", password)
                page.keyboard.press("Enter")
                page.wait_for_url("**/")
                page.goto(path)
                page.wait_for_timeout(4000)  # chips and lists are drawn
                page.screenshot(path=folder / f"{name}.png")
                say(folder / f"{name}.png")


@contextmanager
def running_secure_demo() -> Iterator[tuple[str, str]]:
    """The demo with locks on, once all its cameras are online; gives address and password."""
    port = free_port()
    command = [sys.executable, "-m", "pehra", "demo", "--secure", "--no-browser", "--port", str(port)]
    with tempfile.TemporaryFile("w+") as words:
        demo = subprocess.Popen(command, stdout=words, stderr=words)

        def password() -> str:
            words.seek(0)
            found = re.search(r"the password of\s+each\s+is\s+(\S+)", words.read())
            return found[1] if found else ""

        try:
            yield f"https://localhost:{port}", wait_until(password, "the demo is up", PATIENCE_S)
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait(60)


@contextmanager
def running_demo() -> Iterator[str]:
    """The demo once it has events and some closed minutes to count; gives the console's address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "pehra", "demo", "--no-browser"]
    options = ["--cameras", str(CAMERAS), "--port", str(port)]
    with tempfile.TemporaryFile("w+") as words:
        demo = subprocess.Popen([*command, *options], stdout=words, stderr=words)

        def evidence() -> str:
            words.seek(0)
            return f"the demo has something to show: {words.read()[-2000:]}"

        try:
            wait_until(lambda: has_something(url), evidence, PATIENCE_S)
            yield url
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait(60)


@contextmanager
def console(url: str) -> Iterator[Page]:
    """A page of Chromium."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed (Debian package: chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport=SIZE, base_url=url, ignore_https_errors=True)
        page.set_default_timeout(PATIENCE_S * 1000)
        yield page
        browser.close()


def has_something(url: str) -> bool:
    """Whether enough events are stored, and the camera that is shown has counted for some minutes."""
    try:
        stats = ask(url, "stats")
        buckets = ask(url, "counts", device=DEVICE, limit=100)["items"]
    except (httpx.HTTPError, ValueError, KeyError):
        return False
    return stats["events_stored"] >= EVENTS and len({one["from"] for one in buckets}) >= MINUTES


def ask(url: str, path: str, **query: Any) -> Any:
    """Return what the API answers."""
    return httpx.get(f"{url}/api/v1/{path}", params=query, timeout=5).raise_for_status().json()


def say(picture: Path) -> None:
    """Name a picture and its size, and complain about one that is too large for a repository."""
    size = picture.stat().st_size
    sys.stdout.write(f"{picture} {size / 1000:.0f} kB{' TOO LARGE' if size > LARGEST_BYTES else ''}\n")


if __name__ == "__main__":
    main()
