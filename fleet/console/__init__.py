"""The console: pages that people look at, pushed live, with all view state in the URL.

Open `frame.py` (what every page shares), then `devices.py`. Database work runs in threads
(`run.io_bound`); nothing is loaded from outside the machine.
"""

from __future__ import annotations

from fastapi import FastAPI
from nicegui import app as nicegui_app
from nicegui import ui

from fleet.console import device, devices, events, live
from fleet.console.frame import FAVICON, STYLE
from fleet.services import Services


def mount_console(app: FastAPI, services: Services) -> None:
    """Add the console's pages to the application; once a process."""
    nicegui_app.config.quasar_config["brand"] = {"primary": "#0f766e", "secondary": "#475569"}
    ui.add_css(STYLE.read_text(), shared=True)
    devices.add_page(services)
    device.add_page(services)
    events.add_page(services)
    live.add_page(services)
    ui.run_with(app, title="Pehra", favicon=FAVICON, dark=None, show_welcome_message=False, tailwind=False)
