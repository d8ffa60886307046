"""hawkBit's device API over real HTTP, with the habits of its clients that trap servers."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import delete, text

from fleet.hawkbit import entry
from fleet.hawkbit.actions import CANCEL_MS
from fleet.hawkbit.feedback import NEVER_SENT
from fleet.hawkbit.hours import is_window_open
from fleet.services import Services
from fleet.store.tables import Device
from fleet.store.tables_identity import Identity
from fleet.store.tables_os import OsAction, OsDevice, OsImage, OsToken
from fleet.store.tables_rollouts import Release, Rollout, RolloutDevice, WantedRelease
from tests import ddi
from tests.ddi import FILE, DdiClient, act, add_image, let_in, member, now_ms, roll_out, sha256_of, token_of
from tests.people import problem_of, served, services_with_home

DEVICE, OTHER = "cam-01", "cam-02"
IMAGE = bytes(range(256)) * 1000


TABLES = (
    OsAction,
    OsDevice,
    OsImage,
    OsToken,
    WantedRelease,
    RolloutDevice,
    Rollout,
    Release,
    Identity,
    Device,
)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    built = services_with_home(tmp_path_factory.mktemp("home"))
    built.rollouts._hears_devices = lambda: True
    yield built
    built.close()


@pytest.fixture(scope="module")
def url(fleet: Services) -> Iterator[str]:
    with served(fleet) as address:
        yield address


@pytest.fixture
def services(fleet: Services) -> Services:
    """A fleet with one device, of which nothing is known."""
    with fleet.session() as session:
        for table in TABLES:
            session.exec(delete(table))
        session.execute(text("delete from sqlite_sequence"))
        session.commit()
    fleet.guesses.forget()
    let_in(fleet, DEVICE)
    return fleet


@pytest.fixture
def client(services: Services, url: str) -> Iterator[DdiClient]:
    with DdiClient(url, DEVICE, token_of(services, DEVICE)) as one:
        yield one


def tick(services: Services, later_s: float = 0.0) -> None:
    services.rollouts.wake()
    services.rollouts.tick(now_ms() + round(later_s * 1000))


@pytest.fixture
def rollout(services: Services) -> str:
    """A rollout of an image that the device has been told to install."""
    made = roll_out(services, add_image(services, IMAGE), tries=2, backoff_s=1)
    tick(services)
    return made


def standing(services: Services, rollout: str) -> tuple[str, str]:
    row = member(services, rollout, DEVICE)
    return row.state, row.reason


def test_a_device_with_nothing_to_do_is_told_when_to_come_again(client: DdiClient) -> None:
    answer = client.http.get(client.base)
    assert answer.json()["config"] == {"polling": {"sleep": "00:05:00"}}
    assert set(client.poll()) == {"configData"}


def test_an_image_from_the_poll_to_the_end_of_its_rollout(
    services: Services, client: DdiClient, rollout: str
) -> None:
    offered = client.deployment()
    assert offered["id"] == "1"
    assert (offered["deployment"]["download"], offered["deployment"]["update"]) == ("forced", "forced")
    (chunk,) = offered["deployment"]["chunks"]
    assert (chunk["part"], chunk["name"], chunk["version"]) == ("os", "camera-os", "1.2.0")
    (artifact,) = chunk["artifacts"]
    assert (artifact["filename"], artifact["size"]) == (FILE, len(IMAGE))
    assert artifact["hashes"]["sha256"] == sha256_of(IMAGE)
    assert standing(services, rollout) == ("downloading", ""), "it has read what it is to install"
    assert client.http.get(artifact["_links"]["download-http"]["href"]).content == IMAGE
    sums = client.http.get(artifact["_links"]["md5sum-http"]["href"]).text
    assert sums == f"{artifact['hashes']['md5']}  {FILE}\n"
    assert client.say(1, "proceeding") == 200
    assert client.say(1, "downloaded") == 200
    assert client.say(1, "closed", "success", "installed") == 200
    assert standing(services, rollout) == ("succeeded", "")
    tick(services)
    assert ddi.state_of(services, rollout) == "done"
    links = client.poll()
    assert "deploymentBase" not in links
    assert client.http.get(links["installedBase"]).json()["deployment"]["chunks"] == [chunk]


def test_the_link_to_say_what_one_is_goes_once_it_was_said_and_nothing_waits_for_it(
    services: Services, client: DdiClient, rollout: str
) -> None:
    assert set(client.poll()) == {"configData", "deploymentBase"}, "both at once"
    body = {"mode": "merge", "data": {"board": "pi4", "os": "1.1"}, "id": "", "time": "x", "status": {}}
    assert client.http.put(client.poll()["configData"], json=body).status_code == 200
    assert set(client.poll()) == {"deploymentBase"}
    client.http.put(f"{client.base}/configData", json={"mode": "remove", "data": {"board": ""}})
    client.http.put(f"{client.base}/configData", json={"mode": "merge", "data": {"os": "1.2"}})
    with services.session() as session:
        assert session.get_one(OsDevice, DEVICE).attributes == {"os": "1.2"}
    client.http.put(f"{client.base}/configData", json={"data": {"a": "b"}})
    with services.session() as session:
        assert session.get_one(OsDevice, DEVICE).attributes == {"a": "b"}
    client.download()
    client.say(1, "closed", "success")
    assert "configData" in client.poll(), "after another system was installed it says so anew"


@pytest.mark.parametrize("body_id", [1, "1", None, " 1 "])
def test_feedback_has_its_number_as_a_number_as_a_text_or_not_at_all(
    client: DdiClient, rollout: str, body_id: object
) -> None:
    client.deployment()
    body = {"id": body_id, "status": {"execution": "proceeding", "result": {"finished": "none"}}}
    if body_id is None:
        del body["id"]
    assert client.http.post(f"{client.base}/deploymentBase/1/feedback", json=body).status_code == 200


def test_feedback_of_another_action_is_not_taken(services: Services, client: DdiClient, rollout: str) -> None:
    client.download()
    assert client.say(1, "closed", "success", body_id="2") == 404
    assert client.say(7, "closed", "success") == 404
    assert standing(services, rollout)[0] == "downloading"


def test_feedback_after_the_end_changes_nothing_and_is_answered_with_gone(
    services: Services, client: DdiClient, rollout: str
) -> None:
    client.download()
    assert client.say(1, "closed", "success") == 200
    assert client.say(1, "closed", "success") == 410
    assert client.say(1, "closed", "failure", "flash is broken") == 410
    assert client.say(1, "proceeding") == 410
    assert standing(services, rollout) == ("succeeded", "")


def test_feedback_of_a_device_is_not_taken_for_another(
    services: Services, url: str, client: DdiClient, rollout: str
) -> None:
    let_in(services, OTHER)
    client.download()
    with DdiClient(url, OTHER, token_of(services, OTHER)) as other:
        assert other.say(1, "closed", "success") == 404
        assert other.http.get(f"{other.base}/deploymentBase/1").status_code == 404
        assert other.http.get(f"{other.base}/softwaremodules/1/artifacts/{FILE}").status_code == 404
    assert standing(services, rollout)[0] == "downloading"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        '{"id": "1"}',
        '{"id": "1", "status": {"execution": "done"}}',
        '{"id": "1", "status": {"execution": "closed", "result": {"finished": "yes"}}}',
        '{"id": [1], "status": {"execution": "closed"}}',
        '{"id": "1", "status": {"execution": "closed", "details": "text"}}',
        "\x00",
    ],
)
def test_feedback_that_makes_no_sense_changes_nothing(
    services: Services, client: DdiClient, rollout: str, body: str
) -> None:
    client.deployment()
    answer = client.http.post(
        f"{client.base}/deploymentBase/1/feedback", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422
    assert standing(services, rollout)[0] == "downloading"


def test_a_failure_before_the_whole_image_was_sent_is_one_of_the_road_and_is_tried_again(
    services: Services, client: DdiClient, rollout: str
) -> None:
    client.deployment()
    assert client.say(1, "closed", "failure", "connection reset") == 200
    assert standing(services, rollout) == ("retrying", "failed: connection reset")
    assert set(client.poll()) == {"configData"}
    tick(services)
    tick(services, 40)
    assert client.deployment()["id"] == "2", "another action, with a number of its own"
    assert client.say(1, "closed", "success") == 410
    client.say(2, "closed", "failure", "connection reset")
    tick(services, 80)
    assert standing(services, rollout) == ("failed", "failed: connection reset")


@pytest.mark.parametrize("ending", ["whole", "last part", "first part", "head"])
def test_a_failure_after_the_whole_image_was_sent_is_for_good(
    services: Services, client: DdiClient, rollout: str, ending: str
) -> None:
    at = client.artifact()["_links"]["download-http"]["href"]
    if ending == "head":
        client.http.head(at)
    else:
        ranges = {"whole": "", "last part": "bytes=1000-", "first part": "bytes=0-1000"}[ending]
        client.http.get(at, headers={"range": ranges} if ranges else {})
    client.say(1, "closed", "failure", "log", "signature is not good")
    is_for_good = ending in ("whole", "last part")
    told = "log; signature is not good"
    wanted = ("failed", f"rejected: {told}") if is_for_good else ("retrying", f"failed: {told}")
    assert standing(services, rollout) == wanted
    tick(services)
    assert ddi.state_of(services, rollout) == ("stopped" if is_for_good else "running")


def test_closed_without_a_result_is_no_success(services: Services, client: DdiClient, rollout: str) -> None:
    client.deployment()
    client.say(1, "closed", "none")
    assert standing(services, rollout) == ("retrying", "failed: closed, result none")


def test_a_device_may_refuse_or_let_go_by_itself(services: Services, client: DdiClient, rollout: str) -> None:
    client.deployment()
    assert client.say(1, "canceled", "none", "battery low") == 200
    assert standing(services, rollout) == ("retrying", "cancelled: battery low")
    tick(services)
    tick(services, 40)
    assert client.say(2, "rejected", "none", "not for this board") in (200, 404)
    client.poll()
    client.say(2, "rejected", "none", "not for this board")
    assert standing(services, rollout) == ("failed", "rejected: not for this board")


def test_an_order_that_was_taken_back_before_anybody_read_it_is_just_gone(
    services: Services, client: DdiClient, rollout: str
) -> None:
    link = client.poll()["deploymentBase"]
    act(services, "abort", rollout)
    assert client.http.get(link).status_code == 404, "it polled, and then it was withdrawn"
    assert set(client.poll()) == {"configData"}
    assert client.say(1, "proceeding") == 410


def test_an_order_that_was_taken_back_while_a_device_is_at_it_is_to_be_cancelled(
    services: Services, client: DdiClient, rollout: str
) -> None:
    at = client.artifact()["_links"]["download-http"]["href"]
    act(services, "abort", rollout)
    assert set(client.poll()) == {"configData", "cancelAction"}
    assert client.http.get(at).status_code == 404
    wish = client.http.get(client.poll()["cancelAction"]).json()
    assert wish == {"id": "1", "cancelAction": {"stopId": "1"}}
    assert client.say(1, "proceeding", at="cancelAction") == 200
    assert "cancelAction" in client.poll()
    assert client.say(1, "closed", "success", at="cancelAction") == 200
    assert set(client.poll()) == {"configData"}
    assert client.say(1, "closed", "success", at="cancelAction") == 410
    assert client.say(1, "closed", "success") == 410
    assert standing(services, rollout)[0] == "withdrawn"


def test_who_has_installed_it_before_it_hears_that_it_should_not_has_it(
    services: Services, client: DdiClient, rollout: str
) -> None:
    client.download()
    act(services, "abort", rollout)
    assert "cancelAction" in client.poll()
    assert client.say(1, "closed", "success") == 200
    assert standing(services, rollout) == ("succeeded", "")
    assert "cancelAction" not in client.poll()


def test_who_cannot_let_go_is_not_asked_again_and_heard_to_its_end(
    services: Services, client: DdiClient, rollout: str
) -> None:
    client.deployment()
    act(services, "abort", rollout)
    client.poll()
    assert client.say(1, "rejected", at="cancelAction") == 200
    assert set(client.poll()) == {"configData"}
    assert client.say(1, "closed", "success", at="cancelAction") == 404
    assert client.say(1, "closed", "failure", "power lost") == 200
    assert standing(services, rollout)[0] == "withdrawn"


def test_nobody_wants_an_action_cancelled_that_stands(client: DdiClient, rollout: str) -> None:
    client.deployment()
    assert client.http.get(f"{client.base}/cancelAction/1").status_code == 404
    assert client.say(1, "closed", "success", at="cancelAction") == 404


def test_a_device_is_to_let_go_of_the_old_before_it_is_told_of_the_new(
    services: Services, client: DdiClient, rollout: str
) -> None:
    client.deployment()
    act(services, "abort", rollout)
    later = roll_out(services, add_image(services, b"new" * 999, "1.3.0"), name="later")
    tick(services)
    assert set(client.poll()) == {"configData", "cancelAction"}
    client.say(1, "canceled", at="cancelAction")
    assert client.download() == b"new" * 999
    client.say(2, "closed", "success")
    assert member(services, later, DEVICE).state == "succeeded"


def test_a_system_can_be_taken_back_to_the_one_before(
    services: Services, client: DdiClient, rollout: str
) -> None:
    client.download()
    client.say(1, "closed", "success")
    tick(services)
    later = roll_out(services, add_image(services, b"new" * 999, "1.3.0"), name="later")
    tick(services)
    client.download()
    client.say(2, "closed", "success")
    assert member(services, later, DEVICE).state == "succeeded"
    act(services, "revert", later)
    tick(services)
    assert client.download() == IMAGE
    client.say(3, "closed", "success")
    assert member(services, later, DEVICE).state == "reverted"
    tick(services)
    assert ddi.state_of(services, later) == "reverted"


def test_a_system_that_a_device_has_is_not_rolled_out_to_it_again(
    services: Services, client: DdiClient, rollout: str
) -> None:
    client.download()
    client.say(1, "closed", "success")
    tick(services)
    again = roll_out(services, "camera-os@1.2.0", name="again", stays_open=True)
    tick(services)
    tick(services, 120)
    assert client.poll().keys() == {"configData", "installedBase"}
    assert "deploymentBase" not in client.poll()
    with services.session() as session:
        assert session.get(RolloutDevice, (again, DEVICE)) is None


def test_a_device_that_was_silent_too_long_may_succeed_late(
    services: Services, client: DdiClient, rollout: str
) -> None:
    client.download()
    for _ in range(12):
        tick(services, 70 * (_ + 1))
    assert standing(services, rollout)[0] == "failed"
    assert "cancelAction" in client.poll()
    client.say(1, "closed", "success")
    assert standing(services, rollout) == ("succeeded", "answered late")


def test_nothing_is_begun_outside_of_its_window_and_what_has_begun_may_end(
    services: Services, client: DdiClient, rollout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with services.session() as session:
        session.get_one(WantedRelease, (DEVICE, "os")).window = "02:00-05:00"
        session.commit()
    monkeypatch.setattr("fleet.rollouts.windows.Window.is_open", lambda *_: False)
    assert set(client.poll()) == {"configData"}
    assert client.http.get(f"{client.base}/deploymentBase/1").status_code == 404
    monkeypatch.setattr("fleet.rollouts.windows.Window.is_open", lambda *_: True)
    assert client.deployment()["deployment"]["maintenanceWindow"] == "available"
    monkeypatch.setattr("fleet.rollouts.windows.Window.is_open", lambda *_: False)
    deployment = client.deployment()["deployment"]
    assert (deployment["maintenanceWindow"], deployment["update"]) == ("unavailable", "forced")
    client.download()
    assert client.say(1, "closed", "success") == 200


@pytest.mark.parametrize("zone", ["Asia/Karachi", "America/Lima"])
def test_a_window_is_that_of_the_clock_at_the_devices_site(services: Services, zone: str) -> None:
    at_three_in_karachi = 1_795_644_000_000  # 2026-11-25T22:00:00Z
    with services.session() as session:
        session.get_one(Device, DEVICE).info = {"timezone": zone}
        order = {"device": DEVICE, "kind": "os", "release": "r", "rollout": "x", "action": "a", "since_ms": 1}
        session.add(WantedRelease(**order, window="02:00-05:00"))
        session.commit()
        assert is_window_open(session, DEVICE, at_three_in_karachi) == (zone == "Asia/Karachi")


def test_a_success_without_the_image_is_none(services: Services, client: DdiClient, rollout: str) -> None:
    client.deployment()
    client.say(1, "closed", "success", "Skipped Update.")
    assert standing(services, rollout) == ("retrying", f"failed: {NEVER_SENT}: Skipped Update.")


def test_who_was_sent_the_image_by_an_order_before_need_not_fetch_it_again(
    services: Services, client: DdiClient, rollout: str
) -> None:
    client.download()
    client.say(1, "canceled")
    tick(services)
    tick(services, 40)
    client.deployment()
    client.say(2, "closed", "success")
    assert standing(services, rollout) == ("succeeded", "")


def test_a_client_that_never_answers_the_wish_to_cancel_gets_its_next_order_after_an_hour(
    services: Services, client: DdiClient, rollout: str
) -> None:
    client.deployment()
    act(services, "abort", rollout)
    roll_out(services, add_image(services, b"new" * 999, "1.3.0"), name="later")
    tick(services)
    assert "cancelAction" in client.poll()
    with services.session() as session:
        session.get_one(OsAction, 1).changed_ms -= CANCEL_MS + 1000
        session.commit()
    assert client.download() == b"new" * 999
    assert client.say(1, "closed", "failure", "at last") == 200


def test_an_order_carries_the_window_of_its_rollout(services: Services, client: DdiClient) -> None:
    roll_out(services, add_image(services, IMAGE), window="00:00-24:00")
    tick(services)
    assert client.deployment()["deployment"]["maintenanceWindow"] == "available"


def test_downloads_come_in_parts_and_never_a_part_of_another_image(client: DdiClient, rollout: str) -> None:
    at = client.artifact()["_links"]["download-http"]["href"]
    head = client.http.head(at)
    assert (head.headers["content-length"], head.content) == (str(len(IMAGE)), b"")
    assert head.headers["accept-ranges"] == "bytes"
    tag = head.headers["etag"]
    assert tag == f'"{sha256_of(IMAGE)}"'
    part = client.http.get(at, headers={"range": "bytes=1000-1999", "if-range": tag})
    assert (part.status_code, part.content) == (206, IMAGE[1000:2000])
    other = client.http.get(at, headers={"range": "bytes=1000-1999", "if-range": '"another"'})
    assert (other.status_code, other.content) == (200, IMAGE)
    assert client.http.get(at, headers={"range": f"bytes={len(IMAGE)}-"}).status_code == 416


@pytest.mark.parametrize(
    "path",
    [
        f"softwaremodules/2/artifacts/{FILE}",
        "softwaremodules/1/artifacts/other.swu",
        "softwaremodules/1/artifacts/..%2f..%2ffleet.db",
        f"softwaremodules/0/artifacts/{FILE}",
        f"softwaremodules/{2**40}/artifacts/{FILE}",
        "deploymentBase/2",
        "deploymentBase/x",
        "installedBase/1",
        "nothing",
    ],
)
def test_what_is_not_there_is_not_there(client: DdiClient, rollout: str, path: str) -> None:
    client.deployment()
    assert client.http.get(f"{client.base}/{path}").status_code in (404, 422)


def test_an_image_whose_file_is_lost_is_not_there_and_no_fault(
    services: Services, client: DdiClient, rollout: str
) -> None:
    at = client.artifact()["_links"]["download-http"]["href"]
    assert services.os_images is not None
    services.os_images.drop(sha256_of(IMAGE))
    assert client.http.get(at).status_code == 404


def test_the_only_tenant_is_the_default_one(client: DdiClient, url: str) -> None:
    answer = client.http.get(f"{url}/acme/controller/v1/{DEVICE}")
    assert answer.status_code == 404
    assert "default" in problem_of(answer)["detail"]


@pytest.mark.parametrize(
    "header", ["", "TargetToken", "TargetToken wrong", "Bearer {}", "GatewayToken {}", "{}"]
)
def test_who_does_not_come_with_the_devices_token_is_refused(
    services: Services, url: str, header: str
) -> None:
    given = header.format(token_of(services, DEVICE))
    answer = httpx.get(
        f"{url}/default/controller/v1/{DEVICE}", headers={"authorization": given} if given else {}
    )
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "TargetToken")


@pytest.mark.parametrize("device", [OTHER, "nobody-of-that-name", "x" * 60, "A"])
def test_a_token_is_good_for_its_own_device_alone(services: Services, url: str, device: str) -> None:
    let_in(services, OTHER)
    with DdiClient(url, device, token_of(services, DEVICE)) as client:
        assert client.http.get(client.base).status_code == 401


def test_a_new_token_ends_the_old_one_and_a_revoked_one_is_none(services: Services, url: str) -> None:
    old, new = token_of(services, DEVICE), token_of(services, DEVICE)
    with DdiClient(url, DEVICE, old) as client:
        assert client.http.get(client.base).status_code == 401
    with DdiClient(url, DEVICE, new) as client:
        assert client.http.get(client.base).status_code == 200
        with services.session() as session:
            assert entry.revoke_token(session, DEVICE, "noor", now_ms())
            assert not entry.revoke_token(session, DEVICE, "noor", now_ms())
        assert client.http.get(client.base).status_code == 401


def test_a_revoked_device_and_a_board_that_took_its_place_do_not_have_the_token(
    services: Services, client: DdiClient
) -> None:
    for change in ({"state": "revoked"}, {"state": "leaving"}, {"enrolled_ms": now_ms() + 60_000}):
        with services.session() as session:
            row = session.get_one(Identity, DEVICE)
            before = {name: getattr(row, name) for name in change}
            for name, value in change.items():
                setattr(row, name, value)
            session.commit()
        assert client.http.get(client.base).status_code == 401, change
        with services.session() as session:
            row = session.get_one(Identity, DEVICE)
            for name, value in before.items():
                setattr(row, name, value)
            session.commit()
        services.guesses.forget()
        assert client.http.get(client.base).status_code == 200


def test_who_guesses_tokens_soon_waits_and_others_do_not(services: Services, url: str) -> None:
    let_in(services, OTHER)
    with DdiClient(url, DEVICE, "wrong") as guesser:
        statuses = [guesser.http.get(guesser.base).status_code for _ in range(8)]
        assert statuses[:5] == [401] * 5
        assert 429 in statuses
        assert int(guesser.http.get(guesser.base).headers["retry-after"]) >= 1
    with DdiClient(url, OTHER, token_of(services, OTHER)) as other:
        assert other.http.get(other.base).status_code == 200
