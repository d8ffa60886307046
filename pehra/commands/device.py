"""`pehra device`: what runs on a camera's board."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

device_app = typer.Typer(no_args_is_help=True, help="Run a camera.")


@device_app.callback()
def device() -> None:
    """Run a camera."""


@device_app.command()
def run(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="TOML file of this device; docs/device.md lists every key.")
    ] = Path("/etc/pehra/device.toml"),
) -> None:
    """Watch: frames to detections to events to the fleet, until SIGTERM or Ctrl-C.

    Only metadata leaves the device. Exit code 2 means it could not start, with the reason.
    """
    from device.firmware.__main__ import run_device

    raise typer.Exit(run_device(config))


@device_app.command()
def check(
    config: Annotated[Path, typer.Argument(help="TOML file to check.")],
) -> None:
    """Check a configuration file and what it names: model, rules' classes, video files.

    Says what is wrong, with path and line. Opens no camera, no broker and writes nothing.
    """
    from device.errors import PehraDeviceError
    from device.firmware.config import check_named_things, load_config

    try:
        loaded = load_config(config)
        check_named_things(loaded, config)
    except PehraDeviceError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    typer.echo(
        f"{config}: good. {loaded.device.id}: {len(loaded.camera)} camera(s), model {loaded.model.name}."
    )
