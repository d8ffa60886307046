"""Homes of fleets for tests: real authorities and certificates, made in a moment."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from fleet.identity.founding import found_fleet
from fleet.identity.home import Addresses, Home

PASSPHRASE = "a passphrase for tests"


def make_home(
    folder: Path, *, https_port: int = 8443, mqtt_port: int = 8883, device_days: float = 365.0
) -> Home:
    """A new fleet that is reached on this machine alone."""
    home = Home(folder)
    addresses = Addresses(
        name="test fleet",
        hosts=["localhost", "127.0.0.1"],
        https_port=https_port,
        mqtt_port=mqtt_port,
        device_days=device_days,
    )
    found_fleet(home, addresses, datetime.now(UTC), passphrase=PASSPHRASE)
    return home
