"""The fleet manager's table of contents: what is put together, started and stopped.

`create_app` gives the web application; `run` is the whole program until `stop` is set.
"""

from __future__ import annotations

import logging
import threading

from fastapi import FastAPI

from fleet.api.bodies import BodyGuard
from fleet.api.description import DescribedApi
from fleet.api.gate import Gate
from fleet.api.problems import install_problems
from fleet.api.routers import api
from fleet.console import mount_console
from fleet.hawkbit.routes import router as ddi
from fleet.images.serving import ImageFiles
from fleet.services import Services, build_services, running
from fleet.serving import listen, serve
from fleet.settings import Settings

log = logging.getLogger(__name__)

IMAGES = "/updates"
"""Where devices find the image repository."""


def create_api(services: Services) -> FastAPI:
    """Return the REST API under `/api/v1`; its description is at `/api/v1/openapi.json`."""
    return _behind_gate(_make_api(services), services)


def create_app(services: Services) -> FastAPI:
    """Return the web application: REST under `/api/v1`, updates, the console elsewhere. Once a process."""
    app = _make_api(services)
    mount_console(app, services)
    return _behind_gate(app, services)


def _make_api(services: Services) -> FastAPI:
    app = DescribedApi(title="Pehra fleet", version="1", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.services = services
    install_problems(app)
    app.include_router(api)
    app.include_router(ddi)
    app.mount(IMAGES, ImageFiles(services.settings.images))
    return app


def _behind_gate(app: FastAPI, services: Services) -> FastAPI:
    app.add_middleware(BodyGuard)
    app.add_middleware(Gate, is_open=services.settings.is_open)
    return app


def run(settings: Settings, stop: threading.Event) -> None:
    """Run until `stop`: then take no more, write what is queued, acknowledge it, and leave.

    Raises:
        SettingsError: it would serve others than this machine without log-in.
        AddressInUse: the port is taken.
        DatabaseUnusable: the database cannot be opened.
        FleetError: a part ended by itself; the log says why.
    """
    settings.check_reach()
    with listen(settings.http_host, settings.http_port) as listener:
        services = build_services(settings)
        with running(services):
            serve(
                create_app(services),
                listener,
                stop,
                ready=lambda: log.info("fleet ready url=%s", settings.url),
                ended=services.parts.ended,
                tls=services.tls,
            )
    log.info("fleet stopped")
