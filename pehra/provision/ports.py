"""The serial ports of this laptop, those first that a board is likely to be on."""

from __future__ import annotations

from dataclasses import dataclass

from serial.tools import list_ports


@dataclass(frozen=True, slots=True)
class Port:
    """A serial port.

    Attributes:
        name: to open it by.
        about: what the system says of it.
        is_usb: whether it is on USB, as a board's cable mostly is.
    """

    name: str
    about: str
    is_usb: bool


def ports() -> list[Port]:
    """Return the ports there are: those on USB first, then by name."""
    found = [
        Port(port.device, _about(port.description, port.manufacturer), port.vid is not None)
        for port in list_ports.comports()
    ]
    return sorted(found, key=lambda port: (not port.is_usb, port.name))


def _about(description: str | None, maker: str | None) -> str:
    said = [text for text in (description, maker) if text and text != "n/a"]
    return ", ".join(dict.fromkeys(said)) or "no description"
