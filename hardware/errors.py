"""What may go wrong with a part that is bolted down; never anything about the network or the model.

HardwareError
├── CameraUnavailable   environment: a source cannot be opened, or stopped giving frames
├── CableUnavailable    environment: a serial port cannot be opened
└── CableLost           environment: the cable was pulled out, or the other side hung up
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


class CableUnavailable(HardwareError):
    """A serial port cannot be opened; `str()` is one sentence for the operator.

    Attributes:
        port: The port as it was asked for.
        reason: What happened.
        what_to_do: What the operator should try next.
    """

    def __init__(self, port: str, reason: str, what_to_do: str) -> None:
        super().__init__(f"port {port}: {reason}; {what_to_do}")
        self.port = port
        self.reason = reason
        self.what_to_do = what_to_do


class CableLost(HardwareError):
    """An open line broke off.

    Attributes:
        port: The port.
        reason: What the system said.
    """

    def __init__(self, port: str, reason: str) -> None:
        super().__init__(f"port {port}: the cable was pulled out or the other side hung up ({reason})")
        self.port = port
        self.reason = reason
