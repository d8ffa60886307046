"""The page of `pehra aim` in a real browser: it shows the picture, its own policy notwithstanding."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from pehra.provision.aim_page import page_of
from pehra.provision.watching import Watching
from tests.boards_on_a_cable import on_a_socket, session_on, write_config
from tests.conftest import missing

playwright_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser


def test_a_browser_shows_what_the_camera_sees(tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        missing("Chromium is not installed (Debian package: chromium)")
    write_config(tmp_path)
    with on_a_socket(tmp_path) as address, session_on(address) as session:
        session.greet("test")
        watching, stop = Watching(session), threading.Event()
        thread = threading.Thread(target=watching.run, args=(stop,))
        thread.start()
        try:
            with page_of(watching) as shown, playwright_api.sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                page = browser.new_page()
                page.goto(shown)
                page.wait_for_function("document.images[0].naturalWidth > 0", timeout=30_000)
                assert page.evaluate("document.images[0].naturalWidth") == 320
                browser.close()
        finally:
            stop.set()
            thread.join(30)
