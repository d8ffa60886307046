"""What stands in the database of orders that engines of operating systems fetch; on SQLite and PostgreSQL."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from fleet.access.caller import LOCAL
from fleet.console.update_words import read_updates
from fleet.director.documents import documents_of
from fleet.director.marks import mark
from fleet.errors import Gone
from fleet.hawkbit import actions
from fleet.hawkbit.attributes import put_attributes, wants_attributes
from fleet.hawkbit.feedback import Feedback
from fleet.rollouts.facts import read_running
from fleet.rollouts.tell import read_wanted
from fleet.store.tables import Desired
from fleet.store.tables_os import OsAction
from tests.rollout_fleet import NEW, OLD, Town

DEVICE = "cam-01"
DONE = Feedback("closed", "success")


@pytest.fixture
def town(engine: Engine) -> Town:
    town = Town(engine)
    town.add([DEVICE])
    return town


def told(town: Town, sha256: str = NEW, version: str = "2", **more: object) -> str:
    release = town.release("camera-os", version, sha256, kind="os")
    rollout = town.rollout(release=release, stages="100%", **more)
    town.tick()
    return rollout


def finish(town: Town) -> int:
    """The device fetches what is wanted and installs it; returns the number of the action."""
    with Session(town.engine) as session:
        order = actions.catch_up(session, DEVICE, town.now_ms).order
        assert order is not None
        assert order.id is not None
        number = order.id
        actions.fetch(session, DEVICE, number, town.now_ms)
        actions.note_sent(session, number)
        actions.take_feedback(session, DEVICE, number, DONE, town.now_ms)
    return number


def test_an_order_has_one_number_however_many_ask_at_once(town: Town) -> None:
    told(town)
    found: list[int | None] = []

    def poll() -> None:
        with Session(town.engine) as session:
            order = actions.catch_up(session, DEVICE, town.now_ms).order
            found.append(order.id if order is not None else None)

    threads = [threading.Thread(target=poll) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == 6
    assert len(set(found)) == 1


def test_the_last_word_counts_once_however_many_say_it_at_once(town: Town) -> None:
    rollout = told(town)
    with Session(town.engine) as session:
        number = actions.catch_up(session, DEVICE, town.now_ms).order.id
        actions.fetch(session, DEVICE, number, town.now_ms)
        actions.note_sent(session, number)
    ended: list[str] = []

    def say(said: Feedback) -> None:
        with Session(town.engine) as session:
            try:
                actions.take_feedback(session, DEVICE, number, said, town.now_ms)
                ended.append(said.finished)
            except Gone:
                ended.append("gone")

    words = [Feedback("closed", "success"), Feedback("closed", "failure"), Feedback("closed", "success")]
    threads = [threading.Thread(target=say, args=(word,)) for word in words]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert ended.count("gone") == 2
    (first,) = [word for word in ended if word != "gone"]
    assert town.device(rollout, DEVICE).state == {"success": "succeeded", "failure": "failed"}[first]


def test_a_number_never_comes_back(town: Town) -> None:
    told(town, name="one")
    first = finish(town)
    town.tick()
    with Session(town.engine) as session:
        session.delete(session.get_one(OsAction, first))
        session.commit()
    told(town, OLD, "3", name="two")
    assert finish(town) > first


def test_the_system_that_runs_is_the_last_that_was_installed(town: Town) -> None:
    for version, sha256 in (("2", NEW), ("3", OLD)):
        told(town, sha256, version, name=version)
        finish(town)
        town.tick()
        with Session(town.engine) as session:
            assert read_running(session, "os", [DEVICE, "cam-02"]) == {DEVICE: sha256}


def test_the_director_says_nothing_of_operating_systems(town: Town) -> None:
    told(town)
    with Session(town.engine) as session:
        assert session.get(Desired, DEVICE) is None, "no document is told for it"
        ((wanted, _),) = read_wanted(session, DEVICE)
        mark(session.connection(), [DEVICE], 1)
        (document,) = documents_of(session, [session.get_one(Desired, DEVICE)], 1)
    assert (wanted.kind, document.targets) == ("os", [])


def test_a_device_shows_the_system_that_it_has_installed_and_the_one_that_is_wanted(town: Town) -> None:
    told(town, NEW, "2", name="two")
    finish(town)
    told(town, OLD, "3", name="three")
    with Session(town.engine) as session:
        seen = read_updates(session, DEVICE, LOCAL)
    assert seen.system is not None
    assert seen.system.version == "2"
    assert [release.version for _, release in seen.wanted] == ["3"]


def test_a_poll_that_finds_nothing_new_writes_nothing(town: Town) -> None:
    told(town)
    finish(town)
    with Session(town.engine) as session:
        before = session.exec(select(OsAction).order_by(col(OsAction.id))).all()
        assert actions.catch_up(session, DEVICE, town.now_ms + 1000).order is None
        assert not session.dirty
        assert session.exec(select(OsAction).order_by(col(OsAction.id))).all() == before


def test_attributes_are_asked_for_until_they_were_said_and_after_another_system(town: Town) -> None:
    told(town)
    with Session(town.engine) as session:
        assert wants_attributes(session, DEVICE)
        put_attributes(session, DEVICE, {"a": "1"}, "replace", town.now_ms)
        put_attributes(session, DEVICE, {"b": "2"}, "merge", town.now_ms)
        assert not wants_attributes(session, DEVICE)
    finish(town)
    with Session(town.engine) as session:
        assert wants_attributes(session, DEVICE)
