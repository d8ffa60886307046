"""The board's side of enrolment against a small real HTTPS server; needs no package of the fleet's.

So it runs on aarch64, too (`make test-arm`). The server plays the answers of `/api/v1/enrol...` with real
authorities, real signatures and mutual TLS; `tests/integration/test_enrol_https.py` has the real fleet.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from device.errors import EnrolRefused, FleetAway, NotOurFleet
from device.firmware.claim_file import CERTIFICATE, IDENTITY, is_enrolled, keep_ticket, kept_ticket
from device.firmware.enrol import Enroller, Hardware, enrol_once, needs_ticket, was_refused
from device.firmware.identity import (
    KEY,
    own_certificate,
    read_identity,
    wipe,
    with_identity,
)
from device.firmware.renewal import UNCONFIRMED, Renewal, renew_after
from ota.enrolment import EnrolAnswer, Ticket
from ota.messages import format_ts

HARDWARE = Hardware("Raspberry Pi 4", "100000001")
CLAIM = "c" * 32
Answer = tuple[int, bytes]


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


class Authority:
    """A root and an issuing authority below it."""

    def __init__(self) -> None:
        self._root_key = ec.generate_private_key(ec.SECP256R1())
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.root = self._sign("root", self._root_key.public_key(), "root", self._root_key, is_authority=True)
        self.issuing = self._sign(
            "issuing", self._key.public_key(), "root", self._root_key, is_authority=True
        )

    @property
    def pin(self) -> str:
        digest = hashes.Hash(hashes.SHA256())
        digest.update(
            self.root.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        return digest.finalize().hex()

    def client(self, key: Any, device: str, ago: timedelta = timedelta(0)) -> x509.Certificate:
        use = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        return self._sign(device, key, "issuing", self._key, use, ago=ago)

    def server_file(self, folder: Path, ago: timedelta = timedelta(0)) -> Path:
        """Key, certificate and chain of 127.0.0.1: the arm64 root knows no names."""
        key = ec.generate_private_key(ec.SECP256R1())
        use = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
        certificate = self._sign("server", key.public_key(), "issuing", self._key, use, ago=ago)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file = folder / "server.pem"
        file.write_text(secret.decode() + pem(certificate) + pem(self.issuing))
        return file

    def _sign(
        self,
        subject: str,
        key: Any,
        issuer: str,
        by: ec.EllipticCurvePrivateKey,
        *more: x509.ExtensionType,
        ago: timedelta = timedelta(0),
        is_authority: bool = False,
    ) -> x509.Certificate:
        begin = datetime.now(UTC) - ago - timedelta(minutes=5)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name(issuer))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + timedelta(days=100))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        for one in more:
            builder = builder.add_extension(one, critical=False)
        return builder.sign(by, hashes.SHA256())


@dataclass
class SmallFleet:
    """What a fleet answers, and what it was asked.

    Attributes:
        authority: signs the devices.
        shown: the root that is handed out.
        ago: when the certificates of the next enrolments began.
        script: answers that come first, before the right ones.
        asked: path, body and number of the client's certificate of each question.
    """

    authority: Authority
    shown: x509.Certificate
    port: int = 0
    ago: timedelta = timedelta(0)
    script: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any], int | None]] = field(default_factory=list)
    given: dict[bytes, str] = field(default_factory=dict)

    def ticket(self, **changes: Any) -> Ticket:
        made = format_ts(datetime.now(UTC).timestamp())
        url = f"https://127.0.0.1:{self.port}"
        ticket = Ticket(claim=CLAIM, url=url, pin=self.authority.pin, made=made, device="cam-01")
        return msgspec.structs.replace(ticket, **changes)

    def answer(self, path: str, body: bytes, peer: x509.Certificate | None) -> Answer:
        if path == "/api/v1/enrol/root":
            return 200, pem(self.shown).encode()
        question = json.loads(body)
        self.asked.append((path, question, None if peer is None else peer.serial_number))
        if self.script:
            return self.script.pop(0)
        if path == "/api/v1/enrol/confirm":
            return 200, b'{"ended":[]}'
        if path == "/api/v1/enrol/renew" and peer is None:
            return problem("foreign")
        return 200, self._enrolled(question["csr"], self.ago if path == "/api/v1/enrol" else timedelta(0))

    def _enrolled(self, csr_pem: str, ago: timedelta) -> bytes:
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        assert csr.is_signature_valid
        key = csr.public_key()
        der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        if der not in self.given:  # the same key again gets the same certificate
            self.given[der] = pem(self.authority.client(key, "cam-01", ago))
        return msgspec.json.encode(self.enrolled(self.given[der]))

    def enrolled(self, certificate: str) -> EnrolAnswer:
        return EnrolAnswer(
            state="enrolled",
            device="cam-01",
            now=format_ts(datetime.now(UTC).timestamp()),
            site="lahore/gulberg",
            timezone="Asia/Karachi",
            certificate=certificate,
            chain=pem(self.authority.issuing),
            root=pem(self.authority.root),
            mqtt_host="broker.example",
            mqtt_port=8883,
        )


def problem(reason: str, status: int = 403) -> Answer:
    return status, json.dumps({"detail": "because", "reason": reason}).encode()


def waiting() -> Answer:
    now = format_ts(datetime.now(UTC).timestamp())
    return 200, msgspec.json.encode(EnrolAnswer(state="waiting", device="cam-01", now=now, retry_s=0.01))


class Server(ThreadingHTTPServer):
    """Serves TLS; a handshake that fails is the client's affair."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: tests look at what the board says."""


@contextmanager
def serving(fleet: SmallFleet, certificate: Path) -> Iterator[SmallFleet]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            der = self.connection.getpeercert(binary_form=True)
            peer = x509.load_der_x509_certificate(der) if der else None
            status, said = fleet.answer(self.path, body, peer)
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = _answer

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(cadata=pem(fleet.authority.root) + pem(fleet.authority.issuing))
    context.verify_mode = ssl.CERT_OPTIONAL
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    fleet.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield fleet
    finally:
        server.shutdown()
        thread.join(20)
        server.server_close()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def fleet(authority: Authority, tmp_path: Path) -> Iterator[SmallFleet]:
    with serving(SmallFleet(authority, authority.root), authority.server_file(tmp_path)) as running:
        yield running


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def paths(fleet: SmallFleet) -> list[str]:
    return [path.removeprefix("/api/v1/enrol") for path, _, _ in fleet.asked]


def test_a_board_enrols_by_its_ticket_and_configures_its_link_by_what_it_was_told(
    fleet: SmallFleet, state: Path
) -> None:
    keep_ticket(state, fleet.ticket())
    assert needs_ticket(state, has_broker=True)
    assert enrol_once(state, fleet.ticket(), HARDWARE).state == "enrolled"
    assert not needs_ticket(state, has_broker=False)
    assert kept_ticket(state) is None, "it is spent"
    ((_, asked, peer),) = fleet.asked
    assert (asked["claim"], asked["serial"], asked["board"], peer) == (
        CLAIM,
        "100000001",
        "Raspberry Pi 4",
        None,
    )
    table = with_identity({"device": {"site": "my own"}}, state)
    assert table["device"] == {"id": "cam-01", "site": "my own", "timezone": "Asia/Karachi"}
    assert (table["mqtt"]["host"], table["mqtt"]["port"]) == ("broker.example", 8883)
    assert sorted(one.name for one in (state / IDENTITY).iterdir()) == [
        "device.pem",
        "identity.json",
        "root.pem",
    ]
    ssl.create_default_context(cafile=table["mqtt"]["ca"]).load_cert_chain(table["mqtt"]["cert"])
    assert Path(table["mqtt"]["cert"]).stat().st_mode & 0o777 == 0o600


def test_the_key_stays_the_same_until_an_answer_arrives_and_never_leaves_the_board(
    fleet: SmallFleet, state: Path
) -> None:
    fleet.script = [problem("", 503), (200, b"{"), (200, b"[]")]
    for _ in range(3):
        with pytest.raises(FleetAway):
            enrol_once(state, fleet.ticket(), HARDWARE)
    enrol_once(state, fleet.ticket(), HARDWARE)
    own = own_certificate(state).public_key()
    assert all(
        x509.load_pem_x509_csr(asked["csr"].encode()).public_key() == own for _, asked, _ in fleet.asked
    )
    assert "PRIVATE" not in str(fleet.asked)
    assert not (state / IDENTITY / KEY).exists(), "it lies beside its certificate now"


def test_a_stranger_gets_no_claim(fleet: SmallFleet, state: Path, tmp_path: Path) -> None:
    """With his own root the pin says so; with ours, which everybody can fetch, his chain does."""
    other = Authority()
    for shown in (other.root, fleet.authority.root):
        with serving(SmallFleet(other, shown), other.server_file(tmp_path)) as stranger:
            ticket = fleet.ticket(url=f"https://127.0.0.1:{stranger.port}")
            with pytest.raises(NotOurFleet):
                enrol_once(state, ticket, HARDWARE)
        assert stranger.asked == []
    assert not is_enrolled(state)


def forged(fleet: SmallFleet, change: Callable[[SmallFleet, x509.Certificate], EnrolAnswer]) -> Answer:
    key = ec.generate_private_key(ec.SECP256R1())
    return 200, msgspec.json.encode(change(fleet, fleet.authority.client(key.public_key(), "cam-01")))


@pytest.mark.parametrize(
    "change",
    [
        lambda fleet, own: fleet.enrolled(pem(own)),
        lambda fleet, _: fleet.enrolled(""),
        lambda fleet, own: msgspec.structs.replace(fleet.enrolled(pem(own)), chain=""),
        lambda fleet, own: msgspec.structs.replace(fleet.enrolled(pem(own)), chain=pem(Authority().issuing)),
    ],
    ids=["for another key", "none", "without its chain", "with a chain of others"],
)
def test_a_certificate_that_is_not_ours_is_not_kept(
    fleet: SmallFleet, state: Path, change: Callable[[SmallFleet, x509.Certificate], EnrolAnswer]
) -> None:
    fleet.script = [forged(fleet, change)]
    with pytest.raises(NotOurFleet):
        enrol_once(state, fleet.ticket(), HARDWARE)
    assert not is_enrolled(state)


def test_a_clock_before_the_tickets_moment_takes_a_certificate_that_is_not_valid_yet(
    state: Path, authority: Authority, tmp_path: Path
) -> None:
    in_two_days = timedelta(days=2)
    certificate = authority.server_file(tmp_path, -in_two_days)
    with serving(SmallFleet(authority, authority.root), certificate) as ahead:
        with pytest.raises(NotOurFleet, match="not yet valid"):
            enrol_once(state, ahead.ticket(), HARDWARE)
        made = format_ts((datetime.now(UTC) + in_two_days).timestamp())
        assert enrol_once(state, ahead.ticket(made=made), HARDWARE).state == "enrolled"


def test_a_board_waits_for_approval_and_is_let_in(fleet: SmallFleet, state: Path) -> None:
    fleet.script = [waiting(), waiting()]
    keep_ticket(state, fleet.ticket())
    said: list[str] = []
    assert Enroller(state, HARDWARE, said.append).run(threading.Event())
    assert len(fleet.asked) == 3
    assert "cam-01 waits for an administrator's approval" in said
    assert said[-1] == "enrolled as cam-01"


def test_a_refused_ticket_is_not_asked_again_also_after_a_restart(fleet: SmallFleet, state: Path) -> None:
    fleet.script, ticket = [problem("claim-used")], fleet.ticket()
    keep_ticket(state, ticket)
    for _ in range(2):
        stop = threading.Event()

        def end_when_refused(words: str, stop: threading.Event = stop) -> None:
            if "its ticket was refused (claim-used: because)" in words:
                stop.set()

        assert not Enroller(state, HARDWARE, end_when_refused).run(stop)
    assert len(fleet.asked) == 1
    assert was_refused(state, ticket)
    keep_ticket(state, fleet.ticket(claim="d" * 32))
    assert Enroller(state, HARDWARE).run(threading.Event())


def renewal(state: Path, told: list[int], *, is_linked: bool = True) -> Renewal:
    return Renewal(state, lambda: is_linked, lambda: told.append(1))


def test_a_due_certificate_is_renewed_by_the_old_one_and_confirmed_by_the_new(
    fleet: SmallFleet, state: Path
) -> None:
    fleet.ago = timedelta(days=70)
    enrol_once(state, fleet.ticket(), HARDWARE)
    old, told = own_certificate(state), list[int]()
    renewal(state, told).work(datetime.now(UTC))
    new = own_certificate(state)
    assert new.public_key() != old.public_key()
    assert told == [1]
    renewal(state, told, is_linked=False).work(datetime.now(UTC))
    assert paths(fleet) == ["", "/renew"], "not confirmed before the broker has taken it"
    renewal(state, told).work(datetime.now(UTC))
    assert paths(fleet) == ["", "/renew", "/confirm"]
    assert [peer for _, _, peer in fleet.asked] == [None, old.serial_number, new.serial_number]
    assert not (state / IDENTITY / UNCONFIRMED).exists()
    renewal(state, told).work(datetime.now(UTC))
    assert len(fleet.asked) == 3, "it is young"
    assert renew_after(new) > datetime.now(UTC)


def test_an_answer_to_a_renewal_that_is_lost_is_asked_for_again_with_the_same_key(
    fleet: SmallFleet, state: Path
) -> None:
    fleet.ago = timedelta(days=70)
    enrol_once(state, fleet.ticket(), HARDWARE)
    old = own_certificate(state)
    fleet.script = [problem("", 503)]
    with pytest.raises(FleetAway):
        renewal(state, []).work(datetime.now(UTC))
    assert own_certificate(state) == old
    renewal(state, []).work(datetime.now(UTC))
    assert own_certificate(state) != old
    (first, second) = [asked["csr"] for path, asked, _ in fleet.asked if path.endswith("/renew")]
    keys = [x509.load_pem_x509_csr(csr.encode()).public_key() for csr in (first, second)]
    assert keys[0] == keys[1]


def test_a_refused_renewal_leaves_the_certificate_that_is_in_use(fleet: SmallFleet, state: Path) -> None:
    fleet.ago = timedelta(days=70)
    enrol_once(state, fleet.ticket(), HARDWARE)
    before = (state / IDENTITY / CERTIFICATE).read_bytes()
    fleet.script = [problem("revoked")]
    with pytest.raises(EnrolRefused) as refused:
        renewal(state, []).work(datetime.now(UTC))
    assert refused.value.reason == "revoked"
    assert (state / IDENTITY / CERTIFICATE).read_bytes() == before


def test_a_board_that_was_wiped_enrols_anew_with_another_key(fleet: SmallFleet, state: Path) -> None:
    enrol_once(state, fleet.ticket(), HARDWARE)
    first = own_certificate(state).public_key()
    wipe(state, "decommissioned by its fleet")
    assert read_identity(state) is None
    assert needs_ticket(state, has_broker=True)
    enrol_once(state, fleet.ticket(), HARDWARE)
    assert own_certificate(state).public_key() != first
