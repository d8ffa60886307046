"""A claim or a whole question of a board, written down by somebody and sent again: nobody else gets in."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from device.firmware.identity import signing_request
from fleet.identity import revocation
from fleet.identity.authority import new_key
from fleet.identity.claims import Terms, cancel_claim, digest
from fleet.identity.home import key_pem
from fleet.store.tables_identity import Certificate, Claim
from tests.fleet_server import FleetServer


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetServer]:
    server = FleetServer(tmp_path_factory.mktemp("fleet")).start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def client(fleet: FleetServer) -> Iterator[httpx.Client]:
    context = ssl.create_default_context(cafile=str(fleet.home.root_certificate))
    with httpx.Client(base_url=f"https://localhost:{fleet.port}/api/v1", verify=context) as opened:
        yield opened


@dataclass(frozen=True)
class Question:
    """What a board asked, as it was written down, and the key that never left it."""

    device: str
    claim: str
    key: ec.EllipticCurvePrivateKey
    body: bytes


def question(fleet: FleetServer, device: str, claim: str = "") -> Question:
    claim = claim or fleet.ticket(Terms(device=device)).claim
    key = new_key()
    asked = {"claim": claim, "csr": signing_request(key, device), "device": device, "serial": ""}
    return Question(device, claim, key, json.dumps(asked).encode())


def refusal(client: httpx.Client, body: bytes) -> str:
    answer = client.post("/enrol", content=body)
    assert answer.status_code == 403, answer.text
    return str(answer.json()["reason"])


def certificates(fleet: FleetServer, device: str) -> list[Certificate]:
    return [one for one in fleet.rows(Certificate) if one.device == device]


def cancel(fleet: FleetServer, asked: Question) -> None:
    (claim,) = [one.id for one in fleet.rows(Claim) if one.secret_sha256 == digest(asked.claim)]
    fleet.do(cancel_claim, claim)


def test_the_same_ticket_from_another_key_is_refused_also_from_many_at_once(
    fleet: FleetServer, client: httpx.Client
) -> None:
    first = question(fleet, "cam-spent")
    others = [question(fleet, "cam-spent", first.claim) for _ in range(8)]
    assert client.post("/enrol", content=first.body).status_code == 200
    with ThreadPoolExecutor(8) as threads:
        said = set(threads.map(lambda one: refusal(client, one.body), others))
    assert said == {"claim-used"}
    assert len(certificates(fleet, "cam-spent")) == 1


def test_of_many_keys_that_race_with_one_stolen_ticket_one_gets_in(
    fleet: FleetServer, client: httpx.Client
) -> None:
    first = question(fleet, "cam-race")
    all_of_them = [first, *(question(fleet, "cam-race", first.claim) for _ in range(7))]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda one: client.post("/enrol", content=one.body), all_of_them))
    assert sorted(one.status_code for one in answers) == [200] + [403] * 7
    assert len(certificates(fleet, "cam-race")) == 1


def test_a_question_that_was_written_down_gives_a_certificate_that_is_worth_nothing_without_its_key(
    fleet: FleetServer, client: httpx.Client, tmp_path: Path
) -> None:
    asked = question(fleet, "cam-recorded")
    first, again = (client.post("/enrol", content=asked.body).json() for _ in range(2))
    assert again["certificate"] == first["certificate"]
    assert len(certificates(fleet, "cam-recorded")) == 1
    stolen = tmp_path / "stolen.pem"
    stolen.write_text(key_pem(new_key()) + again["certificate"] + again["chain"])
    with pytest.raises(ssl.SSLError, match=r"(?i)key values mismatch"):
        ssl.create_default_context().load_cert_chain(stolen)


def test_a_question_without_tls_is_not_even_read(fleet: FleetServer) -> None:
    asked = question(fleet, "cam-plain")
    connection = http.client.HTTPConnection("localhost", fleet.port, timeout=10)
    try:
        with pytest.raises((http.client.HTTPException, OSError)):
            connection.request("POST", "/api/v1/enrol", asked.body)
            connection.getresponse()
    finally:
        connection.close()
    assert certificates(fleet, "cam-plain") == []
    assert [one.used for one in fleet.rows(Claim) if one.device == "cam-plain"] == [0]


def test_a_cancelled_claim_lets_nobody_in_and_its_device_goes_on(
    fleet: FleetServer, client: httpx.Client
) -> None:
    never = question(fleet, "cam-never")
    cancel(fleet, never)
    assert refusal(client, never.body) == "claim-expired"
    inside = question(fleet, "cam-inside", fleet.ticket(Terms(uses=2)).claim)
    assert client.post("/enrol", content=inside.body).status_code == 200
    cancel(fleet, inside)
    assert refusal(client, question(fleet, "cam-second", inside.claim).body) == "claim-expired"
    assert client.post("/enrol", content=inside.body).status_code == 200, "the answer may have been lost"
    assert len(certificates(fleet, "cam-inside")) == 1


def test_an_old_question_does_not_bring_a_revoked_device_back(
    fleet: FleetServer, client: httpx.Client
) -> None:
    asked = question(fleet, "cam-gone")
    assert client.post("/enrol", content=asked.body).status_code == 200
    fleet.do(revocation.revoke_device, "cam-gone", "keyCompromise", datetime.now(UTC))
    assert refusal(client, asked.body) == "claim-used"
    assert [one.reason for one in certificates(fleet, "cam-gone")] == ["keyCompromise"]


def test_an_expired_claim_is_refused_however_often_it_comes(fleet: FleetServer, client: httpx.Client) -> None:
    asked = question(fleet, "cam-late", fleet.ticket(Terms(life=timedelta(hours=1))).claim)
    before, fleet.now = fleet.now, lambda: datetime.now(UTC) + timedelta(hours=1)
    try:
        assert [refusal(client, asked.body) for _ in range(3)] == ["claim-expired"] * 3
    finally:
        fleet.now = before
    assert certificates(fleet, "cam-late") == []


def test_a_signing_request_with_another_key_put_into_it_is_refused(
    fleet: FleetServer, client: httpx.Client
) -> None:
    asked = question(fleet, "cam-mixed")
    sent = json.loads(asked.body)
    body = "".join(sent["csr"].splitlines()[1:-1])
    middle = len(body) // 2
    odd = body[:middle] + ("A" if body[middle] != "A" else "B") + body[middle + 1 :]
    sent["csr"] = f"-----BEGIN CERTIFICATE REQUEST-----\n{odd}\n-----END CERTIFICATE REQUEST-----\n"
    assert refusal(client, json.dumps(sent).encode()) == "csr"
    assert [one.used for one in fleet.rows(Claim) if one.device == "cam-mixed"] == [0]
