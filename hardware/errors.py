"""What may go wrong with a part that is bolted down; never anything about the network or the model.

HardwareError
├── CameraUnavailable   environment: a source cannot be opened, or stopped giving frames
├── CableUnavailable    environment: a serial port cannot be opened
├── CableLost           environment: the cable was pulled out, or the other side hung up
└── FlashError          a card cannot be made
    ├── ImageUnusable   operator: another image, or another copy of it
    ├── CardRefused     operator: another card; nothing was written
    ├── CardFailed      environment: the card failed or was pulled out; it does not boot now
    ├── NotCustomised   operator: the image is not one that Pehra can set up
    └── SettingInvalid  operator: a value for the first boot; nothing was written
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


class FlashError(HardwareError):
    """A card cannot be made; `str()` is one sentence for the technician.

    Attributes:
        what: The image, card or file it is about.
        reason: What happened.
        what_to_do: What the technician should try next.
    """

    def __init__(self, what: object, reason: str, what_to_do: str) -> None:
        super().__init__(f"{what}: {reason}; {what_to_do}")
        self.what = str(what)
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


class ImageUnusable(FlashError):
    """The image cannot be read, is cut off, is not the one that was promised, or is larger than the card."""


class CardRefused(FlashError):
    """Nothing was written: this is not a card that may be overwritten."""


class CardFailed(FlashError):
    """Writing or reading back failed; what was written does not boot."""


class NotCustomised(FlashError):
    """The image is on the card, but the first-boot files could not be put beside it."""


class SettingInvalid(FlashError):
    """A setting for the first boot cannot be used; nothing was written."""


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
