"""`pehra fleet director`: the keys with which documents for devices are signed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from pehra.commands.fleet_shared import HomeOption, Refusals, home_of
from pehra.commands.ota.shared import KeysOption, PassphraseOption, asking, sticks
from pehra.commands.owner import give_to_owner

WHOSE: Final = "the director's"
director_app = typer.Typer(help="Who signs what devices are told: keys and roots.", no_args_is_help=True)


@contextmanager
def _saying() -> Iterator[None]:
    """Say what is wrong with a key in one line, as what is wrong with the home is said."""
    from fleet.errors import SettingsError
    from ota.errors import TrustError

    with Refusals():
        try:
            yield
        except TrustError as error:
            raise SettingsError(str(error)) from error


@director_app.command("init")
def init_director(passphrase_file: PassphraseOption = None, home: HomeOption = None) -> None:
    """Make the director of a fleet that has none: two root keys of which one signs, and the key in use.

    `pehra fleet init` makes one by itself. The root's keys lie in HOME/director/keys, each with a passphrase:
    move them to two safe places. Devices that were let in before learn of it within the hour.
    """
    from fleet.director.home import DirectorHome

    with _saying():
        director = DirectorHome(home_of(home))
        director.make(asking(passphrase_file, WHOSE), datetime.now(UTC))
        give_to_owner(home_of(home))
    typer.echo(f"{director.folder}: a new director, its root holds for a year")
    typer.echo(f"Move {director.keys}/*.pem to two safe places (not on this machine).")
    typer.echo("Restart the fleet manager.")


@director_app.command("status")
def show_status(home: HomeOption = None) -> None:
    """Say which root is in use and until when. Ends with 1 if it is time to renew it."""
    from fleet.director.home import DirectorHome
    from fleet.director.seal import SOON
    from ota.images.status import expiry_words

    with _saying():
        director = DirectorHome(home_of(home))
        known, root = director.known(), director.root()
        director.signer(root)
    left = root.signed.expires - datetime.now(UTC)
    typer.echo(f"root {root.signed.version}: {expiry_words(left)} ({root.signed.expires:%Y-%m-%d %H:%M} UTC)")
    names = {
        keyid: known.keys[keyid].name if keyid in known.keys else keyid[:8] for keyid in root.signed.keys
    }
    for keyid, name in sorted(names.items(), key=lambda one: one[1]):
        is_online = keyid in root.signed.roles["targets"].keyids
        typer.echo(f"{name}: signs {'documents' if is_online else 'roots'}")
    if left < SOON:
        typer.echo("renew it: pehra fleet director rotate")
        raise typer.Exit(1)


@director_app.command("rotate")
def rotate_key(
    key: Annotated[
        str, typer.Option(help="Which key to replace (root-1, ...). Default: the one in use.")
    ] = "",
    keys: KeysOption = None,
    passphrase_file: PassphraseOption = None,
    home: HomeOption = None,
) -> None:
    """Put a new key in the place of one, under a new root that holds for a year. The old key signs no more.

    A running fleet manager takes it up within seconds and tells all devices anew; devices follow the roots.

    Example: pehra fleet director rotate --keys /media/stick
    """
    from fleet.director.home import DirectorHome

    with _saying():
        director = DirectorHome(home_of(home))
        done = director.rotate(asking(passphrase_file, WHOSE), datetime.now(UTC), key, sticks(keys))
        give_to_owner(home_of(home))
    typer.echo(f"root {done.version}: {done.key} is in use, its root holds for a year")
    typer.echo(f"{done.old.name} counts no longer: destroy the copies of it")
    if done.old.parent == director.keys:
        typer.echo(f"Move {director.keys}/*.pem to a safe place (not on this machine).")
