"""`pehra flash`: an image and what it shall become, onto a card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def flash(
    image: Annotated[
        Path | None, typer.Argument(help="Raspberry Pi OS: .img, .img.xz, .zip, .img.zst or .img.gz.")
    ] = None,
    *,
    to: Annotated[
        str,
        typer.Option("--to", help="The card (/dev/sdb), or a file; {id} in a file's name is the device's."),
    ] = "",
    list_disks: Annotated[
        bool, typer.Option("--list", help="Show which disks may be the card, and end.")
    ] = False,
    site: Annotated[str, typer.Option(help="Where it will hang: lahore/gulberg/liberty-chowk.")] = "",
    device: Annotated[
        str, typer.Option("--id", help="The device's id; also its host name where none is given.")
    ] = "",
    claim: Annotated[str, typer.Option(help="The fleet's ticket: its file, or its line pehra:...")] = "",
    wifi: Annotated[str, typer.Option(help="Name of the Wi-Fi; its password is asked for.")] = "",
    wifi_password_file: Annotated[
        Path | None,
        typer.Option(help="File with the password; else PEHRA_WIFI_PASSWORD, else it is asked for."),
    ] = None,
    wifi_hidden: Annotated[
        bool, typer.Option("--wifi-hidden", help="The Wi-Fi does not tell its name.")
    ] = False,
    country: Annotated[str, typer.Option(help="Two letters, for the radio: PK.")] = "",
    wheelhouse: Annotated[
        Path | None, typer.Option(help="Folder of wheels and device.lock: the board needs no internet.")
    ] = None,
    hostname: Annotated[str, typer.Option(help="Host name.")] = "",
    ssh_key: Annotated[Path | None, typer.Option(help="Public key of who may log in.")] = None,
    user: Annotated[str, typer.Option(help="As whom, by that key alone.")] = "tech",
    timezone: Annotated[str, typer.Option(help="Asia/Karachi")] = "",
    keyboard: Annotated[str, typer.Option(help="Layout of a keyboard: us, gb, ...")] = "",
    locale: Annotated[str, typer.Option(help="en_GB.UTF-8")] = "",
    sha256: Annotated[
        str, typer.Option(help="Of the image file; IMAGE.sha256 beside it is found without this.")
    ] = "",
    batch: Annotated[
        Path | None, typer.Option(help="CSV of many cards: id, site, optional claim and serial.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Also draw labels to stick on: sheet.pdf or .svg.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a card is overwritten.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")
    ] = False,
) -> None:
    """Write an image to a card, verify it, and let it set itself up at its first boot.

    The card is read back and compared; then the files for the first boot are put on its boot partition:
    network, claim and the program. Disks of the running system and mounted ones are refused. What is
    interrupted does not boot. Ends with 0 when the card is ready, 1 when it failed, 2 when nothing was
    written.

    Example: sudo pehra flash raspios.img.xz --to /dev/sdb --id gulberg-01 --site lahore/gulberg
    --wifi Market --country PK --claim claim.json --wheelhouse wheels/
    """
    from pehra.commands.flash_asked import Asked
    from pehra.commands.flash_cards import run
    from pehra.commands.flash_output import show_disks

    if list_disks:
        show_disks()
        raise typer.Exit
    if image is None or not to:
        typer.echo(
            "Name an image and where it goes: pehra flash IMAGE --to /dev/sdX (pehra flash --list)", err=True
        )
        raise typer.Exit(2)
    asked = Asked(
        image=image, to=to, site=site, device=device, claim=claim, wifi=wifi,
        wifi_password_file=wifi_password_file, wifi_hidden=wifi_hidden, country=country.upper(),
        wheelhouse=wheelhouse, hostname=hostname, ssh_key=ssh_key, user=user, timezone=timezone,
        keyboard=keyboard, locale=locale, sha256=sha256, batch=batch, labels=labels, yes=yes, dry_run=dry_run,
    )  # fmt: skip
    raise typer.Exit(run(asked))
