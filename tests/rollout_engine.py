"""Engines of rollouts as processes of their own, for tests that kill them; from a warm fork server."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterable, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from fleet.rollouts.engine import Rollouts
from fleet.rollouts.tell import Order, WantedTable
from fleet.store.database import connect_database

SPEED = 300
"""Seconds of a rollout in one second of a test."""


class WritingTell:
    """Keeps each order in a file, also one whose transaction is taken back."""

    def __init__(self, orders: str) -> None:
        self._file = os.open(orders, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        self._table = WantedTable()

    def want(self, session: Session, orders: Sequence[Order]) -> None:
        for order in orders:
            os.write(self._file, f"{order.device} {order.action}\n".encode())
        self._table.want(session, orders)

    def withdraw(self, session: Session, kind: str, rollout: str, devices: Iterable[str]) -> None:
        self._table.withdraw(session, kind, rollout, devices)


def fast_ms(base_ms: int, base_s: float) -> int:
    """A moment on the fast clock that all processes of a test share."""
    return base_ms + round((time.time() - base_s) * 1000 * SPEED)


def tick_once(url: str, now_ms: int, kill_at: int) -> None:
    """Look once; die by SIGKILL after so many statements."""
    engine = connect_database(url)
    made = 0

    def count(*_: Any) -> None:
        nonlocal made
        made += 1
        if made == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(engine, "after_cursor_execute", count)
    Rollouts(engine, WantedTable()).tick(now_ms)
    engine.dispose()


def run_fast(url: str, base_ms: int, base_s: float, orders: str) -> None:
    """Look again and again on the fast clock, without a pause."""
    rollouts = Rollouts(connect_database(url), WritingTell(orders))
    while True:
        try:
            rollouts.tick(fast_ms(base_ms, base_s))
        except DBAPIError:  # a dead engine's transaction may still hold locks for a moment
            threading.Event().wait(0.05)


_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])


def start(work: Any, *arguments: Any) -> ForkServerProcess:
    process = _context.Process(target=work, args=arguments, daemon=True)
    process.start()
    return process


def orders_in(file: Path) -> list[str]:
    """The devices that were told, in order, one for each time."""
    return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []
