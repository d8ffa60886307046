"""Move the camera: somebody turns it and later back; wind, clouds and a bus before the lens are no reason."""

from __future__ import annotations

from typing import Final

from hardware.camera.frame import Pixels
from hardware.camera.street_effects import dimmed, shaken
from pehra.demo.scenarios.cover_lens import CLEAR_S, FPS, HOLD_S, LEARN_S, due_alarm
from pehra.demo.scenarios.everyday import everyday
from pehra.demo.scenarios.script import Scenario, camera, moments
from pehra.demo.scenarios.stage import SIZE, Stage
from pehra.demo.scenarios.ways import Mark, drive

WIND_PX: Final = 2.5
"""The pole shakes by so many pixels of 640, in every direction."""


def move_camera(seed: int) -> Scenario:
    """Turned by 5 to 15 % of the picture's width, to either side, for half a minute."""
    stage = Stage(seed, salt=9)
    share = stage.uniform(0.05, 0.15) * (1 if stage.coin() else -1)
    wind_s = LEARN_S + stage.uniform(0.0, 3.0)
    turned_s = wind_s + 20.0 + stage.uniform(0.0, 4.0)
    back_s = turned_s + HOLD_S + stage.uniform(12.0, 17.0)
    end_s = back_s + CLEAR_S + 20.0
    everyday(stage, turned_s - 5.0)
    _bus(stage, back_s - 6.0)
    straight = stage.street()
    aside = stage.street(turned_rad=share * SIZE[0] / stage.scene.view.focal_px)
    cloud = stage.uniform(0.7, 0.85)

    def seen(at_s: float) -> Pixels:
        picture = (aside if turned_s <= at_s < back_s else straight).render(at_s)
        if wind_s <= at_s < wind_s + 12.0:
            right, down = stage.wind(at_s, WIND_PX)
            picture = shaken(picture, right, down)
        return dimmed(picture, cloud) if back_s + 8.0 <= at_s < back_s + 20.0 else picture

    return Scenario(
        "move-camera",
        seed,
        moments(end_s, FPS),
        straight,
        camera(FPS),
        tuple(due_alarm("moved", turned_s, back_s)),
        stage.roles,
        seen,
    )


def _bus(stage: Stage, at_s: float) -> None:
    """A bus stops before the camera, when it looks where it should again."""
    lane = min(stage.scene.lanes, key=lambda one: one.z_m)
    x_in, x_out = stage.ends(lane.z_m, 8.0)[:: lane.direction]
    middle = stage.across(lane.z_m, 0.5)
    way = drive(at_s + 8.0, [Mark(x_in, 6.0), Mark(middle, 0.0, 6.0), Mark(x_out, 6.0)], lane.z_m)
    stage.vehicle("stops before the camera", "bus", way)
