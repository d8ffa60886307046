"""Camera health: what raises an alarm, what does not, and what is left when the camera is well again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.firmware.masks import Masks
from device.firmware.view_health import KINDS, ViewHealth, ViewSettings
from device.firmware.view_health.shift import find_shift
from device.firmware.view_health.standing import SLOW, Standing
from device.firmware.view_health.verdict import Verdict
from hardware.camera.frame import Frame
from tests.view_scenes import (
    BEGIN_S,
    SCENES,
    SETTINGS,
    SIZE,
    Scene,
    dusk,
    frame_of,
    frames,
    frozen,
    grainy,
    hand,
    infrared,
    judge,
    play,
    pushed,
    scene_of,
    street_clip,
    turned,
    viewport,
)

SEED = 41


def day():
    return street_clip(SEED)


@pytest.mark.parametrize("name", SCENES)
def test_each_thing_that_happens_raises_its_one_alarm_and_clears_it_or_raises_none(name):
    scene = SCENES[name](day(), SEED)
    changes = play(scene)
    outcome = judge(scene, changes)
    assert not outcome.false, changes
    assert outcome.is_found == (scene.kind is not None), changes


@pytest.mark.parametrize("name", ["hand over the lens", "spray on the lens", "headlights"])
def test_it_is_the_same_by_night(name):
    scene = SCENES[name](street_clip(SEED, night=True), SEED)
    outcome = judge(scene, play(scene))
    assert not outcome.false
    assert outcome.is_found == (scene.kind is not None)


def test_dusk_and_dawn_raise_nothing():
    assert play(dusk(day(), street_clip(SEED, night=True), lasts_s=250)) == []


@pytest.mark.parametrize("lit", [lambda seen: seen, infrared], ids=["lamps", "infrared"])
def test_a_first_night_that_comes_at_once_raises_nothing_and_its_own_view_is_learnt(lit):
    health, night = ViewHealth(SETTINGS), street_clip(SEED, night=True)
    pictures = [viewport(picture) for picture in (*day()[:BEGIN_S], *night[:120], *day()[:60])]
    for second, luma in enumerate(pictures):
        is_night = BEGIN_S <= second < BEGIN_S + 120
        frame = frame_of(lit(luma) if is_night else luma, second, colour=0 if is_night else 12)
        assert health.watch(frame) == [], second
    elsewhere = [lit(viewport(picture, 50, 0)) for picture in night[:60]]
    assert raised(health, elsewhere) == ["moved"], "the second night is known"


@pytest.mark.parametrize(("degrees", "zoom"), [(5, 1.0), (-40, 1.0), (0, 1.25)])
def test_a_camera_that_is_turned_about_its_axis_or_zoomed_has_moved(degrees, zoom):
    changes = play(turned(day(), degrees, zoom))
    assert [(change.kind, change.is_raised) for _, change in changes][:1] == [("moved", True)]


def test_a_moved_camera_says_where_its_view_has_gone():
    pictures = [viewport(picture) for picture in day()[:BEGIN_S]]
    pictures += [viewport(picture, 32, -24) for picture in day()[BEGIN_S : BEGIN_S + 30]]
    ((_, change),) = play(Scene("pushed", "moved", pictures))
    assert change.detail == "the view has gone 10 % to the right and 10 % up in the picture"


def test_relearning_clears_the_alarms_at_once_and_takes_the_new_view_for_the_usual_one():
    health, scene = ViewHealth(SETTINGS), pushed(day(), 3)
    for second, frame in frames(scene):
        if second == BEGIN_S + 40:
            assert set(health.standing) == {"moved"}
            health.relearn()
            (change,) = health.watch(frame)
            assert (change.kind, change.is_raised) == ("moved", False)
        elif second > BEGIN_S + 40:
            if second == BEGIN_S + 60:
                break
            assert health.watch(frame) == []
        else:
            health.watch(frame)
    assert health.standing == {}


def learnt(clip, **changes):
    """A view health that has watched a minute of a clip, and what it would keep over a restart."""
    health = ViewHealth(replace(SETTINGS, **changes))
    for second, picture in enumerate(clip[:BEGIN_S]):
        health.watch(frame_of(viewport(picture), second))
    return health, health.state(1e9)


def raised(health, pictures, begin_s=5000):
    return [
        change.kind
        for second, luma in enumerate(pictures)
        for change in health.watch(frame_of(luma, begin_s + second))
        if change.is_raised
    ]


def test_what_was_learnt_outlasts_a_restart_so_that_a_camera_moved_meanwhile_is_noticed():
    _, kept = learnt(day())
    elsewhere = [viewport(picture, 40, 0) for picture in day()[:30]]
    assert raised(ViewHealth(SETTINGS, kept=kept), elsewhere) == ["moved"]
    assert raised(ViewHealth(SETTINGS), elsewhere) == [], "without a memory it is the usual view"
    assert len(kept) < 64 * 1024


def test_an_alarm_that_stood_before_a_restart_stands_after_it_and_clears_without_being_raised_again():
    _, kept = learnt(day())
    health = ViewHealth(SETTINGS, kept=kept, raised=["moved", "lost"])
    assert set(health.standing) == {"moved"}
    changes = [
        change
        for second, picture in enumerate(day()[:30])
        for change in health.watch(frame_of(viewport(picture), second))
    ]
    assert [(change.kind, change.is_raised) for change in changes] == [("moved", False)]


@pytest.mark.parametrize("kept", [b"rubbish", b"\x81\xa1v\x01", b"\x00" * 100])
def test_a_damaged_memory_is_forgotten(kept):
    health = ViewHealth(SETTINGS, kept=kept)
    assert raised(health, [viewport(picture) for picture in day()[:30]]) == []


def test_any_damage_of_a_byte_of_the_memory_does_no_harm():
    _, kept = learnt(day())
    rng = np.random.default_rng(0)
    picture = frame_of(viewport(day()[0]), 0)
    for at in rng.integers(0, len(kept), 40):
        damaged = bytearray(kept)
        damaged[at] ^= 0xFF
        ViewHealth(SETTINGS, kept=bytes(damaged)).watch(picture)


def test_a_still_picture_from_a_file_is_not_frozen():
    still = [viewport(day()[0])] * 150
    assert raised(ViewHealth(replace(SETTINGS, frozen_s=0.0)), still) == []
    assert raised(ViewHealth(SETTINGS), still) == ["frozen"]


def test_frozen_needs_its_whole_time_even_if_that_is_shorter_than_the_hold():
    health = ViewHealth(replace(SETTINGS, frozen_s=3.0, hold_s=15.0))
    assert raised(health, [viewport(picture) for picture in day()[:60]]) == []
    assert raised(health, [viewport(day()[60])] * 14, 5060) == []
    assert raised(health, [viewport(day()[60])] * 4, 5074) == ["frozen"]


def test_a_cover_that_lasts_less_than_the_hold_raises_nothing():
    scene = scene_of("hand", None, day(), hand(2), 2, begin_s=60, end_s=72)
    assert play(scene) == []


@pytest.mark.parametrize("hold_s", [1.0, 3.0, 15.0])
def test_black_at_once_is_covered_and_not_dark_however_short_the_hold(hold_s):
    health, _ = learnt(day(), hold_s=hold_s)
    black = [np.full(SIZE[::-1], 16 + second % 2, np.uint8) for second in range(40)]
    assert raised(health, black, BEGIN_S) == ["covered"]


@pytest.mark.parametrize(("level", "left"), [(25, 0.02), (70, 0.03)])
def test_a_hand_through_which_a_glimmer_of_the_street_shines_is_a_cover_and_no_night(level, left):
    health, _ = learnt(day())
    rng = np.random.default_rng(0)
    hidden = [
        grainy(16 + level + left * (viewport(picture).astype(np.float32) - 16), 1.3, rng)
        for picture in day()[60:100]
    ]
    assert raised(health, hidden, BEGIN_S) == ["covered"]


def test_a_lamp_that_goes_out_is_dark_as_long_as_the_street_can_be_made_out():
    health, _ = learnt(day())
    dim = [
        np.rint(16 + (viewport(picture).astype(np.float32) - 16) * 0.05).astype(np.uint8)
        for picture in day()[60:90]
    ]
    assert raised(health, dim, BEGIN_S) == ["dark"]


def test_time_without_a_frame_is_no_evidence():
    health, _ = learnt(day())
    black = frame_of(np.full(SIZE[::-1], 16, np.uint8), 0)
    for number in range(12):
        assert health.watch(replace(black, mono_s=2000.0 + 600 * number)) == []


def test_a_look_is_taken_at_most_every_look_s():
    health = ViewHealth(replace(SETTINGS, look_s=0.5))
    frame = frame_of(viewport(day()[0]), 0)
    seen = []
    health._see = lambda frame, elapsed_s, see=health._see: (seen.append(frame), see(frame, elapsed_s))[1]
    for number in range(40):
        health.watch(replace(frame, mono_s=10 + number / 10))
    assert len(seen) == 8


def test_a_mask_over_most_of_the_picture_hides_no_move_and_no_cover():
    polygons = [[(0.0, 0.0), (1.0, 0.0), (1.0, 0.35), (0.4, 0.35), (0.4, 1.0), (0.0, 1.0)]]
    masks = Masks(polygons)
    for scene in (pushed(day(), 5), *(SCENES["tape on the lens"](day(), seed) for seed in (0, 1, 3))):
        health = ViewHealth(SETTINGS, polygons)
        changes = [(at, change) for at, frame in frames(scene) for change in health.watch(masks.paint(frame))]
        outcome = judge(scene, changes)
        assert outcome.is_found, changes
        assert not outcome.false, changes


def test_a_mask_itself_is_neither_dark_nor_bright_nor_an_edge():
    polygons = [[(0.05, 0.05), (0.95, 0.05), (0.95, 0.6), (0.05, 0.6)]]
    health, masks = ViewHealth(SETTINGS, polygons), Masks(polygons)
    for second in range(60):
        noise = np.random.default_rng(second).integers(16, 22, SIZE[::-1]).astype(np.uint8)
        health.watch(masks.paint(frame_of(noise, second)))
    assert set(health.standing) == {"dark"}, "the rest of the picture is dark, whatever the paint is"
    around = health._present.fine[5:73, 7:153]
    assert not around.any(), "the rim of the paint is no edge"


def test_a_camera_that_changes_its_shape_is_learnt_anew_and_one_that_changes_its_size_is_known():
    health, kept = learnt(day())
    half = [np.ascontiguousarray(viewport(picture)[::2, ::2]) for picture in day()[60:90]]
    assert raised(health, half) == []
    wide = ViewHealth(SETTINGS, kept=kept)
    assert raised(wide, [np.ascontiguousarray(viewport(picture)[:160]) for picture in day()[60:90]]) == []


@pytest.mark.parametrize(("width", "height"), [(16, 16), (4096, 32), (32, 2048), (18, 640), (641, 479)])
def test_any_size_of_frame_can_be_looked_at(width, height):
    rng, health = np.random.default_rng(0), ViewHealth(SETTINGS)
    for second in range(40):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        health.watch(Frame(pixels, "rgb", width, height, float(second), 1.8e9, second))


def test_a_bright_and_a_dark_picture_are_told_in_both_layouts():
    for level, kind in ((255, "bright"), (0, "dark")):
        rgb, planar = ViewHealth(SETTINGS), ViewHealth(SETTINGS)
        luma = np.full((120, 160), {255: 235, 0: 16}[level], np.uint8)
        for second in range(30):
            pixels = np.full((120, 160, 3), level, np.uint8)
            rgb.watch(Frame(pixels, "rgb", 160, 120, float(second), 1.8e9, second))
            planar.watch(frame_of(luma, second))
        assert set(rgb.standing) == set(planar.standing) == {kind}


def test_a_frozen_picture_clears_when_it_moves_again():
    scene = frozen(day())
    assert judge(scene, play(scene)).is_found


@given(
    st.lists(
        st.tuples(st.sampled_from([None, "covered", "moved", "dark"]), st.floats(0.1, 4.0)), max_size=120
    ),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_an_alarm_is_raised_only_after_its_hold_and_alternates_with_its_clearing(looks, is_slow):
    patience, standing = ViewSettings(hold_s=8.0, clear_s=5.0), {}
    alarms = Standing(patience)
    seen = dict.fromkeys(KINDS, 0.0)
    for kind, elapsed_s in looks:
        verdict = Verdict(kind, is_slow=is_slow)
        if kind:
            seen[kind] += elapsed_s
        for change in alarms.note(verdict, elapsed_s):
            assert change.is_raised != standing.get(change.kind, False)
            standing[change.kind] = change.is_raised
            if change.is_raised:
                assert change.kind == kind
                assert seen[kind] >= patience.hold_s * (SLOW if is_slow else 1) - 1e-6
                seen[kind] = 0.0
    assert set(alarms.raised) == {kind for kind, is_raised in standing.items() if is_raised}


@given(st.integers(-40, 40), st.integers(-30, 30), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_a_shift_is_found_to_the_pixel(across, down, seed):
    rng = np.random.default_rng(seed)
    wide = rng.normal(0, 1, (220, 260, 2)).astype(np.float32)
    wide /= 1 + np.hypot(wide[..., 0], wide[..., 1])[..., None]
    before = wide[50:170, 50:210]
    now = wide[50 - down : 170 - down, 50 - across : 210 - across]
    shift = find_shift(before, now, least_px=0.5)
    if (across, down) != (0, 0):
        assert (shift.across_pct, shift.down_pct) == pytest.approx((across / 1.6, down / 1.2))
        assert shift.agreement > 0.9
