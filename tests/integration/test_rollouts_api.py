"""Rollouts over real HTTP and from the command line: who may, what is refused, what is answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import Session
from typer.testing import CliRunner

from fleet.access import audit
from fleet.access.roles import FLEET_WIDE, ROLES, Permission, Role
from fleet.services import Services
from fleet.store.database import open_database
from pehra.cli import app
from tests.people import OWNER, add, logged_in, problem_of, served, services_with_home
from tests.rollout_fleet import NEW, OLD, Town, names

RELEASE = {"kind": "model", "name": "street-2", "version": "1.4.0", "sha256": NEW, "length": 3_000_000}
WANTED = {"release": "street-2@1.4.0", "filter": "site:lahore/* board:pi4", "name": "new eyes"}


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    built = services_with_home(tmp_path / "home")
    add(built, "farid", "fleet-admin")
    add(built, "zain", "fleet-admin")
    add(built, "near", "fleet-admin@lahore")
    add(built, "tariq", "technician")
    add(built, "vera", "viewer")
    yield built
    built.close()


@pytest.fixture
def town(services: Services) -> Town:
    town = Town(services.engine)
    town.rollouts = services.rollouts
    services.rollouts._hears_devices = lambda: True
    town.add(names(20))
    town.add(names(5, 20), board="jetson-orin")
    return town


@pytest.fixture
def url(services: Services) -> Iterator[str]:
    with served(services) as address:
        yield address


def test_who_manages_rollouts_and_who_approves_them() -> None:
    for permission in (Permission.MANAGE_ROLLOUTS, Permission.APPROVE_ROLLOUTS):
        assert {role for role in Role if permission in ROLES[role]} == {Role.FLEET_ADMIN, Role.OWNER}
        assert permission in FLEET_WIDE


def test_a_rollout_over_http_from_the_release_to_its_end(url: str, town: Town) -> None:
    with logged_in(url, "farid") as farid, logged_in(url, "zain") as zain:
        release = farid.post("/releases", json=RELEASE).json()
        assert (release["state"], release["mark"]) == ("ready", NEW)
        assert farid.post("/releases", json=RELEASE).json()["id"] == release["id"]
        seen = farid.post("/rollouts/preview", json=WANTED).json()
        assert (seen["devices"], seen["by_board"], seen["by_stage"]) == (
            20,
            {"raspberry-pi-4": 20},
            [1, 1, 2, 10, 20],
        )
        how = {"soak": "10m", "stages": "1,50%,100%", "revert_on_stop": True}
        made = farid.post("/rollouts", json=WANTED | how).json()
        assert (made["state"], made["made_by"]) == ("pending", "farid")
        assert made["settings"] == {"soak_s": 600, "revert_on_stop": True}
        at = f"/rollouts/{made['id']}"
        assert "second person" in problem_of(farid.post(f"{at}/approve"))["detail"]
        assert zain.post(f"{at}/approve").json()["approved_by"] == "zain"
        assert zain.post(f"{at}/approve").status_code == 200
        town.run_until(made["id"], "done")
        shown = zain.get(at).json()
        assert [one["told"] for one in shown["by_stage"]] == [1, 9, 10]
        assert shown["counts"] == {"succeeded": 20}
        page = zain.get(f"{at}/devices", params={"limit": 5, "state": "succeeded"}).json()
        assert len(page["items"]) == 5
        assert page["next_cursor"]
        (entry,) = zain.get("/devices/cam-000000/rollouts").json()["items"]
        assert (entry["state"], entry["release"]) == ("succeeded", "street-2 1.4.0")
        assert problem_of(zain.post(f"{at}/pause"))["status"] == 409
        assert farid.post(f"/releases/{release['id']}/withdraw").json()["state"] == "withdrawn"
        assert [one["state"] for one in farid.get("/releases").json()["items"]] == ["withdrawn"]
        assert [one["name"] for one in farid.get("/rollouts").json()["items"]] == ["new eyes"]
    with Session(town.engine) as session:
        done = [entry.action for entry in audit.all_entries(session) if "rollout" in entry.action]
        assert done == ["rollout.create", "rollout.approve", "rollout.done"]
        assert audit.verify(session) == []


def test_rollouts_and_releases_come_in_pages_newest_first(url: str, town: Town) -> None:
    releases, made = [], []
    for n in range(5):
        town.now_ms += 1
        releases.append(town.release(version=f"1.{n}.0", sha256=f"{n:064x}"))
        made.append(town.rollout(release=releases[-1], name=f"eyes {n}"))
    town.act("abort", made[0])
    with logged_in(url, "farid") as farid:
        for path, ids in (("/releases", releases), ("/rollouts", made)):
            found: list[str] = []
            cursor: dict[str, str] = {}
            for size in (2, 2, 1):
                page = farid.get(path, params={"limit": "2"} | cursor).json()
                assert len(page["items"]) == size
                found += [one["id"] for one in page["items"]]
                cursor = {"cursor": page["next_cursor"]}
            assert page["next_cursor"] is None
            assert found == ids[::-1]
            assert farid.get(path, params={"cursor": "x"}).status_code == 422
        (aborted,) = farid.get("/rollouts", params={"state": "aborted"}).json()["items"]
        assert aborted["id"] == made[0]


def test_a_mistake_in_a_filter_comes_back_with_its_place(url: str, town: Town) -> None:
    del town
    with logged_in(url, "farid") as farid:
        farid.post("/releases", json=RELEASE)
        for path in ("/rollouts", "/rollouts/preview"):
            answer = farid.post(path, json=WANTED | {"filter": "site:lahore bord:pi4"})
            assert answer.status_code == 422
            reason, _, carets = problem_of(answer)["detail"].split("\n")
            assert reason == "there is no field 'bord': did you mean board?"
            assert carets == " " * (2 + len("site:lahore ")) + "^" * len("bord")


@pytest.mark.parametrize(
    "wrong",
    [
        {"stages": "0"},
        {"soak": "x"},
        {"window": "x"},
        {"tries": 0},
        {"stop_share_max": 2},
        {"filter": "tag:nobody"},
        {"name": ""},
        {"filter": "tag:\x00"},
    ],
)
def test_a_rollout_that_makes_no_sense_is_refused(url: str, town: Town, wrong: dict[str, Any]) -> None:
    del town
    with logged_in(url, "farid") as farid:
        farid.post("/releases", json=RELEASE)
        answer = farid.post("/rollouts", json=WANTED | wrong)
        assert (answer.status_code, farid.get("/rollouts").json()["items"]) == (422, [])


def test_who_may_not_is_refused_and_who_sees_a_part_sees_no_rollout(url: str, town: Town) -> None:
    rollout = town.rollout()

    def answers(client: httpx.Client) -> list[int]:
        return [
            client.post("/releases", json=RELEASE).status_code,
            client.post("/rollouts", json=WANTED).status_code,
            client.post("/rollouts/preview", json=WANTED).status_code,
            client.post(f"/rollouts/{rollout}/approve").status_code,
            client.post(f"/rollouts/{rollout}/abort").status_code,
        ]

    for name in ("vera", "tariq", "near"):
        with logged_in(url, name) as client:
            assert answers(client) == [403] * 5, name
            expected = ([], 404) if name == "near" else ([rollout], 200)
            listed = [one["id"] for one in client.get("/rollouts").json()["items"]]
            assert (listed, client.get(f"/rollouts/{rollout}").status_code) == expected
            if name == "near":
                assert client.get("/releases").json()["items"] == []
                assert client.get(f"/rollouts/{rollout}/devices").status_code == 404
    with logged_in(url, OWNER) as owner:
        assert owner.post("/rollouts/nothing/abort").status_code == 404
        assert owner.post(f"/rollouts/{rollout}/explode").status_code == 422


def test_tags_are_set_where_the_caller_may_change_a_configuration(url: str, town: Town) -> None:
    del town
    with logged_in(url, "tariq") as tariq, logged_in(url, "vera") as vera:
        at = "/devices/cam-000001/tags"
        assert tariq.put(at, json={"tags": ["night", "a-1"]}).json() == {"tags": ["a-1", "night"]}
        assert vera.get(at).json() == {"tags": ["a-1", "night"]}
        assert vera.put(at, json={"tags": []}).status_code == 403
        assert "small letters" in problem_of(tariq.put(at, json={"tags": ["Ü"]}))["detail"]
        assert tariq.put("/devices/nobody-1/tags", json={"tags": []}).status_code == 404


def pehra(folder: Path, *words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*words, "--home", str(folder)])
    assert done.exit_code == code, done.output
    return done.output


def test_the_command_line_makes_watches_and_takes_back(
    services: Services, town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = services.settings.home
    assert home is not None
    monkeypatch.setenv("COLUMNS", "200")
    file = tmp_path / "street-2.tflite"
    file.write_bytes(b"eyes" * 100)
    town.release("street-2", "1.3.0", OLD)
    told = pehra(
        home, "rollout", "release", "add", str(file), "--kind", "model", "--name", "s", "--version", "2"
    )
    assert "s@2: 400 bytes" in told
    assert "s@2" in pehra(home, "rollout", "release", "list")
    asked = pehra(home, "rollout", "preview", "s@2", "--to", "board:pi4 or board:orin")
    assert "25 devices would get it, 25 of them are online" in asked
    wrong = pehra(home, "rollout", "create", "s@2", "--to", "bord:pi4", code=2)
    assert "  bord:pi4\n  ^^^^" in wrong
    pehra(home, "rollout", "create", "s@2", "--to", "all", "--name", "eyes")
    assert "second person" in pehra(home, "rollout", "approve", "eyes", code=2)
    monkeypatch.setattr("pehra.commands.rollout.who_am_i", lambda: "zain (terminal)")
    assert "It begins" in pehra(home, "rollout", "approve", "eyes")
    assert "Paused by zain" in pehra(home, "rollout", "pause", "eyes")
    pehra(home, "rollout", "resume", "eyes")
    town.pass_time(120)
    shown = json.loads(pehra(home, "rollout", "show", "eyes", "--json"))
    assert (shown["counts"]["succeeded"], shown["state"]) == (1, "running")
    assert "Goes back" in pehra(home, "rollout", "revert", "eyes")
    assert "eyes is reverting" in pehra(home, "rollout", "abort", "eyes", code=2)
    town.run_until(shown["id"], "reverted")
    assert "Reverted by zain" in pehra(home, "rollout", "show", "eyes", "--watch"), (
        "a watch ends with the rollout"
    )
    assert "reverted" in pehra(home, "rollout", "list")
    pehra(
        home,
        "rollout",
        "create",
        "s@2",
        "--to",
        "all",
        "--name",
        "again",
        "--no-approval",
        "--revert-on-stop",
    )
    town.behave = lambda *_: "rolled-back:it sees nothing"
    again = json.loads(pehra(home, "rollout", "show", "again", "--json"))["id"]
    town.run_until(again, "stopped")
    looks = iter(range(10))

    def look(_: float) -> None:
        assert next(looks, None) is not None, "it goes on looking after its end"
        town.tick()

    monkeypatch.setattr("pehra.commands.rollout_watch.time.sleep", look)
    assert "Reverted by itself" in pehra(home, "rollout", "show", "again", "--watch"), "a stop is not its end"
    assert "no rollout 'x'" in pehra(home, "rollout", "show", "x", code=2)
    assert pehra(home, "fleet", "device", "tag", "cam-000001", "night").strip() == "cam-000001: night"
    assert pehra(home, "fleet", "device", "tag", "cam-000001").strip() == "cam-000001: night"
    assert "no tags" in pehra(home, "fleet", "device", "tag", "cam-000001", "--none")
    assert "withdrawn" in pehra(home, "rollout", "release", "withdraw", "s@2")


def test_a_running_fleet_lets_rollouts_go_on_by_itself(services: Services, town: Town) -> None:
    import threading

    from tests.brokers import wait_until

    town.now_ms = 0
    rollout = town.rollout(stages="1,100%", soak_s=0)
    stop = threading.Event()
    part = threading.Thread(target=services.rollouts.run, args=(stop,))
    part.start()
    try:
        services.rollouts.wake()
        wait_until(town.wanted, "the first device is told")
        town.answer()
        services.rollouts.wake()
        wait_until(lambda: len(town.wanted()) == 25, "all are told")
    finally:
        stop.set()
        services.rollouts.wake()
        part.join(20)
    assert town.counts(rollout)["succeeded"] == 1


def test_a_database_of_the_step_before_gets_the_tables_and_loses_them_again(tmp_path: Path) -> None:
    from alembic import command
    from sqlalchemy import inspect

    from fleet.store.database import alembic_config

    engine = open_database(f"sqlite:///{tmp_path}/fleet.db")
    config = alembic_config()
    for step, there in (("0005", False), ("head", True)):
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            (command.upgrade if there else command.downgrade)(config, step)
        assert ("rollout" in inspect(engine).get_table_names()) is there
    engine.dispose()
