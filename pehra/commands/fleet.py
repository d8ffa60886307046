"""`pehra fleet run`: the fleet manager as one program; `user` and `audit` stand in modules of their own."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from pehra.commands.fleet_audit import audit_app
from pehra.commands.fleet_broker import run_broker, write_config
from pehra.commands.fleet_claims import claim_app, enrolment_app
from pehra.commands.fleet_devices import device_app
from pehra.commands.fleet_director import director_app
from pehra.commands.fleet_init import init_fleet
from pehra.commands.fleet_shared import HomeOption
from pehra.commands.fleet_unit import change_address, show_unit
from pehra.commands.fleet_users import user_app

fleet_app = typer.Typer(help="The fleet manager: takes in, keeps, shows.", no_args_is_help=True)
fleet_app.add_typer(claim_app, name="claim")
fleet_app.add_typer(enrolment_app, name="enrolment")
fleet_app.add_typer(device_app, name="device")
fleet_app.add_typer(director_app, name="director")
fleet_app.add_typer(user_app, name="user")
fleet_app.add_typer(audit_app, name="audit")
fleet_app.command("init")(init_fleet)
fleet_app.command("unit")(show_unit)
fleet_app.command("address")(change_address)
fleet_app.command("broker-config")(write_config)
fleet_app.command("broker-run")(run_broker)


@fleet_app.callback()
def _fleet() -> None:
    """The fleet manager: takes in, keeps, shows."""


@fleet_app.command("run")
def run_fleet(
    db: Annotated[
        str | None,
        typer.Option(help="Database URL; else PEHRA_DB. sqlite:///FILE or postgresql+psycopg://..."),
    ] = None,
    mqtt: Annotated[
        str | None, typer.Option(help="Broker as HOST:PORT; else PEHRA_MQTT_HOST, PEHRA_MQTT_PORT.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; else PEHRA_HTTP_HOST, else 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port; else PEHRA_HTTP_PORT, else the home's, else 8000."),
    ] = None,
    offline_after_s: Annotated[
        float | None, typer.Option(help="Silence after which a device is offline, seconds.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder that `pehra ota publish` wrote, served to devices; else PEHRA_IMAGES."),
    ] = None,
    image_repository: Annotated[
        Path | None,
        typer.Option(help="Its home with the online keys, to sign it in time; else PEHRA_IMAGE_REPOSITORY."),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Run ingest, API and console until SIGTERM or Ctrl-C.

    The broker's user and password come from PEHRA_MQTT_USERNAME and PEHRA_MQTT_PASSWORD, TLS files from
    PEHRA_MQTT_CA, PEHRA_MQTT_CERT and PEHRA_MQTT_KEY.
    """
    from fleet.app import run
    from fleet.errors import FleetError
    from fleet.settings import load_settings, parse_address

    _log_to_stderr()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        mqtt_host, mqtt_port = parse_address(mqtt, 1883) if mqtt else (None, None)
        settings = load_settings(
            os.environ,
            database_url=db,
            mqtt_host=mqtt_host,
            mqtt_port=mqtt_port,
            http_host=host,
            http_port=port,
            offline_after_s=offline_after_s,
            home=home,
            images=images,
            image_repository=image_repository,
        )
        run(settings, stop)
    except FleetError as error:
        typer.echo(f"pehra fleet: {error}", err=True)
        raise typer.Exit(2) from error


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("alembic", "uvicorn", "httpx", "tuf"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
