"""`pehra ota init`, `sign`, `rotate`, `renew`: what needs the offline keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pehra.commands.ota.shared import (
    HomeOption,
    KeysOption,
    PassphraseOption,
    asking,
    at_work,
    now,
    one_line,
    sticks,
)


def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the repository; made here, private.")],
    token: Annotated[
        list[str] | None,
        typer.Option(help="KEY=hsm:[SLOT][?label=LABEL] for a key on a PKCS#11 token, a YubiKey; repeat."),
    ] = None,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Make an image repository: three root keys of which two sign, and keys of targets, models and firmware.

    Their private halves lie in FOLDER/keys, each with a passphrase: move them to safe places, the root's to
    three people. The keys in FOLDER/online sign by themselves and stay. FOLDER/root.json is what devices are
    given, by a fleet that has --image-repository.

    Example: pehra ota init /var/lib/pehra-images --token root-1=hsm:2
    """
    from ota.images.founding import found
    from ota.images.home import Home

    with one_line():
        tokens = dict(_pair(given) for given in token or [])
        found(Home(folder), asking(passphrase_file), now(), tokens)
    typer.echo(f"{folder}: a new image repository, signed")
    typer.echo(
        f"Move {folder / 'keys'}/*.pem to safe places, not on this machine: root-1, -2, -3 to three people."
    )
    typer.echo(f"Next: pehra ota publish DIR --home {folder}")
    typer.echo(f"Then: pehra fleet run ... --images DIR --image-repository {folder}")
    typer.echo(
        f"That gives {folder / 'root.json'} to devices; a fleet elsewhere keeps it as its image-root.json."
    )


def sign(
    keys: KeysOption = None,
    passphrase_file: PassphraseOption = None,
    home: HomeOption = None,
) -> None:
    """Sign what is staged, with every key that is at hand. May be run again where another key is.

    Example: pehra ota sign --keys /media/ayesha/keys
    """
    from ota.images.keys import HSM, HSM_ADVICE
    from ota.images.signing import sign_staged

    with at_work(home) as (place, settings):
        outcomes = sign_staged(place, settings, asking(passphrase_file), now(), sticks(keys))
    if not outcomes:
        typer.echo("nothing waits to be signed")
    for outcome in outcomes:
        by = ", ".join(outcome.signed_by) or "nobody"
        state = (
            "current"
            if outcome.is_current
            else f"waits, also for {', '.join(outcome.missing) or 'its delegator'}"
        )
        typer.echo(f"{outcome.role} version {outcome.version}: signed by {by}; {state}")
    waiting = {name for outcome in outcomes if not outcome.is_current for name in outcome.missing}
    if waiting & {entry.name for entry in settings.keys.values() if entry.uri.startswith(HSM)}:
        typer.echo(f"Keys on tokens: plug the token in; {HSM_ADVICE}")
    if outcomes and not all(outcome.is_current for outcome in outcomes):
        raise typer.Exit(1)


def rotate(
    role: Annotated[
        str, typer.Argument(help="root, targets, models, firmware, deltas, snapshot, timestamp.")
    ],
    key: Annotated[str, typer.Option(help="Which of its keys to replace, where it has several.")] = "",
    token: Annotated[str, typer.Option(help="hsm:[SLOT][?label=LABEL] that has the new key.")] = "",
    passphrase_file: PassphraseOption = None,
    home: HomeOption = None,
) -> None:
    """Make a new key for a role in place of one; then sign and publish. The root's chain is kept.

    Example: pehra ota rotate root --key root-2
    """
    from ota.images.rotation import rotate as stage_rotation

    with at_work(home) as (place, settings):
        name = stage_rotation(place, settings, role, asking(passphrase_file), key, token)
    typer.echo(f"{role} has a new key {name}, staged; next: pehra ota sign, then pehra ota publish DIR")
    typer.echo("Keep the old key's file until that is done; then destroy it.")


def renew(
    role: Annotated[str, typer.Argument(help="root, targets, models or firmware.")],
    home: HomeOption = None,
) -> None:
    """Stage a role as it is, to be signed for another life; then sign and publish."""
    from ota.images.rotation import renew as stage_renewal

    with at_work(home) as (place, _):
        stage_renewal(place, role)
    typer.echo(f"{role} is staged; next: pehra ota sign, then pehra ota publish DIR")


def _pair(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals or not value:
        raise typer.BadParameter(f"{given!r}: say it as NAME=VALUE")
    return name, value
