"""A page on this machine that shows the live picture; bound to the loopback, for who knows its path only.

The path holds a secret, so that no other user of this machine and no web page can guess it; requests that
name another host are refused (DNS rebinding); nothing may be cached, framed or fetched from elsewhere, and
nothing is written.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from pehra.provision.watching import Watching

_BOUNDARY: Final = "picture"
_WAIT_S: Final = 1.0
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Pehra: aim</title>
<style>body{margin:0;background:#111;color:#ddd;font:16px sans-serif;text-align:center}
img{width:min(100vw,133vh);max-height:90vh;object-fit:contain;image-rendering:auto}p{margin:.5em}</style>
</head><body><img src="stream" alt="live picture"><p>Live over the cable. Nothing is kept.
Close this page, or press Ctrl-C in the terminal, to end it.</p></body></html>
"""
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class _Server(ThreadingHTTPServer):
    """Serves one page to this machine."""

    daemon_threads = True
    allow_reuse_address = False

    def __init__(self, port: int, watching: Watching) -> None:
        self.watching = watching
        self.token = secrets.token_urlsafe(24)
        self.stopping = threading.Event()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def hosts(self) -> frozenset[str]:
        """What a request may call us."""
        return frozenset(f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost"))

    @property
    def address(self) -> str:
        """Of the page."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: _Server
    server_version = "pehra"
    sys_version = ""
    timeout = 10

    def do_GET(self) -> None:
        """Give the page or the stream."""
        if self.headers.get("Host") not in self.server.hosts:
            self._plain(HTTPStatus.MISDIRECTED_REQUEST, "this page has another address")
        elif self._is_path("/"):
            self._begin(HTTPStatus.OK, "text/html; charset=utf-8", _PAGE.encode())
        elif self._is_path("/stream"):
            self._stream()
        else:
            self._plain(HTTPStatus.NOT_FOUND, "the address was printed by `pehra aim`")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the path is a secret."""

    def _is_path(self, rest: str) -> bool:
        return secrets.compare_digest(self.path.encode(), f"/{self.server.token}{rest}".encode())

    def _plain(self, status: HTTPStatus, text: str) -> None:
        self._begin(status, "text/plain; charset=utf-8", text.encode())

    def _begin(self, status: HTTPStatus, kind: str, body: bytes | None) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        if body is not None:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if body is not None:
            self.wfile.write(body)

    def _stream(self) -> None:
        watching, number = self.server.watching, 0
        watching.begin_to_look()
        try:
            self._begin(HTTPStatus.OK, f"multipart/x-mixed-replace; boundary={_BOUNDARY}", None)
            while not (self.server.stopping.is_set() or watching.is_over):
                shot = watching.after(number, _WAIT_S)
                if shot is not None:
                    number = shot.number
                    self._send_part(shot.jpeg)
        except OSError:
            return  # the page was closed
        finally:
            watching.end_to_look()

    def _send_part(self, jpeg: bytes) -> None:
        head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        self.wfile.write(head.encode() + jpeg + b"\r\n")


@contextmanager
def page_of(watching: Watching, port: int = 0) -> Iterator[str]:
    """Serve the page until the end of the block; gives its address.

    Args:
        watching: where pictures come from.
        port: of the loopback; 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """
    server = _Server(port, watching)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="aim page", daemon=True)
    thread.start()
    try:
        yield server.address
    finally:
        server.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()
