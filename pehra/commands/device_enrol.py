"""`pehra device enrol`: gives this board its ticket, and waits until the fleet has let it in."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ota.enrolment import Ticket

CONFIG = Path("/etc/pehra/device.toml")


def enrol(
    ticket: Annotated[
        str, typer.Argument(help="The line `pehra:...`, a claim.json, or - to read it from standard input.")
    ],
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            help="TOML file of this device; its usual place may be empty.",
            show_default=str(CONFIG),
        ),
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="State folder; else as the configuration says, else /var/lib/pehra.")
    ] = None,
    wait: Annotated[
        bool, typer.Option(help="Enrol now and wait; --no-wait leaves it to the running service.")
    ] = True,
    timeout_s: Annotated[float, typer.Option(help="Give up waiting after this; the ticket stays.")] = 600.0,
) -> None:
    """Enrol this board with a ticket that `pehra fleet claim new` made.

    The board makes a key that never leaves it, and asks for a certificate. A link that is cut costs nothing:
    the same command, or the service, goes on where it stood. A ticket on the command line is seen by other
    users of the board while the command runs; a file or standard input is not. The configuration is checked
    before the ticket is spent: it must leave id and broker to the fleet.

    Ends with 0 when the board is enrolled, 1 when the fleet refuses it, 2 when something else is wrong.

    Example: pehra device enrol claim.json
    """
    import encodings.idna  # noqa: F401 (the name of the fleet's host is looked up with it)

    from device.errors import PehraDeviceError
    from device.firmware.claim_file import keep_ticket
    from device.firmware.config import ticket_for
    from device.firmware.enrol import Enroller  # noqa: F401 (before rights are given up that may be needed for it)
    from device.firmware.fleet_word import make_room, takes_ticket
    from device.firmware.last_link import state_folder

    folder, read = state or state_folder(config or CONFIG), _ticket_of(ticket)
    try:
        become_owner(folder)
        if not takes_ticket(folder):
            typer.echo(f"{folder}: this board is enrolled already; decommission it first", err=True)
            raise typer.Exit(2)
        if config is not None or CONFIG.exists():
            read = ticket_for(config or CONFIG, read)
        keep_ticket(folder, read)
        make_room(folder)
    except PehraDeviceError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    except PermissionError as error:
        typer.echo(f"{error.filename}: {error.strerror}: run it as root, or sudo -u pehra", err=True)
        raise typer.Exit(2) from error
    if wait:
        raise typer.Exit(_wait(folder, read, timeout_s))
    typer.echo("The ticket is kept; the service enrols with it.")


def become_owner(folder: Path) -> None:
    """Let root go on as the user whose state it is: the service must be able to read what is written now."""
    if os.geteuid() != 0 or not folder.exists():
        return
    owner = folder.stat()
    if owner.st_uid != 0:
        os.setgroups([owner.st_gid])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)


def _wait(folder: Path, ticket: Ticket, timeout_s: float) -> int:
    from device.errors import PehraDeviceError
    from device.firmware.enrol import Enroller, Hardware, was_refused
    from device.firmware.identity import read_identity
    from hardware.board import board_name, serial_number

    stop, said = threading.Event(), [""]
    timer = threading.Timer(timeout_s, stop.set)
    signal.signal(signal.SIGINT, lambda *_: stop.set())

    def stand(words: str) -> None:
        if words != said[0]:
            typer.echo(words)
            said[0] = words
        if words.startswith("its ticket was refused"):
            stop.set()

    timer.daemon = True
    timer.start()
    try:
        Enroller(folder, Hardware(board_name(), serial_number()), stand).run(stop)
        identity = read_identity(folder)
    except PehraDeviceError as error:
        typer.echo(str(error), err=True)
        return 2
    finally:
        timer.cancel()
    if identity is None:
        return 1 if was_refused(folder, ticket) else 2
    typer.echo(
        f"{identity.device} at {identity.site or 'no site'}; broker {identity.mqtt_host}:{identity.mqtt_port}"
    )
    return 0


def _ticket_of(text: str) -> Ticket:
    from ota.enrolment import TICKET_PREFIX, parse_ticket
    from ota.errors import BadMessage

    try:
        if text == "-":
            return parse_ticket(sys.stdin.buffer.read(5000))
        if text.startswith(TICKET_PREFIX):
            return parse_ticket(text)
        with Path(text).open("rb") as file:
            return parse_ticket(file.read(5000))
    except OSError as error:
        words = (
            f"{text}: the ticket cannot be read ({error.strerror}): name its file, its line, or - for stdin"
        )
        typer.echo(words, err=True)
        raise typer.Exit(2) from error
    except BadMessage as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
