"""What the director tells, and when: on both databases, over a link that keeps what a broker would keep."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, event
from sqlmodel import Session

from device.firmware.remote.desired import digest_of
from fleet.access.caller import SYSTEM
from fleet.desired import config_of, config_state, want_config
from fleet.director.home import DirectorHome
from fleet.director.seal import Seal
from fleet.director.telling import CHUNK, REPEAT_S, Director
from fleet.errors import BadOverlay
from fleet.rollouts.tell import Order, WantedTable
from fleet.store import tables
from fleet.store.database import open_database
from ota.messages import Channel, Desired, SignedDesired, Topic, new_id
from ota.trust.director import check_chain, open_document
from tests.brokers import wait_until
from tests.rollout_fleet import Town, names

TELL = WantedTable()
CAM = "cam-000000"


class Retaining:
    """A link whose broker keeps the last document of each device.

    Attributes:
        told: every document that was taken, in order.
        room: how many are taken until the link's queue is full.
        before: called before each is taken.
    """

    def __init__(self) -> None:
        self.up_since_s: float | None = 1.0
        self.told: list[Desired | SignedDesired] = []
        self.kept: dict[str, Desired | SignedDesired] = {}
        self.room = 10**9
        self.before: Callable[[], None] = lambda: None

    @property
    def is_up(self) -> bool:
        return self.up_since_s is not None

    def publish(self, topic: Topic, message: Any) -> bool:
        assert topic.channel is Channel.DESIRED
        self.before()
        if self.room <= 0:
            return False
        self.room -= 1
        self.told.append(message)
        self.kept[topic.device] = message
        return True

    def seqs(self) -> dict[str, int]:
        return {device: message.seq for device, message in self.kept.items() if isinstance(message, Desired)}


class Office:
    """A fleet with some devices, a release, and a director."""

    def __init__(self, engine: Engine, devices: int = 3) -> None:
        self.engine, self.link = engine, Retaining()
        self.town = Town(engine)
        self.town.add(names(devices))
        self.release = self.town.release()
        self.director = self.another()
        self.look()  # nothing yet: what follows is news

    def another(self, link: Retaining | None = None, seal: Seal | None = None) -> Director:
        return Director(self.engine, link or self.link, seal)  # type: ignore[arg-type]

    def want(self, *devices: str, action: str = "", release: str = "", kind: str = "model") -> None:
        orders = [
            Order(one, kind, release or self.release, "r", action or new_id(), "", 1) for one in devices
        ]
        with Session(self.engine) as session:
            TELL.want(session, orders)
            session.commit()

    def withdraw(self, *devices: str, kind: str = "model") -> None:
        with Session(self.engine) as session:
            TELL.withdraw(session, kind, "r", devices)
            session.commit()

    def configure(self, overlay: str, device: str = CAM, now_s: float | None = None) -> tables.Desired:
        with Session(self.engine) as session:
            return want_config(session, device, overlay, now_s or time.time(), SYSTEM)

    def look(self, mono_s: float = 10.0, director: Director | None = None) -> None:
        for _ in range(100):
            if not (director or self.director).look(mono_s):
                return
        raise AssertionError("it never has enough")

    def last(self, device: str = CAM) -> Desired:
        kept = self.link.kept[device]
        assert isinstance(kept, Desired)
        return kept


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Engine]:
    """SQLite alone, where nothing depends on the database."""
    opened = open_database(f"sqlite:///{tmp_path}/fleet.db")
    yield opened
    opened.dispose()


@pytest.fixture
def office(quick: Engine) -> Office:
    return Office(quick)


@pytest.fixture
def either(engine: Engine) -> Office:
    return Office(engine)


def test_an_order_is_told_once_and_says_what_the_rollout_wants(office: Office) -> None:
    action = new_id()
    office.want(CAM, action=action)
    office.look()
    (target,) = office.last().targets
    assert (target.action, target.window, target.length) == (action, None, 3_000_000)
    assert office.last().config == ""
    office.look()
    assert len(office.link.told) == 1


def test_a_configuration_and_releases_are_one_document(office: Office) -> None:
    office.configure("health_s = 5")
    firmware = office.town.release("pehra", "0.3.0", "d" * 64, kind="firmware")
    office.want(CAM)
    office.want(CAM, release=firmware, kind="firmware")
    office.look()
    document = office.last()
    assert [target.custom["kind"] for target in document.targets] == ["firmware", "model"]
    assert document.overlay == ["health_s = 5"]
    assert len(office.link.told) == 1


def test_a_withdrawn_order_is_told_as_a_document_without_it_and_with_a_higher_number(either: Office) -> None:
    either.want(CAM)
    either.look()
    before = either.last()
    either.withdraw(CAM, "cam-000001")
    either.look()
    assert either.last().targets == []
    assert either.last().seq > before.seq
    assert len(either.link.told) == 2, "of whom nothing was wanted nothing is told"


def test_a_number_is_never_below_the_clock_and_rises_within_a_second(either: Office) -> None:
    begun_s = int(time.time())
    seqs = []
    for _ in range(5):
        either.want(CAM)
        either.look()
        seqs.append(either.last().seq)
    assert seqs == sorted(set(seqs))
    assert seqs[0] >= begun_s


def test_after_the_database_was_lost_numbers_are_beyond_what_devices_have_read(office: Office) -> None:
    office.want(CAM)
    office.look()
    before = office.last().seq
    with Session(office.engine) as session:
        session.execute(delete(tables.Desired))
        session.commit()
    office.configure("health_s = 5", now_s=time.time() + 60)
    office.look()
    assert office.last().seq > before


def test_after_a_reconnection_and_after_a_day_all_are_told_anew_with_the_same_words(office: Office) -> None:
    office.want(*names(3))
    office.look(10.0)
    first = dict(office.link.kept)
    office.link.up_since_s = 2.0
    office.look(11.0)
    office.look(11.0 + REPEAT_S)
    assert len(office.link.told) == 9
    for device, message in office.link.kept.items():
        assert isinstance(message, Desired)
        assert isinstance(first[device], Desired)
        assert digest_of(message) == digest_of(first[device])
        assert message.id != first[device].id


def test_with_the_link_down_orders_wait(office: Office) -> None:
    office.link.up_since_s = None
    office.want(CAM)
    office.look()
    assert not office.link.told, "not queued either"
    office.link.up_since_s = 3.0
    office.look()
    assert office.last().targets


def test_a_link_that_is_full_in_the_middle_is_gone_on_with_where_it_was(quick: Engine) -> None:
    office = Office(quick, 2 * CHUNK + 10)
    office.want(*names(2 * CHUNK + 10))
    office.link.room = CHUNK + 7
    office.look()
    assert len(office.link.told) == CHUNK + 7
    office.link.room = 10**9
    office.look()
    assert len(office.link.told) == 2 * CHUNK + 10
    office.link.up_since_s = 2.0
    office.link.room = CHUNK + 7
    office.look()
    office.link.room = 10**9
    office.look()
    assert set(office.link.kept) == set(names(2 * CHUNK + 10))
    assert len(office.link.told) < 5 * CHUNK, "it does not begin again from the first"


def test_who_tells_an_old_number_after_another_has_told_the_new_one_lets_it_be_told_again(
    either: Office,
) -> None:
    """Two fleet managers, one of which stops between reading and telling."""
    either.want(CAM)
    other = either.another()

    def meanwhile() -> None:
        either.link.before = lambda: None
        either.withdraw(CAM)
        either.look(director=other)
        assert either.last().targets == []

    either.look(director=other)
    either.look()
    either.want(CAM)
    either.link.before = meanwhile
    either.look()
    assert either.last().targets, "the broker keeps the old one for a moment"
    either.look()
    assert either.last().targets == [], "the newest word is the last"


def test_a_kill_between_telling_and_writing_it_down_lets_it_be_told_again(office: Office) -> None:
    office.want(CAM)

    def dies(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lower().startswith("update desired"):
            raise KeyboardInterrupt

    event.listen(office.engine, "before_cursor_execute", dies)
    with pytest.raises(KeyboardInterrupt):
        office.director.look(10.0)
    event.remove(office.engine, "before_cursor_execute", dies)
    office.look(director=office.another())
    first, second = office.link.told[:2]
    assert isinstance(first, Desired)
    assert isinstance(second, Desired)
    assert digest_of(first) == digest_of(second)


def test_an_order_whose_transaction_is_taken_back_is_not_told(office: Office) -> None:
    with Session(office.engine) as session:
        TELL.want(session, [Order(CAM, "model", office.release, "r", new_id(), "", 1)])
        session.rollback()
    office.look()
    assert not office.link.told


def test_two_directors_at_once_end_with_the_newest_word_for_everybody(engine: Engine) -> None:
    office = Office(engine, 40)
    stop, lock = threading.Event(), threading.Lock()
    office.link.before = lambda: (lock.acquire(), lock.release())[1]
    directors = [office.another(), office.another()]
    threads = [threading.Thread(target=one.run, args=(stop,)) for one in directors]
    for thread in threads:
        thread.start()
    for _ in range(6):
        office.want(*names(40))
        office.withdraw(*names(20))
        for one in directors:
            one.wake()

    def is_settled() -> bool:
        with Session(engine) as session:
            rows = session.execute(tables.Desired.__table__.select()).mappings().all()  # type: ignore[attr-defined]
            seqs = office.link.seqs()
            return all(not row["is_due"] and seqs.get(row["device"]) == row["seq"] for row in rows)

    wait_until(is_settled, lambda: str(office.link.seqs()), 30)
    stop.set()
    for thread in threads:
        thread.join(10)
    wanted = {device for device, message in office.link.kept.items() if message.targets}  # type: ignore[union-attr]
    assert wanted == set(names(40)[20:])


def test_a_quiet_second_costs_one_look_at_an_empty_index(quick: Engine) -> None:
    office = Office(quick, 500)
    office.want(*names(500))
    office.look()
    seen: list[str] = []
    event.listen(quick, "before_cursor_execute", lambda *args: seen.append(args[2]))
    office.look()
    asked = [one for one in seen if one.lower().startswith("select")]
    assert len(asked) == 1
    with quick.connect() as connection:
        plan = connection.exec_driver_sql(f"explain query plan {asked[0]}", (CHUNK, 0)).all()
    assert "ix_desired_due" in str(plan)


def test_documents_are_sealed_and_after_a_rotation_all_are_told_under_the_new_key(
    office: Office, tmp_path: Path
) -> None:
    home = DirectorHome(tmp_path)
    home.make(lambda *_: "a passphrase for tests", datetime.now(UTC) - timedelta(days=1))
    director = office.another(seal=Seal(home))
    office.look(director=director)
    office.want(*names(3))
    office.look(director=director)
    root = check_chain(home.chain())
    sealed = [message for message in office.link.told if isinstance(message, SignedDesired)]
    assert {open_document(one, root).device for one in sealed} == set(names(3))
    home.rotate(lambda *_: "a passphrase for tests", datetime.now(UTC))
    office.look(director=director)
    newer = check_chain(home.chain())
    again = office.link.told[3:]
    assert len(again) == 3
    assert all(isinstance(one, SignedDesired) and open_document(one, newer) for one in again)


def test_a_fleet_that_lacks_its_key_tells_nothing(office: Office) -> None:
    office.want(CAM)
    silent = Director(office.engine, office.link, is_silent=True)  # type: ignore[arg-type]
    office.look(director=silent)
    assert not office.link.told
    office.look()
    assert office.link.told, "it waits until the key is there"


def test_a_document_that_is_too_large_is_left_out_and_the_others_are_told(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    big = office.town.release("big", "1", "e" * 64, custom={"kind": "model", "card": {"x": "y" * 100_000}})
    office.want(CAM, release=big)
    office.want("cam-000001")
    office.look()
    assert set(office.link.kept) == {"cam-000001"}
    assert "not told" in caplog.text


def test_an_order_leaves_the_word_on_a_configuration_that_a_device_has_given(office: Office) -> None:
    wanted = office.configure("health_s = 5")
    device = tables.Device(id=CAM, reported={"seq": wanted.seq, "outcome": "refused"})
    assert config_state(wanted, device) == "refused"
    office.want(CAM)
    with Session(office.engine) as session:
        raised = config_of(session, CAM)
        assert raised is not None
        assert raised.seq > wanted.seq
        assert config_state(raised, device) == "refused"
        assert config_of(session, "cam-000001") is None
    changed = office.configure("health_s = 6")
    assert config_state(changed, device) == "waiting"


def test_a_configuration_that_does_not_fit_leaves_no_mark(office: Office) -> None:
    quotes = "# " + '"' * 190
    with pytest.raises(BadOverlay, match="does not fit"):
        office.configure("\n".join([quotes] * 240))
    office.look()
    assert not office.link.told
