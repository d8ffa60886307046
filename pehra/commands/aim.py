"""`pehra aim`: a live picture over a cable, to turn a camera by; it is kept nowhere."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from pehra.provision.watching import Shot, Watching

_WAIT_S: Final = 0.5


def aim(
    port: Annotated[str, typer.Option(help="Serial port of this laptop; the only USB one if absent.")] = "",
    baud: Annotated[
        int, typer.Option(min=300, max=4_000_000, help="As the board's console has it.")
    ] = 115_200,
    camera: Annotated[str, typer.Option(help="Its id, such as cam1; the first if absent.")] = "",
    http_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Of the page on 127.0.0.1; 0: a free one.")
    ] = 0,
    *,
    terminal: Annotated[
        bool, typer.Option("--terminal", help="Draw it here instead of in a browser.")
    ] = False,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page at once.")] = True,
) -> None:
    """Show what a board's camera sees while you turn it, over its cable; masks painted, nothing stored.

    Only over a serial port of this machine, or from this machine; never over a network. Turn the lens until
    the focus number is largest. Ctrl-C ends it. Exit codes: as `pehra provision`.

    Example: pehra aim --port /dev/ttyUSB0
    """
    from pehra.provision.outcomes import Target, ending, talking
    from pehra.provision.watching import Watching, refuse_networks

    with ending(as_json=False):
        refuse_networks(port)
        target = Target(port, baud)
        with talking(target.port_or_only(), baud) as session:
            watching, stop = Watching(session, camera), threading.Event()
            show = threading.Thread(
                target=_show_in_terminal if terminal else _show_in_page,
                args=(watching, stop) if terminal else (watching, stop, http_port, browser),
                name="aim",
            )
            show.start()
            try:
                watching.run(stop)
            finally:
                stop.set()
                show.join()


def _show_in_page(watching: Watching, stop: threading.Event, http_port: int, browser: bool) -> None:
    import sys
    import webbrowser

    from pehra.provision.aim_page import page_of

    try:
        with page_of(watching, http_port) as address:
            typer.echo(f"the live picture is on {address}")
            typer.echo("Ctrl-C ends it", err=True)
            if browser:
                webbrowser.open(address)
            number = 0
            while not stop.is_set() and not watching.is_over:
                shot = watching.after(number, _WAIT_S)
                if shot is not None:
                    number = shot.number
                    if sys.stderr.isatty():
                        print(f"\r{about(shot)}   ", end="", file=sys.stderr, flush=True)
    except OSError as error:
        typer.echo(f"127.0.0.1:{http_port}: {error.strerror}: name another --http-port", err=True)
        stop.set()


def _show_in_terminal(watching: Watching, stop: threading.Event) -> None:
    from rich.console import Console, Group
    from rich.live import Live

    from pehra.provision.aim_terminal import drawn

    console, number = Console(highlight=False), 0
    watching.begin_to_look()
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        while not stop.is_set() and not watching.is_over:
            shot = watching.after(number, _WAIT_S)
            if shot is not None:
                number = shot.number
                picture = drawn(shot.jpeg, console.width, console.height - 2)
                live.update(Group(picture, about(shot)), refresh=True)
    watching.end_to_look()


def about(shot: Shot) -> str:
    """Return a line about a picture."""
    told = shot.about
    size = f"{told.width}x{told.height}, {told.bytes / 1000:.1f} kB"
    return f"{told.camera}  {size}  picture {shot.number}  focus {told.focus:.0f}"
