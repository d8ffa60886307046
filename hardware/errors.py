"""What may go wrong with a part that is bolted down; never anything about the network or the model.

HardwareError
└── CameraUnavailable   environment: a source cannot be opened, or stopped giving frames
"""

from __future__ import annotations


class HardwareError(Exception):
    """A part of the device does not do what it is there for."""


class CameraUnavailable(HardwareError):
    """A camera cannot be opened or has gone; `str()` is one sentence for the operator.

    Attributes:
        source: The source as it was asked for, credentials masked.
        reason: What happened.
        what_to_do: What the operator should try next.
    """

    def __init__(self, source: str, reason: str, what_to_do: str) -> None:
        super().__init__(f"camera {source}: {reason}; {what_to_do}")
        self.source = source
        self.reason = reason
        self.what_to_do = what_to_do
