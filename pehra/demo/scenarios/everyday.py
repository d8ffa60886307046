"""What goes on in a street all the time: people on both pavements, vehicles in the lanes."""

from __future__ import annotations

from pehra.demo.scenarios.stage import Stage
from pehra.demo.scenarios.ways import Leg, walk
from pehra.demo.scenarios.wrong_way import VEHICLES, pass_by


def everyday(stage: Stage, until_s: float) -> None:
    """Fill a street with everyday life; all have left by `until_s`."""
    for is_near in (True, False):
        near, far = stage.pavement(is_near=is_near)
        at_s = stage.uniform(0.0, 6.0)
        while True:
            z = stage.uniform(near, far)
            x_in, x_out = stage.ends(z)[:: 1 if stage.coin() else -1]
            way = walk(at_s, [Leg(x_in, z), Leg(x_out, z)], stage.uniform(1.1, 1.6))
            if way[-1][0] > until_s:
                break
            stage.person("walks", way)
            at_s += stage.uniform(4.0, 14.0)
    for lane in stage.scene.lanes:
        at_s = stage.uniform(0.0, 8.0)
        while True:
            way = pass_by(stage, lane, at_s, stage.uniform(5.0, 9.0))
            if way[-1][0] > until_s:
                break
            stage.vehicle("drives", str(stage.rng.choice(VEHICLES, p=(0.3, 0.5, 0.1, 0.1))), way)
            at_s = way[-1][0] + stage.uniform(1.0, 10.0)
