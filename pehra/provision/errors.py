"""What can go wrong at the laptop's end of the cable, split by who must act.

::

    ProvisionError
    ├── BoardRefused    the board said no, and why
    ├── BoardSilent     nobody answers, or nothing that makes sense: cable, power, baud rate
    └── PictureUnwanted the operator: pictures go over a cable of this machine only
"""

from __future__ import annotations

from ota.cable import Refused


class ProvisionError(Exception):
    """The base of everything that this package raises on purpose."""


class BoardRefused(ProvisionError):
    """The board did not do it.

    Attributes:
        code: a word for programs.
        reason: why.
        todo: what to do next.
    """

    def __init__(self, refused: Refused) -> None:
        super().__init__(f"{refused.reason}; {refused.todo}" if refused.todo else refused.reason)
        self.code = refused.code
        self.reason = refused.reason
        self.todo = refused.todo


class BoardSilent(ProvisionError):
    """No answer came in time.

    Attributes:
        port: where it was waited for.
        noise_bytes: how many bytes came that made no sense.
    """

    def __init__(self, port: str, reason: str, noise_bytes: int = 0) -> None:
        super().__init__(f"port {port}: {reason}")
        self.port = port
        self.noise_bytes = noise_bytes


class PictureUnwanted(ProvisionError):
    """A live picture was asked for over a network."""
