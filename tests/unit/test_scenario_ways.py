"""Ways take the time that distance and speed say, and nobody jumps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pehra.demo.scenarios.ways import Leg, Mark, drive, walk

METRES = st.floats(-20, 20)


@given(st.lists(st.tuples(METRES, METRES, st.floats(0, 10)), min_size=2, max_size=6), st.floats(0.5, 2))
def test_a_walker_keeps_one_speed_and_waits_as_long_as_asked(places, speed):
    legs = [Leg(x, z, wait) for x, z, wait in places]
    way = np.array(walk(3.0, legs, speed))
    distances = np.hypot(np.diff(way[:, 1]), np.diff(way[:, 2]))
    takes = np.diff(way[:, 0])
    walks = distances > 1e-6
    np.testing.assert_allclose(distances[walks] / takes[walks], speed, rtol=1e-6)
    assert way[-1, 0] == pytest.approx(3.0 + distances.sum() / speed + sum(leg.wait_s for leg in legs))


def test_a_vehicle_brakes_evenly_stands_and_goes_on():
    way = np.array(drive(0.0, [Mark(-20, 8), Mark(-8, 8), Mark(0, 0, 5), Mark(8, 8), Mark(24, 8)], 12.0))
    assert way[-1, 0] == pytest.approx(12 / 8 + 8 / 4 + 5 + 8 / 4 + 16 / 8)
    stands = way[np.abs(way[:, 1]) < 1e-9]
    assert stands[-1, 0] - stands[0, 0] == pytest.approx(5)
    speeds = np.diff(way[:, 1]) / np.diff(way[:, 0])
    assert speeds.max() <= 8 + 1e-9
    assert (np.diff(way[:, 1]) >= -1e-9).all(), "it never rolls back"
    assert set(way[:, 2]) == {12.0}


def test_a_vehicle_that_would_never_arrive_is_refused():
    with pytest.raises(ValueError, match="nobody gets from"):
        drive(0.0, [Mark(0, 0), Mark(5, 0)], 12.0)
    with pytest.raises(ValueError, match="nobody gets from"):
        drive(0.0, [Mark(0, 5), Mark(5, 5, 3)], 12.0)
