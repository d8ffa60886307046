"""Serves the published image repository below `/updates/`: static files, public and signed, for whoever asks.

Ranges, strong ETags and revalidation (RFC 9110, sections 13 and 14): a download goes on where it was cut.
Whatever does not change is kept by caches for ever; the timestamp and what is not there is not.
"""

from __future__ import annotations

import hashlib
import re
import stat
from pathlib import Path
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

DOWNLOADS_MAX: Final = 250
"""At once: half of all connections, so that people and devices still get an answer."""
RETRY_S: Final = 30
CHUNK_BYTES: Final = 256 * 1024
METADATA_MAX_BYTES: Final = 8 * 1024 * 1024
METHODS: Final = ("GET", "HEAD")
FOR_EVER: Final = "public, max-age=31536000, immutable"
ASK_FIRST: Final = "public, no-cache"
_HASHED: Final = re.compile(r"([0-9a-f]{64})\.")
_VERSIONED: Final = re.compile(r"[1-9][0-9]*\.")


class _File(FileResponse):
    """A file in pieces that are large enough for TLS to be what it waits for."""

    chunk_size = CHUNK_BYTES


class ImageFiles:
    """An ASGI application.

    Args:
        folder: that `pehra ota publish` has written; None where there is no repository.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._downloads = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        if scope["method"] not in METHODS:
            refusal = PlainTextResponse("GET or HEAD", 405, {"allow": ", ".join(METHODS)})
            await refusal(scope, receive, send)
            return
        if self._downloads >= DOWNLOADS_MAX:
            busy = PlainTextResponse("too many downloads at once", 503, {"retry-after": str(RETRY_S)})
            await busy(scope, receive, send)
            return
        self._downloads += 1
        try:
            answer = await run_in_threadpool(self._answer, _path_of(scope), Headers(scope=scope))
            await answer(scope, receive, send)
        finally:
            self._downloads -= 1

    def _answer(self, path: str, headers: Headers) -> Response:
        file = self._file(path)
        if file is None:
            return PlainTextResponse("no such file", 404)
        try:
            return _metadata(file, headers) if file.suffix == ".json" else _target(file, headers)
        except OSError:
            return PlainTextResponse("no such file", 404)

    def _file(self, path: str) -> Path | None:
        """Return the file that a path names; None where it names none of ours."""
        kind, *rest = path.removeprefix("/").split("/")
        if self._folder is None or kind not in ("metadata", "targets") or not rest:
            return None
        # a point at the beginning: the way up, or a file that is being written
        if any(not part or part.startswith(".") or not part.isprintable() or "\\" in part for part in rest):
            return None
        if (kind == "metadata") != (rest[-1].endswith(".json") and len(rest) == 1):
            return None
        root = self._folder.resolve()
        try:
            file = root.joinpath(kind, *rest).resolve()
            is_ours = file.is_relative_to(root / kind) and stat.S_ISREG(file.stat().st_mode)
        except (OSError, ValueError):
            return None
        return file if is_ours else None


def _path_of(scope: Scope) -> str:
    """Return the path below where this application hangs."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


def _metadata(file: Path, headers: Headers) -> Response:
    """Answer with a small file, read whole: it may be replaced while it is sent."""
    with file.open("rb") as opened:
        content = opened.read(METADATA_MAX_BYTES)
    caching = FOR_EVER if _VERSIONED.match(file.name) else ASK_FIRST
    kept = {"etag": f'"{hashlib.sha256(content).hexdigest()}"', "cache-control": caching}
    if _has_it(headers, kept["etag"]):
        return Response(status_code=304, headers=kept)
    return Response(content, media_type="application/json", headers=kept)


def _target(file: Path, headers: Headers) -> Response:
    """Answer with a file whose name begins with its hash; another one is known by its size and time."""
    state = file.stat()
    hashed = _HASHED.match(file.name)
    mark = hashed[1] if hashed else f"{state.st_size:x}-{state.st_mtime_ns:x}"
    kept = {"etag": f'"{mark}"', "cache-control": FOR_EVER if hashed else ASK_FIRST}
    if _has_it(headers, kept["etag"]):
        return Response(status_code=304, headers=kept)
    return _File(file, media_type="application/octet-stream", headers=kept, stat_result=state)


def _has_it(headers: Headers, etag: str) -> bool:
    """Whether the client says that it has this very version (weak comparison, RFC 9110, section 13.1.2)."""
    said = headers.get("if-none-match", "")
    return said.strip() == "*" or etag in (one.strip().removeprefix("W/") for one in said.split(","))
