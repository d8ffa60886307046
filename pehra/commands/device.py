"""`pehra device`: what runs on a camera's board."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from pehra.commands.device_console import serve_console
from pehra.commands.device_enrol import enrol
from pehra.commands.device_slots import self_test, slots

CONFIG: Final = Path("/etc/pehra/device.toml")

device_app = typer.Typer(no_args_is_help=True, help="Run a camera.")
device_app.command("enrol")(enrol)
device_app.command("slots")(slots)
device_app.command("self-test")(self_test)


@device_app.callback()
def device() -> None:
    """Run a camera."""


device_app.command("serve-console")(serve_console)


@device_app.command()
def run(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="TOML file of this device; docs/device.md lists every key.")
    ] = CONFIG,
) -> None:
    """Watch: frames to detections to events to the fleet, until SIGTERM or Ctrl-C.

    Only metadata leaves the device. Exit code 2 means it could not start, with the reason.
    """
    from device.firmware.__main__ import run_device

    raise typer.Exit(run_device(config))


@device_app.command()
def check(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="The same as --config.")] = None,
    *,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="TOML file to check.", show_default="/etc/pehra/device.toml"),
    ] = None,
    config_only: Annotated[
        bool, typer.Option("--config-only", help="The file alone: opens nothing and writes nothing.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Leave the cameras out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Check whether this device can do its work: configuration, board, clock, disk, link, model, cameras.

    First the file and what it names (model, rules' classes, video files): what is wrong there is said with
    path and line, and ends with 2. Then the device; each check has a deadline, so none can hang. No setting
    is changed, no picture is kept or sent.

    Ends with 0 when nothing failed, 1 when something did.

    Example: pehra device check --config /etc/pehra/device.toml
    """
    if file is not None and config is not None and file != config:
        typer.echo(f"{file} or --config {config}: name one file", err=True)
        raise typer.Exit(2)
    _check(config or file or CONFIG, config_only=config_only, quick=quick, as_json=as_json)


def _check(config: Path, *, config_only: bool, quick: bool, as_json: bool) -> None:
    from device.errors import PehraDeviceError
    from device.firmware.config import check_named_things, load_config

    try:
        loaded = load_config(config)
        check_named_things(loaded, config)
    except PehraDeviceError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    if not as_json:
        typer.echo(
            f"{config}: good. {loaded.device.id}: {len(loaded.camera)} camera(s), model {loaded.model.name}."
        )
    if not config_only:
        from pehra.commands.device_check import check_device

        check_device(loaded, with_cameras=not quick, as_json=as_json)


@device_app.command()
def unit(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="TOML file that the service will read.")
    ] = CONFIG,
    user: Annotated[str, typer.Option(help="Whom it runs as.")] = "pehra",
    install: Annotated[
        bool, typer.Option("--install", help="Write it where systemd looks (as root).")
    ] = False,
    *,
    console: Annotated[
        bool, typer.Option("--console", help="The unit of the serial console instead.")
    ] = False,
    port: Annotated[str, typer.Option(help="Console: serial port that the cable is in.")] = "/dev/ttyGS0",
    baud: Annotated[int, typer.Option(min=300, max=4_000_000, help="Console: its rate.")] = 115_200,
) -> None:
    """Print the systemd unit that keeps this device going, with the paths of this machine.

    With --install also the launcher is written, /usr/local/lib/pehra/pehra-launch: what the unit starts. The
    program that this command belongs to is the factory's from then on.

    See docs/firmware.md for what it does and how to look after it, docs/cable.md for the console's.
    """
    from device.errors import PehraDeviceError
    from device.firmware.config import load_alone
    from device.firmware.unit import (
        STATE,
        console_unit_text,
        hidden_paths,
        system_python,
        unit_text,
    )

    state = STATE
    _refuse_in_slot()
    if config.exists():
        try:
            state = load_alone(config).device.state
        except PehraDeviceError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from error
    for path in hidden_paths([config, Path(sys.executable), Path(system_python()), Path(state)]):
        typer.echo(
            f"{path}: the service cannot see it; use /etc/pehra, /opt/pehra and /var/lib/pehra", err=True
        )
    if console:
        text = console_unit_text(config, port, baud, user=user, state=state)
    else:
        text = unit_text(config, user=user, state=state)
    if not install:
        typer.echo(text, nl=False)
        return
    _install(text, user, is_console=console)


def _refuse_in_slot() -> None:
    """What the unit names as the factory's must not be a release, which the next but one overwrites."""
    if (Path(sys.prefix).parent / "MANIFEST.ok").exists():
        typer.echo(
            f"{sys.prefix} is a release's slot; call the factory's pehra (/usr/local/bin/pehra)", err=True
        )
        raise typer.Exit(2)


def _install(text: str, user: str, *, is_console: bool) -> None:
    from device.firmware import unit as units

    name = units.CONSOLE_UNIT if is_console else units.UNIT_NAME
    _write(units.LAUNCHER, units.launcher_text())
    _write(units.UNIT_FOLDER / name, text)
    if is_console:
        _write(units.RULE_FOLDER / units.CONSOLE_RULE, units.console_rule_text(user))
    typer.echo(f"Now: systemctl daemon-reload && systemctl enable --now {name}")


def _write(target: Path, text: str) -> None:
    from ota.whole import write_whole

    try:
        if not target.parent.exists():
            target.parent.mkdir(parents=True)
            target.parent.chmod(0o755)
        write_whole(target, text.encode())
        target.chmod(0o644)  # for the service's user, whatever this one's umask is
    except OSError as error:
        typer.echo(f"{target} cannot be written ({error.strerror}): run it as root", err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{target} is written.")
