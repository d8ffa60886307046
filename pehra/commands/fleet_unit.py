"""`pehra fleet unit`, `pehra fleet address`: how a fleet manager is kept going and where it is reached."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final

import msgspec
import typer

from pehra.commands.fleet_shared import HomeOption, Refusals, home_of

UNIT: Final = "pehra-fleet.service"
UNITS_FOLDER: Final = Path("/etc/systemd/system")


def show_unit(
    home: HomeOption = None,
    user: Annotated[str, typer.Option(help="Whom it runs as, and whose the home is.")] = "pehra-fleet",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "0.0.0.0",  # noqa: S104 (a server)
    images: Annotated[
        Path | None, typer.Option(help="Published image repository that it serves to devices.")
    ] = None,
    image_repository: Annotated[
        Path | None, typer.Option(help="Its home with the online keys, to sign it in time.")
    ] = None,
    install: Annotated[
        bool, typer.Option("--install", help="Write it where systemd looks (as root).")
    ] = False,
) -> None:
    """Print the systemd unit of the fleet manager, with the paths of this machine.

    It runs without root's rights: make its user, a member of Mosquitto's group, and give it home and brokers'
    folders, as the words at the end say.
    """
    from fleet.identity.home import Home

    with Refusals():
        folder = home_of(home).absolute()
        brokers = Home(folder).read_addresses().brokers
    more = {"--images": images, "--image-repository": image_repository}
    options = {name: path.absolute() for name, path in more.items() if path is not None}
    text = unit_text(folder, brokers, user=user, host=host, options=options)
    if not install:
        typer.echo(text, nl=False)
        return
    target = UNITS_FOLDER / UNIT
    try:
        target.write_text(text, "utf-8")
    except OSError as error:
        typer.echo(f"{target} cannot be written ({error.strerror}): run it as root", err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{target} is written. Now:")
    typer.echo(f"  useradd --system --no-create-home --groups mosquitto {user}")
    typer.echo(f"  chown -R {user}: {' '.join([str(folder), *brokers, *map(str, options.values())])}")
    typer.echo("  pehra fleet broker-config FOLDER ... once more, so that Mosquitto's group may read")
    typer.echo(f"  systemctl daemon-reload && systemctl enable --now {UNIT}")


def unit_text(
    home: Path,
    brokers: list[str],
    *,
    user: str,
    host: str,
    options: Mapping[str, Path] = MappingProxyType({}),
) -> str:
    """Return the shipped unit for this machine.

    Args:
        home: of the fleet.
        brokers: folders that it brings up to date.
        user: whom it runs as.
        host: address to listen on.
        options: further ones of `pehra fleet run` that name folders; it may write there.
    """
    script = Path(sys.executable).parent / "pehra"
    program = [str(script)] if script.exists() else [sys.executable, "-m", "pehra"]
    command = [*program, "fleet", "run", "--home", str(home), "--host", host]
    command += [word for name, path in options.items() for word in (name, str(path))]
    places = [str(home), *brokers, *map(str, options.values())]
    text = (files("fleet.systemd") / UNIT).read_text("utf-8")
    for key, value in (
        ("ExecStart", " ".join(map(_quoted, command))),
        ("User", user),
        ("Group", user),
        ("ReadWritePaths", " ".join(map(_quoted, places))),
    ):
        text = _replaced(text, key, value)
    return text


def _replaced(text: str, key: str, value: str) -> str:
    replaced, count = re.subn(rf"(?m)^{key}=.*$", lambda _: f"{key}={value}", text)
    assert count == 1, key
    return replaced


def change_address(
    host: Annotated[
        list[str] | None, typer.Option(help="Name or address under which it is reached; repeat. All anew.")
    ] = None,
    https_port: Annotated[int | None, typer.Option(min=1, max=65535, help="Of API and console.")] = None,
    mqtt_port: Annotated[int | None, typer.Option(min=1, max=65535, help="Of the broker.")] = None,
    home: HomeOption = None,
) -> None:
    """Say where the fleet is reached from now on, and make its servers' certificates anew for that.

    Devices that are out already learn it when they renew: keep the old names working until then. Restart
    the fleet manager afterwards.
    """
    from fleet.identity.founding import check_addresses, make_servers
    from fleet.identity.home import Home

    with Refusals():
        place = Home(home_of(home))
        before = place.read_addresses()
        hosts = (
            [*host, *(one for one in ("localhost", "127.0.0.1") if one not in host)] if host else before.hosts
        )
        now = msgspec.structs.replace(
            before,
            hosts=hosts,
            https_port=https_port or before.https_port,
            mqtt_port=mqtt_port or before.mqtt_port,
        )
        check_addresses(now)
        make_servers(place, place.issuing(), now, datetime.now(UTC))
        place.write_addresses(now)
    typer.echo(f"The fleet is at {now.url}, its broker at {now.hosts[0]}:{now.mqtt_port}. Restart it.")


def _quoted(word: str) -> str:
    """A word of a unit's value: `%` and `$` mean something there (systemd.service(5), "Command lines")."""
    plain = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    return f'"{plain}"' if re.search(r"[\s\"';]", word) else plain
