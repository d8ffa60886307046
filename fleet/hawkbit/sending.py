"""Sends an image in whole or in parts, and knows when its end goes out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from fleet.store.tables_os import OsImage


class SentImage(FileResponse):
    """The answer to a download; `Range`, `If-Range` and `HEAD` are Starlette's.

    Args:
        path: of the file.
        image: its row; the digest is the entity tag, so that a part is never of another image.
        on_end: called when the last bytes of the file go out.
    """

    def __init__(self, path: Path, image: OsImage, on_end: Callable[[], None]) -> None:
        headers = {"etag": f'"{image.sha256}"'}
        super().__init__(path, media_type="application/octet-stream", filename=image.file, headers=headers)
        self._last = f"-{image.length - 1}/{image.length}".encode()
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send; before the last bytes go out it is said, so that no answer to them comes first."""
        holds_end = False

        async def watch(message: Message) -> None:
            nonlocal holds_end
            if message["type"] == "http.response.start":
                holds_end = scope["method"] == "GET" and self._holds_end(message)
            elif holds_end and not message.get("more_body", False):
                await run_in_threadpool(self._on_end)
            await send(message)

        await super().__call__(scope, receive, watch)

    def _holds_end(self, start: Message) -> bool:
        """Whether what begins is the whole file, or a part to its end."""
        if start["status"] == 200:
            return True
        ranges: bytes = dict(start["headers"]).get(b"content-range", b"")
        return start["status"] == 206 and ranges.endswith(self._last)
