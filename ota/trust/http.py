"""An image repository behind a web server: http.client, with a deadline on everything.

Asks for ranges with `If-Range`, so that a file that has changed comes whole (RFC 9110, section 13.1.5).
Follows few redirects, and none that gives up TLS. Keeps no connection.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from urllib.parse import quote, urljoin, urlsplit

from ota.errors import NotThere, SourceAway, TooSlow
from ota.trust.limits import Limits
from ota.trust.sources import Incoming

URL_CHARACTERS = "!$%&'()*+,-./:;=?@_~[]"
"""Left as they are in a target's path, which is a path-relative URL already (TUF 1.0, section 4.5)."""

_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class HttpSource:
    """Metadata and targets, each below a URL of its own."""

    def __init__(
        self,
        metadata_url: str,
        targets_url: str,
        limits: Limits | None = None,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._metadata_url = metadata_url.rstrip("/") + "/"
        self._targets_url = targets_url.rstrip("/") + "/"
        self._limits = limits or Limits()
        self._tls = tls
        self._latest: _Deadline | None = None

    def __str__(self) -> str:
        return self._metadata_url

    def hang_up(self) -> None:
        """End what another thread is fetching; to that thread it looks like a cut."""
        if self._latest is not None:
            self._latest.hang_up()

    def metadata(self, name: str, max_bytes: int) -> bytes:
        """See `Source`."""
        url = self._metadata_url + name
        content = b""
        with self._answer(url, {}, self._limits.metadata_s) as (answer, _):
            for part in self._parts(url, answer):
                content += part
                if len(content) > max_bytes:
                    return content[: max_bytes + 1]
        return content

    @contextmanager
    def target(self, name: str, start: int = 0, mark: str = "") -> Iterator[Incoming]:
        """See `Source`."""
        url = self._targets_url + quote(_BARE_PERCENT.sub("%25", name), safe=URL_CHARACTERS)
        headers = {"Range": f"bytes={start}-", "If-Range": mark} if start and mark else {}
        with ExitStack() as stack:
            try:
                answer, deadline = stack.enter_context(self._answer(url, headers, self._limits.answer_s))
            except NotThere as error:
                if not headers or error.status != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                    raise
                answer, deadline = stack.enter_context(self._answer(url, {}, self._limits.answer_s))
            deadline.close()
            yield self._incoming(url, answer, start)

    def _incoming(self, url: str, answer: http.client.HTTPResponse, start: int) -> Incoming:
        etag = answer.headers.get("ETag", "")
        mark = etag if etag.startswith('"') else ""
        length = answer.length
        begin = 0
        if answer.status == http.client.PARTIAL_CONTENT:
            found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if not found or int(found[1]) != start:
                raise SourceAway(f"{url}: a range that was not asked for; try another server")
            begin = start
            length = int(found[3]) if found[3] != "*" else None
        return Incoming(begin, length, mark, self._parts(url, answer))

    @contextmanager
    def _answer(
        self, url: str, headers: dict[str, str], within_s: float
    ) -> Iterator[tuple[http.client.HTTPResponse, _Deadline]]:
        """Ask for a file, and give the answer with what calls its deadline off."""
        for _ in range(self._limits.max_redirects + 1):
            connection = self._connection(url)
            with ExitStack() as stack:
                stack.callback(connection.close)
                deadline = self._latest = stack.enter_context(closing(_Deadline(url, within_s)))
                with deadline.judging():
                    answer = stack.enter_context(closing(self._ask(connection, url, headers, deadline)))
                    _check_found(url, answer)
                if 300 <= answer.status < 400:
                    url = _elsewhere(url, answer)
                    continue
                with deadline.judging():
                    yield answer, deadline
                return
        raise SourceAway(f"{url}: more than {self._limits.max_redirects} redirects; name the right address")

    def _connection(self, url: str) -> http.client.HTTPConnection:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
            if not host or parts.scheme not in ("http", "https"):
                raise SourceAway(f"{url!r}: not an address of a web server")
            if parts.scheme == "https":
                context = self._tls or ssl.create_default_context()
                return http.client.HTTPSConnection(
                    host, port, timeout=self._limits.silence_s, context=context
                )
            return http.client.HTTPConnection(host, port, timeout=self._limits.silence_s)
        except ValueError as error:
            raise SourceAway(f"{url!r}: {error}") from error

    def _ask(
        self, connection: http.client.HTTPConnection, url: str, headers: dict[str, str], deadline: _Deadline
    ) -> http.client.HTTPResponse:
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if "?" in url else "")
        try:
            connection.connect()
            deadline.watch(connection.sock)
            connection.request("GET", path, headers={"Accept-Encoding": "identity", **headers})
            return connection.getresponse()
        except TimeoutError as error:
            raise TooSlow(f"{url}: no answer; try later") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise SourceAway(f"{url}: {error or type(error).__name__}") from error

    def _parts(self, url: str, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        """Give what comes, as it comes: at most one system call for each part, so that no part takes long."""
        try:
            while part := answer.read1(self._limits.chunk_bytes):
                yield part
            if answer.length:
                raise http.client.IncompleteRead(b"", answer.length)
        except TimeoutError as error:
            raise TooSlow(f"{url}: silent for {self._limits.silence_s:g} s; try later") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise SourceAway(f"{url}: cut off ({error or type(error).__name__})") from error


def _check_found(url: str, answer: http.client.HTTPResponse) -> None:
    if not 300 <= answer.status < 400 and answer.status not in (
        http.client.OK,
        http.client.PARTIAL_CONTENT,
    ):
        raise NotThere(url, answer.status)


def _elsewhere(url: str, answer: http.client.HTTPResponse) -> str:
    """Return where a redirect leads.

    Raises:
        SourceAway: Nowhere, or out of TLS.
    """
    there = urljoin(url, answer.headers.get("Location", ""))
    if there == url or (url.startswith("https:") and not there.startswith("https:")):
        raise SourceAway(f"{url}: redirected to {there!r}, which is not followed")
    return there


class _Deadline:
    """Ends a connection under whoever reads from it, unless it is called off before."""

    def __init__(self, url: str, within_s: float) -> None:
        self._socket: socket.socket | None = None
        self._url = url
        self._within_s = within_s
        self._has_passed = False
        self._timer = threading.Timer(within_s, self._pass)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, connected: socket.socket) -> None:
        """Know which connection to end; `http.client` forgets it before all is read."""
        self._socket = connected
        if self._has_passed:
            self.hang_up()

    def close(self) -> None:
        """Let the connection last."""
        self._timer.cancel()

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Say of an answer that was cut off, or only seems to be whole, that its time was up."""
        try:
            yield
        except NotThere:
            raise
        except SourceAway as error:
            if self._has_passed:
                raise self._too_slow() from error
            raise
        if self._has_passed:
            raise self._too_slow()

    def _too_slow(self) -> TooSlow:
        return TooSlow(f"{self._url}: not whole within {self._within_s:g} s; try later")

    def _pass(self) -> None:
        self._has_passed = True
        self.hang_up()

    def hang_up(self) -> None:
        """End the connection now."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                # not the TLS layer's own shutdown, which would wait for the other side
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
