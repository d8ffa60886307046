"""`pehra fleet init`: makes a fleet's authorities, certificates, database and first owner."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pehra.commands.fleet_shared import Refusals, secret_of

PASSPHRASE_MIN = 12
BROKER = "/var/lib/mosquitto/pehra"


def init_fleet(
    home: Annotated[
        Path, typer.Argument(help="Folder of the fleet; made here. Back it up, keep it private.")
    ],
    host: Annotated[
        list[str] | None,
        typer.Option(
            help="Name or address under which devices and people reach it; repeat. Default: this machine's."
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Of the fleet, for people.")] = "Pehra fleet",
    https_port: Annotated[int, typer.Option(min=1, max=65535, help="Of API and console.")] = 8443,
    mqtt_port: Annotated[int, typer.Option(min=1, max=65535, help="Of the broker (TLS).")] = 8883,
    device_days: Annotated[
        float,
        typer.Option(min=0.001, max=3650, help="Life of a device's certificate; renewed after two thirds."),
    ] = 365.0,
    root_passphrase_file: Annotated[
        Path | None, typer.Option(help="File with the root key's passphrase; else it is asked for.")
    ] = None,
    owner: Annotated[str, typer.Option(help="Name of the first owner, who may do everything.")] = "owner",
    owner_password_file: Annotated[
        Path | None, typer.Option(help="File with the owner's password; else it is asked for.")
    ] = None,
    import_authority: Annotated[
        list[Path] | None,
        typer.Option(help="PEM or PKCS#12 of an issuing authority you have already, with its chain; repeat."),
    ] = None,
) -> None:
    """Make a new fleet: root and issuing authority, certificates of API and broker, database, owner.

    The director, who signs what devices are told, is made too.

    The root's key is needed again only to make another issuing authority: move HOME/ca/root.key.pem to a safe
    place, with its passphrase; those in HOME/director/keys have the same passphrase, and are needed once a
    year. Nothing is overwritten.

    Example: pehra fleet init /var/lib/pehra-fleet --host fleet.lahore.example --host 10.0.0.5
    """
    from fleet.access.passwords import check_password
    from fleet.access.users import create_owner
    from fleet.access.words import user_name
    from fleet.director.home import DirectorHome
    from fleet.errors import SettingsError
    from fleet.identity.founding import check_addresses, check_new, found_fleet, read_authority
    from fleet.identity.home import Addresses, Home
    from fleet.store.database import open_database

    with Refusals():
        place = Home(home)
        hosts = [*(host or [socket.gethostname()])]
        hosts += [one for one in ("localhost", "127.0.0.1") if one not in hosts]
        addresses = Addresses(
            name=name, hosts=hosts, https_port=https_port, mqtt_port=mqtt_port, device_days=device_days
        )
        check_new(place)
        check_addresses(addresses)
        what = "Passphrase of the authority's key" if import_authority else "New passphrase of the root's key"
        passphrase = secret_of(root_passphrase_file, what, is_new=not import_authority)
        if not import_authority and len(passphrase) < PASSPHRASE_MIN:
            raise SettingsError(f"the root's passphrase has at least {PASSPHRASE_MIN} letters")
        imported = read_authority(import_authority, passphrase) if import_authority else None
        password = secret_of(owner_password_file, f"New password of {owner}", is_new=True)
        check_password(password, user_name(owner))
        was_open = _close(home)
        fit = passphrase if len(passphrase) >= PASSPHRASE_MIN else ""
        found_fleet(place, addresses, datetime.now(UTC), passphrase=fit, imported=imported)
        engine = open_database(f"sqlite:///{place.database}")
        try:
            create_owner(engine, owner, password)
        finally:
            engine.dispose()
    director = DirectorHome(home)
    if was_open:
        typer.echo(f"{home}: others could look into this folder; now only its owner can (mode 0700)")
    _tell_next(home, addresses.url, is_imported=imported is not None)
    if director.exists:
        typer.echo(f"Move {director.keys}/*.pem to two safe places; same passphrase.")
    else:
        typer.echo(f"Director: pehra fleet director init --home {home}")


def _close(home: Path) -> bool:
    """Make the home's folder, or close one to all but its owner; returns whether it was open."""
    from fleet.errors import HomeUnusable

    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_open = bool(home.stat().st_mode & 0o077)
        if is_open:
            home.chmod(0o700)
    except OSError as error:
        raise HomeUnusable(home, f"cannot be made or closed to others ({error.strerror})") from error
    return is_open


def _tell_next(home: Path, url: str, *, is_imported: bool) -> None:
    typer.echo(f"{home}: a new fleet at {url}")
    if not is_imported:
        typer.echo(f"Move {home / 'ca' / 'root.key.pem'} to a safe place (not on this machine).")
    typer.echo(f"Broker:  pehra fleet broker-config {BROKER} --home {home}")
    typer.echo(f"Run:     pehra fleet run --home {home} --host 0.0.0.0")
    typer.echo(f"Tickets: pehra fleet claim new --home {home} --site lahore/gulberg")
    typer.echo(
        "Updates: pehra ota init /var/lib/pehra-images, then run it with --images and --image-repository"
    )
