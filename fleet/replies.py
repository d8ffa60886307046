"""Hands answers of devices to whoever asked them; keeps none."""

from __future__ import annotations

from collections.abc import Callable

from ota.messages import Reply

Listener = Callable[[str, str, Reply], None]
"""Called with device, name of the command, and the answer."""


class Replies:
    """Between ingest, which hears answers, and those who wait; listeners are added before the start."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def hand_to(self, listener: Listener) -> None:
        """Let somebody hear every answer from now on."""
        self._listeners.append(listener)

    def note(self, device: str, name: str, reply: Reply) -> None:
        """Hand an answer on (ingest's thread)."""
        for listener in self._listeners:
            listener(device, name, reply)
