"""The last lines of the log, in memory, for whoever asks from afar; secrets are masked before they are kept.

Bounded in lines and in the length of a line; nothing is written to disk.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from typing import Final

KEPT: Final = 500
LINE_CHARS: Final = 200
MASK: Final = "***"
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/@\s'\"]+(?=@)")
_NAMED: Final = re.compile(r"(?i)\b(password|passwd|secret|token|key)(\s*[=:]\s*)('[^']*'|\"[^\"]*\"|\S+)")


class LogRing(logging.Handler):
    """Keeps the last lines; add it to the root logger.

    Args:
        kept: how many lines.
    """

    def __init__(self, kept: int = KEPT) -> None:
        super().__init__(logging.INFO)
        self._lines: deque[str] = deque(maxlen=kept)
        self._secrets: tuple[str, ...] = ()
        self._guard = threading.Lock()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))

    def hide(self, *secrets: str) -> None:
        """Mask these texts of four letters or more from now on, wherever they stand."""
        long_enough = {secret for secret in secrets if len(secret) >= 4}
        self._secrets = tuple(sorted(long_enough, key=len, reverse=True))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        try:
            line = self.masked(" ".join(self.format(record).split()))[:LINE_CHARS]
        except Exception:  # noqa: BLE001 (a line that cannot be formatted must not end whoever logs)
            self.handleError(record)
            return
        with self._guard:
            self._lines.append(line)

    def masked(self, text: str) -> str:
        """Return a text without the secrets, credentials in addresses, and values called `password`."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return _NAMED.sub(rf"\1\2{MASK}", _CREDENTIALS.sub(MASK, text))

    def last(self, number: int) -> tuple[str, ...]:
        """Return the last lines, oldest first."""
        with self._guard:
            return tuple(self._lines)[-number:] if number > 0 else ()
