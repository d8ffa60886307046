"""The updater of one device, built from its configuration: which kinds, from where, and by which hours.

Open `updating/__init__.py` for how it works.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

from device.firmware.clock import clock_state
from device.firmware.config import Config, UpdateSection
from device.firmware.eye import Eye
from device.firmware.looking import Looking
from device.firmware.outbox import Outbox
from device.firmware.updating.admission import Situation
from device.firmware.updating.beginning import JOURNAL
from device.firmware.updating.engine import Updater
from device.firmware.updating.fetching import Fetcher
from device.firmware.updating.firmware_kind import Builder, FirmwareKind, FirmwareSlots
from device.firmware.updating.holding import FileHold, Hold, first_of, never
from device.firmware.updating.journal import JournalFiles
from device.firmware.updating.kind import Kind, KindName
from device.firmware.updating.ledger import Ledger
from device.firmware.updating.metered import is_metered
from device.firmware.updating.model_kind import ModelKind, Sight
from device.firmware.updating.model_slots import ModelSlots
from device.firmware.updating.places import Places, image_root, sticks
from device.firmware.updating.sampling import Sampler
from device.firmware.updating.standing import running_slot
from device.firmware.updating.telling import Teller
from device.firmware.updating.ways import Ways
from device.models.bundle import Bundle
from device.models.detector import Detector
from hardware.board import board
from ota.messages import Message, Topic
from ota.trust.limits import Limits
from ota.windows import parse_window

INCOMING: Final = "slots/incoming"
TRUST: Final = "trust/images"
SILENCE_S: Final = 10.0
"""A server that says nothing for so long is left; a stop of the device waits for no longer."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the daemon gives.

    Attributes:
        say: publishes, or does nothing without a link.
        is_linked: whether the link is up.
        restart: ends the daemon in order, for a release of this kind.
        hold: why nothing may be switched now; a flight link's word, where there is one.
        safe_reason: why the daemon is in safe mode; empty where it is not.
    """

    say: Callable[[Topic, Message], None]
    is_linked: Callable[[], bool]
    restart: Callable[[KindName], None]
    hold: Hold = never
    safe_reason: str = ""


def make_detector(config: Config, bundle: Bundle) -> Detector:
    """Return a detector as this device runs one."""
    return Detector(bundle, conf=config.model.conf, threads=config.model.threads)


def make_sight(config: Config, eyes: list[Eye], looking: Looking, slot: str, outbox: Outbox) -> Sight:
    """Return what looks, and what shows how it does."""
    journal = JournalFiles(Path(config.device.state) / JOURNAL).read("model")
    return Sight(looking, Sampler(eyes, looking, outbox, is_watching=journal.is_watching), slot)


def make_updater(
    config: Config,
    slots: ModelSlots,
    sight: Sight | None,
    around: Surroundings,
    builder: Builder,
) -> Updater:
    """Return the updater of a device.

    Args:
        config: of the device.
        slots: its models.
        sight: what looks; None in safe mode.
        around: what the daemon gives.
        builder: fills and tries slots of firmware.
    """
    state, section = Path(config.device.state), config.update
    limits = replace(Limits(), most_bytes_per_s=section.most_kb_per_s * 1000.0, silence_s=SILENCE_S)
    places = Places(state, section.url, section.sticks, limits)
    model = ModelKind(
        slots, sight, lambda bundle: make_detector(config, bundle), config.camera, section.probation_s
    )
    kinds: list[Kind] = [_firmware(config, builder, around), model]
    ways = Ways(
        situation=lambda ledger: _situation(config, kinds, sight, ledger),
        is_linked=around.is_linked,
        restart=around.restart,
        hold=first_of(around.hold, FileHold(Path(section.hold_file))) if section.hold_file else around.hold,
        gate=lambda length: gate(section, config.device.timezone, length),
        surroundings=lambda: (around.is_linked(), *sticks(section.sticks)),
        sample=sight.sampler.sample if sight is not None else lambda mono_s, utc_s: None,
        keep=sight.sampler.keep if sight is not None else lambda mono_s: None,
        timezone=config.device.timezone,
        watch_s=section.watch_h * 3600.0,
    )
    fetcher = Fetcher(state / TRUST, lambda: image_root(state), places, limits, time.time)
    teller = Teller(config.device.id, around.say)
    return Updater(state / JOURNAL, state / INCOMING, kinds, fetcher, teller, ways, hang_up=places.hang_up)


def _firmware(config: Config, builder: Builder, around: Surroundings) -> FirmwareKind:
    return FirmwareKind(
        FirmwareSlots(Path(config.device.state)),
        builder,
        version("pehra"),
        is_linked=around.is_linked,
        probation_s=config.update.probation_s,
        running_slot=running_slot(Path(config.device.state)),
        safe_reason=around.safe_reason,
    )


def gate(section: UpdateSection, timezone: str, length: int, now: Callable[[], float] = time.time) -> str:
    """Return why so many bytes may not come over the network now; empty where they may."""
    window = parse_window(section.download_window)
    if (
        window is not None
        and clock_state(now()) == "synced"
        and not window.is_open(round(now() * 1000), timezone)
    ):
        return f"waits for its hours of download {section.download_window} ({timezone})"
    if length > section.metered_mb * 1_000_000 and is_metered(section.metered):
        return f"the link is metered: {length / 1e6:.1f} MB, at most {section.metered_mb:g} over it"
    return ""


def _situation(config: Config, kinds: list[Kind], sight: Sight | None, ledger: Ledger) -> Situation:
    this = board()
    runs = [kind.running() for kind in kinds]
    return Situation(
        boards=frozenset({this.name, this.profile.name}),
        firmware=version("pehra"),
        ledger=ledger,
        installed={"pehra": version("pehra"), **{one.name: one.version for one in runs if one.name}},
        cameras=config.camera,
        sees=frozenset() if sight is None else frozenset(sight.looking.info.labels),
        max_bytes={kind.name: kind.max_bytes for kind in kinds},
        forbidden=_forbidden(config),
    )


def _forbidden(config: Config) -> str:
    if not config.update.enabled:
        return "the device's own file forbids it: [update] enabled = false"
    if not config.camera:  # in safe mode: which classes its rules wait for is not known
        return "the device's own file is broken: mend it first"
    return ""
