"""What the subcommands of `pehra models` share: arguments, the way to print, the way to end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

BAD_INPUT = 2
DIFFERS = 1

ModelArgument = Annotated[
    str, typer.Argument(help="A shipped model's name, a bundle folder, or a .tflite file.")
]
Labels = Annotated[
    str | None, typer.Option(help="Labels of a .tflite without a card: a file, or names with commas.")
]


def stdout() -> Console:
    """Where tables and results go; long lines are left whole."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def end(sentence: str) -> NoReturn:
    """Say on stderr what is wrong and what to do, and end with code 2."""
    print(sentence, file=sys.stderr)
    raise typer.Exit(BAD_INPUT)
