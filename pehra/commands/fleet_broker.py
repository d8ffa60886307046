"""`pehra fleet broker-config` and `broker-run`: the production broker of a fleet."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from pehra.commands.fleet_shared import HomeOption, Refusals, home_of


def write_config(
    folder: Annotated[
        Path, typer.Argument(help="Folder for configuration, certificates and the broker's state.")
    ],
    home: HomeOption = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: as the home says.")] = None,
    bind: Annotated[str, typer.Option(help="Address to listen on; empty for all.")] = "",
    forget: Annotated[
        bool, typer.Option("--forget", help="Bring this folder up to date no more; it stays as it is.")
    ] = False,
) -> None:
    """Write a complete Mosquitto configuration: mutual TLS, a device's name is its certificate's.

    TLS 1.2 or newer, access list, revocation list, persistence, queue limits, and systemd files that raise
    LimitNOFILE and reload the broker when the revocation list changes. The running fleet manager keeps
    certificates and list up to date. Written again at any time; the broker's state stays.

    Example: pehra fleet broker-config /var/lib/mosquitto/pehra --home /var/lib/pehra-fleet
    """
    from fleet.broker.secure import UNITS, write_secure_config
    from fleet.identity.home import Home

    with Refusals():
        place = Home(home_of(home))
        addresses, kept = place.read_addresses(), str(folder.absolute())
        if forget:
            others = [one for one in addresses.brokers if one != kept]
            place.write_addresses(msgspec.structs.replace(addresses, brokers=others))
            typer.echo(f"{folder} is brought up to date no more")
            return
        config = write_secure_config(folder, place, port or addresses.mqtt_port, host=bind)
        if kept not in addresses.brokers:
            place.write_addresses(msgspec.structs.replace(addresses, brokers=[*addresses.brokers, kept]))
    if port and port != addresses.mqtt_port:
        typer.echo(
            f"Devices are told port {addresses.mqtt_port}; if they reach this broker at {port}, "
            f"say so: pehra fleet address --mqtt-port {port}"
        )
    typer.echo(f"{config} is written. Without systemd: pehra fleet broker-run {folder}")
    typer.echo(f"With systemd, from {folder / 'systemd'}:")
    typer.echo(f"  {UNITS[0]} to /etc/systemd/system/mosquitto.service.d/pehra.conf")
    typer.echo(f"  {UNITS[1]} and {UNITS[2]} to /etc/systemd/system/")
    typer.echo("  systemctl daemon-reload && systemctl restart mosquitto")
    typer.echo(f"  systemctl enable --now {UNITS[1]}")


def run_broker(
    folder: Annotated[Path, typer.Argument(help="Folder that `pehra fleet broker-config` wrote.")],
) -> None:
    """Run Mosquitto in the foreground; it reads its files again when they change. Ctrl-C ends it."""
    from fleet.broker.run import run_mosquitto

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Refusals():
        run_mosquitto(folder, stop)
