"""The section about releases: where they come from, at which hours, at whose cost, and how they are tried."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from device.firmware.config.section import Section

MOUNTS: Final = ("/media", "/run/media", "/mnt")


class UpdateSection(Section, frozen=True, kw_only=True):
    """How models and firmware are updated (docs/updates-device.md).

    Attributes:
        enabled: whether releases are installed.
        url: of the image repository; the fleet's where empty.
        sticks: folders below which sticks are mounted.
        most_kb_per_s: bandwidth of a download, in units of 1,000 bytes a second; 0 for no limit.
        download_window: hours of download over the network, in the site's timezone; any where empty.
        metered: whether the road costs by the byte; `auto` asks NetworkManager and the interface.
        metered_mb: a larger download waits while it does.
        probation_s: how long a release is tried before it stays.
        watch_h: how long it is watched after that whether a model sees as much as usual.
        hold_file: while this file is there, nothing is switched; its first line is the reason.
    """

    enabled: bool = True
    url: Annotated[str, Meta(pattern=r"^(https?://[^\s?#@]+)?$(?!\n)", max_length=300)] = ""
    sticks: Annotated[list[str], Meta(max_length=8)] = msgspec.field(default_factory=lambda: list(MOUNTS))
    most_kb_per_s: Annotated[float, Meta(ge=0, le=1_000_000)] = 0.0
    download_window: Annotated[str, Meta(max_length=80)] = ""
    metered: Literal["auto", "yes", "no"] = "auto"
    metered_mb: Annotated[float, Meta(ge=0, le=4096)] = 5.0
    probation_s: Annotated[float, Meta(ge=1, le=86_400)] = 600.0
    watch_h: Annotated[float, Meta(ge=0, le=168)] = 24.0
    hold_file: Annotated[str, Meta(max_length=200)] = "/run/pehra/hold"
