"""The API against its own description: schemathesis asks every operation as every role, and as nobody.

Each role has a fleet of its own, and each operation finds it whole again: the caller has a fresh session, and
the user, device, claim and board that a request may name are there, whatever an operation before did to them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlmodel import Session, SQLModel, col, delete, select

from fleet.access.passwords import hash_password
from fleet.access.roles import Role
from fleet.access.secrets import hash_of
from fleet.access.sessions import open_session
from fleet.api.description import PROBLEM_TYPE, DescribedApi
from fleet.api.entry import SESSION_COOKIE, now_ms
from fleet.api.routers import api
from fleet.hawkbit.routes import router as ddi
from fleet.services import Services
from fleet.store.tables_identity import Claim, Enrolment, Identity
from fleet.store.tables_os import OsToken
from fleet.store.tables_people import ApiToken, LoginDelay, LoginSession, User, UserGrant
from tests.fake_device import event, health, info
from tests.integration.test_access_matrix import CLIENT, DDI, NEEDS, PUBLIC
from tests.integration.test_api_rest import store
from tests.people import PASSWORD, client_of, served, services_with_home

NOBODY: Final = "nobody"
CALLERS: Final = (NOBODY, *(str(role) for role in Role))
UNDESCRIBED: Final = {
    ("HEAD", "/healthz"),
    ("GET", "/openapi.json"),
    *((m, p) for m, p in DDI if m == "HEAD"),
}
GOOD, BAD = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
EXAMPLES: Final = {GOOD: 2, BAD: 2}
OWNERS_EXAMPLES: Final = {GOOD: 6, BAD: 4}
SITE, DEVICE, TARGET, ROW = "lahore/gulberg", "cam-01", "target", "row-1"
REAL: Final = {
    "tenant": "default",
    "controller": DEVICE,
    "device": DEVICE,
    "name": TARGET,
    "claim": ROW,
    "enrolment_id": ROW,
    "id": "0" * 16,
}
KEPT_HASH: Final = hash_password(PASSWORD)
NEVER_GRANTED: Final = {
    ("post", "/sessions"): "nobody guesses a password",
    ("put", "/me/password"): "it asks for the old password",
    ("post", "/me/totp"): "it asks for the password",
    ("put", "/me/totp"): "nothing was begun",
    ("post", "/me/totp/off"): "it asks for the password",
    ("put", "/devices/{device}/config"): "a text is seldom TOML",
    ("post", "/enrol"): "nobody guesses a claim",
    ("post", "/releases"): "a version and a hash are seldom guessed",
    ("post", "/releases/{release}/withdraw"): "there is no release",
    ("post", "/rollouts"): "there is no release",
    ("post", "/rollouts/preview"): "there is no release",
    ("get", "/rollouts/{rollout}"): "there is no rollout",
    ("get", "/rollouts/{rollout}/devices"): "there is no rollout",
    ("post", "/rollouts/{rollout}/approve"): "there is no rollout",
    ("post", "/rollouts/{rollout}/{verb}"): "there is no rollout",
    ("put", "/devices/{device}/tags"): "a text is seldom a tag",
    ("post", "/enrol/renew"): "it asks for a device's certificate",
    ("post", "/enrol/confirm"): "it asks for a device's certificate",
    ("post", "/enrol/trust"): "it asks for a device's certificate",
    **{(m.lower(), path): "there is no action" for m, path in DDI if "{number}" in path or "{file}" in path},
}
"""Where input that looks good is not enough, and why; other tests go there."""
TOKEN: Final = "the-token-of-the-device"
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def describe() -> dict[str, Any]:
    app = DescribedApi()
    app.include_router(api)
    app.include_router(ddi)
    return app.openapi()


DESCRIPTION: Final = describe()
PATHS: Final[dict[str, dict[str, Any]]] = DESCRIPTION["paths"]
GENERATION: Final = GenerationConfig(with_security_parameters=False)  # else most requests come as nobody
CONFIG: Final = SchemathesisConfig(projects=ProjectsConfig(default=ProjectConfig(generation=GENERATION)))
SCHEMA: Final = schemathesis.openapi.from_dict(DESCRIPTION, config=CONFIG)


def has_input(operation: dict[str, Any]) -> bool:
    return "requestBody" in operation or bool(operation.get("parameters"))


OPERATIONS: Final = [(method, path) for path, operations in PATHS.items() for method in operations]
ASKS: Final = {
    GOOD: OPERATIONS,
    BAD: [(method, path) for method, path in OPERATIONS if has_input(PATHS[path][method])],
}


@dataclass
class Place:
    """A fleet that one caller asks."""

    services: Services
    url: str
    caller: str
    secret: str = ""


@pytest.fixture(scope="module", params=CALLERS)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    services = services_with_home(tmp_path_factory.mktemp("home"))
    store(services, DEVICE, info(SITE), health(), event(1))
    with contextlib.closing(services), served(services) as url:
        yield Place(services, url, request.param)


def make_whole(services: Services, caller: str) -> str:
    """Put back all that the operations before may have changed; returns the secret of a new session."""
    services.guesses.forget()
    with services.session() as session:
        session.exec(delete(LoginDelay))
        for name, role in ((TARGET, "viewer"), (caller, caller)):
            if role != NOBODY:
                _put_user(session, name, role)
        for row in (
            Identity(device=DEVICE, site=SITE, state="active", since_ms=1, enrolled_ms=1),
            OsToken(device=DEVICE, hash=hash_of(TOKEN), made_ms=1),
            Claim(id=ROW, secret_sha256="0" * 64, made_ms=1, expires_ms=2**42, site=SITE),
            Enrolment(
                id=ROW, claim=ROW, key_sha256="0" * 64, device=DEVICE, site=SITE, state="waiting", asked_ms=1
            ),
        ):
            _put(session, row)
        secret = ""
        if caller != NOBODY:
            _put_own_rows(session, f"id-{caller}")
            user = session.exec(select(User).where(col(User.name) == caller)).one()
            secret = open_session(session, user, address="127.0.0.1", agent="", now_ms=now_ms())
        session.commit()
        return secret


def _put(session: Session, row: SQLModel) -> None:
    session.merge(row)
    session.flush()


def _put_user(session: Session, name: str, role: str) -> None:
    session.exec(delete(LoginSession).where(col(LoginSession.user) == f"id-{name}"))
    session.exec(delete(UserGrant).where(col(UserGrant.user) == f"id-{name}"))
    _put(session, User(id=f"id-{name}", name=name, password=KEPT_HASH, made_ms=1))
    _put(session, UserGrant(user=f"id-{name}", role=role, site=""))


def _put_own_rows(session: Session, user: str) -> None:
    _put(session, LoginSession(hash="0" * 64, user=user, made_ms=now_ms(), seen_ms=now_ms()))
    scope = {"permissions": ["see-stats"], "sites": [""]}
    _put(
        session,
        ApiToken(id="0" * 16, hash="0" * 64, user=user, name="report", made_ms=1, expires_ms=2, **scope),
    )


def check(place: Place, case: Case) -> int:
    """Ask, and compare the answer with the description; gives the status."""
    answer = case.call(
        base_url=place.url,
        cookies={SESSION_COOKIE: place.secret},
        headers={"Origin": place.url} | proof(place.caller, case.path),
        timeout=20,
    )
    case.validate_response(answer, checks=CHECKS)
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == [PROBLEM_TYPE]
    return answer.status_code


def proof(caller: str, path: str) -> dict[str, str]:
    """The device's token where only devices come; the owner has it, so that what follows is looked at too."""
    is_ours = path.startswith(CLIENT) and caller == Role.OWNER
    return {"Authorization": f"TargetToken {TOKEN}"} if is_ours else {}


def name_real_things(case: Case) -> None:
    case.path_parameters |= {name: REAL[name] for name in case.path_parameters if name in REAL}


def test_the_description_names_every_route_but_itself() -> None:
    found = {(method.upper(), path) for path in PATHS for method in PATHS[path]}
    assert {(method, path_of(path)) for method, path in found} == (set(NEEDS) | PUBLIC) - UNDESCRIBED


def test_who_logs_in_is_given_the_description_that_is_asked_here(place: Place) -> None:
    place.secret = make_whole(place.services, place.caller)
    with client_of(place.url) as client:
        client.cookies.set(SESSION_COOKIE, place.secret)
        answer = client.get("/openapi.json")
    if place.caller == NOBODY:
        assert answer.status_code == 401
    else:
        assert answer.json()["paths"] == DESCRIPTION["paths"]


@pytest.mark.parametrize(("method", "path"), ASKS[GOOD], ids=str)
def test_every_answer_to_good_input_is_as_the_description_says_and_none_is_a_fault(
    place: Place, method: str, path: str
) -> None:
    if path.startswith(CLIENT) and place.caller not in (NOBODY, Role.OWNER):
        return  # who has logged in is nobody there, whoever he is
    found = ask(place, method, path, GOOD)
    if place.caller == Role.OWNER and (method, path_of(path)) not in NEVER_GRANTED:
        assert any(status < 300 for status in found), f"good input of an owner only ever got {found}"


@pytest.mark.parametrize("place", [NOBODY, str(Role.OWNER)], indirect=True)
@pytest.mark.parametrize(("method", "path"), ASKS[BAD], ids=str)
def test_every_answer_to_bad_input_is_as_the_description_says_and_none_is_a_fault(
    place: Place, method: str, path: str
) -> None:
    """Of an owner, whose input is always looked at; of others it is looked at after their permission."""
    ask(place, method, path, BAD)


def ask(place: Place, method: str, path: str, mode: GenerationMode) -> set[int]:
    """Ask an operation a few times; gives the statuses that were answered."""
    found = set[int]()
    examples = OWNERS_EXAMPLES if place.caller == Role.OWNER else EXAMPLES
    place.secret = make_whole(place.services, place.caller)

    @seed(5)
    @settings(
        max_examples=examples[mode],
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=SCHEMA[path][method].as_strategy(generation_mode=mode), is_real=st.booleans())
    def ask_each(case: Case, is_real: bool) -> None:
        if mode is GOOD and is_real:
            name_real_things(case)
        found.add(check(place, case))
        if method != "get":
            place.secret = make_whole(place.services, place.caller)

    ask_each()
    return found


def path_of(path: str) -> str:
    return path.removeprefix(api.prefix)
