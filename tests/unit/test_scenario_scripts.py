"""A scenario is a pure function of its seed, configures a good device, and its truth is what it stages."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from device.firmware.config import parse_config
from hardware.camera.street import Street
from pehra.demo.scenarios.catalogue import CATALOGUE, scenario
from pehra.demo.scenarios.stage import Stage
from pehra.demo.scenarios.trial import HEAD
from pehra.demo.scenarios.ways import Leg, walk
from pehra.demo.scenarios.witness import passings, sights, stays

SEEDS = range(3)


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_same_seed_gives_the_same_script_and_another_seed_another(name):
    first, again, other = scenario(name, 5), scenario(name, 5), scenario(name, 6)
    assert (first.due, first.rules, first.moments) == (again.due, again.rules, again.moments)
    np.testing.assert_array_equal(first.render(10.0), again.render(10.0))
    assert first.due != other.due
    assert np.abs(first.render(10.0).astype(int) - other.render(10.0)).mean() > 5


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_rules_are_a_good_configuration_and_all_that_is_due_lies_within_the_time(name, seed):
    one = scenario(name, seed)
    camera = parse_config(HEAD + one.rules, Path("scenario.toml")).camera[0]
    named = {rule.name for rule in camera.rule}
    assert one.due
    for due in one.due:
        assert due.rule in named or due.kind.startswith("alarm-")
        assert 0 < due.from_s < due.to_s < one.moments[-1]


@pytest.mark.parametrize("name", CATALOGUE)
def test_more_people_and_vehicles_are_on_stage_than_events_are_due_of(name):
    """Without somebody who must not be told of, precision would say nothing."""
    one = scenario(name, 3)
    about = {due.who for due in one.due if due.who is not None}
    assert name in {"still", "crossing", "night"} or about < set(one.roles)


def test_a_stay_is_from_the_first_to_the_last_moment_in_the_polygon():
    stage = Stage(4, salt=0)
    z = stage.pavement()[0] + 0.4
    polygon = stage.pavement_zone(0.3, 0.7)
    spot = stage.across(z, 0.5)
    left, right = stage.ends(z)
    who = stage.person("stands", walk(2.0, [Leg(left, z), Leg(spot, z, 9.0), Leg(right, z)], 1.4))
    (stay,) = stays(sights(stage.street(), 60.0), polygon)
    assert stay.who == who
    walked_s = (stage.across(z, 0.7) - stage.across(z, 0.3)) / 1.4
    assert stay.to_s - stay.from_s == pytest.approx(9.0 + walked_s, abs=0.6)
    arrives_s = 2.0 + (spot - left) / 1.4
    assert stay.from_s < arrives_s < stay.to_s


def test_who_waits_on_the_line_crosses_it_once_and_has_all_that_time():
    stage = Stage(4, salt=0)
    z = stage.pavement()[0] + 0.4
    x = stage.across(z, 0.5)
    line = stage.points([(x, z + 4), (x, z - 1)])
    left, right = stage.ends(z)
    stage.person("waits", walk(2.0, [Leg(left, z), Leg(x, z, 5.0), Leg(right, z)], 1.4))
    street = stage.street()
    (passing,) = passings(street, sights(street, 40.0), (line[0], line[1]), 40.0)
    assert 5.0 < passing.to_s - passing.from_s < 7.5
    assert passing.direction == "out"


def test_a_street_with_a_cast_has_nobody_else_and_things_are_drawn_in_their_boxes():
    stage = Stage(4, salt=0)
    z = stage.pavement()[0] + 0.4
    x = stage.across(z, 0.5)
    stage.suitcase("stands", [(0.0, x, z), (50.0, x, z)])
    street = stage.street()
    (thing,) = street.truth(10.0)
    assert thing.name == "suitcase"
    empty = Street(4, cast=[]).render(10.0).astype(int)
    changed = np.abs(
        cv2.blur(street.render(10.0), (3, 3)).astype(int) - cv2.blur(empty.astype(np.uint8), (3, 3))
    )
    left, top, right, bottom = (np.array(thing.box) * (640, 480, 640, 480)).astype(int)
    assert (changed[top:bottom, left:right].max(axis=2) > 20).mean() > 0.5


def test_a_turned_camera_sees_the_same_street_further_to_the_left():
    stage = Stage(4, salt=0)
    z = stage.scene.far_kerb_m + 1.0
    stage.person("stands", [(0.0, stage.across(z, 0.5), z), (50.0, stage.across(z, 0.5), z)])
    straight, turned = stage.street(), stage.street(turned_rad=0.1)
    (before,), (after,) = straight.truth(1.0), turned.truth(1.0)
    shift_px = (before.box[0] - after.box[0]) * straight.width
    assert shift_px == pytest.approx(0.1 * stage.scene.view.focal_px, rel=0.15)
    assert np.abs(straight.render(1.0).astype(int) - turned.render(1.0)).mean() > 5
