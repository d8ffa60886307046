"""A source that gives more than asked is thinned evenly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.camera.rate import Rate


@given(asked=st.floats(1, 60), given_fps=st.floats(1, 120), jitter=st.floats(0, 0.2), seed=st.integers(0, 99))
def test_no_more_than_asked_and_no_fewer_than_there_are(asked, given_fps, jitter, seed):
    noise = np.random.default_rng(seed).uniform(-jitter, jitter, 400)
    times_s = 1000 + (np.arange(400) + noise) / given_fps
    rate = Rate(asked)
    passed = sum(rate.lets_through(float(t)) for t in times_s)
    wanted = 400 * min(1.0, asked / given_fps)
    assert wanted * 0.9 - 2 <= passed <= wanted * 1.02 + 2


def test_after_a_pause_there_is_no_burst_to_make_up_for_it():
    rate = Rate(10)
    assert rate.lets_through(0.0)
    assert rate.lets_through(60.0)
    assert [rate.lets_through(60 + i / 100) for i in range(1, 20)].count(True) == 2


@pytest.mark.parametrize("fps", [0, -1])
def test_without_a_rate_everything_passes(fps):
    rate = Rate(fps)
    assert all(rate.lets_through(1.0) for _ in range(5))
