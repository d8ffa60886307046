"""Runs the web application on a socket until told to stop; knows nothing of what it serves.

uvicorn runs in a thread of its own, so that signals stay with the caller and the exit code is ours.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from fleet.errors import AddressInUse, FleetError

GRACE_S: Final = 2
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


def serve(app: ASGIApp, listener: socket.socket, stop: threading.Event, *, ready: Callable[[], None]) -> None:
    """Serve until `stop`; call `ready` once requests are answered.

    Raises:
        FleetError: the web server did not start; its own log says why.
    """
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=GRACE_S)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="web")
    thread.start()
    _wait_started(server, thread, stop)
    if server.started:
        ready()
    while thread.is_alive() and not stop.wait(_POLL_S):
        pass
    server.should_exit = True
    thread.join()
    listener.close()
    if not server.started and not stop.is_set():
        raise FleetError("the web server did not start: see the lines above")


def _wait_started(server: uvicorn.Server, thread: threading.Thread, stop: threading.Event) -> None:
    while thread.is_alive() and not server.started and not stop.is_set():
        stop.wait(_POLL_S)
