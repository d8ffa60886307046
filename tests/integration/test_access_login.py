"""Log-in over a real HTTP server: who gets in, what the cookie is, what a browser of others cannot do."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest
from argon2 import PasswordHasher
from sqlalchemy import text
from sqlmodel import delete, select

from fleet.access import lockout
from fleet.access.caller import SYSTEM
from fleet.access.secrets import hash_of
from fleet.access.users import disable_user, remove_user
from fleet.api.entry import SESSION_COOKIE, now_ms
from fleet.app import create_api
from fleet.console import login as login_forms
from fleet.console.guard import Guard
from fleet.errors import Conflict
from fleet.services import Services
from fleet.store.tables_people import AuditEntry, LoginDelay, LoginSession, User
from tests.people import (
    OWNER,
    PASSWORD,
    add,
    client_of,
    logged_in,
    problem_of,
    served,
    services_with_home,
)

HOSTILE = ["<img src=x onerror=alert(1)>", "'; drop table account; --", "a\0b", "x" * 5000]


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    built = services_with_home(tmp_path_factory.mktemp("home"))
    add(built, "vera", "viewer")
    yield built
    built.close()


@pytest.fixture(scope="module")
def url(services: Services) -> Iterator[str]:
    """API and log-in forms; NiceGUI mounts once a process, so its pages are tested in their own."""

    def make(services: Services) -> Any:
        app = create_api(services)
        app.include_router(login_forms.router)
        return app

    with served(services, make) as address:
        yield address


@pytest.fixture(autouse=True)
def no_delays(services: Services) -> None:
    with services.engine.begin() as connection:
        connection.execute(text("delete from login_delay"))


def post_login(url: str, name: str, password: str = PASSWORD, **more: str) -> httpx.Response:
    with client_of(url) as client:
        return client.post("/sessions", json={"name": name, "password": password, **more})


def actions(services: Services) -> list[tuple[str, str, str]]:
    with services.session() as session:
        rows = session.exec(select(AuditEntry).order_by(AuditEntry.n))
        return [(row.who, row.action, row.detail) for row in rows]


def test_without_log_in_nothing_but_health_and_log_in_is_answered(url: str) -> None:
    with client_of(url) as client:
        assert client.get("/healthz").status_code == 200
        answer = client.get("/devices")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "log in" in problem_of(answer)["detail"]


def test_a_role_is_allowed_what_it_may_and_refused_the_rest(url: str) -> None:
    with logged_in(url, "vera") as vera:
        assert vera.get("/devices").json() == {"items": [], "next_cursor": None}
        assert vera.get("/users").status_code == 403
    with logged_in(url, OWNER) as owner:
        assert OWNER in [one["name"] for one in owner.get("/users").json()["items"]]


def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(url: str) -> None:
    wrong, unknown = post_login(url, "vera", "x" * 20), post_login(url, "nobody")
    assert (wrong.status_code, wrong.json()) == (unknown.status_code, unknown.json())
    assert wrong.status_code == 401


def test_an_unknown_user_costs_a_hash_too(url: str, services: Services) -> None:
    def seconds(name: str) -> float:
        begin_s = time.perf_counter()
        post_login(url, name, "x" * 20)
        return time.perf_counter() - begin_s

    for name in ("vera", "nobody"):
        seconds(name)
    known, unknown = min(seconds("vera") for _ in range(3)), min(seconds("nobody") for _ in range(3))
    assert unknown > known / 3, (known, unknown)


def test_what_was_typed_as_an_unknown_name_is_not_kept_because_it_may_be_a_password(
    url: str, services: Services
) -> None:
    post_login(url, "my secret sentence", "x")
    assert ("(unknown)", "login.refused") in [one[:2] for one in actions(services)]
    assert "secret sentence" not in str(actions(services))
    assert PASSWORD not in str(actions(services))


def test_the_cookie_is_for_no_script_and_no_other_site_and_is_kept_as_a_hash(
    url: str, services: Services
) -> None:
    answer = post_login(url, "vera")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Secure" not in cookie
    secret = answer.cookies[SESSION_COOKIE]
    assert len(secret) == 43
    with services.session() as session:
        assert session.get(LoginSession, hash_of(secret)) is not None
        assert session.get(LoginSession, secret) is None


def test_over_tls_the_cookie_is_secure_and_bound_to_the_host(url: str) -> None:
    with client_of(url, **{"x-forwarded-proto": "https"}) as client:
        cookie = client.post("/sessions", json={"name": "vera", "password": PASSWORD}).headers["set-cookie"]
    assert cookie.startswith(f"__Host-{SESSION_COOKIE}=") and "Secure" in cookie and "Path=/" in cookie


def test_a_planted_session_id_is_worth_nothing_after_log_in_and_the_old_one_ends(url: str) -> None:
    with client_of(url) as client:
        client.cookies.set(SESSION_COOKIE, "planted-by-somebody")
        client.post("/sessions", json={"name": "vera", "password": PASSWORD})
        first = [c.value for c in client.cookies.jar][-1]
        assert first != "planted-by-somebody"
        client.cookies.clear()
        client.cookies.set(SESSION_COOKIE, str(first))
        client.post("/sessions", json={"name": "vera", "password": PASSWORD})
    for cookie in ("planted-by-somebody", str(first)):
        with client_of(url, cookie=f"{SESSION_COOKIE}={cookie}") as client:
            assert client.get("/me").status_code == 401


def test_the_cookie_of_another_fleet_opens_nothing(url: str, tmp_path: Path) -> None:
    other = services_with_home(tmp_path / "other")
    with served(other) as there, logged_in(there, OWNER) as client:
        cookie = client.cookies[SESSION_COOKIE]
    other.close()
    with client_of(url, cookie=f"{SESSION_COOKIE}={cookie}") as client:
        assert "ended" in problem_of(client.get("/me"))["detail"]


def test_log_out_kills_the_session_and_other_sessions_are_listed_and_ended_one_by_one(url: str) -> None:
    with logged_in(url, "vera") as one, logged_in(url, "vera") as two:
        own = two.get("/sessions").json()["items"]
        other = next(item["id"] for item in own if not item["is_this"])
        assert sum(item["is_this"] for item in own) == 1
        cookie = two.cookies[SESSION_COOKIE]
        for session in own:
            if not session["is_this"]:
                assert two.delete(f"/sessions/{session['id']}").status_code == 200
        assert two.delete(f"/sessions/{other}").status_code == 404
        assert one.get("/me").status_code == 401
        assert two.delete("/sessions/current").status_code == 200
        with client_of(url, cookie=f"{SESSION_COOKIE}={cookie}") as stolen:
            assert stolen.get("/me").status_code == 401


def test_a_changed_password_ends_every_session_and_the_old_one_opens_no_more(
    url: str, services: Services
) -> None:
    add(services, "changer", "viewer")
    new = "another sentence of mine"
    with logged_in(url, "changer") as one, logged_in(url, "changer") as two:
        assert one.put("/me/password", json={"old": "x" * 20, "new": new}).status_code == 403
        assert one.put("/me/password", json={"old": PASSWORD, "new": "short"}).status_code == 422
        assert one.put("/me/password", json={"old": PASSWORD, "new": new}).status_code == 200
        assert (one.get("/me").status_code, two.get("/me").status_code) == (401, 401)
    assert (post_login(url, "changer").status_code, post_login(url, "changer", new).status_code) == (401, 200)


@pytest.mark.parametrize("change", [disable_user, remove_user])
def test_a_user_who_is_disabled_or_removed_while_logged_in_is_out_at_once(
    url: str, services: Services, change: Any
) -> None:
    name = f"gone-{change.__name__}".replace("_", "-")
    add(services, name, "viewer")
    with logged_in(url, name) as client:
        body = {"name": "x", "permissions": ["see-events"]}
        token = client.post("/tokens", json=body).json()["token"]
        with services.session() as session:
            change(session, SYSTEM, name, now_ms=now_ms())
        assert client.get("/me").status_code == 401
        with client_of(url, authorization=f"Bearer {token}") as program:
            assert program.get("/events").status_code == 401
    assert post_login(url, name).status_code == 401


def test_the_last_owner_cannot_be_disabled_demoted_or_removed(url: str, services: Services) -> None:
    with logged_in(url, OWNER) as owner:
        for answer in (
            owner.put(f"/users/{OWNER}/state", json={"is_disabled": True}),
            owner.put(f"/users/{OWNER}/grants", json={"grants": [{"role": "owner", "site": "lahore"}]}),
            owner.delete(f"/users/{OWNER}"),
        ):
            assert (answer.status_code, "last owner" in problem_of(answer)["detail"]) == (409, True)
        assert owner.get("/users").status_code == 200


def test_every_change_of_a_user_may_be_sent_twice(url: str, services: Services) -> None:
    with logged_in(url, OWNER) as owner:
        body = {"name": "twice", "password": PASSWORD, "grants": [{"role": "viewer"}]}
        assert [owner.post("/users", json=body).status_code for _ in range(2)] == [200, 409]
        for method, path, sent in (
            ("PUT", "/users/twice/state", {"is_disabled": True}),
            ("PUT", "/users/twice/state", {"is_disabled": False}),
            ("PUT", "/users/twice/grants", {"grants": [{"role": "operator", "site": "/lahore/"}]}),
            ("POST", "/users/twice/unlock", None),
            ("DELETE", "/users/twice/totp", None),
        ):
            before = len(actions(services))
            assert [owner.request(method, path, json=sent).status_code for _ in range(2)] == [200, 200]
            assert len(actions(services)) - before <= 2
        made = [one for one in actions(services) if one[1] == "user.grant"]
        assert len(made) == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_refused_or_kept_as_text(url: str, text: str) -> None:
    with logged_in(url, OWNER) as owner:
        grants = [{"role": "viewer", "site": text}]
        for answer in (
            owner.post("/users", json={"name": text, "password": PASSWORD}),
            owner.post("/users", json={"name": "hostile", "password": text}),
            owner.put("/users/vera/grants", json={"grants": [{"role": text}]}),
            owner.put("/users/nobody/grants", json={"grants": grants}),
            owner.get("/audit", params={"target": text}),
            owner.post("/tokens", json={"name": text, "permissions": [text]}),
        ):
            assert answer.status_code in (200, 404, 409, 422), answer.text
        assert owner.get("/users").status_code == 200


def test_half_a_surrogate_pair_is_refused_in_every_field(url: str) -> None:
    raw = {"content-type": "application/json"}
    with logged_in(url, OWNER) as owner:
        for method, path, body in (
            ("POST", "/sessions", r'{"name": "\ud800", "password": "\ud800\ud800\ud800\ud800"}'),
            ("POST", "/users", r'{"name": "\ud800", "password": "abcdefghijklm\ud800"}'),
            ("POST", "/users", r'{"name": "surrogate", "password": "abcdefghijklm\ud800"}'),
            ("POST", "/tokens", r'{"name": "\ud800", "permissions": ["see-events"]}'),
            ("PUT", "/users/vera/grants", r'{"grants": [{"role": "viewer", "site": "\ud800"}]}'),
        ):
            answer = owner.request(method, path, content=body, headers=raw)
            assert answer.status_code in (401, 422), answer.text


def test_a_password_of_a_megabyte_is_refused_without_hashing(
    url: str, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.access.passwords._hasher", None)
    assert post_login(url, "vera", "x" * 1_000_000).status_code == 422
    with httpx.Client(base_url=url, headers={"origin": url}) as browser:
        form = form_of(browser, "/login")
        answer = browser.post("/login", data={"name": "vera", "password": "x" * 1_000_000, "form": form})
        assert answer.status_code in (413, 422)


def test_a_hash_with_weaker_parameters_is_made_anew_at_log_in(url: str, services: Services) -> None:
    add(services, "old-hash", "viewer")
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    with services.engine.begin() as connection:
        connection.execute(text("update account set password = :p where name = 'old-hash'"), {"p": weak})
    assert post_login(url, "old-hash").status_code == 200
    with services.session() as session:
        kept = session.exec(select(User.password).where(User.name == "old-hash")).one()
    assert kept != weak
    assert post_login(url, "old-hash").status_code == 200


def test_brute_force_is_made_to_wait_and_an_owner_can_end_the_wait(url: str, services: Services) -> None:
    add(services, "target", "viewer")
    answers = [
        post_login(url, "target", f"wrong wrong {n:03}") for n in range(lockout.FREE_TRIES["user"] + 1)
    ]
    assert [one.status_code for one in answers] == [401] * lockout.FREE_TRIES["user"] + [429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 2
    assert post_login(url, "target").status_code == 429, "the right password waits too"
    with logged_in(url, OWNER) as owner:
        assert owner.post("/users/target/unlock").status_code == 200
    assert post_login(url, "target").status_code == 200


def test_the_wait_survives_a_restart_and_keeps_nobody_out_who_is_known_at_his_place(
    url: str, services: Services
) -> None:
    add(services, "known", "viewer")
    assert post_login(url, "known").status_code == 200
    until_ms = now_ms() + 600_000
    with services.session() as session:
        for name in ("known", "vera"):
            session.merge(LoginDelay(key=f"user:{name}", failures=30, last_ms=now_ms(), until_ms=until_ms))
        vera = session.exec(select(User.id).where(User.name == "vera")).one()
        session.exec(delete(LoginSession).where(LoginSession.user == vera))
        session.commit()
    assert post_login(url, "known").status_code == 200, "strangers' tries do not keep him out"
    assert post_login(url, "vera").status_code == 429


def test_a_browser_that_is_known_logs_in_while_its_address_waits_and_others_do_not(
    url: str, services: Services
) -> None:
    with logged_in(url, "vera") as browser:
        browser.delete("/sessions/current")
        with services.session() as session:
            waits = LoginDelay(
                key="address:127.0.0.1", failures=30, last_ms=now_ms(), until_ms=now_ms() + 600_000
            )
            session.merge(waits)
            session.commit()
        body = {"name": "vera", "password": PASSWORD}
        assert browser.post("/sessions", json=body | {"password": "x" * 20}).status_code == 401
        assert browser.post("/sessions", json=body).status_code == 200
    assert post_login(url, "vera").status_code == 429


def form_of(browser: httpx.Client, path: str) -> str:
    page = browser.get(path)
    assert page.status_code == 200
    return str(re.findall(r'name="form" value="(\w+)"', page.text)[0])


@pytest.fixture
def browser(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers={"origin": url}, timeout=20) as client:
        yield client


def test_a_form_without_its_token_or_from_another_site_is_refused(url: str, browser: httpx.Client) -> None:
    form = form_of(browser, "/login")
    good = {"name": "vera", "password": PASSWORD}
    assert browser.post("/login", data=good | {"form": "x"}).status_code == 403
    foreign = {"origin": "https://evil.example"}
    assert browser.post("/login", data=good | {"form": form}, headers=foreign).status_code == 403
    assert browser.post("/login", data=good | {"form": form}).status_code == 303


def test_log_in_by_form_leads_to_where_one_wanted_but_never_to_another_site(browser: httpx.Client) -> None:
    for wanted, to in (("/events?kind=dwell", "/events?kind=dwell"), ("//evil.example/", "/")):
        browser.cookies.clear()
        data = {"name": "vera", "password": PASSWORD, "form": form_of(browser, "/login"), "next": wanted}
        assert browser.post("/login", data=data).headers["location"] == to


def test_a_page_of_another_site_cannot_change_anything_with_our_cookie(url: str) -> None:
    with logged_in(url, OWNER) as owner:
        body = {"name": "csrf", "password": PASSWORD}
        for headers in (
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": url, "sec-fetch-site": "cross-site"},
        ):
            assert owner.post("/users", json=body, headers=headers).status_code == 403
        del owner.headers["origin"]
        assert owner.post("/users", json=body).status_code == 403, "no word of where it comes from"
        assert owner.get("/users").status_code == 200


def test_a_log_out_by_another_site_does_nothing_and_twice_is_once(browser: httpx.Client, url: str) -> None:
    data = {"name": "vera", "password": PASSWORD, "form": form_of(browser, "/login")}
    browser.post("/login", data=data)
    assert browser.post("/logout", data={"form": "x"}).status_code == 303
    assert browser.get("/api/v1/me").status_code == 200
    from fleet.access.secrets import form_token

    form = form_token(browser.cookies[SESSION_COOKIE])
    assert [browser.post("/logout", data={"form": form}).status_code for _ in range(2)] == [303, 303]
    assert browser.get("/api/v1/me").status_code == 401


def turn_totp_on(url: str, name: str) -> tuple[pyotp.TOTP, list[str]]:
    with logged_in(url, name) as client:
        assert client.post("/me/totp", json={"password": "x" * 20}).status_code == 403
        begun = client.post("/me/totp", json={"password": PASSWORD}).json()
        totp = pyotp.TOTP(begun["secret"])
        assert client.put("/me/totp", json={"code": "000000"}).status_code == 422
        answer = client.put("/me/totp", json={"code": totp.now()})
        assert answer.status_code == 200, answer.text
        assert client.put("/me/totp", json={"code": totp.now()}).status_code == 409, "a second click"
        return totp, answer.json()["codes"]


def test_totp_is_asked_a_code_is_used_once_and_a_recovery_code_stands_in_once(
    url: str, services: Services
) -> None:
    add(services, "totp", "viewer")
    totp, recovery = turn_totp_on(url, "totp")
    assert "a code" in post_login(url, "totp").json()["detail"]
    later = totp.at(int(time.time()) + 30)
    assert post_login(url, "totp", code=totp.now()).status_code == 401, "it was used to turn TOTP on"
    assert post_login(url, "totp", code=later).status_code == 200
    assert post_login(url, "totp", code=later).status_code == 401
    assert post_login(url, "totp", code=recovery[0].upper()).status_code == 200
    assert post_login(url, "totp", code=recovery[0]).status_code == 401
    assert post_login(url, "totp", "wrong password", code=recovery[1]).status_code == 401
    with services.session() as session:
        kept = session.exec(text("select hash from recovery_code")).all()
    assert recovery[1] not in str(kept)


def test_a_second_click_on_the_code_is_one_session(
    url: str, services: Services, browser: httpx.Client
) -> None:
    add(services, "clicker", "viewer")
    _, recovery = turn_totp_on(url, "clicker")
    data = {"name": "clicker", "password": PASSWORD, "form": form_of(browser, "/login"), "next": "/events"}
    to_code = browser.post("/login", data=data)
    assert to_code.headers["location"] == "/login/code?next=%2Fevents"
    assert browser.get("/api/v1/me").status_code == 401, "half a log-in is none"
    form = form_of(browser, to_code.headers["location"])
    step = browser.cookies["pehra_login"]
    sent = {"code": recovery[0], "form": form, "next": "/events"}
    headers = {"cookie": f"pehra_login={step}", "origin": url}
    answers = [httpx.post(f"{url}/login/code", data=sent, headers=headers) for _ in range(2)]
    assert [one.headers.get("location") for one in answers] == ["/events", "/events"]
    with logged_in_by(url, answers[0]) as first, logged_in_by(url, answers[1]) as second:
        assert [one.get("/me").status_code for one in (first, second)] == [401, 200]
    sent["code"] = recovery[1] + "x"
    assert httpx.post(f"{url}/login/code", data=sent, headers=headers).status_code == 401


def logged_in_by(url: str, answer: httpx.Response) -> httpx.Client:
    return client_of(url, cookie=f"{SESSION_COOKIE}={answer.cookies[SESSION_COOKIE]}")


def test_a_token_does_what_its_scope_says_until_it_is_revoked(url: str, services: Services) -> None:
    with logged_in(url, OWNER) as owner:
        body = {"name": "nightly", "permissions": ["see-events", "see-devices"], "sites": ["lahore"]}
        made = owner.post("/tokens", json=body).json()
        assert made["token"].startswith(f"pehra_{made['id']}_")
        assert owner.post("/tokens", json=body).status_code == 409, "a second click makes no second one"
        assert "token" not in owner.get("/tokens").json()["items"][0]
        with client_of(url, authorization=f"Bearer {made['token']}") as program:
            del program.headers["origin"]
            assert program.get("/events").status_code == 200
            assert program.get("/me").json()["permissions"]["see-events"] == ["lahore"]
            for path in ("/users", "/stats", "/sessions", "/tokens", "/audit"):
                assert program.get(path).status_code == 403, path
            assert owner.delete(f"/tokens/{made['id']}").status_code == 200
            assert owner.delete(f"/tokens/{made['id']}").status_code == 404
            assert "revoked" in problem_of(program.get("/events"))["detail"]
    with services.session() as session:
        assert made["token"] not in str(session.exec(text("select * from api_token")).all())
    assert made["token"] not in str(actions(services))


def test_an_expired_token_is_refused_also_when_the_clock_went_far_back(url: str, services: Services) -> None:
    with logged_in(url, OWNER) as owner:
        made = owner.post("/tokens", json={"name": "old", "permissions": ["see-events"], "days": 1}).json()
    with client_of(url, authorization=f"Bearer {made['token']}") as program:
        assert program.get("/events").status_code == 200
        for column, value in (("expires_ms", now_ms() - 1), ("made_ms", now_ms() + 86_400_000)):
            with services.engine.begin() as connection:
                connection.execute(text("update api_token set expires_ms = :e"), {"e": now_ms() + 10**8})
                connection.execute(text(f"update api_token set {column} = :v"), {"v": value})
            assert program.get("/events").status_code == 401


def test_nobody_gives_a_token_what_he_does_not_have_himself(url: str) -> None:
    with logged_in(url, "vera") as vera:
        for permission, status in (
            ("manage-users", 403),
            ("manage-tokens", 422),
            ("fly", 422),
            ("see-events", 200),
        ):
            body = {"name": f"t-{permission}", "permissions": [permission]}
            assert vera.post("/tokens", json=body).status_code == status


def test_a_token_in_a_url_is_refused_with_a_reason_and_not_logged(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with logged_in(url, OWNER) as owner:
        made = owner.post("/tokens", json={"name": "url", "permissions": ["see-events"]}).json()["token"]
        caplog.clear()
        for path in (
            f"/events?token={made}",
            f"/events?access_token={made}",
            f"/devices/{made}",
            "/events?token=x",
        ):
            answer = httpx.get(f"{url}/api/v1{path}")
            assert (answer.status_code, "never accepted" in problem_of(answer)["detail"]) == (400, True)
            assert made not in answer.text
            assert httpx.get(f"{url}{path}").status_code == 400
    ours = [one.getMessage() for one in caplog.records if not one.name.startswith("httpx")]
    assert made not in str(ours)


def test_a_clock_that_jumps_back_ends_a_session_from_the_future(url: str, services: Services) -> None:
    with logged_in(url, "vera") as vera:
        hashed = hash_of(vera.cookies[SESSION_COOKIE])
        for ahead_s, status in ((60, 200), (86_400, 401)):
            with services.engine.begin() as connection:
                connection.execute(
                    text("update login_session set made_ms = :m, seen_ms = :m where hash = :h"),
                    {"m": now_ms() + ahead_s * 1000, "h": hashed},
                )
            assert vera.get("/me").status_code == status


def test_the_first_owner_is_made_once(services: Services) -> None:
    from fleet.access.users import create_owner

    with pytest.raises(Conflict, match="users already"):
        create_owner(services.engine, "second", PASSWORD)


def test_what_people_did_and_saw_is_in_the_log_and_the_log_is_whole(url: str, services: Services) -> None:
    with logged_in(url, OWNER) as owner:
        owner.get("/events")
        assert owner.get("/audit", params={"action": "audit"}).status_code == 200
        assert owner.get("/audit/check").json()["is_whole"]
        lines = owner.get("/audit/export.csv").text.splitlines()
        assert lines[0].startswith("n,at,who")
    seen = {action for who, action, _ in actions(services) if who == OWNER}
    assert {"login.in", "events.list", "audit.read", "audit.check", "audit.export"} <= seen


def test_a_socket_and_a_page_without_a_session_reach_nothing_behind_the_guard(services: Services) -> None:
    reached: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["path"])

    async def ask(kind: str, path: str) -> list[Any]:
        sent: list[Any] = []
        came = iter([{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "40"}])
        scope = {
            "type": kind,
            "path": path,
            "method": "GET",
            "query_string": b"client_id=x",
            "headers": [(b"cookie", b"pehra_session=wrong")],
            "scheme": "http",
            "server": ("127.0.0.1", 80),
        }

        async def receive() -> Any:
            return next(came, {"type": "websocket.disconnect"})

        async def send(message: Any) -> None:
            sent.append(message)

        await Guard(inner, services)(scope, receive, send)
        return sent

    import asyncio

    page = asyncio.run(ask("http", "/events"))
    assert (page[0]["status"], dict(page[0]["headers"])[b"location"]) == (
        303,
        b"/login?next=/events%3Fclient_id%3Dx",
    )
    assert asyncio.run(ask("http", "/_nicegui_ws/socket.io/"))[0]["status"] == 401
    socket = asyncio.run(ask("websocket", "/_nicegui_ws/socket.io/"))
    assert socket[-1]["type"] == "websocket.close"
    assert "refused" in socket[1]["text"] and "handshake failed" in socket[2]["text"]
    assert asyncio.run(ask("websocket", "/other"))[0]["type"] == "websocket.close"
    assert reached == []


def test_rows_of_a_role_that_this_version_does_not_know_give_nothing(url: str, services: Services) -> None:
    add(services, "future", "viewer")
    with services.engine.begin() as connection:
        connection.execute(
            text(
                "update account_grant set role = 'king' where role = 'viewer' and "
                "\"user\" = (select id from account where name = 'future')"
            )
        )
    with logged_in(url, "future") as future:
        assert future.get("/me").json()["permissions"] == {}
        assert future.get("/devices").status_code == 403
