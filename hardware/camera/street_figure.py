"""A drawable thing in metres, made of flat faces, and how it is projected; it knows no kinds and no time.

A figure's axes: `along` (forward), `up`, `across` (towards the camera's far side). Its feet stand at `up` 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hardware.camera.frame import Pixels
from hardware.camera.street_scene import Points, View

Rgb = tuple[float, float, float]

_SHIFT = 4
_ONE = 1 << _SHIFT


@dataclass(frozen=True, slots=True)
class Face:
    """A run of vertices [start, stop) of one colour.

    Attributes:
        start: First vertex.
        stop: One past the last vertex.
        glows: Whether it keeps its colour at night.
        is_skin: Whether it is a strip between the two sides of a body: drawn only when it faces the camera,
            far ones first, before every other face.
    """

    start: int
    stop: int
    glows: bool = False
    is_skin: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """Faces over poses: `poses` is (P, V, 3) along, up, across in metres; `colours` is (F, 3) RGB 0..255."""

    poses: Points
    faces: tuple[Face, ...]
    colours: Points
    lamps: tuple[tuple[float, float, Rgb], ...] = ()

    @property
    def length_m(self) -> float:
        """From the hindmost to the foremost vertex."""
        return float(self.poses[..., 0].max() - self.poses[..., 0].min())


class FigureBuilder:
    """Collects faces from back to front; every face must have the same vertices count in each pose."""

    def __init__(self) -> None:
        self._vertices: list[list[tuple[float, float, float]]] = [[]]
        self._faces: list[Face] = []
        self._colours: list[Rgb] = []

    def skin(self, profile: list[tuple[float, float]], width_m: float, colours: list[Rgb]) -> None:
        """Strips between the sides of a body: one for each edge of the closed, clockwise `profile`."""
        half = width_m / 2
        for (a0, u0), (a1, u1), colour in zip(profile, profile[1:] + profile[:1], colours, strict=True):
            corners = [(a0, u0, half), (a1, u1, half), (a1, u1, -half), (a0, u0, -half)]
            self._add([corners], colour, glows=False, is_skin=True)

    def face(
        self, corners: list[tuple[float, float]], colour: Rgb, across_m: float = 0.0, *, glows: bool = False
    ) -> None:
        """One flat face at a constant `across`."""
        self._add([[(a, u, across_m) for a, u in corners]], colour, glows=glows, is_skin=False)

    def limb(self, poses: list[list[tuple[float, float]]], colour: Rgb) -> None:
        """One face whose corners move: a list of corners for each pose."""
        self._add(
            [[(a, u, 0.0) for a, u in corners] for corners in poses], colour, glows=False, is_skin=False
        )

    def disc(
        self,
        centre: tuple[float, float],
        radius_m: float,
        colour: Rgb,
        across_m: float = 0.0,
        corners: int = 14,
    ) -> None:
        """A round face."""
        turns = np.linspace(0, 2 * np.pi, corners, endpoint=False)
        round_about = [(centre[0] + radius_m * np.cos(t), centre[1] + radius_m * np.sin(t)) for t in turns]
        self.face(round_about, colour, across_m)

    def build(self, lamps: tuple[tuple[float, float, Rgb], ...] = ()) -> Figure:
        """The finished figure; `lamps` are (along, up, colour) that shine at night."""
        poses = max(len(v) for v in self._vertices[1:])
        full = [v * poses if len(v) == 1 else v for v in self._vertices[1:]]
        array = np.array([[corner for face in full for corner in face[p]] for p in range(poses)], np.float64)
        return Figure(array, tuple(self._faces), np.array(self._colours, np.float64), lamps)

    def _add(
        self, poses: list[list[tuple[float, float, float]]], colour: Rgb, *, glows: bool, is_skin: bool
    ) -> None:
        start = self._faces[-1].stop if self._faces else 0
        self._vertices.append(poses)  # type: ignore[arg-type]
        self._faces.append(Face(start, start + len(poses[0]), glows, is_skin))
        self._colours.append(colour)


@dataclass(frozen=True, slots=True)
class Placed:
    """A figure at its place in one frame: its vertices in pixels, ready to be measured or drawn."""

    figure: Figure
    pixels: Points
    shadow: Points
    order: tuple[int, ...]
    light: float

    def hull(self) -> NDArray[Any]:
        """Outline, (N, 1, 2) float32 pixels."""
        hull: NDArray[Any] = cv2.convexHull(self.pixels.astype(np.float32))
        return hull

    def draw(self, picture: Pixels) -> None:
        """Paint the faces, in order, into (H, W, 3) uint8 RGB."""
        figure = self.figure
        # OpenCV counts from the middle of the first pixel, the projection from its edge.
        corners = np.rint((self.pixels - 0.5) * _ONE).astype(np.int32)
        colours = (figure.colours * self.light).tolist()
        for index in self.order:
            face = figure.faces[index]
            colour = figure.colours[index].tolist() if face.glows else colours[index]
            cv2.fillPoly(picture, [corners[face.start : face.stop]], colour, cv2.LINE_8, _SHIFT)


def place(
    view: View,
    figure: Figure,
    pose: int,
    at: tuple[float, float],
    direction: int,
    *,
    sun: tuple[float, float],
    light: float,
) -> Placed:
    """Stand a figure at (X, Z), looking along +X (direction 1) or -X (-1), and project it with its shadow."""
    model = figure.poses[pose]
    count = len(model)
    world = np.empty((2 * count, 3))
    world[:count, 0] = at[0] + direction * model[:, 0]
    world[:count, 1] = model[:, 1]
    world[:count, 2] = at[1] + model[:, 2]
    world[count:, 0] = world[:count, 0] + sun[0] * model[:, 1]
    world[count:, 1] = 0.0
    world[count:, 2] = world[:count, 2] + sun[1] * model[:, 1]
    pixels, _ = view.project(world)
    order = _faces_in_order(figure, pixels, model, at[0], direction)
    return Placed(figure, pixels[:count], pixels[count:], order, light)


def _faces_in_order(
    figure: Figure, pixels: Points, model: Points, x_m: float, direction: int
) -> tuple[int, ...]:
    skins = [i for i, face in enumerate(figure.faces) if face.is_skin]
    if not skins:
        return tuple(range(len(figure.faces)))
    starts = np.array([figure.faces[i].start for i in skins])
    first, second = pixels[starts + 1] - pixels[starts], pixels[starts + 3] - pixels[starts]
    turn = (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) * direction
    camera_along = -direction * x_m
    distance = np.abs((model[starts, 0] + model[starts + 1, 0]) / 2 - camera_along)
    visible = [skins[i] for i in np.argsort(-distance) if turn[i] > 0]
    return (*visible, *(i for i, face in enumerate(figure.faces) if not face.is_skin))
