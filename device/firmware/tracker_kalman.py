"""Where objects are and will be: a constant-velocity Kalman filter of centre and size, all tracks at once.

The four quantities of a box are filtered independently of one another. Variances are in sizes of the
object, so that the same few numbers serve objects near and far. Pure array arithmetic; knows no clock.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from device.firmware.tracker_settings import TrackerSettings
from device.firmware.tracker_table import Float, Mask, Rows, Table

SMALLEST = 1e-6
"""No width or height is taken for less, in picture units."""
TO_CENTRED: Final = np.array([[0.5, 0, -1, 0], [0, 0.5, 0, -1], [0.5, 0, 1, 0], [0, 0.5, 0, 1]])
"""Rows of left, top, right, bottom times this are rows of centre x, centre y, width, height."""
TO_CORNERED: Final = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [-0.5, 0, 0.5, 0], [0, -0.5, 0, 0.5]])
"""The same the other way."""


class BoxFilter:
    """The filter's constants, worked out once from the settings."""

    def __init__(self, settings: TrackerSettings) -> None:
        self._noise = _four(settings.noise_place, settings.noise_size) ** 2
        self._push = _four(settings.push_place, settings.push_size) ** 2
        self._keep_s = _four(settings.keep_speed_s, settings.keep_growth_s)
        self._first_speed_doubt = _four(settings.first_speed, settings.first_growth) ** 2
        self._led_s = 0.0
        self._led = np.zeros((3, 4)), np.ones(4)

    def first_doubt(self, count: int) -> Float:
        """Return the doubt of the place of objects that were detected once, shape (count, 4)."""
        return np.repeat(self._noise[None], count, axis=0)

    def first_speed_doubt(self, count: int) -> Float:
        """The same of their speed."""
        return np.repeat(self._first_speed_doubt[None], count, axis=0)

    def settle(self, table: Table, rows: Rows) -> None:
        """Take tracks for standing where they are."""
        table.speed[rows] = 0.0
        table.doubt[rows], table.shared_doubt[rows] = self._noise, 0.0
        table.speed_doubt[rows] = self._push

    def predict(self, table: Table, elapsed_s: float, unseen: Mask) -> None:
        """Move all tracks on by `elapsed_s`; those `unseen` lose speed: nobody walks on unseen for ever.

        Source of the noise: discrete white-noise acceleration, Bar-Shalom et al., "Estimation with
        Applications to Tracking and Navigation" (2001), equation 6.3.2-4.
        """
        if elapsed_s <= 0.0 or not len(table):
            return
        table.place += table.speed * elapsed_s
        np.maximum(table.place[:, 2:], SMALLEST, out=table.place[:, 2:])
        push, kept = self._lead(elapsed_s)
        if unseen.any():
            table.speed *= np.where(unseen[:, None], kept, 1.0)
        grown = elapsed_s * table.speed_doubt
        grown += table.shared_doubt
        table.shared_doubt += grown
        table.shared_doubt *= elapsed_s
        table.doubt += table.shared_doubt
        table.doubt += push[0]
        table.shared_doubt = grown
        table.shared_doubt += push[1]
        table.speed_doubt += push[2]

    def _lead(self, t: float) -> tuple[Float, Float]:
        """What `t` seconds add to the doubt, (3, 4), and the share of speed that the unseen keep, (4,)."""
        if t != self._led_s:
            push = np.array([[t**4 / 4.0], [t**3 / 2.0], [t * t]]) * self._push
            self._led_s, self._led = t, (push, np.exp(-t / self._keep_s))
        return self._led

    def correct(self, table: Table, rows: Rows, measured: Float) -> None:
        """Learn from detections.

        Args:
            table: the tracks.
            rows: which of them were detected, no row twice.
            measured: shape (len(rows), 4), centre and size of their detections.
        """
        # Those that were not detected gain nothing: quicker than to pick the others and to put them back.
        share = np.zeros((len(table), 4))
        share[rows] = 1.0
        share /= table.doubt + self._noise
        surprise = table.place.copy()
        surprise[rows] = measured
        surprise -= table.place
        gain, speed_gain = share * table.doubt, share * table.shared_doubt
        table.place += gain * surprise
        table.speed += speed_gain * surprise
        table.speed_doubt -= speed_gain * table.shared_doubt
        np.subtract(1.0, gain, out=gain)
        table.doubt *= gain
        table.shared_doubt *= gain

    def spread(self, table: Table) -> Float:
        """Return how far detections lie from predicted centres, one standard deviation in sizes, (N,)."""
        deviation: Float = np.sqrt(table.doubt[:, 0] + self._noise[0])
        return deviation


def centred(boxes: npt.NDArray[np.float32]) -> Float:
    """Return centre x, centre y, width, height of boxes given as left, top, right, bottom; shape (N, 4)."""
    places: Float = boxes.astype(np.float64) @ TO_CENTRED
    np.maximum(places[:, 2:], SMALLEST, out=places[:, 2:])
    return places


def cornered(places: Float) -> Float:
    """Return left, top, right, bottom of boxes given as centre and size; shape (N, 4)."""
    corners: Float = places @ TO_CORNERED
    return corners


def _four(place: float, size: float) -> Float:
    return np.array([place, place, size, size])
