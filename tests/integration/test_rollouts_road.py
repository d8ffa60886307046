"""A rollout from its making to its end, on both databases: told, reported, next stage, done."""

from __future__ import annotations

from sqlalchemy import Engine

from tests.rollout_fleet import Town, names


def test_a_good_release_goes_to_all_in_stages(engine: Engine) -> None:
    town = Town(engine)
    town.add(names(40))
    rollout = town.rollout("site:lahore/*", stages="1,10%,100%")
    told: list[int] = []
    for _ in range(300):
        town.tick(30)
        town.answer()
        told.append(town.counts(rollout)["succeeded"])
        if town.state(rollout) == "done":
            break
    assert town.state(rollout) == "done", town.why(rollout)
    assert sorted(set(told)) == [0, 1, 4, 40] or sorted(set(told)) == [1, 4, 40]
    assert town.why(rollout) == "Done: 40 devices got it, 0 failed."
    assert len(town.wanted()) == 40
