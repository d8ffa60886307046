"""Where objects are and will be: a constant-velocity Kalman filter of centre and size, all tracks at once.

The four quantities of a box are filtered independently of one another. Variances are in sizes of the
object, so that the same few numbers serve objects near and far. Pure array arithmetic; knows no clock.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from device.firmware.tracker_settings import TrackerSettings
from device.firmware.tracker_table import Float, Mask, Rows, Table

SMALLEST = 1e-6
"""No width or height is taken for less, in picture units."""


class BoxFilter:
    """The filter's constants, worked out once from the settings."""

    def __init__(self, settings: TrackerSettings) -> None:
        self._noise = _four(settings.noise_place, settings.noise_size) ** 2
        self._push = _four(settings.push_place, settings.push_size) ** 2
        self._keep_s = _four(settings.keep_speed_s, settings.keep_growth_s)
        first_speed = _four(settings.first_speed, settings.first_growth) ** 2
        self._first_doubt = np.stack([self._noise, np.zeros(4), first_speed])
        self._still_doubt = np.stack([self._noise, np.zeros(4), self._push])

        self._led_s = 0.0
        self._led = np.eye(3), np.zeros((3, 4))

    def first_doubt(self, count: int) -> Float:
        """Return the doubt of objects that were detected once, shape (count, 3, 4)."""
        return np.repeat(self._first_doubt[None], count, axis=0)

    def settle(self, table: Table, rows: Rows) -> None:
        """Take tracks for standing where they are."""
        table.speed[rows] = 0.0
        table.doubt[rows] = self._still_doubt

    def predict(self, table: Table, elapsed_s: float, unseen: Mask) -> None:
        """Move all tracks on by `elapsed_s`; those `unseen` lose speed: nobody walks on unseen for ever.

        Source of the noise: discrete white-noise acceleration, Bar-Shalom et al., "Estimation with
        Applications to Tracking and Navigation" (2001), equation 6.3.2-4.
        """
        if elapsed_s <= 0.0 or not len(table):
            return
        table.place += table.speed * elapsed_s
        np.maximum(table.place[:, 2:], SMALLEST, out=table.place[:, 2:])
        if unseen.any():
            table.speed[unseen] *= np.exp(-elapsed_s / self._keep_s)
        lead, push = self._lead(elapsed_s)
        table.doubt = lead @ table.doubt
        table.doubt += push

    def _lead(self, t: float) -> tuple[Float, Float]:
        """How doubt grows in `t` seconds: the matrix that leads it on, (3, 3), and what is added, (3, 4)."""
        if t != self._led_s:
            lead = np.array([[1.0, 2.0 * t, t * t], [0.0, 1.0, t], [0.0, 0.0, 1.0]])
            self._led_s = t
            self._led = lead, np.array([[t**4 / 4.0], [t**3 / 2.0], [t * t]]) * self._push
        return self._led

    def correct(self, table: Table, rows: Rows, measured: Float) -> None:
        """Learn from detections.

        Args:
            table: the tracks.
            rows: which of them were detected, no row twice.
            measured: shape (len(rows), 4), centre and size of their detections.
        """
        doubt = table.doubt.take(rows, axis=0)
        place, shared = doubt[:, 0], doubt[:, 1]
        gain = doubt[:, :2] / (place + self._noise)[:, None]
        surprise = measured - table.place.take(rows, axis=0)
        table.place[rows] += gain[:, 0] * surprise
        table.speed[rows] += gain[:, 1] * surprise
        doubt[:, 2] -= gain[:, 1] * shared
        doubt[:, :2] *= (1.0 - gain[:, 0])[:, None]
        table.doubt[rows] = doubt

    def spread(self, table: Table) -> Float:
        """Return how far detections lie from predicted centres, one standard deviation in sizes, (N,)."""
        deviation: Float = np.sqrt(table.doubt[:, 0, 0] + self._noise[0])
        return deviation


def centred(boxes: npt.NDArray[np.float32]) -> Float:
    """Return centre x, centre y, width, height of boxes given as left, top, right, bottom; shape (N, 4)."""
    sides = boxes.astype(np.float64)
    size = np.maximum(sides[:, 2:] - sides[:, :2], SMALLEST)
    return np.concatenate([(sides[:, :2] + sides[:, 2:]) / 2.0, size], axis=1)


def cornered(places: Float) -> Float:
    """Return left, top, right, bottom of boxes given as centre and size; shape (N, 4)."""
    half = places[:, 2:] / 2.0
    return np.concatenate([places[:, :2] - half, places[:, :2] + half], axis=1)


def _four(place: float, size: float) -> Float:
    return np.array([place, place, size, size])
