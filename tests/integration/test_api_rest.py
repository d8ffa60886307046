"""The REST API over a real HTTP server: filters, pages, problem documents, description."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from fleet.app import create_api
from fleet.errors import FleetError
from fleet.hawkbit.routes import CONTROLLER
from fleet.parts import Parts
from fleet.reading import read_message
from fleet.services import Services, build_services
from fleet.serving import listen, serve
from fleet.settings import Settings
from fleet.store.write import write_batch
from ota.messages import Alarm, Channel, Message, Topic, encode, format_ts, new_id
from tests.fake_device import count, event, health, info, now, topic_of

T0_S = 1_795_426_200.0


def store(services: Services, device: str, *messages: Message, received_s: float = T0_S + 1000) -> None:
    batch = []
    for message in messages:
        if isinstance(message, Alarm):
            topic = Topic(device, Channel.ALARM, "cam0", message.kind)
        else:
            topic = topic_of(device, message)
        batch.append(
            read_message(str(topic), encode(message), is_retained=False, received_ms=round(received_s * 1000))
        )
    with services.engine.begin() as connection:
        write_batch(connection, batch, round(received_s * 1000))


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    built = build_services(Settings(database_url=f"sqlite:///{tmp_path_factory.mktemp('api')}/fleet.db"))
    for number in range(1, 6):
        device = f"cam-{number:02d}"
        store(built, device, info(f"lahore/site-{number % 2}"), health(temp_c=50.0 + number))
        store(built, device, *(event(n, ts=format_ts(T0_S + n + number / 10)) for n in range(1, 11)))
    store(
        built,
        "cam-01",
        event(11, kind="dwell", rule="parking", direction=None, duration_s=31.5, ts=format_ts(T0_S)),
    )
    store(built, "cam-01", *(count(20 + n, T0_S + 60 * n, cars=n) for n in range(5)))
    store(built, "cam-02", Alarm(id=new_id(), ts=now(), kind="covered", detail="flat picture"))
    yield built
    built.close()


@pytest.fixture(scope="module")
def api(services: Services) -> Iterator[httpx.Client]:
    listener, stop, ready = listen("127.0.0.1", 0), threading.Event(), threading.Event()
    port = listener.getsockname()[1]
    arguments = (create_api(services), listener, stop)
    thread = threading.Thread(target=serve, args=arguments, kwargs={"ready": ready.set})
    thread.start()
    assert ready.wait(20)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=20) as client:
        yield client
    stop.set()
    thread.join(20)


def get(api: httpx.Client, path: str, **query: Any) -> Any:
    answer = api.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_devices_are_searched_and_filtered(api: httpx.Client) -> None:
    def ids(**query: Any) -> list[str]:
        return [item["id"] for item in get(api, "/devices", **query)["items"]]

    assert ids() == [f"cam-{n:02d}" for n in range(1, 6)]
    assert ids(q="M-03") == ["cam-03"]
    assert ids(site="lahore/site-1") == ["cam-01", "cam-03", "cam-05"]
    assert ids(site="lahore") == ids()
    assert ids(site="lahore/site") == []
    assert ids(state="online") == ids()
    assert ids(state="offline") == []


def test_devices_come_in_pages(api: httpx.Client) -> None:
    first = get(api, "/devices", limit=3)
    second = get(api, "/devices", limit=3, cursor=first["next_cursor"])
    assert [len(first["items"]), len(second["items"]), second["next_cursor"]] == [3, 2, None]


def test_one_device_has_its_health_and_birth_certificate(api: httpx.Client) -> None:
    device = get(api, "/devices/cam-02")
    assert (device["health"]["temp_c"], device["info"]["cameras"][0]["id"]) == (52.0, "cam0")
    assert (device["is_online"], device["state"], device["events_stored"]) == (True, "online", 10)


def test_events_come_newest_first_in_pages_without_gap_or_repeat(api: httpx.Client) -> None:
    seen, cursor = [], None
    while True:
        page = get(api, "/events", limit=7, **({"cursor": cursor} if cursor else {}))
        seen += [(item["ts"], item["device"], item["seq"]) for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 51
    assert seen == sorted(seen, reverse=True)


def test_events_are_filtered(api: httpx.Client) -> None:
    def total(**query: Any) -> int:
        return len(get(api, "/events", limit=500, **query)["items"])

    assert total(device="cam-03") == 10
    assert total(kind="dwell") == 1
    assert total(rule="parking") == 1
    assert total(**{"class": "car"}) == 51
    assert total(**{"class": "bus"}) == 0
    assert total(cam="cam1") == 0
    assert total(since=format_ts(T0_S + 9)) == 10
    assert total(until=format_ts(T0_S + 1)) == 1
    assert total(since=format_ts(T0_S + 2), until=format_ts(T0_S + 3)) == 5


def test_an_event_says_what_was_seen_and_how_long_it_took(api: httpx.Client) -> None:
    (dwell,) = get(api, "/events", kind="dwell")["items"]
    assert dwell["object"] == {"track": 11, "class": "car", "conf": 0.87, "box": [0.41, 0.33, 0.52, 0.47]}
    assert (dwell["duration_s"], dwell["latency_ms"], dwell["ts"]) == (31.5, 1_000_000, format_ts(T0_S))


def test_counts_and_alarms_are_listed(api: httpx.Client) -> None:
    counts = get(api, "/counts", device="cam-01", bucket_s=60)["items"]
    assert [item["counts"]["car"]["in"] for item in counts] == [4, 3, 2, 1, 0]
    assert counts[-1]["from"] == format_ts(T0_S)
    (alarm,) = get(api, "/alarms")["items"]
    assert (alarm["device"], alarm["kind"], alarm["detail"]) == ("cam-02", "covered", "flat picture")


def test_alarms_come_in_pages(services: Services, api: httpx.Client) -> None:
    kinds: list[Any] = ["covered", "dark", "frozen"]
    store(services, "cam-03", *(Alarm(id=new_id(), ts=format_ts(T0_S), kind=kind) for kind in kinds))
    seen, cursor = [], None
    while True:
        page = get(api, "/alarms", device="cam-03", limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [item["kind"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    with services.engine.begin() as connection:
        connection.execute(text("delete from alarm where device = 'cam-03'"))
    assert seen == ["frozen", "dark", "covered"]


def test_stats_count_what_is_stored(api: httpx.Client) -> None:
    stats = get(api, "/stats")
    assert (stats["devices"], stats["events_stored"], stats["events_by_device"]["cam-01"]) == (5, 51, 11)
    assert (stats["alarms"], stats["link_up"]) == (1, False)


def test_healthz_answers(api: httpx.Client) -> None:
    assert get(api, "/healthz") == {"status": "ok", "link_up": False}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/devices/nobody", 404),
        ("/devices/..%2F..%2Fetc", 404),
        ("/nothing", 404),
        ("/events?limit=0", 422),
        ("/events?limit=501", 422),
        ("/events?cursor=rubbish", 422),
        ("/events?cursor=WzEsMl0", 422),
        ("/events?cursor=%F0%9F%98%80", 422),
        ("/events?cursor=WzFlOTk5LCJhIiwxXQ", 422),
        ("/events?since=yesterday", 422),
        ("/counts?bucket_s=7", 422),
        ("/devices?cursor=WzFd", 422),
        ("/devices?cursor=WyJcdWQ4MDAiXQ", 422),
        ("/devices?cursor=WyJcdTAwMDAiXQ", 422),
        ("/devices?q=%00", 422),
        ("/devices/cam%00-01", 422),
        ("/alarms?device=%00", 422),
        ("/alarms?cursor=rubbish", 422),
        ("/events?kind=%00", 422),
    ],
)
def test_every_error_is_a_problem_document(api: httpx.Client, path: str, status: int) -> None:
    answer = api.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]


def test_a_wrong_method_is_a_problem_document(api: httpx.Client) -> None:
    answer = api.delete("/devices")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


def test_a_health_check_may_ask_with_head(api: httpx.Client) -> None:
    assert api.head("/healthz").status_code == 200


def test_a_database_that_does_not_answer_is_said_as_503(services: Services, api: httpx.Client) -> None:
    with services.engine.begin() as connection:
        connection.execute(text("alter table alarm rename to alarm_away"))
    try:
        answer = api.get("/alarms")
    finally:
        with services.engine.begin() as connection:
            connection.execute(text("alter table alarm_away rename to alarm"))
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")


def test_healthz_says_503_when_the_writer_is_locked_out_or_a_part_has_ended(
    services: Services, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(services.ingest, "_is_away", True)
        assert api.get("/healthz").status_code == 503
    assert api.get("/healthz").status_code == 200
    parts = Parts()
    parts.start("ingest", lambda: None)
    parts.join()
    with monkeypatch.context() as patched:
        patched.setattr(services.parts, "_threads", parts._threads)
        answer = api.get("/healthz")
    assert (answer.status_code, "ingest" in answer.json()["detail"]) == (503, True)


def test_serving_ends_with_an_error_when_a_part_has_ended(services: Services) -> None:
    listener = listen("127.0.0.1", 0)
    with pytest.raises(FleetError, match="presence ended"):
        serve(
            create_api(services), listener, threading.Event(), ready=lambda: None, ended=lambda: ["presence"]
        )


def test_a_fault_of_ours_is_a_problem_document_too(
    services: Services, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.tally, "view", lambda: 1 / 0)
    answer = httpx.get(f"{api.base_url}stats", timeout=20)
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")


def test_the_description_names_every_path_with_a_summary_and_a_model(api: httpx.Client) -> None:
    description = get(api, "/openapi.json")
    tails = (
        "",
        "/config",
        "/identity",
        "/site",
        "/replace",
        "/revoke",
        "/decommission",
        "/rollouts",
        "/tags",
        "/os",
        "/os/token",
    )
    device = ("devices", *(f"devices/{{device}}{tail}" for tail in tails))
    identity = ("claims", "claims/{claim}", "enrolments", "enrolments/{enrolment_id}")
    rollout = [f"rollouts/{tail}" for tail in ("preview", "{rollout}", "{rollout}/devices")]
    verbs = [f"rollouts/{{rollout}}/{tail}" for tail in ("approve", "{verb}")]
    rollouts = ("releases", "releases/os", "releases/{release}/withdraw", "rollouts", *rollout, *verbs)
    user = [f"users/{{name}}{tail}" for tail in ("", "/grants", "/state", "/password", "/unlock", "/totp")]
    own = (
        "me",
        "me/password",
        "me/totp",
        "me/totp/off",
        "sessions",
        "sessions/current",
        "sessions/{id}",
        "tokens",
        "tokens/{id}",
    )
    people = ("users", *user, *own, "audit", "audit/check", "audit/export.csv")
    tails = ("healthz", "stats", *device, "alarms", "events", "counts", *people, *identity, *rollouts)
    for_boards = {f"/api/v1/enrol{tail}" for tail in ("", "/root", "/crl", "/renew", "/confirm", "/trust")}
    of_hawkbit = {path for path in description["paths"] if CONTROLLER.match(path)}
    assert len(of_hawkbit) == 8
    assert set(description["paths"]) == {f"/api/v1/{tail}" for tail in tails} | for_boards | of_hawkbit
    assert description["paths"].pop("/api/v1/audit/export.csv")
    for name in for_boards | of_hawkbit:
        assert all(operation["summary"] for operation in description["paths"].pop(name).values())
    for operation in [one for path in description["paths"].values() for one in path.values()]:
        assert operation["summary"]
        assert "$ref" in operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert "application/problem+json" in operation["responses"]["422"]["content"]


def put(api: httpx.Client, device: str, overlay: Any) -> httpx.Response:
    return api.put(f"/devices/{device}/config", json={"overlay": overlay})


def test_a_configuration_is_kept_numbered_and_the_same_again_is_no_change(api: httpx.Client) -> None:
    assert get(api, "/devices/cam-03/config") == {
        "device": "cam-03",
        "state": "none",
        "desired": None,
        "reported": None,
    }
    first = put(api, "cam-03", "health_s = 5\n").json()
    assert (first["state"], first["desired"]["overlay"]) == ("waiting", "health_s = 5\n")
    assert put(api, "cam-03", "health_s = 5\n").json()["desired"] == first["desired"]
    second = put(api, "cam-03", "health_s = 6\n").json()["desired"]
    assert second["seq"] > first["desired"]["seq"]
    assert get(api, "/devices/cam-03/config")["desired"] == second


@pytest.mark.parametrize(
    ("device", "overlay", "status", "words"),
    [
        ("cam-99", "", 404, "cam-99"),
        ("cam-03", "health_s = ", 422, "not TOML"),
        ("cam-03", "x = " + "[" * 180, 422, "not TOML"),
        ("cam-03", "#" * 500_000, 422, "overlay"),
        ("cam-03", "#" * 5_000_000, 413, "larger than 1048576 bytes"),
        ("cam-03", f"# {'x' * 200}", 422, "line 1"),
        ("cam-03", 7, 422, "overlay"),
        ("cam-03", "\n".join(['# """""""""""""""""""""""""""""""""""""""""""""""""'] * 900), 422, "fit"),
    ],
)
def test_a_configuration_that_no_device_could_read_is_refused(
    api: httpx.Client, device: str, overlay: Any, status: int, words: str
) -> None:
    answer = put(api, device, overlay)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert len(answer.content) < 2000, "what was sent is not sent back"


def test_what_a_device_reports_is_kept_and_only_its_answer_to_what_is_wanted_counts(
    api: httpx.Client, services: Services
) -> None:
    from ota.messages import ModelInfo, Reported

    def report(**fields: Any) -> None:
        message = Reported(
            id=new_id(),
            ts=now(),
            config_sha256="cd" * 32,
            firmware="0.1.0",
            model=ModelInfo("street-2", "1", "0" * 64),
            **fields,
        )
        received_ms = round((T0_S + 2000) * 1000)
        topic = str(Topic("cam-04", Channel.REPORTED))
        batch = [read_message(topic, encode(message), is_retained=False, received_ms=received_ms)]
        with services.engine.begin() as connection:
            write_batch(connection, batch, received_ms)

    wanted = put(api, "cam-04", "health_s = 7").json()["desired"]
    report(seq=wanted["seq"] - 1, outcome="applied")
    assert get(api, "/devices/cam-04/config")["state"] == "waiting"
    report(seq=wanted["seq"], outcome="refused")
    config = get(api, "/devices/cam-04/config")
    assert (config["state"], config["reported"]["outcome"]) == ("refused", "refused")
