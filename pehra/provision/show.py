"""What a board said, as tables and lines for a person; what it says moves no cursor and sets no colour."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ota.cable import Checked, Identity, Looking, News, cut
from pehra.provision.ports import Port

_STYLES: Final = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def screen() -> Console:
    """Return where tables go; a file or pipe gets wide ones."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=160)


def identity_table(identity: Identity) -> Table:
    """Who a board is."""
    state = "enrolled" if identity.enrolled else "a claim waits" if identity.has_claim else "not enrolled"
    rows = {
        "board": identity.board,
        "serial": identity.serial or "-",
        "firmware": identity.firmware,
        "state": state,
        "device": identity.device or "-",
        "site": identity.site or "-",
        "camera": "watches" if identity.is_running else "does not watch",
        "network": identity.network or "-",
        "cameras": ", ".join(identity.cameras) or "-",
        "card": identity.customisation or "not customised",
    }
    if identity.standing:
        rows["state"] = identity.standing if not identity.has_claim else f"{identity.standing}; a claim waits"
    if identity.refusal:
        rows["claim"] = f"refused: {identity.refusal}"
    if identity.fault:
        rows["configuration"] = identity.fault
    return _two_columns(rows.items())


def ports_table(ports: Iterable[Port]) -> Table:
    """The ports of this laptop, numbered."""
    table = Table("no.", "port", "what it is", box=None, pad_edge=False, header_style="bold")
    for number, port in enumerate(ports, 1):
        table.add_row(str(number), Text(port.name), Text(cut(port.about)))
    return table


def check_table(lines: Iterable[Checked]) -> Table:
    """What `device check` found."""
    table = Table("check", "result", "found", "what to do", box=None, pad_edge=False, header_style="bold")
    for line in lines:
        result = Text(line.result, style=_STYLES[line.result])
        table.add_row(Text(cut(line.check)), result, Text(cut(line.found)), Text(cut(line.todo)))
    return table


def steps_table(steps: Iterable[tuple[str, str, str]]) -> Table:
    """The steps of a path: name, result, and what to do."""
    table = Table("step", "result", "what next", box=None, pad_edge=False, header_style="bold")
    for name, result, todo in steps:
        table.add_row(Text(name), Text(cut(result)), Text(cut(todo)))
    return table


def check_line(news: News) -> str:
    """One line of a check that runs, empty for what is not worth one."""
    if isinstance(news, Looking):
        return f"looking at {cut(news.check)} ..."
    return f"{news.result:4}  {cut(news.check)}: {cut(news.found)}" if isinstance(news, Checked) else ""


def _two_columns(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in rows:
        table.add_row(Text(name, style="bold"), Text(cut(value)))
    return table
