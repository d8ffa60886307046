"""How a command at the laptop's end of the cable ends: its exit code, and what it says on the way out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import msgspec
import typer

from hardware.cable.line import open_line
from hardware.errors import CableLost, CableUnavailable
from ota.cable import Answer, Done, News, Request, cut
from pehra.provision.errors import BoardRefused, BoardSilent, ProvisionError
from pehra.provision.ports import ports
from pehra.provision.session import Patience, Session

REFUSED: Final = 1
"""The board said no, or its check failed."""
UNUSABLE: Final = 2
"""The command line, a file or the port: nothing was asked of the board."""
SILENT: Final = 3
"""Nobody answers, what comes makes no sense, or the cable was pulled out."""
INTERRUPTED: Final = 130
"""Ctrl-C, as a shell has it, or the end of the input while something was asked."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the board is.

    Attributes:
        port: empty takes the only one on USB.
        baud: symbols a second.
    """

    port: str
    baud: int

    def port_or_only(self) -> str:
        """Return the port, or the only one that there is on USB.

        Raises:
            CableUnavailable: none was named, and there is not just one.
        """
        if self.port:
            return self.port
        likely = [port.name for port in ports() if port.is_usb]
        if len(likely) == 1:
            return likely[0]
        reason = f"{len(likely)} USB ports are there" if likely else "no USB port is there"
        raise CableUnavailable("not named", reason, "name it with --port; `pehra provision ports` shows them")


@contextmanager
def ending(*, as_json: bool) -> Iterator[None]:
    """Turn what went wrong into a sentence and an exit code.

    Args:
        as_json: an object on standard output instead of a sentence on standard error.
    """
    try:
        yield
    except BoardRefused as error:
        _end(REFUSED, error.code, error.reason, error.todo, as_json=as_json)
    except (BoardSilent, CableLost) as error:
        todo = "put the cable in again, then repeat it" if isinstance(error, CableLost) else ""
        _end(SILENT, "silent", str(error), todo, as_json=as_json)
    except CableUnavailable as error:
        _end(UNUSABLE, "port", f"port {error.port}: {error.reason}", error.what_to_do, as_json=as_json)
    except ProvisionError as error:
        _end(UNUSABLE, "unwanted", str(error), "", as_json=as_json)
    except (KeyboardInterrupt, typer.Abort) as error:
        # click says the same of both, and keeps which it was only as the context of its own error
        said = "the input ended" if isinstance(error.__context__, EOFError) else "ended by Ctrl-C"
        _end(INTERRUPTED, "interrupted", f"{said}; the board is as it was", "", as_json=as_json)


@contextmanager
def talking(port: str, baud: int, patience: Patience | None = None) -> Iterator[Session]:
    """Open a port and say hello; both ends are closed at the end of the block.

    Raises:
        CableUnavailable: the port cannot be opened.
        ProvisionError: as `Session.greet`.
        CableLost: as `Session.greet`.
    """
    with Session(open_line(port, baud), patience) as session:
        session.greet(f"pehra {version('pehra')}")
        yield session


def asked(target: Target, request: Request, on_news: Callable[[News], None] = lambda news: None) -> Answer:
    """Ask one question in a session of its own.

    Raises:
        CableUnavailable: as `talking`.
        ProvisionError: as `Session.ask`.
        CableLost: as `Session.ask`.
    """
    with talking(target.port_or_only(), target.baud) as session:
        return session.ask(request, on_news)


def note_of(answer: Answer) -> str:
    """Return what the board added to what it did."""
    return cut(answer.note) if isinstance(answer, Done) else ""


def print_json(value: dict[str, Any]) -> None:
    """Print one object on standard output."""
    print(msgspec.json.encode(value).decode())


def _end(code: int, word: str, reason: str, todo: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"ok": False, "code": word, "reason": reason, "todo": todo})
    else:
        print(cut(f"{reason}; {todo}" if todo else reason, 1000), file=sys.stderr)
    raise typer.Exit(code)
