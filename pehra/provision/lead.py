"""`pehra provision` without a command: a person at a terminal, led from the port to the table of results."""

from __future__ import annotations

import threading

import typer

from hardware.errors import CableUnavailable
from pehra.provision.guided import Path
from pehra.provision.outcomes import REFUSED, Target, talking
from pehra.provision.ports import ports
from pehra.provision.show import check_table, identity_table, ports_table, screen, steps_table


class Terminal:
    """A person at this terminal."""

    def ask(self, question: str) -> str:
        """See `Asker`."""
        return str(typer.prompt(question, default="", show_default=False)).strip()

    def secret(self, question: str) -> str:
        """See `Asker`."""
        return str(typer.prompt(question, default="", show_default=False, hide_input=True))

    def tell(self, text: str) -> None:
        """See `Asker`."""
        typer.echo(text)


def lead(target: Target) -> None:
    """Lead a technician; end with 1 if something is left to do.

    Raises:
        CableUnavailable: there is no port, or it cannot be opened.
        ProvisionError: the board does not answer, or says no where nothing else can be tried.
        CableLost: the cable was pulled out.
    """
    port = target.port or _choose_port()
    console = screen()
    typer.echo(f"Talking to the board on {port} ...")
    with talking(port, target.baud) as session:
        path = Path(session, Terminal(), threading.Event().wait)
        identity = path.identify()
        console.print(identity_table(identity))
        is_done = path.walk(identity)
        console.print(identity_table(path.identify()))
    if path.checked:
        console.print(check_table(path.checked))
    console.print(
        steps_table((step.name, step.result, step.todo.replace("PORT", port)) for step in path.steps)
    )
    if not is_done:
        raise typer.Exit(REFUSED)
    typer.echo(f"Done. Aim the camera with: pehra aim --port {port}")


def _choose_port() -> str:
    found = ports()
    if not found:
        todo = "put the cable into the board's data port; one for power alone has no data lines"
        raise CableUnavailable("any", "this laptop has no serial port", todo)
    screen().print(ports_table(found))
    while True:
        said = str(typer.prompt("Which port", default="1")).strip()
        if said.isascii() and said.isdigit() and 1 <= int(said) <= len(found):
            return found[int(said) - 1].name
        if said in [port.name for port in found]:
            return said
        typer.echo(f"a number from 1 to {len(found)}, or the port's name")
