"""What is installed at all, decided before a byte is fetched: for which board, how old, how large."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from device.firmware.config import parse_config
from device.firmware.updater import gate
from device.firmware.updating.admission import Situation, dropped_classes, refusal, release_in
from device.firmware.updating.finding import Moment, held_up, late, unwanted
from device.firmware.updating.holding import FileHold, first_of
from device.firmware.updating.journal import Journal
from device.firmware.updating.ledger import Ledger
from device.firmware.updating.metered import default_interface, is_metered
from device.firmware.updating.ways import Ways
from device.firmware.updating.wishes import wishes_of
from ota.messages import Desired, format_ts, new_id, parse_ts
from ota.messages.desired import Target
from ota.trust.release import Release
from tests.device_toml import head

SHA = "ab" * 32
CARD = {"labels": ["person", "bicycle", "motorcycle", "car", "bus", "truck"]}
RELEASE = Release(kind="model", name="small", version="1.0", hw=["raspberry-pi-4"], sec_ver=2, card=CARD)
RULES = """
[[camera]]
source = "street"
[[camera.rule]]
name = "gate"
kind = "zone"
points = [[0.1, 0.5], [0.9, 0.5], [0.9, 0.95]]
classes = ["person"]
"""


def config(rest="", rules=RULES):
    return parse_config(head(Path("/nowhere")) + rest + rules, Path("device.toml"))


def target(release=RELEASE, **fields):
    values = {"path": "models/small-1.0.tar", "length": 1000, "hashes": {"sha256": SHA}}
    return Target(**(values | {"custom": msgspec.to_builtins(release)} | fields))


def now(**fields):
    values = {
        "boards": frozenset({"Raspberry Pi 4 Model B Rev 1.4", "raspberry-pi-4"}),
        "firmware": "0.2.0",
        "ledger": Ledger(),
        "installed": {"pehra": "0.2.0", "street-2": "2.0.0"},
        "cameras": config().camera,
        "sees": frozenset({"person", "car"}),
        "max_bytes": {"model": 10_000, "firmware": 100_000},
    }
    return Situation(**(values | fields))


def why_not(release=RELEASE, situation=None, **fields):
    return refusal(target(release, **fields), release, situation or now())


def changed(**fields):
    return msgspec.structs.replace(RELEASE, **fields)


def test_what_nothing_speaks_against_is_installed():
    assert why_not() == ""
    assert why_not(changed(hw=["any"], requires={"street-2": "1.9"}, min_agent="0.2")) == ""
    assert why_not(changed(hw=["Raspberry Pi 4 Model B Rev 1.4"])) == ""


@pytest.mark.parametrize(
    ("release", "situation", "reason"),
    [
        (
            changed(hw=["jetson-orin", "raspberry-pi-5"]),
            {},
            "for jetson-orin, raspberry-pi-5; this is raspberry",
        ),
        (changed(hw=[]), {}, "for no board"),
        (changed(sec_ver=1), {"ledger": Ledger(floors={"model/small": 2})}, "version 1; 2 was committed"),
        (changed(min_agent="0.10"), {}, "needs firmware 0.10 or later; 0.2.0 runs"),
        (changed(requires={"street-2": "2.0.1"}), {}, "needs street-2 2.0.1 or later; 2.0.0 is there"),
        (changed(requires={"voices": "1"}), {}, "needs voices 1 or later; none is there"),
        (
            RELEASE,
            {"ledger": Ledger(quarantined={SHA: "it saw nothing"})},
            "quarantined on this device: it saw",
        ),
        (RELEASE, {"max_bytes": {"model": 999}}, "1000 bytes; a model has at most 999"),
        (RELEASE, {"max_bytes": {}}, "at most 0"),
        (changed(card={"labels": ["car"]}), {}, "it cannot see person, which rule gate of cam0 waits for"),
        (RELEASE, {"forbidden": "[update] enabled = false"}, "enabled = false"),
    ],
)
def test_what_is_not_for_this_device_is_refused_in_words(release, situation, reason):
    assert reason in why_not(release, now(**situation))


def test_a_new_release_of_another_hash_is_not_in_quarantine_and_a_good_one_may_come_back():
    ledger = Ledger(quarantined={SHA: "slow", "cd" * 32: "slow"}, good=[SHA])
    assert why_not(situation=now(ledger=ledger)) == ""
    assert "quarantined" in why_not(situation=now(ledger=ledger), hashes={"sha256": "cd" * 32})


def test_a_document_without_a_sha256_names_nothing():
    assert why_not(hashes={"md5": "00"}) == "its document names no sha256"


def test_a_class_that_no_rule_names_or_that_is_not_seen_now_is_not_lost():
    cameras = config().camera
    assert dropped_classes(["person"], cameras, frozenset({"person", "car"})) == ""
    assert dropped_classes(["car"], cameras, frozenset({"car"})) == ""
    assert dropped_classes(["car"], cameras, frozenset()) != "", "who sees nothing may lose everything"
    assert dropped_classes(["pedestrian"], cameras, frozenset({"person"})) == "", "another word for it"
    assert dropped_classes([], cameras, frozenset({"person"})) == "", (
        "nothing is said: the real card is looked at"
    )
    assert dropped_classes(["boat"], cameras, frozenset({"person"})) != ""


@pytest.mark.parametrize("custom", [{}, {"kind": "model"}, {"kind": "cheese"}, {"kind": "model", "hw": 3}])
def test_what_is_no_release_is_a_sentence(custom):
    said = release_in(target(custom=custom))
    assert isinstance(said, str)
    assert "no release" in said


def document(*targets, **fields):
    values = {
        "id": new_id(),
        "ts": format_ts(0),
        "device": "cam-01",
        "action": new_id(),
        "seq": 1,
        "expires": format_ts(0),
    }
    return Desired(**(values | {"targets": list(targets)} | fields))


FIRMWARE = Release(kind="firmware", name="pehra", version="0.3.0", hw=["any"])


def test_each_kind_has_its_own_action_window_and_the_documents_where_it_says_none():
    other = new_id()
    heard = document(target(), target(FIRMWARE, action=other, window=""), window="02:00-05:00")
    wishes = wishes_of(heard)
    model, firmware = wishes.by_kind["model"], wishes.by_kind["firmware"]
    assert (model.action, model.window) == (heard.action, "02:00-05:00")
    assert (firmware.action, firmware.window) == (other, "")
    assert wishes.refused == ()


def test_two_targets_for_one_kind_are_both_refused():
    wishes = wishes_of(document(target(), target(hashes={"sha256": "cd" * 32}), target(FIRMWARE)))
    assert list(wishes.by_kind) == ["firmware"]
    assert [reason for _, reason in wishes.refused] == [
        "2 releases for one kind (model): which is meant?"
    ] * 2


@pytest.mark.parametrize("kind", ["os", None, 7, "x" * 500])
def test_a_kind_that_nobody_knows_is_refused(kind):
    ((wish, reason),) = wishes_of(document(target(custom={"kind": kind}))).refused
    assert wish.target.custom == {"kind": kind}
    assert "not installed here" in reason
    assert len(reason) < 120


DAY = parse_ts("2026-11-25T12:00:00.000Z")


def journal(**fields):
    return Journal(**({"state": "downloading", "target": target(), "since_s": DAY} | fields))


def test_what_cannot_be_fetched_has_failed_after_a_day_or_at_its_deadline():
    assert late(journal(), Moment(DAY + 86_000)) == ""
    assert late(journal(), Moment(DAY + 86_500)) == "not done within 24 h"
    assert late(journal(deadline_s=DAY + 10), Moment(DAY + 11)) == "its deadline has passed"
    assert late(journal(deadline_s=DAY + 900_000), Moment(DAY + 86_500)) == ""


def test_what_waits_for_its_window_may_wait_for_the_next_week():
    assert late(journal(state="staged"), Moment(DAY + 7 * 86_400)) == ""
    assert late(journal(state="staged"), Moment(DAY + 9 * 86_400)) == "not done within 192 h"


def test_nobody_is_late_by_a_clock_that_is_not_set():
    assert late(journal(since_s=0.0), Moment(DAY)) == ""
    assert late(journal(deadline_s=1.0), Moment(100.0)) == ""


def ways(**fields):
    return Ways(lambda ledger: now(), lambda: True, lambda kind: None, **fields)


def test_a_switch_waits_for_its_window_in_the_sites_timezone():
    staged, karachi = journal(state="staged", window="17:00-18:00"), ways(timezone="Asia/Karachi")
    assert held_up(staged, karachi, Moment(DAY)) == "", "noon in Greenwich is five in Karachi"
    assert held_up(staged, ways(), Moment(DAY)) == "waits for its window 17:00-18:00 (UTC)"
    assert "clock" in held_up(staged, karachi, Moment(0.0))


def test_going_back_waits_for_no_window_but_for_an_aircraft():
    back = journal(state="rolling-back", window="17:00-18:00")
    assert held_up(back, ways(), Moment(DAY)) == ""
    assert held_up(back, ways(hold=lambda: "deferred: airborne"), Moment(DAY)) == "deferred: airborne"


def test_what_nobody_has_been_heard_of_is_still_wanted():
    assert unwanted("model", journal(), None) == ""
    assert unwanted("model", journal(), wishes_of(document())) == "it is wanted no longer"
    other = wishes_of(document(target(path="models/x.tar", hashes={"sha256": "cd" * 32})))
    assert unwanted("model", journal(), other) == "models/x.tar is wanted instead"
    assert unwanted("model", journal(), wishes_of(document(target()))) == ""


def test_a_file_holds_every_switch_up_while_it_is_there(tmp_path):
    hold = FileHold(tmp_path / "run" / "hold")
    assert hold() == ""
    hold_file = tmp_path / "run" / "hold"
    hold_file.parent.mkdir()
    hold_file.write_text("deferred: armed\nmore\n")
    assert hold() == "deferred: armed"
    hold_file.write_bytes(b"")
    assert hold() == f"held by {hold_file}"
    hold_file.write_bytes(b"\xff" * 5000)
    assert 0 < len(hold()) <= 200
    hold_file.unlink()
    hold_file.mkdir()
    assert "cannot be read" in hold(), "what cannot be read holds"


def test_the_first_hold_that_holds_is_told():
    assert first_of(lambda: "", lambda: "armed", lambda: "airborne")() == "armed"
    assert first_of()() == ""


ROUTE = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"


def routes(folder, *lines):
    file = folder / "route"
    file.write_text(
        ROUTE
        + "".join(
            f"{name}\t{to}\t0101A8C0\t3\t0\t0\t{metric}\t{mask}\t0\t0\t0\n"
            for name, to, metric, mask in lines
        )
    )
    return file


ALL = "00000000"


def test_the_default_route_with_the_smallest_metric_counts(tmp_path):
    file = routes(tmp_path, ("eth0", ALL, 600, ALL), ("wwan0", ALL, 100, ALL), ("tun0", ALL, 0, "00000080"))
    assert default_interface(file) == "wwan0"
    assert default_interface(tmp_path / "none") == ""
    (tmp_path / "route").write_text("rubbish\nof\nsome kind\n")
    assert default_interface(file) == ""


@pytest.mark.parametrize(
    ("interface", "said", "metered"),
    [
        ("wlan0", "GENERAL.METERED:yes (guessed)", True),
        ("wlan0", "GENERAL.METERED:no (guessed)", False),
        ("wwan0", "GENERAL.METERED:no", False),
        ("wwan0", "GENERAL.METERED:unknown", True),
        ("wwan0", "", True),
        ("ppp0", "", True),
        ("usb0", "", True),
        ("eth0", "", False),
    ],
)
def test_the_network_manager_is_believed_and_else_the_kind_of_interface(tmp_path, interface, said, metered):
    file = routes(tmp_path, (interface, ALL, 0, ALL))
    assert (
        is_metered("auto", file, ask=lambda name: said if name == interface else "no such device") is metered
    )
    assert is_metered("yes", file) is True
    assert is_metered("no", file) is False


def test_a_board_without_a_route_or_a_network_manager_is_not_metered(tmp_path):
    assert is_metered("auto", tmp_path / "none") is False
    assert is_metered("auto", routes(tmp_path, ("eth0", ALL, 0, ALL)), program="no-such-program") is False


def test_a_large_download_waits_on_a_metered_link_and_a_small_one_does_not():
    section = config('[update]\nmetered = "yes"\nmetered_mb = 2\n').update
    assert gate(section, "UTC", 1_900_000) == ""
    assert gate(section, "UTC", 2_100_000) == "the link is metered: 2.1 MB, at most 2 over it"


def test_a_download_waits_for_its_hours():
    section = config('[update]\nmetered = "no"\ndownload_window = "13:00-14:00"\n').update
    assert "its hours of download 13:00-14:00 (UTC)" in gate(section, "UTC", 1, lambda: DAY)
    assert gate(section, "UTC", 1, lambda: DAY + 3600) == ""
    assert gate(section, "UTC", 1, lambda: 0.0) == "", "a clock that is not set closes nothing"


def test_hours_that_cannot_be_read_are_a_mistake_of_the_file():
    from device.errors import ConfigError

    with pytest.raises(ConfigError, match=r"update\.download_window"):
        config('[update]\ndownload_window = "at night"\n')
