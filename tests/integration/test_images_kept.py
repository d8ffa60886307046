"""The fleet at the image repository: signs it in time, tells rollouts what is offered, believes no folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select
from tuf.api.metadata import Metadata, TargetFile, Targets

from fleet.identity.home import Home
from fleet.images.keeping import ImageKeeper
from fleet.rollouts.releases import NewRelease, add_release, list_releases
from fleet.rollouts.tell import Order, WantedTable, target_of
from fleet.store import tables
from fleet.store.database import open_database
from fleet.store.tables_rollouts import Release
from ota.messages import Channel, Desired, Target, decode, encode, format_ts, new_id
from ota.trust.folder import TrustFolder
from tests.image_repository import Images

PATH = "models/small-1.0.tar"


class House:
    """A fleet with a home folder, an engine, and a repository."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.engine, self.home, self.images = engine, Home(folder / "home"), Images(folder)
        self.home.folder.mkdir()
        self.images.publish()
        self.trusted = TrustFolder(folder / "trust")
        self.keeper = self.another()

    def another(self, *, signs: bool = True) -> ImageKeeper:
        repository = self.images.home.folder if signs else None
        return ImageKeeper(self.engine, self.home, self.images.folder, repository)

    def look(self, now: datetime | None = None, keeper: ImageKeeper | None = None) -> None:
        (keeper or self.keeper).look(self.trusted, now or datetime.now(UTC))

    def releases(self) -> dict[str, Release]:
        with Session(self.engine) as session:
            return {row.path: row for row in list_releases(session)}

    def signed(self, path: str = PATH) -> TargetFile:
        role = self.images.home.current("models")
        assert role is not None
        targets: Targets = role.signed
        return targets.targets[path]

    def expires(self, name: str = "timestamp.json") -> datetime:
        content = (self.images.folder / "metadata" / name).read_bytes()
        found: datetime = Metadata.from_bytes(content).signed.expires.replace(tzinfo=UTC)
        return found


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    engine = open_database(f"sqlite:///{tmp_path}/fleet.db")
    yield House(tmp_path, engine)
    engine.dispose()


def test_what_is_published_becomes_a_release_with_the_digest_that_devices_report(house: House) -> None:
    house.images.model("1.0", sec_ver=3)
    house.images.publish()
    house.look()
    row = house.releases()[PATH]
    assert (row.kind, row.name, row.version, row.sec_ver) == ("model", "small", "1.0", 3)
    assert row.mark == hashlib.sha256(b"\x20\0\0\0TFL3weights").hexdigest()
    assert row.sha256 == house.signed().hashes["sha256"]
    house.look()
    assert len(house.releases()) == 1


def test_a_new_repository_in_the_place_of_a_lost_one_is_read_once_its_root_is_given(
    house: House, tmp_path: Path
) -> None:
    house.images.model("1.0")
    house.images.publish()
    house.look()
    fresh = Images(tmp_path / "fresh")
    fresh.model("2.0")
    fresh.publish()
    keeper = ImageKeeper(house.engine, house.home, fresh.folder, fresh.home.folder)
    house.look(keeper=keeper)
    assert "models/small-2.0.tar" not in house.releases(), "whose repository that is nobody has said"
    house.home.image_root.write_bytes(fresh.home.first_root.read_bytes())
    house.look(keeper=keeper)
    assert house.releases()["models/small-2.0.tar"].state == "ready"
    assert house.releases()[PATH].state == "withdrawn"


def test_what_the_director_says_of_it_equals_word_for_word_what_is_signed(house: House) -> None:
    house.images.model("1.0")
    house.images.publish()
    house.look()
    target = target_of(house.releases()[PATH], action=new_id())
    told = decode(Channel.DESIRED, encode(a_document(target)))
    assert isinstance(told, Desired)
    (heard,) = told.targets
    signed = house.signed()
    assert (heard.path, heard.length) == (signed.path, signed.length)
    assert (heard.hashes, heard.custom) == (signed.hashes, signed.custom)


def a_document(target: Target) -> Desired:
    ids = {"id": new_id(), "action": new_id(), "ts": format_ts(0), "expires": format_ts(1)}
    return Desired(**ids, device="cam-01", seq=1, targets=[target])


def test_what_is_signed_but_not_published_is_no_release_until_it_is(house: House) -> None:
    house.look()
    house.images.model("1.0")
    house.look(keeper=house.another(signs=False))
    assert not house.releases()
    house.look()
    assert set(house.releases()) == {PATH}, "the fleet signs the snapshot, and publishes the file before it"


def test_a_release_that_is_offered_no_longer_gets_no_new_rollout(house: House) -> None:
    house.images.model("1.0")
    house.images.publish()
    house.look()
    with Session(house.engine) as session:
        by_hand = NewRelease("model", "by-hand", "1", "f" * 64, 10)
        add_release(session, by_hand, "noor", 1)
    house.images.remove(PATH)
    house.images.publish()
    house.look()
    states = {row.name: row.state for row in house.releases().values()}
    assert states == {"small": "withdrawn", "by-hand": "ready"}


def test_what_is_signed_anew_about_the_same_content_is_told_anew(house: House) -> None:
    house.images.model("1.0")
    house.images.publish()
    house.look()
    row = house.releases()[PATH]
    with Session(house.engine) as session:
        WantedTable().want(session, [Order("cam-01", "model", row.id, "r", new_id(), "", 1)])
        session.commit()
        before = session.get_one(tables.Desired, "cam-01").seq
    house.images.model("1.0", hw="raspberry-pi-5")
    house.images.publish()
    house.look()
    after = house.releases()[PATH]
    assert (after.id, after.hw, after.custom) == (row.id, ["raspberry-pi-5"], house.signed().custom)
    with Session(house.engine) as session:
        assert session.get_one(tables.Desired, "cam-01").seq > before


def test_a_release_that_was_told_by_hand_learns_what_is_signed_about_it(house: House) -> None:
    house.images.model("1.0")
    signed = house.images.home.waiting("models") or house.images.home.current("models")
    assert signed is not None
    target = signed.signed.targets[PATH]
    with Session(house.engine) as session:
        new = NewRelease("model", "small", "1.0", target.hashes["sha256"], target.length)
        by_hand = add_release(session, new, "noor", 1).id
    house.images.publish()
    house.look()
    row = house.releases()[PATH]
    assert (row.id, row.custom) == (by_hand, target.custom)


@pytest.mark.parametrize("what", ["metadata", "target", "other-repository"])
def test_a_folder_that_somebody_has_changed_is_not_believed(
    house: House, what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house.look()
    if what == "other-repository":
        other = Images(tmp_path / "other")
        other.model("6.6")
        other.publish()
        shutil.rmtree(house.images.folder)
        shutil.copytree(other.folder, house.images.folder)
    else:
        house.images.model("1.0")
        house.images.publish()
        files = house.images.folder.glob("targets/models/*" if what == "target" else "metadata/*.models.json")
        for file in files:
            file.write_bytes(file.read_bytes().replace(b"small", b"smell"))
    house.look(keeper=house.another(signs=False))
    assert not house.releases()
    assert "ERROR" in {record.levelname for record in caplog.records}


def test_a_fleet_that_does_not_know_the_first_root_reads_nothing_and_says_where_to_lay_it(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.images.model("1.0")
    house.images.publish()
    keeper = house.another(signs=False)
    house.look(keeper=keeper)
    assert not house.releases()
    assert str(house.home.image_root) in caplog.text
    shutil.copy(house.images.home.first_root, house.home.image_root)
    house.look(keeper=keeper)
    assert set(house.releases()) == {PATH}


def test_with_the_repositorys_home_devices_are_given_its_first_root(house: House) -> None:
    house.look()
    assert house.home.image_root.read_bytes() == house.images.home.first_root.read_bytes()
    house.home.image_root.write_text("of the administrator")
    house.look()
    assert house.home.image_root.read_text() == "of the administrator", "it is never replaced"


def test_half_way_through_its_life_the_timestamp_is_signed_again(house: House) -> None:
    house.look()
    before = house.expires()
    house.look(house.images.age(timedelta(hours=11)))
    assert house.expires() == before
    house.look(house.images.age(timedelta(hours=13)))
    assert house.expires() > before
    house.look(house.images.age(timedelta(days=300)))
    assert house.expires() > house.images.age(timedelta(days=300))


def test_a_missing_online_key_is_said_once_in_words(house: House, caplog: pytest.LogCaptureFixture) -> None:
    (house.images.home.online_keys / "timestamp-1.pem").unlink()
    for hours in (13, 14, 15):
        house.look(house.images.age(timedelta(hours=hours)))
    said = [record.getMessage() for record in caplog.records if "not signed again" in record.getMessage()]
    assert len(said) == 1
    assert "online" in said[0]


def test_offline_signatures_that_run_out_are_said(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.look(house.images.age(timedelta(days=330)))
    assert "root version 1" in caplog.text
    assert "pehra ota renew root" in caplog.text


def test_a_model_without_a_model_in_it_stops_no_other(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.images.model("1.0")
    house.images.model("1.1", weights=b"others")
    house.images.publish()
    for file in house.images.folder.glob("targets/models/*small-1.0*"):
        file.unlink()
    house.look(keeper=house.another(signs=False) if house.home.image_root.exists() else house.keeper)
    with Session(house.engine) as session:
        assert [row.version for row in session.exec(select(Release))] == ["1.1"]
    assert "small-1.0" in caplog.text


def test_what_was_wrong_with_a_file_and_was_put_right_is_a_release_without_a_restart(house: House) -> None:
    house.images.model("1.0")
    house.images.publish()
    keeper = house.another(signs=False)
    house.look()  # lays the first root, signs
    with Session(house.engine) as session:
        session.delete(session.exec(select(Release)).one())
        session.commit()
    (file,) = house.images.folder.glob("targets/models/*small-1.0*")
    content = file.read_bytes()
    file.write_bytes(content[::-1])
    house.look(keeper=keeper)
    assert not house.releases()
    file.write_bytes(content)
    house.look(keeper=keeper)
    assert set(house.releases()) == {PATH}
