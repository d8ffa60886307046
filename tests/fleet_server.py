"""A fleet's web server with TLS and a home, and bad roads to it: cut links, strangers that answer."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from sqlmodel import Session, select

from fleet.app import create_api
from fleet.identity.claims import Terms
from fleet.identity.founding import found_fleet
from fleet.identity.home import Addresses, Home
from fleet.services import build_services
from fleet.serving import listen, serve
from fleet.settings import Settings
from ota.enrolment import Ticket
from tests.brokers import free_port
from tests.homes import PASSPHRASE


class FleetServer:
    """The API over TLS in a thread, on a port that stays the same; its clock can be set.

    The fleet was founded a while ago, so that it can have given certificates in the past.
    """

    def __init__(
        self, folder: Path, *, founded: timedelta = timedelta(days=-200), days: float = 120, **more: Any
    ) -> None:
        self.port = free_port()
        self.home = Home(folder)
        self.now = lambda: datetime.now(UTC)
        hosts = ["localhost", "127.0.0.1"]
        addresses = Addresses(name="test", hosts=hosts, https_port=self.port, device_days=days)
        found_fleet(self.home, addresses, self.now() + founded, passphrase=PASSPHRASE)
        url = f"sqlite:///{self.home.database}"
        self.services = build_services(Settings(database_url=url, home=folder, http_port=self.port, **more))
        assert self.services.office is not None
        self.office = self.services.office
        self.office._now = self._ask_clock
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def _ask_clock(self) -> datetime:
        return self.now()

    def start(self) -> FleetServer:
        self._stop, ready = threading.Event(), threading.Event()
        arguments = (create_api(self.services), listen("127.0.0.1", self.port), self._stop)
        options = {"ready": ready.set, "tls": self.services.tls}
        self._thread = threading.Thread(target=serve, args=arguments, kwargs=options)
        self._thread.start()
        assert ready.wait(30)
        return self

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(20)

    def close(self) -> None:
        self.stop()
        self.services.close()

    def ticket(self, terms: Terms | None = None, *, port: int | None = None) -> Ticket:
        with self.services.session() as session:
            ticket = self.office.new_ticket(session, terms or Terms(), "tests")[1]
        return msgspec.structs.replace(ticket, url=f"https://localhost:{port or self.port}")

    def rows(self, table: type[Any]) -> list[Any]:
        with self.services.session() as session:
            return list(session.exec(select(table)))

    def do(self, deed: Callable[..., Any], *arguments: Any) -> Any:
        with Session(self.services.engine) as session:
            return deed(session, *arguments)


class Proxy:
    """Hands bytes on, and cuts all connections after so many in one direction.

    Attributes:
        up_max: from the board to the fleet; None for no end.
        down_max: from the fleet to the board.
        connections: how many there were.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.up_max: int | None = None
        self.down_max: int | None = None
        self.connections = 0
        self._passed = {"up": 0, "down": 0}
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def allow(self, *, up: int | None = None, down: int | None = None) -> None:
        """Begin to count anew."""
        with self._lock:
            self.up_max, self.down_max = up, down
            self._passed = {"up": 0, "down": 0}

    @property
    def is_spent(self) -> bool:
        """Whether what was allowed has passed, so that a connection was cut."""
        with self._lock:
            return self.down_max is not None and self._passed["down"] > self.down_max

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(20)

    def _accept(self) -> None:
        while True:
            try:
                board, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                fleet = socket.create_connection(("127.0.0.1", self.target), 5)
            except OSError:
                board.close()
                continue
            pair = (board, fleet)
            left = [2]
            for way, source, goal in (("up", board, fleet), ("down", fleet, board)):
                thread = threading.Thread(target=self._carry, args=(way, source, goal, pair, left))
                self._threads.append(thread)
                thread.start()

    def _carry(
        self, way: str, source: socket.socket, goal: socket.socket, pair: Any, left: list[int]
    ) -> None:
        try:
            while piece := source.recv(4096):
                with self._lock:
                    limit = self.up_max if way == "up" else self.down_max
                    room = len(piece) if limit is None else max(limit - self._passed[way], 0)
                    self._passed[way] += len(piece)
                goal.sendall(piece[:room])
                if room < len(piece):
                    break
        except OSError:
            pass
        for one in pair:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        with self._lock:
            left[0] -= 1
            is_last = left[0] == 0
        if is_last:
            for one in pair:
                one.close()


@contextlib.contextmanager
def running_proxy(target: int) -> Iterator[Proxy]:
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.close()


class Stranger:
    """Somebody who answers in the fleet's place: with TLS or without, with what he likes.

    Attributes:
        heard: every byte that he could read.
    """

    def __init__(self, answer: Callable[[bytes], bytes], chain: Path | None, dribble_s: float = 0.0) -> None:
        self._answer = answer
        self._context = None
        if chain is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(chain)
        self._dribble_s = dribble_s
        self._is_over = threading.Event()
        self.heard = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def close(self) -> None:
        self._is_over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(20)

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            plain.settimeout(5)
            with contextlib.suppress(OSError), plain:
                if self._context is None:
                    self._speak(plain)
                    continue
                with self._context.wrap_socket(plain, server_side=True) as secured:
                    self._speak(secured)

    def _speak(self, line: socket.socket) -> None:
        question = line.recv(65_536)
        self.heard += question
        answer = self._answer(question)
        if not self._dribble_s:
            line.sendall(answer)
        for byte in answer if self._dribble_s else b"":
            line.sendall(bytes([byte]))
            if self._is_over.wait(self._dribble_s):
                return


@contextlib.contextmanager
def a_stranger(
    answer: Callable[[bytes], bytes], chain: Path | None = None, dribble_s: float = 0.0
) -> Iterator[Stranger]:
    stranger = Stranger(answer, chain, dribble_s)
    try:
        yield stranger
    finally:
        stranger.close()


def http_answer(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
