"""Looks at the cameras every few seconds and keeps what probation and the watch need: pace, and usual rates.

Time in which a camera gives no pictures, an alarm stands or heat slows it down is left out: none of that is a
model's fault. The rates are kept over a restart, in the outbox's store.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from device.firmware.eye import Eye
from device.firmware.looking import Looking
from device.firmware.remembered import Store
from device.firmware.updating.probation import LEAST_INFERENCES, Pace
from device.firmware.updating.rates import Rates, added

KEY: Final = "update/rates"
KEEP_S: Final = 600.0
RECENT: Final = 300
"""Samples of the time before a switch that its pace is taken from."""
_log = logging.getLogger(__name__)


class Kept(msgspec.Struct, frozen=True):
    """What is kept: usual rates by camera, and those since the last switch while they are watched over."""

    usual: dict[str, Rates] = {}
    since: dict[str, Rates] = {}


Sample = dict[str, tuple[float, int]]
"""Camera to seconds and frames that count."""


class Sampler:
    """See the module; used by the updater's thread.

    Args:
        eyes: the cameras.
        looking: what looks.
        store: where the rates are kept.
        is_watching: what comes is compared with what is usual, and is not usual itself.
    """

    def __init__(
        self, eyes: Sequence[Eye], looking: Looking, store: Store, *, is_watching: bool = False
    ) -> None:
        self._eyes = eyes
        self._looking = looking
        self._store = store
        self._totals: dict[str, tuple[float, int, int]] = {}
        self._samples: deque[Sample] = deque(maxlen=RECENT)
        self._kept = _read(store)
        self._kept_s = 0.0
        self.before = Pace()
        self.is_watching = is_watching

    @property
    def usual(self) -> dict[str, Rates]:
        """Rates of before the switch."""
        return self._kept.usual

    @property
    def since(self) -> dict[str, Rates]:
        """Rates since then."""
        return self._kept.since

    def sample(self, mono_s: float, utc_s: float) -> None:
        """Look at every camera once."""
        sample: Sample = {}
        for eye in self._eyes:
            taken = self._take(eye, mono_s)
            if taken is not None:
                watched_s, frames, objects = taken
                sample[eye.section.id] = (watched_s, frames)
                self._add(eye.section.id, utc_s, watched_s, objects)
        self._samples.append(sample)
        if mono_s - self._kept_s >= KEEP_S:
            self.keep(mono_s)

    def _take(self, eye: Eye, mono_s: float) -> tuple[float, int, int] | None:
        """What a camera did since the last sample; None where that does not count."""
        name, pipeline = eye.section.id, eye.pipeline
        is_good = eye.capture.state == "ok" and not eye.told and eye.is_at_full_rate
        now = (mono_s, pipeline.tallies.frames, pipeline.tracks_total)
        was = self._totals.pop(name, None)
        if not is_good:
            return None
        self._totals[name] = now
        return None if was is None else (now[0] - was[0], now[1] - was[1], now[2] - was[2])

    def _add(self, camera: str, utc_s: float, watched_s: float, objects: int) -> None:
        rates = self._kept.since if self.is_watching else self._kept.usual
        fresh = {**rates, camera: added(rates.get(camera, Rates()), utc_s, watched_s, objects)}
        usual, since = (self.usual, fresh) if self.is_watching else (fresh, self.since)
        self._kept = Kept(usual, since)

    def pace(self) -> Pace:
        """Return how quickly was looked since the samples began."""
        watched_s: dict[str, float] = {}
        frames: dict[str, int] = {}
        for sample in self._samples:
            for camera, (seconds, number) in sample.items():
                watched_s[camera] = watched_s.get(camera, 0.0) + seconds
                frames[camera] = frames.get(camera, 0) + number
        return Pace(watched_s, frames, self.p95_ms())

    def p95_ms(self) -> float | None:
        """Return how long the slowest twentieth of the inferences takes; None where there were too few."""
        times = list(self._looking.invoke_ms)
        return float(np.percentile(times, 95)) if len(times) >= LEAST_INFERENCES else None

    def begin_watch(self) -> None:
        """Compare with now whatever comes from now on."""
        self._samples.clear()
        self._totals.clear()
        self._kept = Kept(self.usual, {})
        self.is_watching = True

    def end_watch(self, *, is_usual: bool) -> None:
        """Take what came since the switch for usual, or forget it."""
        fresh = {
            camera: Rates({**self.usual.get(camera, Rates()).hours, **rates.hours}, rates.last)
            for camera, rates in self.since.items()
        }
        self._kept = Kept({**self.usual, **fresh} if is_usual else self.usual, {})
        self.is_watching = False
        self._samples.clear()
        self._totals.clear()

    def keep(self, mono_s: float) -> None:
        """Keep the rates over a restart."""
        self._kept_s = mono_s
        self._store.save(KEY, msgspec.json.encode(self._kept))


def _read(store: Store) -> Kept:
    kept = store.load(KEY)
    try:
        return msgspec.json.decode(kept, type=Kept) if kept else Kept()
    except msgspec.DecodeError:
        _log.warning("update: the usual rates cannot be read, new ones begin")
        return Kept()
