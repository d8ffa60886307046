"""The `pehra` command: a table of contents of what it can do.

Each part says which extra it needs when that is not installed; nothing heavy is imported for `--help`.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from pehra.commands.aim import aim
from pehra.commands.demo import demo
from pehra.commands.detect import detect
from pehra.commands.device import device_app
from pehra.commands.flash import flash
from pehra.commands.fleet import fleet_app
from pehra.commands.models import models_app
from pehra.commands.ota import ota_app
from pehra.commands.provision import provision_app
from pehra.commands.rollout import rollout_app
from pehra.commands.track import track

app = typer.Typer(
    no_args_is_help=True,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Pehra: the cameras watch, so that people need not. Start with: pehra demo",
)


@app.callback()
def _pehra(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    if show_version:
        typer.echo(f"pehra {version('pehra')}")
        raise typer.Exit


app.command()(demo)
app.command()(detect)
app.command()(track)
app.command()(flash)
app.add_typer(device_app, name="device")
app.add_typer(models_app, name="models")
app.add_typer(fleet_app, name="fleet")
app.add_typer(ota_app, name="ota")
app.add_typer(provision_app, name="provision")
app.add_typer(rollout_app, name="rollout")
app.command()(aim)

EXTRAS = {
    "ai_edge_litert": "device",
    "alembic": "fleet",
    "amqtt": "fleet",
    "argon2": "fleet",
    "authlib": "fleet",
    "av": "device",
    "bsdiff4": "fleet",
    "cv2": "device",
    "fastapi": "fleet",
    "lap": "device",
    "nicegui": "fleet",
    "numpy": "device",
    "paho": "device",
    "PIL": "field",
    "pyotp": "fleet",
    "psutil": "device",
    "reportlab": "field",
    "securesystemslib": "fleet",
    "serial": "field",
    "sqlmodel": "fleet",
    "tensorflow": "train",
    "torch": "train",
    "tuf": "fleet",
    "uvicorn": "fleet",
    "yaml": "field",
    "zstandard": "field",
}


def main() -> None:
    """Run the command line; a library that is not installed is named with the extra that brings it."""
    try:
        app()
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        print(f"This needs the library {error.name}: pip install 'pehra[{extra}]'", file=sys.stderr)
        sys.exit(2)
