"""`pehra demo --scenario NAME`: a scripted street with ground truth, and how well each rule does on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NoReturn

import typer
from rich.console import Console
from rich.table import Table

from device.errors import ModelRefused, ModelUnavailable
from pehra.demo.scenarios.catalogue import CATALOGUE, scenario
from pehra.demo.scenarios.report import HEADER, Summary, lines, rows, summary
from pehra.demo.scenarios.trial import Outcome, show

ALL = "all"
ROLLOUT = "rollout"
MAX_SEED = 10_000
WIDE = 120
"""Characters: the table's width where it is written to a file."""


def list_scenarios() -> None:
    """Print what there is."""
    table = Table(box=None)
    table.add_column("scenario")
    table.add_column("what it shows")
    for name, entry in CATALOGUE.items():
        table.add_row(name, entry.shows)
    table.add_row(
        ROLLOUT, "a good model goes to 40 cameras in stages; a bad one stops itself and is taken back"
    )
    Console().print(table)


def run_scenarios(name: str, seeds: list[int], model: str, *, as_json: bool) -> bool:
    """Show one scenario, or `all`, to the device, and print what came of it.

    Returns:
        Whether every rule reached its precision and recall over these seeds.
    """
    names = list(CATALOGUE) if name == ALL else [name]
    if name not in (*CATALOGUE, ALL):
        _refuse(f"there is no scenario {name!r}: choose of {', '.join(CATALOGUE)}, {ROLLOUT}, or {ALL}")
    said = Console(stderr=True)
    found = []
    try:
        for one in names:
            with said.status(f"{one}...") as status:
                outcomes = []
                for outcome in _outcomes(one, seeds, model):
                    outcomes.append(outcome)
                    status.update(f"{one}: {len(outcomes)} of {len(seeds)} seeds")
            found.append(summary(outcomes))
    except (ModelUnavailable, ModelRefused) as error:
        _refuse(str(error))
    _print(found, as_json=as_json)
    return all(one.is_enough for one in found)


def numbers(text: str) -> list[int]:
    """Read seeds such as `3`, `1-10` or `1,4,7-9`.

    Raises:
        typer.Exit: it is none; what is wrong was said.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            _refuse(f"--seeds {text!r}: write 3, 1-10 or 1,4,7-9")
        begin, end = int(first), int(last or first)
        if not begin <= end <= MAX_SEED:
            _refuse(f"--seeds {text!r}: seeds go from 0 to {MAX_SEED}, the first of a span is the least")
        seeds += range(begin, end + 1)
    return list(dict.fromkeys(seeds))


def _outcomes(name: str, seeds: list[int], model: str) -> Iterator[Outcome]:
    for seed in seeds:
        yield show(scenario(name, seed), model).outcome()


def _print(found: list[Summary], *, as_json: bool) -> None:
    said = Console(stderr=as_json)
    if not said.is_terminal:
        said = Console(stderr=as_json, width=WIDE)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for place, head in enumerate(HEADER):
        table.add_column(head, justify="left" if place < 3 else "right", no_wrap=True)
    for one in found:
        for row, score in zip(rows(one), one.scores, strict=True):
            table.add_row(*row, style=None if score.is_enough else "red")
    said.print(table)
    for one in found:
        for line in lines(one):
            said.print(line, markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print(json.dumps({"scenarios": [one.as_json() for one in found]}))


def _refuse(reason: str) -> NoReturn:
    Console(stderr=True).print(f"pehra demo: {reason}", style="red", markup=False, soft_wrap=True)
    raise typer.Exit(2)
