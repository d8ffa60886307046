"""What a device's words say about where it stands."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fleet.presence import find_silent
from fleet.standing import Standing, after_message
from ota.messages import Status, new_id
from tests.fake_device import event, health, now

FIRST, SECOND = "01a00000-0000-7000-8000-000000000001", "01a00000-0000-7000-8000-000000000002"


def status(state: Any, session: str = FIRST, **fields: Any) -> Status:
    return Status(id=new_id(), ts=now(), state=state, session=session, **fields)


def fold(*said: tuple[Any, int], retained: bool = False, start: Standing | None = None) -> Standing:
    standing = start or Standing()
    for message, ts_ms in said:
        standing = after_message(standing, message, ts_ms, is_retained=retained)
    return standing


def test_a_birth_makes_a_device_online() -> None:
    standing = fold((status("starting"), 1), (status("online"), 2))
    assert (standing.is_online, standing.state, standing.session) == (True, "online", FIRST)


def test_lost_makes_it_offline_though_the_will_was_written_at_connect() -> None:
    standing = fold((status("online"), 1000), (status("degraded", reason="hot"), 2000), (status("lost"), 500))
    assert (standing.is_online, standing.state) == (False, "lost")


def test_a_late_birth_of_a_dead_session_does_not_resurrect() -> None:
    standing = fold((status("online"), 1000), (status("lost"), 500), (status("online"), 1000))
    assert not standing.is_online


def test_a_late_event_of_a_dead_session_does_not_resurrect() -> None:
    assert not fold((status("online"), 1000), (status("lost"), 500), (event(1), 900)).is_online


def test_live_health_after_a_will_proves_that_the_device_is_there() -> None:
    standing = fold((status("online"), 1000), (status("lost"), 500), (health(), 3000))
    assert (standing.is_online, standing.state) == (True, "online")


def test_the_will_of_an_earlier_session_is_not_the_death_of_this_one() -> None:
    standing = fold(
        (status("online", FIRST), 1000), (status("online", SECOND), 2000), (status("lost", FIRST), 900)
    )
    assert (standing.is_online, standing.session) == (True, SECOND)


def test_a_birth_of_an_older_session_told_later_is_history() -> None:
    standing = fold((status("online", SECOND), 2000), (status("online", FIRST), 1000))
    assert standing.session == SECOND


def test_a_reboot_without_a_clock_is_a_birth_all_the_same() -> None:
    standing = fold((status("online", SECOND), 2000), (status("online", FIRST, clock="unsynced"), 1))
    assert (standing.session, standing.is_online) == (FIRST, True)


def test_a_clock_that_is_set_back_inside_a_session_does_not_freeze_the_state() -> None:
    standing = fold((status("online"), 9_000), (status("degraded", reason="hot"), 1_000))
    assert (standing.state, standing.reason) == ("degraded", "hot")


def test_a_retained_birth_we_knew_proves_nothing() -> None:
    silent = Standing(is_online=False, state="online", session=FIRST, status_ms=1000)
    assert not fold((status("online"), 1000), retained=True, start=silent).is_online


def test_a_retained_death_of_a_session_we_never_saw_is_believed() -> None:
    standing = fold((status("lost", SECOND), 2000), retained=True, start=fold((status("online"), 1000)))
    assert (standing.is_online, standing.state) == (False, "lost")


def test_retained_health_proves_nothing() -> None:
    assert fold((health(), 1000), retained=True) == Standing()


def test_a_stopped_device_is_not_called_lost() -> None:
    assert fold((status("online"), 1), (status("stopped"), 2), (status("lost"), 1)).state == "stopped"


def test_an_unknown_device_that_speaks_is_online() -> None:
    standing = fold((event(1), 1))
    assert (standing.is_online, standing.state) == (True, "online")


def test_a_device_silent_for_longer_than_allowed_is_found() -> None:
    heard_s = {"cam-01": 100.0, "cam-02": 149.0}
    found = find_silent(
        ["cam-01", "cam-02", "cam-03"], heard_s, now_s=151.0, grace_from_s=100.5, after_s=50.0
    )
    assert found == ["cam-01", "cam-03"]


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 50))
def test_nobody_is_silent_during_the_grace_period(heard_s: float, grace_s: float, waited_s: float) -> None:
    now_s = grace_s + waited_s * 0.99
    assert find_silent(["cam-01"], {"cam-01": heard_s}, now_s=now_s, grace_from_s=grace_s, after_s=50.0) == []
