"""`pehra ota publish`, `status`, `fresh`, `export`: what needs the online keys, or none."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pehra.commands.ota.shared import HomeOption, Json, PassphraseOption, asking, at_work, now

if TYPE_CHECKING:
    from ota.images.publishing import Published


def publish(
    folder: Annotated[Path, typer.Argument(help="Folder of static files, for any web server.")],
    passphrase_file: PassphraseOption = None,
    home: HomeOption = None,
) -> None:
    """Write the repository to a folder of static files, with deltas. Clients see it as it was, or as it is.

    Example: pehra ota publish /srv/www/pehra-images
    """
    from ota.images.publishing import publish as publish_to
    from ota.images.status import waiting_words

    with at_work(home) as (place, settings):
        published = publish_to(place, settings, folder, asking(passphrase_file), now())
        waiting = waiting_words(place, settings)
    for delta in published.deltas:
        typer.echo(f"{delta.path}: {delta.length} bytes")
    _tell(published)
    for words in waiting:
        typer.echo(f"not published: {words}; pehra ota sign")


def fresh(
    passphrase_file: PassphraseOption = None,
    home: HomeOption = None,
) -> None:
    """Sign snapshot and timestamp again if it is time, and write them to where it was published.

    A fleet that has the online keys does this by itself; for a repository without a fleet, run it hourly.
    """
    from ota.images.publishing import keep_fresh

    with at_work(home) as (place, settings):
        done = keep_fresh(place, settings, asking(passphrase_file), now())
    for published in done:
        _tell(published)
    if not done:
        typer.echo("published nowhere yet: pehra ota publish DIR")


def export(
    stick: Annotated[Path, typer.Argument(help="Where the stick is mounted.")],
    days: Annotated[float, typer.Option(min=0.1, max=90, help="For how long it is to hold.")] = 14.0,
    passphrase_file: PassphraseOption = None,
    home: HomeOption = None,
) -> None:
    """Write the repository to STICK/pehra-update, for devices without a network.

    The timestamp is signed for --days, and published too, so that a device fed from the stick is not ahead of
    the server. A shorter time lets less old things in.
    """
    from ota.images.publishing import export as export_to

    with at_work(home) as (place, settings):
        done = export_to(place, settings, stick, asking(passphrase_file), now(), timedelta(days=days))
    for published in done:
        _tell(published)


def status(as_json: Json = False, home: HomeOption = None) -> None:
    """Say what expires when, what waits for signatures, and what is offered. Ends with 1 if one is due."""
    from ota.images.status import offers, role_states, waiting_words

    with at_work(home) as (place, settings):
        states = role_states(place, settings, now())
        waiting = waiting_words(place, settings)
        offered = offers(place)
    if as_json:
        document = {
            "roles": [
                {
                    "role": one.role,
                    "version": one.version,
                    "expires": one.expires.isoformat(),
                    "urgent": one.is_urgent,
                    "words": one.words,
                }
                for one in states
            ],
            "waiting": waiting,
            "releases": [
                {
                    "path": one.path,
                    "length": one.length,
                    "sha256": one.sha256,
                    "hw": one.release.hw,
                    "sec_ver": one.release.sec_ver,
                }
                for one in offered
            ],
        }
        typer.echo(json.dumps(document))
    else:
        for state in states:
            typer.echo(f"{state.role:10} {state.words}")
        for words in waiting:
            typer.echo(f"waits: {words}")
        for offer in offered:
            about = offer.release
            typer.echo(
                f"{offer.path}: {offer.length} bytes, for {', '.join(about.hw)}, "
                f"security version {about.sec_ver}"
            )
    if any(state.is_urgent for state in states):
        raise typer.Exit(1)


def _tell(published: Published) -> None:
    signed = f", signed {', '.join(published.signed)}" if published.signed else ""
    typer.echo(f"{published.folder}: {published.files} files written{signed}")
