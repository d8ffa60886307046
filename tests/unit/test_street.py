"""The simulated street is a pure function of seed and time, and its truth is what is drawn."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.camera.street import MIN_VISIBLE, NAMES, Street
from hardware.camera.street_traffic import EPISODE_S, QUIET_S

STREETS = {seed: Street(seed, 320, 240) for seed in (1, 3, 5)}
SECONDS = np.arange(0, EPISODE_S, 0.5)


@given(seed=st.sampled_from(sorted(STREETS)), t_s=st.floats(0, 900))
@settings(max_examples=50, deadline=None)
def test_truth_boxes_lie_in_the_frame_and_are_not_empty(seed, t_s):
    for actor in STREETS[seed].truth(t_s):
        left, top, right, bottom = actor.box
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
        assert MIN_VISIBLE <= actor.visible <= 1
        assert actor.name in NAMES


@pytest.mark.parametrize("night", [False, True])
def test_same_seed_and_time_give_the_same_pixels_and_truth_in_any_order(night):
    moments = [31.7, 3.2, 605.4, 0.0, 31.7, 12.25]
    first, second = Street(9, 320, 240, night=night), Street(9, 320, 240, night=night)
    forth = {t: (first.render(t), first.truth(t)) for t in moments}
    back = {t: (second.render(t), second.truth(t)) for t in reversed(moments)}
    for t in moments:
        np.testing.assert_array_equal(forth[t][0], back[t][0])
        assert forth[t][1] == back[t][1]


def test_other_seeds_give_other_streets():
    assert np.abs(STREETS[1].render(0).astype(int) - STREETS[3].render(0)).mean() > 10
    assert [a.box for a in STREETS[1].truth(10)] != [a.box for a in STREETS[3].truth(10)]


def test_size_changes_the_pixels_but_not_who_is_where():
    large, small = Street(3, 640, 480).truth(10.0), STREETS[3].truth(10.0)
    assert [(a.id, a.name) for a in large] == [(a.id, a.name) for a in small]
    np.testing.assert_allclose([a.box for a in large], [a.box for a in small], atol=1e-9)


def test_an_id_is_one_actor_of_one_kind_that_moves_without_jumps():
    seen: dict[int, tuple[str, float, tuple[float, float]]] = {}
    for t_s in np.arange(0, 60, 0.1):
        for actor in STREETS[5].truth(t_s):
            foot = ((actor.box[0] + actor.box[2]) / 2, actor.box[3])
            name, last_s, last = seen.get(actor.id, (actor.name, t_s, foot))
            assert name == actor.name
            if t_s - last_s < 0.15:
                assert np.hypot(foot[0] - last[0], foot[1] - last[1]) < 0.16
            seen[actor.id] = (actor.name, t_s, foot)
    assert len(seen) > 20


def test_every_kind_of_actor_passes_within_an_hour_of_a_few_streets():
    names = {a.name for street in STREETS.values() for t in range(0, 400, 3) for a in street.truth(t)}
    assert names == set(NAMES)


def test_vehicles_drive_in_both_directions():
    directions = set()
    for t_s in SECONDS:
        before = {a.id: a.box for a in STREETS[1].truth(t_s)}
        for actor in STREETS[1].truth(t_s + 0.2):
            if actor.name == "car" and actor.id in before:
                directions.add(
                    np.sign(actor.box[0] + actor.box[2] - before[actor.id][0] - before[actor.id][2])
                )
    assert {-1.0, 1.0} <= directions


def test_several_actors_are_usually_in_view():
    counts = [len(street.truth(t)) for street in STREETS.values() for t in SECONDS]
    assert np.median(counts) >= 3
    assert max(counts) >= 7


@pytest.mark.parametrize("night", [False, True])
def test_every_episode_ends_in_seconds_of_stillness(night):
    street = Street(4, 320, 240, night=night)
    for episode in range(3):
        still_from = (episode + 1) * EPISODE_S - QUIET_S
        moments = np.arange(still_from + 0.01, still_from + QUIET_S - 0.01, 1.0)
        assert not any(street.truth(t) for t in moments)
        pictures = [cv2.blur(street.render(t), (9, 9)).astype(int) for t in moments]
        assert max(np.abs(p - pictures[0]).max() for p in pictures) < 8  # what is left is sensor noise


def test_a_box_is_as_large_as_what_is_drawn_of_its_actor():
    """Each actor painted alone fills its box to the pixel; one cut by the frame's edge never exceeds it."""
    street, names, cut = STREETS[5], set(), 0
    for t_s in np.arange(0, 150, 2.1):
        listed = {actor.id: actor for actor in street.truth(t_s)}
        for seen in street._seen(t_s):
            actor = listed.get(seen.actor.id)
            if actor is None:
                continue
            canvas = np.full((240, 320, 3), 1, np.uint8)
            seen.placed.draw(canvas)
            rows, columns = np.nonzero((canvas != 1).any(axis=2))
            drawn = np.array((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
            box = np.array(actor.box) * (320, 240, 320, 240)
            if drawn[0] > 0 and drawn[2] < 320 and drawn[3] < 240:
                np.testing.assert_allclose(box, drawn, atol=1.6)
                names.add(actor.name)
            else:
                assert ((box - drawn) * (1, 1, -1, -1) <= 1.6).all()
                cut += 1
    assert names == set(NAMES)
    assert cut > 20


def test_what_changes_in_the_picture_lies_in_and_just_around_the_boxes():
    """Against the empty street and by pixels alone: boxes are filled, and little but shadows lies outside."""
    inside, outside = [], []
    for street in STREETS.values():
        empty = cv2.blur(street.render(EPISODE_S - 1), (3, 3)).astype(int)
        for t_s in SECONDS[10:60]:
            changed = np.abs(cv2.blur(street.render(t_s), (3, 3)).astype(int) - empty).max(axis=2) > 30
            around = np.zeros_like(changed)
            for actor in street.truth(t_s):
                left, top, right, bottom = (np.array(actor.box) * (320, 240, 320, 240)).astype(int)
                inside.append(changed[top:bottom, left:right].mean())
                wide, high = right - left + 6, bottom - top + 6
                around[max(0, top - 3) : bottom + high // 3, max(0, left - wide) : right + wide] = True
            outside.append(changed[~around].mean())
    assert np.median(inside) > 0.4
    assert np.mean(np.array(inside) > 0.1) > 0.9
    assert np.mean(outside) < 0.01


def test_somebody_behind_a_truck_is_less_visible_and_left_out_when_hidden():
    """Shares between hidden and whole occur, and no listed one is below the limit."""
    shares = [a.visible for street in STREETS.values() for t in SECONDS for a in street.truth(t)]
    assert any(MIN_VISIBLE <= share < 0.6 for share in shares)
    assert np.mean(np.array(shares) > 0.9) > 0.5


def test_night_is_darker_than_day_with_the_same_truth():
    day, night = Street(2, 320, 240), Street(2, 320, 240, night=True)
    assert night.render(5).mean() < 0.5 * day.render(5).mean()
    assert night.truth(5) == day.truth(5)


@pytest.mark.parametrize(("seed", "width", "height"), [(-1, 320, 240), (1, 63, 240), (1, 320, 10)])
def test_an_impossible_street_is_refused(seed, width, height):
    with pytest.raises(ValueError, match="a street needs"):
        Street(seed, width, height)


@pytest.mark.parametrize("t_s", [-0.1, float("nan")])
def test_there_is_no_time_before_the_start(t_s):
    with pytest.raises(ValueError, match="time starts at 0"):
        STREETS[1].truth(t_s)
