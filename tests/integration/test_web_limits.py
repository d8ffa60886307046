"""What the web server takes of people whom it does not know: over real sockets."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from fleet.identity.claims import USES_MAX
from fleet.peer import HEAD_MAX_BYTES, PeerProtocol
from fleet.services import Services
from fleet.serving import CONNECTIONS_MAX
from tests.people import OWNER, client_of, logged_in, problem_of, served, services_with_home

LOG_IN = b"POST /api/v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    built = services_with_home(tmp_path_factory.mktemp("home"))
    yield built
    built.close()


@pytest.fixture(scope="module")
def url(services: Services) -> Iterator[str]:
    with served(services) as address:
        yield address


@pytest.fixture
def hasty(services: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that waits a moment only for the head of a request."""
    monkeypatch.setattr(PeerProtocol, "head_s", 0.2)
    with served(services) as address:
        yield address


def connected(url: str) -> socket.socket:
    place = urlsplit(url)
    return socket.create_connection((place.hostname, place.port), timeout=20)


def answer_of(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    found = b""
    try:
        while piece := connection.recv(65536):
            found += piece
    except ConnectionResetError:
        pass
    return found


def test_300_megabytes_from_a_stranger_are_refused_before_they_are_sent(url: str) -> None:
    with connected(url) as connection:
        connection.sendall(LOG_IN + b"Content-Length: 314572800\r\n\r\n{")
        head, _, body = answer_of(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in head
    assert "larger than 1048576 bytes" in json.loads(body)["detail"]


def test_chunks_without_an_end_are_refused_at_one_mebibyte(url: str) -> None:
    piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
    sent = 0
    with connected(url) as connection:
        connection.sendall(LOG_IN + b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(4000):
                connection.sendall(piece)
                sent += 65536
        except OSError:
            pass
        answer = answer_of(connection)
    assert sent < 16 * 1024 * 1024
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413 ")  # a reset may overtake it


def test_a_log_in_of_ordinary_size_is_looked_at(url: str) -> None:
    with client_of(url) as client:
        answer = client.post("/sessions", json={"name": OWNER, "password": "x" * 200})
    assert problem_of(answer)["status"] == 401


def test_a_claim_for_ten_thousand_boards_is_taken(url: str) -> None:
    boards = [{"serial": f"{n:064d}", "site": "lahore/gulberg/liberty-chowk"} for n in range(USES_MAX)]
    with logged_in(url, OWNER) as owner:
        answer = owner.post("/claims", json={"boards": boards})
    assert answer.status_code == 200, answer.text[:300]
    assert answer.json()["uses"] == USES_MAX


def test_a_head_without_an_end_is_cut_off(url: str) -> None:
    with connected(url) as connection:
        try:
            connection.sendall(b"GET /api/v1/healthz HTTP/1.1\r\nX: ")
            for _ in range(1000):
                connection.sendall(b"x" * 65536)
        except OSError:
            pass
        assert answer_of(connection)[:12] in (b"", b"HTTP/1.1 400")


def test_a_head_of_thirty_thousand_bytes_is_read(url: str) -> None:
    assert HEAD_MAX_BYTES > 30_000
    with client_of(url, **{"x-long": "x" * 30_000}) as client:
        assert client.get("/healthz").status_code == 200


def test_a_connection_that_says_nothing_is_closed(hasty: str) -> None:
    with connected(hasty) as connection:
        assert answer_of(connection) == b""


def test_a_head_that_dribbles_is_closed_also_after_a_good_request(hasty: str) -> None:
    with connected(hasty) as connection:
        connection.sendall(b"GET /api/v1/healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /api")
        answer = answer_of(connection)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_connection_is_used_again_for_many_requests(hasty: str) -> None:
    with connected(hasty) as connection:
        for _ in range(20):
            connection.sendall(b"GET /api/v1/healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_more_connections_than_are_allowed_are_told_to_come_later(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert CONNECTIONS_MAX < 1024
    monkeypatch.setattr("fleet.serving.CONNECTIONS_MAX", 3)
    with served(services) as url, connected(url), connected(url), connected(url):
        assert httpx.get(f"{url}/api/v1/healthz", timeout=20).status_code == 503
