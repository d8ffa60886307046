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


@device_app.command()
def unit(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="TOML file that the service will read.")
    ] = Path("/etc/pehra/device.toml"),
    user: Annotated[str, typer.Option(help="Whom it runs as.")] = "pehra",
    install: Annotated[
        bool, typer.Option("--install", help="Write it where systemd looks (as root).")
    ] = False,
) -> None:
    """Print the systemd unit that keeps this device going, with the paths of this machine.

    See docs/firmware.md for what it does and how to look after it.
    """
    from device.errors import PehraDeviceError
    from device.firmware.config import load_config
    from device.firmware.unit import STATE, UNIT_FOLDER, UNIT_NAME, hidden_paths, this_program, unit_text

    state = STATE
    if config.exists():
        try:
            state = load_config(config).device.state
        except PehraDeviceError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from error
    for path in hidden_paths([config, Path(this_program()[0]), Path(state)]):
        typer.echo(
            f"{path}: the service cannot see it; use /etc/pehra, /opt/pehra and /var/lib/pehra", err=True
        )
    text = unit_text(config, user=user, state=state)
    if not install:
        typer.echo(text, nl=False)
        return
    target = UNIT_FOLDER / UNIT_NAME
    try:
        target.write_text(text, "utf-8")
    except OSError as error:
        typer.echo(f"{target} cannot be written ({error.strerror}): run it as root", err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{target} is written. Now: systemctl daemon-reload && systemctl enable --now {UNIT_NAME}")
