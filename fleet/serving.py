"""Runs the web application on a socket until told to stop; knows nothing of what it serves.

uvicorn runs in a thread of its own, so that signals stay with the caller and the exit code is ours.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from fleet.errors import AddressInUse, FleetError
from fleet.peer import HEAD_MAX_BYTES, PeerProtocol

GRACE_S: Final = 2
CONNECTIONS_MAX: Final = 500
"""Beyond this requests are answered with 503; a system gives a process 1024 open files by default."""
KEEP_ALIVE_S: Final = 5
SOCKET_MESSAGE_BYTES: Final = 1024 * 1024
"""Of one message of an open page, which sends clicks and typed words."""
_POLL_S: Final = 0.05


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        AddressInUse: somebody else listens there, or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        raise AddressInUse(host, port, error.strerror or str(error)) from error
    return listener


def serve(
    app: ASGIApp,
    listener: socket.socket,
    stop: threading.Event,
    *,
    ready: Callable[[], None],
    ended: Callable[[], Sequence[str]] = tuple,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Serve until `stop`.

    Args:
        app: what is served.
        listener: where; closed at the end.
        stop: ends it.
        ready: called once requests are answered.
        ended: names of other parts that ended by themselves; as soon as there is one, serving ends.
        tls: of a server that speaks HTTPS; None for HTTP.

    Raises:
        FleetError: the web server or another part ended, or never started; the log says why.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        http=PeerProtocol,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=KEEP_ALIVE_S,
        h11_max_incomplete_event_size=HEAD_MAX_BYTES,
        ws_max_size=SOCKET_MESSAGE_BYTES,
        ssl_context_factory=None if tls is None else lambda *_: tls,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="web")
    thread.start()
    _wait_started(server, thread, stop)
    if server.started:
        ready()
    faults: list[str] = []
    while not faults and not stop.wait(_POLL_S):
        faults = [*ended(), *([] if thread.is_alive() else [thread.name])]
    server.should_exit = True
    thread.join()
    listener.close()
    if faults:
        raise FleetError(f"{', '.join(faults)} ended without being told to: see the lines above")


def _wait_started(server: uvicorn.Server, thread: threading.Thread, stop: threading.Event) -> None:
    while thread.is_alive() and not server.started and not stop.is_set():
        stop.wait(_POLL_S)
