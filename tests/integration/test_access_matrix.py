"""Every route of the API against every role, at its own site and at a foreign one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from fleet.access.roles import ROLES, Role
from fleet.api.deps import browser_only, get_caller, open_to_all
from fleet.api.routers import api
from fleet.hawkbit.routes import router as ddi
from fleet.services import Services
from fleet.store.tables_identity import Identity
from tests.fake_device import count, event, health, info
from tests.integration.test_api_rest import store
from tests.people import add, logged_in, problem_of, served, services_with_home

OWN, FOREIGN = "cam-01", "cam-02"
CLIENT = "/{tenant}/controller/v1/{controller}"
DDI = {
    ("GET", CLIENT),
    ("PUT", f"{CLIENT}/configData"),
    ("GET", f"{CLIENT}/deploymentBase/{{number}}"),
    ("POST", f"{CLIENT}/deploymentBase/{{number}}/feedback"),
    ("GET", f"{CLIENT}/cancelAction/{{number}}"),
    ("POST", f"{CLIENT}/cancelAction/{{number}}/feedback"),
    ("GET", f"{CLIENT}/installedBase/{{number}}"),
    ("GET", f"{CLIENT}/softwaremodules/{{module}}/artifacts/{{file}}"),
    ("HEAD", f"{CLIENT}/softwaremodules/{{module}}/artifacts/{{file}}"),
}
"""Where engines of operating systems come, which prove that they are their device."""
PUBLIC = {
    ("GET", "/healthz"),
    ("HEAD", "/healthz"),
    ("POST", "/sessions"),
    ("GET", "/enrol/root"),
    ("GET", "/enrol/crl"),
    ("POST", "/enrol"),
    ("POST", "/enrol/renew"),
    ("POST", "/enrol/confirm"),
    ("POST", "/enrol/trust"),
    *DDI,
}
NEEDS = {
    ("GET", "/stats"): "see-stats",
    ("GET", "/devices"): "see-devices",
    ("GET", "/devices/{device}"): "see-devices",
    ("GET", "/devices/{device}/config"): "see-config",
    ("PUT", "/devices/{device}/config"): "change-config",
    ("GET", "/alarms"): "see-devices",
    ("GET", "/events"): "see-events",
    ("GET", "/counts"): "see-events",
    ("GET", "/users"): "manage-users",
    ("POST", "/users"): "manage-users",
    ("PUT", "/users/{name}/grants"): "manage-users",
    ("PUT", "/users/{name}/state"): "manage-users",
    ("PUT", "/users/{name}/password"): "manage-users",
    ("POST", "/users/{name}/unlock"): "manage-users",
    ("DELETE", "/users/{name}/totp"): "manage-users",
    ("DELETE", "/users/{name}"): "manage-users",
    ("GET", "/tokens"): "manage-tokens",
    ("POST", "/tokens"): "manage-tokens",
    ("DELETE", "/tokens/{id}"): "manage-tokens",
    ("GET", "/audit"): "see-audit",
    ("GET", "/audit/check"): "see-audit",
    ("GET", "/audit/export.csv"): "see-audit",
    ("GET", "/claims"): "make-claims",
    ("POST", "/claims"): "make-claims",
    ("DELETE", "/claims/{claim}"): "make-claims",
    ("GET", "/enrolments"): "approve-enrolment",
    ("POST", "/enrolments/{enrolment_id}"): "approve-enrolment",
    ("GET", "/devices/{device}/identity"): "see-devices",
    ("POST", "/devices/{device}/replace"): "replace-device",
    ("PUT", "/devices/{device}/site"): "replace-device",
    ("POST", "/devices/{device}/revoke"): "revoke-device",
    ("POST", "/devices/{device}/decommission"): "decommission-device",
    ("GET", "/releases"): "see-devices",
    ("POST", "/releases"): "manage-rollouts",
    ("POST", "/releases/{release}/withdraw"): "manage-rollouts",
    ("POST", "/releases/os"): "manage-rollouts",
    ("GET", "/devices/{device}/os"): "see-devices",
    ("POST", "/devices/{device}/os/token"): "make-claims",
    ("DELETE", "/devices/{device}/os/token"): "revoke-device",
    ("GET", "/rollouts"): "see-devices",
    ("POST", "/rollouts"): "manage-rollouts",
    ("POST", "/rollouts/preview"): "manage-rollouts",
    ("GET", "/rollouts/{rollout}"): "see-devices",
    ("GET", "/rollouts/{rollout}/devices"): "see-devices",
    ("POST", "/rollouts/{rollout}/approve"): "approve-rollouts",
    ("POST", "/rollouts/{rollout}/{verb}"): "manage-rollouts",
    ("GET", "/devices/{device}/rollouts"): "see-devices",
    ("GET", "/devices/{device}/tags"): "see-devices",
    ("PUT", "/devices/{device}/tags"): "change-config",
    ("GET", "/openapi.json"): "any",
    ("GET", "/me"): "any",
    ("GET", "/sessions"): "own",
    ("DELETE", "/sessions/current"): "own",
    ("DELETE", "/sessions/{id}"): "own",
    ("PUT", "/me/password"): "own",
    ("POST", "/me/totp"): "own",
    ("PUT", "/me/totp"): "own",
    ("POST", "/me/totp/off"): "own",
}
MAY = {
    "see-stats": set(Role),
    "see-devices": set(Role),
    "see-events": set(Role),
    "manage-tokens": set(Role),
    "see-config": {Role.TECHNICIAN, Role.FLEET_ADMIN, Role.AUDITOR, Role.OWNER},
    "change-config": {Role.TECHNICIAN, Role.FLEET_ADMIN, Role.OWNER},
    "make-claims": {Role.TECHNICIAN, Role.FLEET_ADMIN, Role.OWNER},
    "replace-device": {Role.TECHNICIAN, Role.FLEET_ADMIN, Role.OWNER},
    "approve-enrolment": {Role.FLEET_ADMIN, Role.OWNER},
    "revoke-device": {Role.FLEET_ADMIN, Role.OWNER},
    "decommission-device": {Role.FLEET_ADMIN, Role.OWNER},
    "manage-rollouts": {Role.FLEET_ADMIN, Role.OWNER},
    "approve-rollouts": {Role.FLEET_ADMIN, Role.OWNER},
    "manage-users": {Role.OWNER},
    "see-audit": {Role.AUDITOR, Role.OWNER},
    "any": set(Role),
    "own": set(Role),
}
BODIES: dict[tuple[str, str], Any] = {
    ("PUT", "/devices/{device}/config"): {"overlay": "health_s = 5\n"},
    ("POST", "/claims"): {"site": "lahore/gulberg/new"},
    ("POST", "/enrolments/{enrolment_id}"): {"state": "refused"},
    ("POST", "/devices/{device}/replace"): {},
    ("POST", "/devices/{device}/revoke"): {},
    ("POST", "/devices/{device}/decommission"): {"is_gone": True},
    ("PUT", "/devices/{device}/tags"): {"tags": ["night"]},
    ("POST", "/releases"): {"kind": "model", "name": "x", "version": "1", "sha256": "a" * 64, "length": 1},
    ("POST", "/rollouts"): {"release": "y@1", "filter": "all", "name": "x"},
    ("POST", "/rollouts/preview"): {"release": "y@1", "filter": "all"},
    ("POST", "/users"): {"name": "-", "password": "x"},
    ("PUT", "/users/{name}/grants"): {"grants": []},
    ("PUT", "/users/{name}/state"): {"is_disabled": True},
    ("PUT", "/users/{name}/password"): {"password": "x"},
    ("POST", "/tokens"): {"name": "x", "permissions": []},
    ("PUT", "/me/password"): {"old": "x", "new": "x"},
    ("POST", "/me/totp"): {"password": "x"},
    ("PUT", "/me/totp"): {"code": "x"},
    ("POST", "/me/totp/off"): {"password": "x"},
}
FLEET_WIDE = {"see-audit", "manage-users", "manage-rollouts", "approve-rollouts"}
SITES = {OWN: "lahore/gulberg/liberty", FOREIGN: "lahore/gulbergia"}


def all_routes(router: Any = api) -> list[APIRoute]:
    """Every route, also those of routers that are included."""
    found = []
    for route in router.routes:
        if isinstance(route, APIRoute):
            found.append(route)
        elif inner := getattr(route, "original_router", None):
            found += all_routes(inner)
    return found


def path_of(route: APIRoute) -> str:
    return route.path.removeprefix("/api/v1")


def declared(dependant: Any) -> set[str]:
    """What a route says of who may call it."""
    found = set()
    for dependency in dependant.dependencies:
        call = dependency.call
        if call is open_to_all:
            found.add("public")
        elif call is browser_only:
            found.add("own")
        elif call is get_caller:
            found.add("any")
        elif permission := getattr(call, "permission", None):
            found.add(str(permission))
        if call not in (browser_only,) and not hasattr(call, "permission"):
            found |= declared(dependency)
    return found


ROUTES = [
    (method, path_of(route), route)
    for route in [*all_routes(), *all_routes(ddi)]
    for method in sorted(route.methods)
]


def test_every_route_is_in_the_table_and_no_other_is() -> None:
    assert {(method, path) for method, path, _ in ROUTES} == set(NEEDS) | PUBLIC


@pytest.mark.parametrize(("method", "path", "route"), ROUTES, ids=lambda value: str(value)[:40])
def test_every_route_declares_who_may_call_it(method: str, path: str, route: APIRoute) -> None:
    wanted = "public" if (method, path) in PUBLIC else NEEDS[method, path]
    assert declared(route.dependant) == {wanted}


def test_the_table_of_roles_is_the_one_that_is_written_here() -> None:
    for permission, roles in MAY.items():
        if permission not in ("any", "own"):
            assert {role for role, held in ROLES.items() if permission in held} == roles


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    built = services_with_home(tmp_path_factory.mktemp("home"))
    for role in Role:
        add(built, f"all-{role}", str(role))
        add(built, f"own-{role}", f"{role}@lahore/gulberg")
    for device, site in SITES.items():
        store(built, device, info(site), health(), event(1), count(2, 1_795_426_200.0))
        with built.session() as session:
            session.add(Identity(device=device, site=site, state="active", since_ms=1, enrolled_ms=1))
            session.commit()
    yield built
    built.close()


@pytest.fixture(scope="module")
def url(services: Services) -> Iterator[str]:
    with served(services) as address:
        yield address


@pytest.fixture(scope="module")
def clients(url: str) -> Iterator[dict[str, httpx.Client]]:
    import contextlib

    with contextlib.ExitStack() as stack:
        names = [f"{reach}-{role}" for role in Role for reach in ("all", "own")]
        yield {name: stack.enter_context(logged_in(url, name)) for name in names}


def ask(client: httpx.Client, method: str, path: str, device: str) -> httpx.Response:
    nobody = "nobody-of-that-name"
    words = dict.fromkeys(("name", "claim", "enrolment_id", "release", "rollout"), nobody)
    real = path.format(device=device, id="0" * 16, verb="pause", **words)
    body = {"site": SITES[device]} if path.endswith("/site") else BODIES.get((method, path))
    return client.request(method, real, json=body)


KEEPS_SESSION = [key for key in NEEDS if key != ("DELETE", "/sessions/current")]


@pytest.mark.parametrize(("method", "path"), KEEPS_SESSION, ids=str)
@pytest.mark.parametrize("role", Role)
def test_a_role_is_answered_exactly_where_the_table_says(
    clients: dict[str, httpx.Client], role: Role, method: str, path: str
) -> None:
    needs = NEEDS[method, path]
    may = role in MAY[needs]
    for reach, device in (("all", OWN), ("all", FOREIGN), ("own", OWN), ("own", FOREIGN)):
        answer = ask(clients[f"{reach}-{role}"], method, path, device)
        assert answer.status_code < 500, answer.text
        is_hidden = reach == "own" and device == FOREIGN and "{device}" in path
        if not may or (reach == "own" and needs in FLEET_WIDE):
            assert answer.status_code == 403, (reach, device, answer.text)
            assert "permission" in problem_of(answer)["detail"]
        elif is_hidden:
            assert answer.status_code == 404, answer.text
            assert "no device" in problem_of(answer)["detail"]
        elif needs == "own":  # the wrong password of the proof is another refusal
            assert "needs the permission" not in answer.text
        else:
            assert answer.status_code not in (401, 403), answer.text


@pytest.mark.parametrize(("method", "path"), sorted(DDI), ids=str)
@pytest.mark.parametrize("name", ["", "all-owner"])
def test_who_is_no_device_is_refused_where_devices_come_whoever_has_logged_in(
    clients: dict[str, httpx.Client], url: str, name: str, method: str, path: str
) -> None:
    body = {"data": {}, "status": {"execution": "closed"}}
    real = path.format(tenant="default", controller=OWN, number=1, module=1, file="x.swu")
    cookies = clients[name].cookies if name else None
    with httpx.Client(base_url=url, cookies=cookies, headers={"origin": url}) as client:
        assert client.request(method, real, json=body).status_code in (401, 429)


@pytest.mark.parametrize(("method", "path"), NEEDS, ids=str)
def test_nobody_is_answered_without_log_in(url: str, method: str, path: str) -> None:
    with httpx.Client(base_url=f"{url}/api/v1") as client:
        assert ask(client, method, path, OWN).status_code == 401


@pytest.mark.parametrize("role", Role)
def test_lists_and_numbers_hold_only_the_devices_of_the_callers_sites(
    clients: dict[str, httpx.Client], role: Role
) -> None:
    own, everywhere = clients[f"own-{role}"], clients[f"all-{role}"]
    for path in ("/devices", "/events", "/counts"):
        key = "id" if path == "/devices" else "device"
        assert {one[key] for one in own.get(path).json()["items"]} == {OWN}
        assert {one[key] for one in everywhere.get(path).json()["items"]} == {OWN, FOREIGN}
    assert own.get("/events", params={"device": FOREIGN}).json()["items"] == []
    stats = own.get("/stats").json()
    assert (stats["devices"], stats["events_by_device"], stats["received"]) == (1, {OWN: 1}, None)


def test_a_role_elsewhere_does_not_let_one_change_what_one_merely_sees(services: Services, url: str) -> None:
    add(services, "mixed", "viewer", "technician@lahore/gulberg")
    with logged_in(url, "mixed") as mixed:
        assert mixed.get(f"/devices/{FOREIGN}").status_code == 200
        assert mixed.put(f"/devices/{FOREIGN}/config", json={"overlay": ""}).status_code == 403
        assert mixed.put(f"/devices/{OWN}/config", json={"overlay": ""}).status_code == 200


def test_a_site_is_not_within_another_whose_name_merely_begins_alike_or_differs_in_case(
    services: Services, url: str
) -> None:
    store(services, "cam-03", info("LAHORE/Gulberg/x"))
    with logged_in(url, "own-viewer") as own:
        assert {one["id"] for one in own.get("/devices").json()["items"]} == {OWN}
        assert own.get("/devices/cam-03").status_code == 404
