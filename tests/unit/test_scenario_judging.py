"""What was told is matched with what was due once, by rule, kind, time, place and direction."""

from __future__ import annotations

from pehra.demo.scenarios.causes import why_false, why_missed
from pehra.demo.scenarios.judging import Score, pair, scores
from pehra.demo.scenarios.script import Due, Told
from pehra.demo.scenarios.witness import Sight

HERE, THERE = (0.1, 0.4, 0.2, 0.8), (0.6, 0.4, 0.7, 0.8)
SEEN = {
    1: [Sight(t / 10, HERE, 1.0) for t in range(300)],
    2: [Sight(t / 10, THERE, 1.0) for t in range(300)],
}
DUE = Due("gate", "line-cross", 9.0, 11.0, 1, "in")


def told(at_s=10.0, box=HERE, direction="in", kind="line-cross", duration_s=None):
    return Told("gate", kind, at_s, box, direction, duration_s)


def test_an_event_in_time_on_its_actor_is_right():
    assert pair([DUE], [told()], SEEN) == {0: 0}


def test_an_event_too_late_elsewhere_or_of_another_direction_is_not():
    for event in (told(11.5), told(box=THERE), told(direction="out"), told(kind="zone-enter")):
        assert pair([DUE], [event], SEEN) == {}


def test_one_event_answers_for_one_due_and_a_second_is_false():
    found = scores([DUE], [told(), told(10.2)], pair([DUE], [told(), told(10.2)], SEEN))
    assert found["gate", "line-cross"] == Score("gate", "line-cross", true=1, told=2, right=1)
    assert not found["gate", "line-cross"].is_enough


def test_who_could_take_another_leaves_the_only_one_to_the_other():
    """Both events lie on the first actor, one alone also on the second: both are right."""
    wide = (0.1, 0.4, 0.7, 0.8)
    seen = {1: [Sight(10.0, wide, 1.0)], 2: SEEN[2]}
    due = [DUE, Due("gate", "line-cross", 9.0, 11.0, 2, "in")]
    events = [told(box=THERE), told(10.2, box=HERE)]
    assert pair(due, events, seen) == {0: 1, 1: 0}


def test_a_wrong_duration_is_not_right():
    due = Due("yard", "zone-exit", 9.0, 11.0, None, None, (4.0, 6.0))
    right, wrong, none = (Told("yard", "zone-exit", 10.0, None, None, d) for d in (5.0, 7.0, None))
    assert pair([due], [right], SEEN) == {0: 0}
    assert pair([due], [wrong], SEEN) == {}
    assert pair([due], [none], SEEN) == {}


def test_nothing_due_and_nothing_told_is_perfect_and_only_a_false_one_is_not():
    assert Score("gate", "line-cross").is_enough
    found = scores([], [told()], {})["gate", "line-cross"]
    assert (found.precision, found.recall, found.is_enough) == (0.0, 1.0, False)


def test_causes_name_actor_time_and_role():
    roles = {1: "crosses", 2: "turns back"}
    assert "told at 12.0 s" in why_missed(DUE, [told(12.0)], [], SEEN, roles)
    assert "actor 1 (crosses)" in why_missed(DUE, [], [], SEEN, roles)
    assert "about actor 2 (turns back)" in why_false(told(box=THERE), [DUE], SEEN, roles)
    assert "nobody is there" in why_false(told(box=(0.8, 0.1, 0.9, 0.2)), [DUE], SEEN, roles)
    assert "who has one at another time" in why_false(told(20.0), [DUE], SEEN, roles)
