"""A board enrols and renews over real TLS: whatever is cut, whoever answers, it ends with one identity."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from device.errors import EnrolRefused, FleetAway, NotOurFleet, StateUnavailable
from device.firmware import fleet_https, renewal
from device.firmware.claim_file import CERTIFICATE, CLAIM, IDENTITY, is_enrolled, keep_ticket, kept_ticket
from device.firmware.enrol import Enroller, Hardware, enrol_once, needs_ticket, read_refused
from device.firmware.identity import (
    KEY,
    NEXT_KEY,
    is_ended,
    must_wipe,
    own_certificate,
    own_key,
    read_identity,
    signing_request,
    wipe,
)
from device.firmware.renewal import UNCONFIRMED, Renewal
from fleet.identity import revocation
from fleet.identity.authority import as_pem, issue_client, name_of, pin_of
from fleet.identity.claims import Terms
from fleet.identity.enrolment import decide, list_enrolments
from fleet.store.tables_identity import Certificate, Claim, Identity
from ota.enrolment import EnrolRequest, ticket_json
from ota.messages import format_ts
from tests.brokers import wait_until
from tests.fleet_server import FleetServer, Proxy, a_stranger, http_answer, running_proxy
from tests.homes import make_home

HARDWARE = Hardware("Raspberry Pi 4 <b>", "100000001")
AGO = timedelta(days=-100)
"""Then certificates of 120 days were given that are due for renewal today."""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetServer]:
    server = FleetServer(tmp_path_factory.mktemp("fleet")).start()
    yield server
    server.close()


@pytest.fixture
def proxy(fleet: FleetServer) -> Iterator[Proxy]:
    with running_proxy(fleet.port) as running:
        yield running


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def certificates(fleet: FleetServer, device: str) -> list[Certificate]:
    return [one for one in fleet.rows(Certificate) if one.device == device]


def in_the_past(fleet: FleetServer, deed: Callable[[], object], ago: timedelta = AGO) -> None:
    """Let something happen when the fleet's clock stood earlier."""
    before = fleet.now
    fleet.now = lambda: datetime.now(UTC) + ago
    try:
        deed()
    finally:
        fleet.now = before


def enrolled_long_ago(
    fleet: FleetServer, state: Path, device: str, port: int | None = None, ago: timedelta = AGO
) -> None:
    in_the_past(
        fleet, lambda: enrol_once(state, fleet.ticket(Terms(device=device), port=port), HARDWARE), ago
    )


def test_a_board_enrols_and_keeps_all_that_it_was_told(fleet: FleetServer, state: Path) -> None:
    ticket = fleet.ticket(Terms(site="lahore/gulberg", timezone="Asia/Karachi", device="cam-first"))
    keep_ticket(state, ticket)
    assert needs_ticket(state, has_broker=True)
    enrol_once(state, ticket, HARDWARE)
    identity = read_identity(state)
    assert identity is not None
    assert (identity.device, identity.site, identity.timezone) == (
        "cam-first", "lahore/gulberg", "Asia/Karachi",
    )  # fmt: skip
    assert identity.mqtt_port == 8883
    folder = state / IDENTITY
    there = ["device.pem", "director-root.json", "identity.json", "root.pem"]
    assert sorted(one.name for one in folder.iterdir()) == there
    assert (folder / CERTIFICATE).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not needs_ticket(state, has_broker=False)


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_link_that_is_cut_after_each_few_bytes_ends_with_one_identity(
    fleet: FleetServer, proxy: Proxy, state: Path, way: str
) -> None:
    device = f"cam-cut-{way}"
    ticket = fleet.ticket(Terms(device=device), port=proxy.port)
    limit, cuts = 0, 0
    while not is_enrolled(state):
        proxy.allow(**{way: limit})
        try:
            enrol_once(state, ticket, HARDWARE)
        except FleetAway:
            cuts += 1
        limit += 151
        assert limit < 40_000
    assert cuts > 10
    (certificate,) = certificates(fleet, device)
    assert certificate.pem.strip() in (state / IDENTITY / CERTIFICATE).read_text()
    assert [one.used for one in fleet.rows(Claim) if one.device == device] == [1]


def test_a_fleet_that_is_killed_and_comes_back_is_asked_again(tmp_path: Path, state: Path) -> None:
    fleet = FleetServer(tmp_path / "home").start()
    try:
        ticket = fleet.ticket(Terms(device="cam-01"))
        key = own_key(state)
        with fleet.services.session() as session:  # answered, but the answer was lost with the process
            csr = signing_request(key, "cam-01")
            fleet.office.enrol(session, EnrolRequest(claim=ticket.claim, csr=csr, device="cam-01"))
        fleet.stop()
        with pytest.raises(FleetAway):
            enrol_once(state, ticket, HARDWARE)
        fleet.start()
        enrol_once(state, ticket, HARDWARE)
        assert len(fleet.rows(Certificate)) == 1
    finally:
        fleet.close()


def test_a_portal_that_wants_a_log_in_learns_nothing(fleet: FleetServer, state: Path, tmp_path: Path) -> None:
    other = make_home(tmp_path / "other")
    page = http_answer(b"<html>please log in</html>", "302 Found")
    for chain, error in ((None, FleetAway), (other.https, NotOurFleet)):
        with a_stranger(lambda _: page, chain) as portal:
            ticket = fleet.ticket(port=portal.port)
            with pytest.raises(error):
                enrol_once(state, ticket, HARDWARE)
            assert ticket.claim.encode() not in portal.heard
    assert not is_enrolled(state)


def test_another_fleet_is_known_by_its_pin_and_by_its_chain(
    fleet: FleetServer, state: Path, tmp_path: Path
) -> None:
    other = make_home(tmp_path / "other")
    own_root = http_answer(fleet.home.root_certificate.read_bytes())
    their_root = http_answer(other.root_certificate.read_bytes())
    for answer in (their_root, own_root):  # the second shows a root that everybody can fetch
        with a_stranger(lambda _, answer=answer: answer, other.https) as stranger:
            ticket = fleet.ticket(port=stranger.port)
            with pytest.raises(NotOurFleet):
                enrol_once(state, ticket, HARDWARE)
            assert ticket.claim.encode() not in stranger.heard


@pytest.mark.parametrize("body", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_stranger_who_shows_no_certificate_is_not_the_fleet(
    fleet: FleetServer, state: Path, tmp_path: Path, body: bytes
) -> None:
    other = make_home(tmp_path / "other")
    with (
        a_stranger(lambda _: http_answer(body), other.https) as stranger,
        pytest.raises(NotOurFleet, match="no root certificate"),
    ):
        enrol_once(state, fleet.ticket(port=stranger.port), HARDWARE)


def test_a_root_with_a_key_of_no_known_kind_is_not_the_fleets(
    fleet: FleetServer, state: Path, tmp_path: Path
) -> None:
    other = make_home(tmp_path / "other")
    der = other.certificate(other.root_certificate).public_bytes(serialization.Encoding.DER)
    odd = der.replace(bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0266"), 1)
    pem = ssl.DER_cert_to_PEM_cert(odd).encode()
    with a_stranger(lambda _: http_answer(pem), other.https) as stranger, pytest.raises(NotOurFleet):
        enrol_once(state, fleet.ticket(port=stranger.port), HARDWARE)


def test_an_answer_that_dribbles_is_given_up(
    fleet: FleetServer, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_https, "WHOLE_S", 0.7)
    other = make_home(tmp_path / "other")
    with (
        a_stranger(lambda _: http_answer(b"x" * 1000), other.https, dribble_s=0.05) as stranger,
        pytest.raises(FleetAway),
    ):
        enrol_once(state, fleet.ticket(port=stranger.port), HARDWARE)


def test_a_certificate_that_is_not_valid_yet_is_taken_only_while_our_clock_is_certainly_wrong(
    tmp_path: Path,
) -> None:
    fleet = FleetServer(tmp_path / "home", founded=timedelta(days=2)).start()
    try:
        ticket = fleet.ticket(Terms(device="cam-01"))
        with pytest.raises(NotOurFleet, match="not yet valid"):
            enrol_once(tmp_path / "state", ticket, HARDWARE)
        in_1970 = msgspec.structs.replace(
            ticket, made=format_ts((datetime.now(UTC) + timedelta(days=2)).timestamp())
        )
        assert enrol_once(tmp_path / "state", in_1970, HARDWARE).state == "enrolled"
    finally:
        fleet.close()


def test_dates_count_again_as_soon_as_the_clock_is_set() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for now, is_checked in ((5.0, False), (100.0, True), (5.0, False)):
        fleet_https.heed_clock(context, 100.0, lambda now=now: now)
        assert bool(context.verify_flags & fleet_https.NO_CHECK_TIME) is not is_checked


class Running:
    """An `Enroller` in a thread, and what it says."""

    def __init__(self, state: Path) -> None:
        self.said: list[str] = []
        self.stop = threading.Event()
        self.is_in: bool | None = None
        self._enroller = Enroller(state, HARDWARE, self.said.append)
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.is_in = self._enroller.run(self.stop)

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join(60)

    def wait(self, words: str) -> None:
        wait_until(lambda: any(words in one for one in self.said), lambda: f"{words!r} in {self.said[-3:]}")

    def times(self, words: str) -> int:
        return sum(words in one for one in self.said)


def test_a_ticket_that_was_refused_is_not_asked_again_until_another_comes(
    fleet: FleetServer, proxy: Proxy, state: Path, tmp_path: Path
) -> None:
    used = fleet.ticket(Terms(), port=proxy.port)
    enrol_once(tmp_path / "other", used, HARDWARE)
    keep_ticket(state, used)
    with Running(state) as running:
        running.wait("its ticket was refused (claim-used")
        asked = proxy.connections
        wait_until(lambda: running.times("its ticket was refused") > 3, "it looks again and again")
        assert proxy.connections == asked
    with Running(state) as running:  # a restart forgets nothing
        running.wait("its ticket was refused (claim-used")
        assert proxy.connections == asked
        keep_ticket(state, fleet.ticket(Terms(device="cam-second"), port=proxy.port))
        running.wait("enrolled as cam-second")
    assert running.is_in
    refused = read_refused(state)
    assert refused is not None
    assert used.claim not in repr(refused)


def test_a_ticket_that_cannot_be_read_is_said_and_another_is_taken(fleet: FleetServer, state: Path) -> None:
    keep_ticket(state, fleet.ticket())
    for junk in (b"", b"{", b"\xff" * 9000, ticket_json(fleet.ticket()).replace(b"localhost", b"h:99999")):
        (state / IDENTITY / CLAIM).write_bytes(junk)
        with pytest.raises(StateUnavailable):
            kept_ticket(state)
        assert not needs_ticket(state, has_broker=True), "a camera that has a broker goes on"
        assert needs_ticket(state, has_broker=False)
    with Running(state) as running:
        running.wait("give the board its ticket again")
        keep_ticket(state, fleet.ticket(Terms(device="cam-again")))
        running.wait("enrolled as cam-again")


def test_a_board_that_waits_for_approval_is_told_so_and_let_in(
    fleet: FleetServer, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.identity.office.APPROVAL_RETRY_S", 0.2)
    keep_ticket(state, fleet.ticket(Terms(device="cam-wait", needs_approval=True)))
    with Running(state) as running:
        running.wait("cam-wait waits for an administrator")
        (waiting,) = fleet.do(list_enrolments, "waiting")
        assert (waiting.board, waiting.serial) == (HARDWARE.board, HARDWARE.serial)
        fleet.do(decide, waiting.id, "approved", "noor", datetime.now(UTC))
        running.wait("enrolled as cam-wait")


@pytest.mark.parametrize("name", [CERTIFICATE, "identity.json", "root.pem", KEY])
def test_a_disk_that_refuses_costs_nothing_but_another_try(
    fleet: FleetServer, state: Path, name: str
) -> None:
    device = f"cam-full-{name.split('.', maxsplit=1)[0]}"
    ticket = fleet.ticket(Terms(device=device))
    block = state / IDENTITY / f"{name}.new"
    block.mkdir(parents=True)
    with pytest.raises(StateUnavailable):
        enrol_once(state, ticket, HARDWARE)
    assert not is_enrolled(state)
    block.rmdir()
    enrol_once(state, ticket, HARDWARE)
    assert len(certificates(fleet, device)) == 1


def test_a_key_that_is_junk_is_replaced_by_another(state: Path) -> None:
    first = own_key(state)
    assert own_key(state).private_numbers() == first.private_numbers()
    (state / IDENTITY / KEY).write_bytes(b"\0" * 100)
    assert own_key(state).private_numbers() != first.private_numbers()


RACING = """
import sys, threading
from pathlib import Path
from device.firmware.enrol import Enroller, Hardware
print("up", flush=True)
sys.stdin.readline()
print(Enroller(Path(sys.argv[1]), Hardware("x", "1")).run(threading.Event()))
"""


def test_two_processes_of_one_board_at_once_are_one_enrolment(fleet: FleetServer, state: Path) -> None:
    keep_ticket(state, fleet.ticket(Terms(device="cam-twice")))
    command = [sys.executable, "-c", RACING, str(state)]
    pair = [subprocess.Popen(command, stdin=-1, stdout=-1, text=True) for _ in range(2)]
    for one in pair:
        assert one.stdout is not None
        assert one.stdout.readline() == "up\n"
    for one in pair:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    assert [one.communicate(timeout=60)[0] for one in pair] == ["True\n"] * 2
    assert len(certificates(fleet, "cam-twice")) == 1
    assert own_certificate(state).public_key() is not None


CUTTING = """
import sys
from pathlib import Path
from device.firmware.claim_file import kept_ticket
from device.firmware.enrol import Hardware, enrol_once
state = Path(sys.argv[1])
print("up", flush=True)
enrol_once(state, kept_ticket(state), Hardware("x", "1"))
print("in", flush=True)
"""


def test_a_board_that_is_killed_twenty_times_while_it_enrols_has_one_identity(
    fleet: FleetServer, tmp_path: Path
) -> None:
    kills, number = 0, 0
    while kills < 20:
        number += 1
        state, device = tmp_path / str(number), f"cam-kill-{number}"
        keep_ticket(state, fleet.ticket(Terms(device=device)))
        while not is_enrolled(state):
            board = subprocess.Popen([sys.executable, "-c", CUTTING, str(state)], stdout=-1)
            assert board.stdout is not None
            assert board.stdout.readline() == b"up\n"
            with contextlib.suppress(subprocess.TimeoutExpired):
                board.wait(random.uniform(0.0, 0.08) if kills < 20 else 60)
            kills += board.poll() is None
            board.kill()
            board.communicate()
        (certificate,) = certificates(fleet, device)
        assert certificate.pem.strip() in (state / IDENTITY / CERTIFICATE).read_text()
        assert read_identity(state) is not None
        assert [one.used for one in fleet.rows(Claim) if one.device == device] == [1]


def renewal_of(state: Path, told: list[int] | None = None, *, is_linked: bool = True) -> Renewal:
    heard = [] if told is None else told
    return Renewal(state, lambda: is_linked, lambda: heard.append(1))


def test_a_device_renews_by_its_old_certificate_and_the_old_one_ends_when_the_new_one_is_used(
    fleet: FleetServer, state: Path
) -> None:
    enrolled_long_ago(fleet, state, "cam-renew")
    old, told = own_certificate(state), []
    renewal_of(state, told).work(datetime.now(UTC))
    assert own_certificate(state) != old
    assert told == [1]
    renewal_of(state, is_linked=False).work(datetime.now(UTC))
    assert [one.revoked_ms for one in certificates(fleet, "cam-renew")] == [None, None]
    renewal_of(state).work(datetime.now(UTC))
    ended = [one.number for one in certificates(fleet, "cam-renew") if one.revoked_ms is not None]
    assert ended == [format(old.serial_number, "x")]
    assert not (state / IDENTITY / UNCONFIRMED).exists()
    assert name_of(own_certificate(state)) == "cam-renew"


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_renewal_that_is_cut_after_each_few_bytes_ends_with_one_new_certificate(
    fleet: FleetServer, proxy: Proxy, state: Path, way: str
) -> None:
    device = f"cam-cut-again-{way}"
    enrolled_long_ago(fleet, state, device, proxy.port)
    old, limit = own_certificate(state), 0
    while own_certificate(state) == old:
        proxy.allow(**{way: limit})
        try:
            renewal_of(state).work(datetime.now(UTC))
        except FleetAway:
            limit += 331
        assert limit < 30_000
    proxy.allow()
    assert len(certificates(fleet, device)) == 2
    limit = 0
    while (state / IDENTITY / UNCONFIRMED).exists():
        proxy.allow(**{way: limit})
        try:
            renewal_of(state).work(datetime.now(UTC))
        except FleetAway:
            limit += 997
    assert [one.reason for one in certificates(fleet, device) if one.revoked_ms] == ["superseded"]


def test_a_power_cut_between_any_two_steps_of_a_renewal_is_made_good(
    fleet: FleetServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first step that is cut raises; what is on the disk then is what the next start finds."""

    class PowerCut(Exception):
        pass

    for step in range(4):
        state, device = tmp_path / str(step), f"cam-power-{step}"
        enrolled_long_ago(fleet, state, device)
        old, left = own_certificate(state), [step]

        def cut_before(deed: Callable[..., object], left: list[int] = left) -> Callable[..., object]:
            def instead(*arguments: object, **options: object) -> object:
                if left[0] == 0:
                    raise PowerCut
                left[0] -= 1
                return deed(*arguments, **options)

            return instead

        with monkeypatch.context() as patch:
            for place, name in (
                ("device.firmware.renewal", "write_private"),
                ("device.firmware.identity", "write_private"),
                ("pathlib.Path", "unlink"),
            ):
                whole = getattr(Path, name) if place == "pathlib.Path" else getattr(renewal, name)
                patch.setattr(f"{place}.{name}", cut_before(whole))
            with pytest.raises(PowerCut):
                renewal_of(state).work(datetime.now(UTC))
        for _ in range(3):
            renewal_of(state).work(datetime.now(UTC))
        assert own_certificate(state) != old
        assert len(certificates(fleet, device)) == 2, step
        assert [one.reason for one in certificates(fleet, device) if one.revoked_ms] == ["superseded"], step


def test_a_next_key_that_is_in_use_already_is_not_asked_for_again(fleet: FleetServer, state: Path) -> None:
    enrolled_long_ago(fleet, state, "cam-left")
    own = (state / IDENTITY / CERTIFICATE).read_text()
    (state / IDENTITY / NEXT_KEY).write_text(own.partition("-----BEGIN CERTIFICATE")[0])
    old = own_certificate(state)
    renewal_of(state).work(datetime.now(UTC))
    assert own_certificate(state).public_key() != old.public_key()


def test_a_device_whose_clock_runs_far_ahead_is_not_renewed_for_ever(fleet: FleetServer, state: Path) -> None:
    enrolled_long_ago(fleet, state, "cam-ahead")
    ahead = datetime.now(UTC) + timedelta(days=115)
    for _ in range(2):
        renewal_of(state).work(ahead)
    for _ in range(3):
        with pytest.raises(EnrolRefused, match="too-early"):
            renewal_of(state).work(ahead)
    assert len(certificates(fleet, "cam-ahead")) == 2


def test_a_revoked_certificate_renews_nothing(fleet: FleetServer, state: Path) -> None:
    enrolled_long_ago(fleet, state, "cam-revoked")
    fleet.do(revocation.revoke_device, "cam-revoked", "keyCompromise", datetime.now(UTC))
    with pytest.raises(EnrolRefused) as refused:
        renewal_of(state).work(datetime.now(UTC))
    assert refused.value.reason == "revoked"


def test_an_expired_or_foreign_certificate_does_not_even_get_through_tls(
    fleet: FleetServer, state: Path, tmp_path: Path
) -> None:
    enrolled_long_ago(fleet, state, "cam-expired", ago=timedelta(days=-150))
    with pytest.raises(FleetAway):
        renewal_of(state).work(datetime.now(UTC))
    other = make_home(tmp_path / "other").issuing()
    key = own_key(tmp_path / "foreign")
    foreign = issue_client(other, key.public_key(), "cam-expired", datetime.now(UTC))
    secret = (tmp_path / "foreign" / IDENTITY / KEY).read_text()
    (state / IDENTITY / CERTIFICATE).write_text(secret + as_pem(foreign) + as_pem(other.certificate))
    with pytest.raises(FleetAway):
        renewal_of(state).work(datetime.now(UTC) + timedelta(days=300))
    assert len(certificates(fleet, "cam-expired")) == 1


@pytest.fixture(scope="module")
def client(fleet: FleetServer) -> Iterator[httpx.Client]:
    context = ssl.create_default_context(cafile=str(fleet.home.root_certificate))
    with httpx.Client(base_url=f"https://localhost:{fleet.port}/api/v1", verify=context) as opened:
        yield opened


def test_without_a_certificate_nothing_is_renewed_or_confirmed(client: httpx.Client) -> None:
    for path in ("/enrol/renew", "/enrol/confirm"):
        answer = client.post(path, json={"csr": "x"})
        assert (answer.status_code, answer.json()["reason"]) == (403, "foreign")


def test_root_and_revocation_list_are_everybodys(client: httpx.Client, fleet: FleetServer) -> None:
    root = x509.load_pem_x509_certificate(client.get("/enrol/root").content)
    assert pin_of(root) == fleet.ticket().pin
    crl = x509.load_pem_x509_crl(client.get("/enrol/crl").content)
    assert crl.issuer == fleet.home.issuing().certificate.subject


BODIES = {
    "empty": b"",
    "junk": b"\xff\xfe",
    "a list": b"[]",
    "deep": b"[" * 60_000,
    "large": b"x" * 70_000,
    "a NUL in the serial": json.dumps({"claim": "c" * 32, "csr": "x", "serial": "a\0b"}).encode(),
    "an escape in the model": json.dumps({"claim": "c" * 32, "csr": "x", "board": "\x1b[2J"}).encode(),
    "a line in the serial": json.dumps({"claim": "c" * 32, "csr": "x", "serial": "1\nERROR"}).encode(),
    "half a character": b'{"claim":"' + b"c" * 32 + b'","csr":"x","board":"\\ud800"}',
    "a site": json.dumps({"claim": "c" * 32, "csr": "x", "site": "../.."}).encode(),
    "SQL for a claim": json.dumps({"claim": "' OR 1=1; --" + "c" * 20, "csr": "x"}).encode(),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_question_that_is_none_is_a_problem_and_no_fault(client: httpx.Client, body: bytes) -> None:
    for path, allowed in (("/enrol", {422}), ("/enrol/renew", {422, 403})):
        answer = client.post(path, content=body)
        assert answer.status_code in allowed
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.text) < 1000


def test_odd_requests_with_a_good_claim_are_refused_and_spend_nothing(
    client: httpx.Client, fleet: FleetServer
) -> None:
    ticket = fleet.ticket(Terms(device="cam-odd"))
    for csr in (
        "",
        "x" * 20_000,
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----",
    ):
        answer = client.post("/enrol", json={"claim": ticket.claim, "csr": csr})
        assert (answer.status_code, answer.json()["reason"]) == (403, "csr")
    assert [one.used for one in fleet.rows(Claim) if one.device == "cam-odd"] == [0]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_before_1_2_is_refused(fleet: FleetServer, version: ssl.TLSVersion) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, version
    with (
        socket.create_connection(("127.0.0.1", fleet.port)) as plain,
        pytest.raises(ssl.SSLError),
        context.wrap_socket(plain),
    ):
        pass


def test_no_secret_is_logged_on_either_side(
    fleet: FleetServer, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    ticket = fleet.ticket(Terms(device="cam-quiet"))
    keep_ticket(state, ticket)
    with Running(state) as running:
        running.wait("enrolled as cam-quiet")
    with pytest.raises(EnrolRefused):
        enrol_once(state.parent / "other", ticket, HARDWARE)
    assert "cam-quiet" in caplog.text
    assert ticket.claim not in caplog.text
    assert "PRIVATE KEY" not in caplog.text


def test_a_board_taken_out_of_service_waits_for_a_ticket_and_enrols_anew(
    fleet: FleetServer, state: Path
) -> None:
    enrol_once(state, fleet.ticket(Terms(device="cam-out")), HARDWARE)
    (state / "outbox.db").write_bytes(b"messages")
    (state / "config").mkdir()
    (state / "lost+found").mkdir()
    wipe(state, "decommissioned by its fleet")
    kept = {str(one.relative_to(state)) for one in state.rglob("*")}
    assert kept == {"identity", "identity/ended.json", "lost+found"}
    assert is_ended(state)
    assert not must_wipe(state)
    assert needs_ticket(state, has_broker=True)
    fleet.do(revocation.retire_device, "cam-out", "wiped itself", datetime.now(UTC))
    enrol_once(state, fleet.ticket(Terms(device="cam-out")), HARDWARE)
    assert not is_ended(state)
    assert [one.state for one in fleet.rows(Identity) if one.device == "cam-out"] == ["active"]


def test_a_wipe_that_was_cut_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state"
    for name in ("config", IDENTITY, "slots"):
        (state / name).mkdir(parents=True)
        (state / name / "file").write_bytes(b"x")
    calls = []

    def cut(path: Path) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        real(path)

    real = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", cut)
    with pytest.raises(StateUnavailable):
        wipe(state, "x")
    assert must_wipe(state)
    wipe(state, "x")
    assert not must_wipe(state)
    assert [one.name for one in state.iterdir()] == [IDENTITY]
