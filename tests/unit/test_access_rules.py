"""The pure rules of access: roles, sites, sessions, waiting, TOTP, URLs, origins."""

from __future__ import annotations

import re
from pathlib import Path

import pyotp
import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from fleet.access import passwords
from fleet.access.caller import Caller, Grant, Scope, lies_within, site_prefix
from fleet.access.lockout import DELAY_MAX_S, FREE_TRIES, Tries, after_failure, delay_s, settled
from fleet.access.places import mark_of, matching, network_of
from fleet.access.provider import load_provider
from fleet.access.roles import FLEET_WIDE, MEANINGS, ROLES, Permission, Role, role_of
from fleet.access.secrets import form_token, hash_of, holds_token, new_token
from fleet.access.sessions import ABSOLUTE_S, CLOCK_SLACK_S, IDLE_S, is_standing
from fleet.access.totp import matching_counter, new_totp_secret
from fleet.access.words import user_name
from fleet.api.gate import foreign_origin, is_loopback_name, is_token_in_url
from fleet.console.pages import PAGES, may_open, rule_at, safe_next
from fleet.errors import BadInput, SettingsError
from fleet.settings import Settings, load_settings
from tests.homes import make_home

ROOT = Path(__file__).resolve().parent.parent.parent
DAY_MS = 86_400_000


def caller(*grants: str, scope: Scope | None = None) -> Caller:
    parts = [one.partition("@") for one in grants]
    return Caller("x", "session", grants=tuple(Grant(Role(r), s) for r, _, s in parts), scope=scope)


def test_every_permission_is_explained_and_the_owner_has_all() -> None:
    assert set(MEANINGS) == set(Permission) == ROLES[Role.OWNER]
    assert Permission.MANAGE_USERS not in ROLES[Role.FLEET_ADMIN]


def test_the_table_of_roles_in_the_manual_is_the_one_of_the_code() -> None:
    manual = (ROOT / "docs" / "access.md").read_text()
    (head,) = re.findall(r"^\| permission \|(.+)\|$", manual, re.MULTILINE)
    roles = [Role(word.strip()) for word in head.split("|")]
    assert set(roles) == set(Role)
    for permission in Permission:
        (line,) = re.findall(rf"^\| `{permission}` \|(.+)\|$", manual, re.MULTILINE)
        marks = [word.strip() == "x" for word in line.split("|")]
        assert marks == [permission in ROLES[role] for role in roles], permission


def test_a_grant_holds_at_its_site_and_below_and_for_no_name_that_begins_alike() -> None:
    one = caller("operator@lahore/gulberg")
    assert one.may(Permission.SEE_LIVE, "lahore/gulberg")
    assert one.may(Permission.SEE_LIVE, "lahore/gulberg/liberty")
    assert not one.may(Permission.SEE_LIVE, "lahore/gulbergia")
    assert not one.may(Permission.SEE_LIVE, "lahore")
    assert not one.may(Permission.SEE_LIVE, "")


def test_several_grants_add_up_each_at_its_own_site() -> None:
    one = caller("viewer", "technician@lahore", "technician@lahore/gulberg")
    assert one.sites(Permission.SEE_DEVICES) == ("",)
    assert one.sites(Permission.CHANGE_CONFIG) == ("lahore",)


@pytest.mark.parametrize("permission", sorted(FLEET_WIDE))
def test_what_concerns_the_whole_fleet_is_not_given_by_a_part_of_it(permission: Permission) -> None:
    assert not caller("owner@lahore").has(permission)
    assert caller("owner").has(permission)
    assert not caller("owner", scope=Scope(frozenset(Permission), ("lahore",))).has(permission)


def test_a_token_has_no_more_than_its_scope_and_no_more_than_its_owner() -> None:
    scope = Scope(frozenset({Permission.SEE_EVENTS, Permission.SEE_AUDIT}), ("lahore/gulberg", "karachi"))
    one = caller("operator@lahore", scope=scope)
    assert one.sites(Permission.SEE_EVENTS) == ("lahore/gulberg",)
    assert not one.has(Permission.SEE_DEVICES)
    assert not one.has(Permission.SEE_AUDIT)


@given(st.text(), st.text())
def test_a_site_prefix_is_refused_or_a_path_and_stays_itself(text: str, site: str) -> None:
    try:
        prefix = site_prefix(text)
    except BadInput:
        return
    assert prefix == site_prefix(prefix)
    assert not prefix.startswith("/") and "//" not in prefix
    assert lies_within(prefix, prefix)
    assert lies_within(site, "")


@pytest.mark.parametrize("word", ["Owner", "root", "", "owner ", "'; drop table account; --", "\0"])
def test_a_role_of_no_name_is_refused(word: str) -> None:
    with pytest.raises(BadInput, match="no role"):
        role_of(word)


@pytest.mark.parametrize(
    "word", ["", " ", "-", "a b", "<img src=x onerror=alert(1)>", "a\0b", "\ud800", "x" * 65]
)
def test_a_user_name_that_could_be_markup_or_sql_is_refused(word: str) -> None:
    with pytest.raises(BadInput):
        user_name(word)


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("short", "too short"),
        ("x" * 257, "too long"),
        ("asad123asad123", "too like"),
        ("aaaaaaaaaaaaa", "too few"),
        ("a" * 11 + "\0bcd", "no keyboard"),
        ("abcdefghijklm\ud800", "no keyboard"),
    ],
)
def test_a_weak_password_is_refused(password: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        passwords.check_password(password, "asad123")


def test_a_password_of_a_megabyte_is_refused_before_it_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = passwords.hash_password("the night heron waits")
    monkeypatch.setattr(passwords, "_hasher", None)
    assert not passwords.is_password(kept, "x" * 1_000_000)
    with pytest.raises(BadInput, match="too long"):
        passwords.check_password("x" * 1_000_000, "asad")


def test_a_hash_of_weaker_parameters_is_outdated() -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("the night heron waits")
    assert passwords.is_outdated(weak)
    assert passwords.is_password(weak, "the night heron waits")
    assert not passwords.is_outdated(passwords.hash_password("the night heron waits"))


def test_waiting_doubles_and_ends_at_a_quarter_of_an_hour() -> None:
    free = FREE_TRIES["user"]
    assert [delay_s(n, free) for n in range(free, free + 4)] == [1, 2, 4, 8]
    assert delay_s(free - 1, free) == 0
    assert delay_s(10_000, free) == DELAY_MAX_S


@given(st.integers(0, 50), st.integers(0, 10**12), st.integers(-(10**12), 10**12))
def test_nobody_waits_longer_than_the_most_whatever_the_clock_does(
    failures: int, last_ms: int, jump_ms: int
) -> None:
    tries = after_failure(Tries(failures, last_ms, last_ms), 5, last_ms)
    now_ms = last_ms + jump_ms
    assert settled(tries, 5, now_ms).until_ms - now_ms <= DELAY_MAX_S * 1000


def test_a_session_ends_when_idle_when_old_and_when_the_clock_went_far_back() -> None:
    assert is_standing(0, 0, IDLE_S * 1000 - 1)
    assert not is_standing(0, 0, IDLE_S * 1000)
    assert not is_standing(0, ABSOLUTE_S * 1000 - 5, ABSOLUTE_S * 1000)
    assert is_standing(DAY_MS, DAY_MS, DAY_MS - CLOCK_SLACK_S * 1000)
    assert not is_standing(DAY_MS, DAY_MS, DAY_MS - CLOCK_SLACK_S * 1000 - 1)


def test_a_code_is_taken_once_and_neither_it_nor_an_earlier_one_again_when_the_clock_jumps_back() -> None:
    secret, now_s = new_totp_secret(), 1_800_000_000.0
    totp = pyotp.TOTP(secret)
    counter = matching_counter(secret, totp.at(int(now_s)), 0, now_s)
    assert counter == int(now_s) // 30
    assert matching_counter(secret, totp.at(int(now_s)), counter, now_s) is None
    assert matching_counter(secret, totp.at(int(now_s) - 30), counter, now_s - 30) is None
    assert matching_counter(secret, totp.at(int(now_s) + 30), counter, now_s) == counter + 1
    assert matching_counter(secret, totp.at(int(now_s) + 90), counter, now_s) is None


@pytest.mark.parametrize("code", ["", "12345", "1234567", "12345a", "١٢٣٤٥٦", "12345\0", "x" * 10_000])
def test_what_is_no_code_is_refused(code: str) -> None:
    assert matching_counter(new_totp_secret(), code, 0, 1.8e9) is None


def test_a_token_in_a_url_is_seen_wherever_it_stands() -> None:
    _, token = new_token()
    assert is_token_in_url("/api/v1/devices", f"q={token}")
    assert is_token_in_url(f"/api/v1/devices/{token}", "")
    assert is_token_in_url("/", "x=" + token.replace("_", "%5F"))
    assert is_token_in_url("/", "access_token=anything")
    assert not is_token_in_url("/api/v1/tokens", "q=pehra_")
    assert holds_token(f"Bearer {token}")


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("127.0.0.1:8000", True),
        ("localhost", True),
        ("[::1]:80", True),
        ("127.9.9.9", True),
        ("evil.example:8000", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("0.0.0.0", False),
        ("", False),
        ("[::1", False),
        ("localhost:x", False),
    ],
)
def test_only_this_machines_names_are_loopback(host: str, is_ours: bool) -> None:
    assert is_loopback_name(host) is is_ours


@pytest.mark.parametrize(
    ("headers", "is_foreign"),
    [
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "same-site"}, True),
        ({"origin": "https://fleet.example", "host": "fleet.example"}, False),
        ({"origin": "https://evil.example", "host": "fleet.example"}, True),
        ({"origin": "null", "host": "fleet.example"}, True),
        ({}, True),
    ],
)
def test_a_change_with_a_cookie_must_come_from_our_own_page(
    headers: dict[str, str], is_foreign: bool
) -> None:
    assert (foreign_origin(headers, needs_word=True) is not None) is is_foreign


@pytest.mark.parametrize(
    "text",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/events\r\nset-cookie: x=1",
        "/\t/evil.example",
        "/login",
        "/logout",
        "/api/v1/users",
        "/nowhere",
        "",
        "/events" + "x" * 1000,
    ],
)
def test_next_leads_to_a_page_of_ours_or_home(text: str) -> None:
    assert safe_next(text) == "/"


def test_next_keeps_a_page_with_its_state() -> None:
    assert safe_next("/devices/cam-01?tab=counts") == "/devices/cam-01?tab=counts"


def test_each_page_opens_for_the_roles_that_have_its_permission() -> None:
    for rule in PAGES:
        for role in Role:
            wanted = rule.permission is None or rule.permission in ROLES[role]
            assert may_open(caller(str(role)), rule) is wanted, (rule.path, role)
    assert rule_at("/devices/cam-01/live/cam0") is PAGES[-1]
    assert rule_at("/devices/a/b") is None


def test_a_form_token_belongs_to_its_cookie() -> None:
    assert form_token("a") != form_token("b")


def test_a_fleet_without_home_serves_this_machine_alone() -> None:
    Settings(http_host="127.0.0.1").check_reach()
    with pytest.raises(SettingsError, match="pehra fleet init"):
        Settings(http_host="0.0.0.0").check_reach()
    Settings(http_host="0.0.0.0", home=Path("/x")).check_reach()


def test_a_home_holds_the_database_unless_another_is_named(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    assert load_settings({}, home=tmp_path).database_url == f"sqlite:///{home.database}"
    assert load_settings({"PEHRA_DB": "sqlite:///x.db", "PEHRA_HOME": str(tmp_path)}).database_url.endswith(
        "x.db"
    )


GOOD = 'issuer = "https://id.example"\nclient_id = "pehra"\n'


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("issuer = ", "oidc.toml"),
        (GOOD.replace("https", "http"), "https address"),
        ('issuer = "https://id.example"', "client_id"),
        (GOOD + "colour = 1", "colour"),
        (GOOD + '[[grant]]\ngroup = "x"\nrole = "king"', "no role 'king'"),
        (GOOD + '[[grant]]\nrole = "viewer"', "group"),
    ],
)
def test_a_mistake_in_the_provider_is_named(tmp_path: Path, toml: str, sentence: str) -> None:
    (tmp_path / "oidc.toml").write_text(toml)
    with pytest.raises(SettingsError, match=sentence):
        load_provider({}, tmp_path)


def test_groups_become_roles_and_the_secret_is_printed_nowhere(tmp_path: Path) -> None:
    grant = '[[grant]]\ngroup = "guards"\nrole = "operator"\nsite = "lahore"\n'
    (tmp_path / "oidc.toml").write_text(GOOD + grant)
    provider = load_provider({"PEHRA_OIDC_CLIENT_SECRET": "hidden"}, tmp_path)
    assert provider is not None
    assert provider.client_secret == "hidden"
    assert "hidden" not in repr(provider)
    assert provider.grants_of(["x", "guards", 7]) == (Grant(Role.OPERATOR, "lahore"),)
    assert provider.grants_of(None) == provider.grants_of({"guards": 1}) == ()


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("a proxy's word", "a proxy's word"),
        ("x" * 99, "x" * 64),
    ],
)
def test_an_ipv6_network_counts_as_one_place_and_an_ipv4_address_by_itself(address: str, place: str) -> None:
    assert network_of(address) == place


def test_a_mark_matches_the_session_that_left_it_alone_and_is_not_its_secret() -> None:
    kept = [hash_of("one"), hash_of("two")]
    assert matching(mark_of(kept[1]), kept) == kept[1]
    assert matching(mark_of(hash_of("three")), kept) == ""
    for junk in ("", "one", kept[1], "\ud800", "é" * 64):
        assert matching(junk, kept) == ""
