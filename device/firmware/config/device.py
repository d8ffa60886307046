"""Sections about the device as a whole: who it is, where its broker is, which detector looks."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from device.firmware.config.section import Section
from ota.messages.fields import DeviceId

HOST_PATTERN: Final = (
    r"^([A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9_-]{1,63})*|[0-9A-Fa-f:]+)$"
)


class DeviceSection(Section, frozen=True, kw_only=True):
    """Who this device is and where it hangs.

    Attributes:
        id: 3 to 40 of a-z, 0-9 and '-'.
        site: slash path such as `lahore/gulberg/liberty-chowk`.
        timezone: IANA name of the site's timezone.
        state: folder for everything that is written; default `/var/lib/pehra`.
    """

    id: DeviceId
    site: Annotated[str, Meta(pattern=r"^([a-z0-9-]+(/[a-z0-9-]+)*)?$", max_length=200)] = ""
    timezone: str = "UTC"
    state: str = "/var/lib/pehra"


class MqttSection(Section, frozen=True, kw_only=True):
    """Where the broker is (see `LinkSettings`)."""

    host: Annotated[str, Meta(pattern=HOST_PATTERN, max_length=253)]
    port: Annotated[int, Meta(ge=1, le=65535)] = 1883
    username: str = ""
    password: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""
    keepalive_s: Annotated[int, Meta(ge=5, le=300)] = 20
    resend_s: Annotated[float, Meta(ge=0.2, le=3600)] = 30.0


class ModelSection(Section, frozen=True, kw_only=True):
    """Which detector looks.

    Attributes:
        name: a shipped model's name, a bundle folder or a `.tflite` file.
        conf: smallest score of a detection; the card's own where absent.
        threads: of the interpreter.
    """

    name: Annotated[str, Meta(min_length=1)] = "street-2"
    conf: Annotated[float, Meta(gt=0, lt=1)] | None = None
    threads: Annotated[int, Meta(ge=1, le=16)] = 1


class OutboxSection(Section, frozen=True, kw_only=True):
    """How much waits for the fleet, and how fast it is sent when the link is back (docs/remote.md).

    Attributes:
        max_mb: messages on disk, in units of 1,000,000 bytes; beyond it minutes fold, then the least goes.
        replay_per_s: messages a second of those that waited while the link was away.
    """

    max_mb: Annotated[float, Meta(ge=0.1, le=4096)] = 64.0
    replay_per_s: Annotated[float, Meta(ge=1, le=10_000)] = 50.0


class ConsoleSection(Section, frozen=True, kw_only=True):
    """Who holds a cable to this device (docs/cable.md).

    Attributes:
        enabled: whether the console answers.
    """

    enabled: bool = True


class RemoteSection(Section, frozen=True, kw_only=True):
    """What the fleet may do to this device (docs/remote.md).

    Attributes:
        enabled: whether a configuration from the fleet is applied; commands are obeyed in any case.
        confirm_s: a configuration from the fleet must run this long, with the link up, before it stays.
    """

    enabled: bool = True
    confirm_s: Annotated[float, Meta(ge=1, le=3600)] = 60.0
