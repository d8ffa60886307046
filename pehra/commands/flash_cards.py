"""The cards that `pehra flash` was asked for, one after the other."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.console import Console

from hardware.errors import CardFailed, CardRefused, FlashError, SettingInvalid
from hardware.flash.batch import Done
from hardware.flash.card import Card, open_device, open_file
from hardware.flash.disks import disk_of, refuse_unfit
from hardware.flash.fat import require_tools
from hardware.flash.flashing import expected_sha256_beside, flash, is_sha256, refuse_too_large
from hardware.flash.image import Image, look_at
from hardware.flash.labels import Label, write_labels
from hardware.flash.os_format import PLAIN
from pehra.commands.flash_asked import Asked, Planned, plan
from pehra.commands.flash_output import Shown, show_plan, told_of

REFUSED, FAILED, STOPPED = 2, 1, 130


def run(asked: Asked) -> int:
    """Make the cards and return the exit code: 0 all are ready, 1 one failed, 2 nothing was written."""
    try:
        cards = plan(asked)
        image, expected = look_at(asked.image), _expected(asked)
        done = Done(asked.batch) if asked.batch else None
        waiting = _still_open(cards, done)
        if asked.labels:
            _label(cards, asked.labels)
        if any(card.setup for card in waiting):
            require_tools()
        if asked.dry_run:
            show_plan(waiting, image, Console())
            return 0
    except FlashError as error:
        typer.echo(str(error), err=True)
        return REFUSED
    if not expected:
        typer.echo(f"The image's hash is not checked: no --sha256 and no {asked.image.name}.sha256", err=True)
    for number, card in enumerate(waiting, 1):
        if code := _one(asked, card, image, expected, done, f"card {number} of {len(waiting)}"):
            return code
    if done is not None and len(waiting) < len(cards):
        typer.echo(f"{len(cards) - len(waiting)} were done before ({done.path})")
    return 0


def _one(asked: Asked, card: Planned, image: Image, expected: str, done: Done | None, which: str) -> int:
    where = Path(asked.to.replace("{id}", card.row.device))
    is_touched = False
    try:
        with _opened(asked, where, f"{which}: {card.row.device}" if asked.batch else "") as opened:
            refuse_too_large(image, opened)
            is_touched = True
            with Shown() as shown:
                flashed = flash(image, opened, card.setup, expected, shown)
    except FlashError as error:
        typer.echo(str(error), err=True)
        if is_touched and not isinstance(error, CardFailed) and error.what_to_do != PLAIN:
            typer.echo(f"{where} does not boot now", err=True)
        return FAILED if is_touched else REFUSED
    except (KeyboardInterrupt, typer.Abort):
        said = f"{where} does not boot now: flash it anew" if is_touched else "nothing was written"
        typer.echo(f"\nStopped; {said}", err=True)
        return STOPPED
    typer.echo(told_of(card, flashed, where))
    if done is not None:
        done.add(card.row, flashed.customised.sha256 if flashed.customised else "", datetime.now(UTC))
    return 0


@contextmanager
def _opened(asked: Asked, where: Path, which: str) -> Iterator[Card]:
    """Open the card when the person has agreed; `which` is not empty where there are many."""
    if _is_device(where):
        if which and not asked.yes:
            typer.prompt(
                f"Put {which} into {where} and press Enter", default="", show_default=False, err=True
            )
        disk = disk_of(where)
        refuse_unfit(disk)
        _agree(asked, f"Overwrite {disk.sentence()}?")
        card, descriptor = open_device(disk.path, disk.size_bytes)
    else:
        if where.exists() and (where.samefile(asked.image) or not where.is_file()):
            raise CardRefused(where, "this cannot be overwritten", "name a card or another file")
        if where.exists():
            _agree(asked, f"Overwrite the file {where} ({where.stat().st_size / 1e9:.2f} GB)?")
        card, descriptor = open_file(where)
    try:
        yield card
    finally:
        os.close(descriptor)


def _is_device(where: Path) -> bool:
    """Whether it is a disk, or would be one if it were there: no file is made beside the device files."""
    if where.exists():
        return stat.S_ISBLK(where.stat().st_mode)
    return where.parent == Path("/dev") or where.is_relative_to("/dev/disk")


def _agree(asked: Asked, question: str) -> None:
    if not asked.yes and not typer.confirm(f"{question} All that is on it is lost.", err=True):
        raise CardRefused(asked.to, "not confirmed", "nothing was written")


def _expected(asked: Asked) -> str:
    if asked.sha256 and not is_sha256(asked.sha256):
        raise SettingInvalid(
            "--sha256", "it is not 64 hexadecimal digits", "copy it from where the image is from"
        )
    return asked.sha256.lower() or expected_sha256_beside(asked.image)


def _still_open(cards: list[Planned], done: Done | None) -> list[Planned]:
    if done is None:
        return cards
    rows = {row.device for row in done.open_rows(card.row for card in cards)}
    return [card for card in cards if card.row.device in rows]


def _label(cards: list[Planned], path: Path) -> None:
    labels = [Label(card.row.device, card.row.site, card.row.serial) for card in cards if card.row.device]
    if not labels:
        raise SettingInvalid("--labels", "a label needs an id", "give --id or --batch")
    for written in write_labels(labels, path):
        typer.echo(f"{written}: labels of {len(labels)} device(s)", err=True)
