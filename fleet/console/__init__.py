"""The console: pages that people look at, pushed live, with all view state in the URL.

Open `pages.py` (which pages there are, and for whom), `frame.py` (what every page shares), then `homes.py`.
Database work runs in threads (`run.io_bound`); nothing is loaded from outside the machine.
"""

from __future__ import annotations

from fastapi import FastAPI
from nicegui import app as nicegui_app
from nicegui import ui

from fleet.console import (
    account,
    audit,
    device,
    devices,
    enrol,
    events,
    homes,
    live,
    login,
    releases,
    rollout,
    rollouts,
    users,
    wizard,
)
from fleet.console.frame import FAVICON, STYLE
from fleet.console.guard import Guard
from fleet.services import Services


def mount_console(app: FastAPI, services: Services) -> None:
    """Add the console's pages to the application; once a process."""
    nicegui_app.config.quasar_config["brand"] = {"primary": "#0f766e", "secondary": "#475569"}
    ui.add_css(STYLE.read_text(), shared=True)
    app.include_router(login.router)
    for page in (
        homes,
        devices,
        device,
        events,
        rollouts,
        releases,
        wizard,
        rollout,
        enrol,
        live,
        users,
        account,
        audit,
    ):
        page.add_page(services)
    ui.run_with(app, title="Pehra", favicon=FAVICON, dark=None, show_welcome_message=False, tailwind=False)
    app.add_middleware(Guard, services=services)
