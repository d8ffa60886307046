"""`pehra ota add` and `remove`: what is offered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pehra.commands.ota.keys import _pair
from pehra.commands.ota.shared import HomeOption, at_work


def add(
    folder: Annotated[
        Path, typer.Argument(help="A model's folder (model.tflite, model.toml), or a wheelhouse.")
    ],
    hw: Annotated[list[str] | None, typer.Option(help="Board that it is for, or `any`; repeat.")] = None,
    sec_ver: Annotated[
        int, typer.Option(min=0, help="Security version: devices that have a higher one refuse it.")
    ] = 0,
    name: Annotated[str, typer.Option(help="Instead of what its files say.")] = "",
    version: Annotated[str, typer.Option(help="Instead of what its files say.")] = "",
    min_agent: Annotated[str, typer.Option(help="Oldest firmware that can install it.")] = "",
    requires: Annotated[
        list[str] | None, typer.Option(help="NAME=VERSION of what must be there, at least; repeat.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Add a release, to be signed with the key of its kind.

    Example: pehra ota add device/models/street-2 --hw raspberry-pi-4 --hw raspberry-pi-5 --sec-ver 1
    """
    from ota.images.adding import Wish
    from ota.images.adding import add as add_release

    with at_work(home) as (place, _):
        wish = Wish(
            hw=tuple(hw or ()),
            sec_ver=sec_ver,
            name=name,
            version=version,
            min_agent=min_agent,
            requires=tuple(_pair(given) for given in requires or []),
        )
        target = add_release(place, folder, wish)
    typer.echo(f"{target.path}: {target.length} bytes, sha256 {target.hashes['sha256']}")
    typer.echo("staged; next: pehra ota sign")


def remove(
    path: Annotated[str, typer.Argument(help="Path of the release, as `pehra ota status` has it.")],
    home: HomeOption = None,
) -> None:
    """Offer a release no longer; devices that run it keep it. Then sign and publish."""
    from ota.images.adding import remove as remove_release

    with at_work(home) as (place, _):
        remove_release(place, path)
    typer.echo(f"{path} will not be offered; next: pehra ota sign, then pehra ota publish DIR")
