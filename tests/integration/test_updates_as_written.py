"""docs/updates.md, typed from its first line to its last, at a real fleet with cameras that obey and verify.

Each test reads the manual to the end of a chapter, and looks at what must be true then. What is typed instead
of what stands there is in `INSTEAD`: paths, addresses, and the hours for which stages rest.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, select
from typer.testing import CliRunner

from device.firmware.claim_file import IDENTITY
from device.firmware.trust_roots import DIRECTOR_ROOT, IMAGE_ROOT
from device.firmware.updating.ledger import LedgerFiles
from fleet.broker.run import find_mosquitto
from fleet.rollouts.tell import Order, WantedTable
from fleet.store.tables import Device
from fleet.store.tables_rollouts import Release, WantedRelease
from ota.images.home import DELTAS, Home
from ota.images.status import offers
from ota.messages import new_id
from ota.trust.download import download
from ota.trust.sources import USB_FOLDER, FolderSource
from pehra.cli import app
from tests.brokers import wait_until
from tests.conftest import missing
from tests.manual_thief import Thief
from tests.manual_town import BAD, CAMERAS, CHAPTERS, DOCUMENT, GOOD, MANUAL, MENDED, Town

INSTEAD = {
    "/var/lib/": "{folder}/var/lib/",
    "/srv/www/": "{folder}/srv/www/",
    "/media/": "{folder}/media/",
    " device/models/": " {root}/device/models/",
    " models/street-3 ": " {folder}/models/street-3 ",
    " models/street-3.2 ": " {folder}/models/street-3.2 ",
    "--host fleet.lahore.example": "--host localhost --https-port {https} --mqtt-port {mqtt}",
    "--host 0.0.0.0": "--host 127.0.0.1",
    "--soak 4h": "--soak 1s",
    "--soak 30m": "--soak 1s",
}
PEOPLE = {"pehra rollout approve": "bilal", "": "ayesha"}
CEREMONY, RELEASE, ROLL_OUT, FRESH, STICK, STOLEN, BAD_RELEASE = (
    "Key ceremony",
    "Make a release",
    "Roll it out",
    "Keep it fresh",
    "By stick",
    "Emergency: a stolen key",
    "Emergency: a bad release",
)


def path_of(version: str) -> str:
    return f"models/street-3-{version}.tar"


def may_not_approve(town: Town) -> None:
    assert town.rollout("new eyes")["state"] == "pending"
    assert "second person" in town.typist.type('pehra rollout approve "new eyes"', code=2, by="ayesha")


def is_held(town: Town) -> None:
    assert town.rollout("new eyes")["state"] == "paused"


def steal(town: Town) -> None:
    """Whatever one of them signs is believed until the manual is followed."""
    town.see()
    town.thief = Thief(town)
    for stick in ("signing", "bilal"):
        town.thief.take(stick)
    assert town.thief.is_believed == [True, True, True]


def roll_out_the_bad_one(town: Town) -> None:
    """A bad release goes the documented way, until one camera runs it."""
    also = {
        "models/street-3 ": "models/street-3.1 ",
        GOOD: BAD,
        "new eyes": "newer eyes",
        "--soak 1s": "--soak 4h",
    }
    written = [line for block in MANUAL if block.chapter in (RELEASE, ROLL_OUT) for line in block.lines]

    def type_again(*begins: str) -> None:
        for begin in begins:
            town.typist.type(next(line for line in written if line.startswith(begin)), also)

    type_again("pehra ota add models", "pehra ota sign", "pehra ota publish")
    is_seen(town)
    type_again("pehra rollout create", "pehra rollout approve")
    wait_until(lambda: list(town.running().values()).count(BAD) == 1, town.words, 60)


def nobody_else_gets_it(town: Town) -> None:
    assert town.rollout("newer eyes")["counts"] == {"succeeded": 1, "skipped": 2}


def is_seen(town: Town) -> None:
    """The fleet sees a publication within seconds, once it runs."""
    offered = {one.release.version for one in offers(Home(town.images))}
    wait_until(lambda: town.cameras is None or town.releases() == offered, town.words)


BEFORE = {STOLEN: steal, BAD_RELEASE: roll_out_the_bad_one}
AFTER = {
    CEREMONY: Town.let_in,
    "pehra ota publish": is_seen,
    "pehra rollout create street-3@3.0.0": may_not_approve,
    "pehra rollout pause": is_held,
    "pehra rollout abort": nobody_else_gets_it,
}
"""After a chapter, or after a line that begins so."""


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    """Outside of pytest's own folder, which is closed to Mosquitto's user."""
    if find_mosquitto() is None:
        missing("mosquitto is not installed (Debian package: mosquitto)")
    with tempfile.TemporaryDirectory(prefix="pehra-manual-", ignore_cleanup_errors=True) as place:
        Path(place).chmod(0o755)
        made = Town(Path(place), INSTEAD, PEOPLE, BEFORE, AFTER)
        try:
            yield made
        finally:
            made.close()
            sys.stdout.write("\n".join(made.typist.said))


def test_the_ceremony_leaves_no_offline_key_at_the_fleet_and_gives_cameras_both_roots(town: Town) -> None:
    town.read(CEREMONY)
    left = {
        file.relative_to(town.folder / "var/lib").as_posix() for file in town.folder.glob("var/lib/**/*.pem")
    }
    assert {one for one in left if "keys/" in one or "root.key" in one} == set()
    for name in CAMERAS:
        assert (town.folder / name / IDENTITY / DIRECTOR_ROOT).exists()
        root = (town.folder / name / IDENTITY / IMAGE_ROOT).read_text()
        assert json.loads(root) == json.loads((town.images / "root.json").read_text())


def test_a_release_that_was_signed_and_published_is_known_to_the_fleet(town: Town) -> None:
    town.read(RELEASE)
    assert f"street-3@{GOOD}" in town.typist.type("pehra rollout release list")
    assert town.see(path_of(GOOD)).targets[path_of(GOOD)] is not None


def test_a_rollout_that_a_second_person_approved_reaches_all_cameras(town: Town) -> None:
    town.read(ROLL_OUT)
    assert town.rollout("new eyes")["state"] == "done"
    assert set(town.running().values()) == {GOOD}


def test_what_was_renewed_is_followed_by_cameras_and_holds_for_longer(town: Town) -> None:
    town.read(FRESH)
    assert town.see().versions["root"] == 2
    town.wait_for_director()


def test_a_camera_takes_from_the_stick_what_it_takes_from_the_network(town: Town) -> None:
    town.read(STICK)
    stick, path = FolderSource(town.media / "stick" / USB_FOLDER), path_of(GOOD)
    late = datetime.now(UTC) + timedelta(days=13)
    seen = town.see(path, source=stick, now=late)
    target = seen.targets[path]
    assert target is not None
    download(stick, target, town.folder / "from-stick.tar", prefixes_hash=seen.prefixes_hash)
    newest = town.see(path).versions
    assert all(newest[role] >= number for role, number in seen.versions.items()), "the network is not behind"


def test_what_stolen_keys_sign_is_refused_after_the_rotations_and_cameras_follow(town: Town) -> None:
    town.read(STOLEN)
    town.wait_for_director()
    town.see()
    assert town.thief.is_believed == [False, False, False]


def test_a_bad_release_is_stopped_taken_back_and_offered_to_nobody(town: Town) -> None:
    town.read(BAD_RELEASE)
    assert town.rollout("newer eyes")["state"] == "reverted"
    assert town.releases("withdrawn") == {BAD}
    line = f"pehra rollout create street-3@{BAD} --to all --no-approval"
    assert "withdrawn" in town.typist.type(line, code=2)
    assert town.see(path_of(BAD)).targets[path_of(BAD)] is None
    with Session(town.database) as session:
        bad = session.exec(select(Release).where(Release.version == BAD)).one()
        wanted = session.exec(select(WantedRelease.release)).all()
    assert bad.id not in wanted
    assert not [path for path in Home(town.images).targets_role(DELTAS).targets if bad.sha256[:32] in path]


def test_the_mended_release_reaches_all_cameras_and_nothing_below_it_is_taken_any_more(town: Town) -> None:
    town.read(BAD_RELEASE)
    assert town.rollout("mended eyes")["state"] == "done"
    assert set(town.running().values()) == {MENDED}
    for name in CAMERAS:
        assert LedgerFiles(town.folder / name / "journal").read().floors["model/street-3"] == 1


def test_not_even_the_director_brings_the_bad_release_back(town: Town) -> None:
    town.read(BAD_RELEASE)
    with Session(town.database) as session:
        bad = session.exec(select(Release).where(Release.version == BAD)).one()
        order = Order(CAMERAS[0], "model", bad.id, "", new_id(), "", time.time_ns() // 1_000_000)
        WantedTable().want(session, [order])
        session.commit()

    def answer() -> dict[str, Any]:
        with Session(town.database) as session:
            return session.get_one(Device, CAMERAS[0]).update or {}

    wait_until(lambda: answer().get("action") == order.action, town.words)
    wait_until(lambda: answer()["state"] == "rejected", town.words)
    assert answer()["reason"] == "security version 0; 1 was committed before"
    assert town.running()[CAMERAS[0]] == MENDED


def test_every_command_that_the_manual_names_in_passing_is_one() -> None:
    text = re.sub(r"(?ms)^```.*?^```$", "", DOCUMENT.read_text())
    named = {one.split(" --")[0] for one in re.findall(r"`(pehra [^`]+)`", text)}
    assert named
    for one in named:
        done = CliRunner().invoke(app, [*one.split()[1:], "--help"])
        assert (done.exit_code, "Usage" in done.output) == (0, True), one


def test_every_block_of_the_manual_was_typed(town: Town) -> None:
    assert len(MANUAL) == DOCUMENT.read_text().count("\n```") / 2
    assert CHAPTERS == [CEREMONY, RELEASE, ROLL_OUT, FRESH, STICK, STOLEN, BAD_RELEASE]
    town.read(CHAPTERS[-1])
    assert town.typed == MANUAL
