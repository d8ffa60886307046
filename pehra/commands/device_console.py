"""`pehra device serve-console`: the board's end of the cable."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from device.firmware.console import Desk
    from device.firmware.console.doors import Door

CONFIG: Final = Path("/etc/pehra/device.toml")


def serve_console(
    port: Annotated[
        str | None, typer.Option(help="Serial port that the cable is in: /dev/ttyGS0, /dev/serial0, ...")
    ] = None,
    baud: Annotated[
        int, typer.Option(min=300, max=4_000_000, help="Its rate; a USB gadget has none.")
    ] = 115_200,
    listen: Annotated[
        str | None,
        typer.Option(metavar="127.0.0.1:PORT", help="A socket of this machine instead, to try it."),
    ] = None,
    config: Annotated[
        Path, typer.Option("--config", "-c", help="TOML file of this device; need not be there yet.")
    ] = CONFIG,
    source: Annotated[
        str, typer.Option(help="Camera to aim while there is no configuration, such as picamera2.")
    ] = "",
    log: Annotated[
        Path | None, typer.Option(help="File with the camera's log; the journal where absent.")
    ] = None,
) -> None:
    """Answer a laptop on a cable (`pehra provision`, `pehra aim`), until SIGTERM or Ctrl-C.

    No shell, no key and no password goes out. Exit code 2: it could not start, with the reason; 0 at once:
    `[console] enabled = false` switches it off; 75: the board turned to another firmware, start it anew.

    Example: pehra device serve-console --port /dev/ttyGS0
    """
    import signal
    import threading

    from device.errors import PehraDeviceError
    from device.firmware.console import serve
    from device.firmware.console.following import EXIT_TURNED, Follower
    from device.firmware.logs import begin_logging
    from hardware.core_dump import forbid_core_dumps

    if (port is None) == (listen is None):
        typer.echo("name one of --port and --listen", err=True)
        raise typer.Exit(2)
    if not is_switched_on(config):
        typer.echo(f"{config}: [console] enabled = false: this board answers no cable", err=True)
        raise typer.Exit
    forbid_core_dumps()
    begin_logging()
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    try:
        door = _door(port, baud, listen)
    except PehraDeviceError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    desk = make_desk(config, source, log)
    follower = Follower(desk.state)
    follower.start(stop)
    serve(door, desk, stop)
    if follower.has_turned:
        raise typer.Exit(EXIT_TURNED)


def is_switched_on(config: Path) -> bool:
    """Whether the console is to answer; a file that cannot be read says nothing against it.

    On a board whose configuration is broken a technician needs the cable most.
    """
    try:
        console = tomllib.loads(config.read_text("utf-8")).get("console", {})
    except (OSError, ValueError, RecursionError):
        return True
    return not isinstance(console, dict) or console.get("enabled", True) is not False


def make_desk(config: Path, source: str, log: Path | None) -> Desk:
    """Return what the console works with on this board."""
    from importlib.metadata import version

    from device.firmware.console import Desk
    from device.firmware.console.aim import Aim
    from device.firmware.console.journal import last_lines
    from device.firmware.console.network import NetworkManager
    from device.firmware.console.service import enrol_now, restart_service
    from device.firmware.last_link import state_folder
    from hardware.board import board, serial_number

    state = state_folder(config)
    return Desk(
        config_file=config,
        state=state,
        board=board(),
        serial=serial_number(),
        firmware=version("pehra"),
        network=NetworkManager(),
        aim=Aim(config, state, source),
        read_log=lambda number: last_lines(number, log),
        restart=restart_service,
        on_ticket=lambda ticket: enrol_now(state),
    )


def _door(port: str | None, baud: int, listen: str | None) -> Door:
    from device.errors import ConfigError
    from device.firmware.console import SerialDoor, TcpDoor

    if listen is None:
        assert port is not None
        if "://" in port:
            raise ConfigError(None, None, "--port", f"{port}: the board's end is a serial port of its own")
        return SerialDoor(port, baud)
    host, _, number = listen.rpartition(":")
    if not host or not number.isascii() or not number.isdigit() or int(number) > 65_535:
        raise ConfigError(None, None, "--listen", f"{listen}: say HOST:PORT, such as 127.0.0.1:24712")
    door = TcpDoor(host.strip("[]"), int(number))
    typer.echo(f"listening on socket://{host}:{door.port}", err=True)
    return door
