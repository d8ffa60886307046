"""The check of the link against real sockets: each stage that fails says why, and the next are left alone."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from device.check.link import connect_packet, look_at_link
from device.firmware.config import MqttSection

LET_IN = b"\x20\x02\x00\x00"


@contextmanager
def server(answer, *, tls=None):
    """A listener that takes one connection after the other, reads once and answers; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    heard, end = [], threading.Event()

    def serve():
        while not end.is_set():
            with suppress(OSError, ssl.SSLError):
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(20)
                    talk(connection)

    def talk(connection):
        spoken = tls.wrap_socket(connection, server_side=True) if tls else connection
        heard.append(spoken.recv(4096))
        if answer is None:
            end.wait(20)
        else:
            spoken.sendall(answer)
            if len(answer) < len(LET_IN):
                spoken.shutdown(socket.SHUT_WR)
            heard.append(spoken.recv(4096))
        spoken.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], heard
    finally:
        end.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(20)


def look(port, host="127.0.0.1", *, may_log_in=True, **changes):
    mqtt = MqttSection(host=host, port=port, **changes)
    found = look_at_link("cam-01", mqtt, threading.Event(), may_log_in=may_log_in)
    return {finding.check.removeprefix("link: "): finding for finding in found}


def test_a_broker_that_lets_the_device_in_is_ok_and_is_left_in_order():
    with server(LET_IN) as (port, heard):
        found = look(port, username="cam-01", password="secret")
        assert [finding.result for finding in found.values()] == ["ok"] * 4
    assert heard[0][:2] == b"\x10" + bytes([len(heard[0]) - 2])
    assert b"cam-01" in heard[0]
    assert b"secret" in heard[0]
    assert heard[1] == b"\xe0\x00"


def test_while_the_device_runs_nobody_logs_in():
    with server(LET_IN) as (port, heard):
        found = look(port, may_log_in=False)
        assert found["mqtt"].result == "ok"
        assert "not tried" in found["mqtt"].found
    assert not b"".join(heard), "not a byte was said"


@pytest.mark.parametrize(
    ("code", "words"),
    [(1, "3.1.1"), (2, "id"), (3, "not available"), (4, "password"), (5, "not allowed"), (99, "code 99")],
)
def test_a_broker_that_refuses_is_told_in_words(code, words):
    with server(bytes((0x20, 2, 0, code))) as (port, _):
        found = look(port)
    assert found["mqtt"].result == "fail"
    assert words in found["mqtt"].found
    assert found["mqtt"].do


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00", b"\x20\x02\x00"])
def test_something_else_on_the_port_is_no_broker(answer):
    with server(answer) as (port, _):
        finding = look(port)["mqtt"]
    assert (finding.result, "no MQTT broker" in finding.found) == ("fail", True)


def hang_up(listener):
    listener.accept()[0].close()


def test_a_broker_that_hangs_up_is_told():
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=hang_up, args=(listener,), daemon=True)
    thread.start()
    finding = look(listener.getsockname()[1])["mqtt"]
    thread.join(20)
    listener.close()
    assert finding.result == "fail"


def test_a_broker_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr("device.check.link.STAGE_S", 0.3)
    with server(None) as (port, _):
        finding = look(port)["mqtt"]
    assert (finding.result, "no answer" in finding.found) == ("fail", True)


def test_a_port_on_which_nobody_listens_ends_there():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    found = look(port)
    assert list(found) == ["name", "tcp"]
    assert (found["tcp"].result, "refused" in found["tcp"].found) == ("fail", True)


def test_a_host_that_nobody_knows_ends_there():
    found = look(1883, host="nowhere.invalid")
    assert list(found) == ["name"]
    assert "name server" in found["name"].do


def test_a_password_in_the_clear_to_another_machine_is_warned_of(monkeypatch):
    monkeypatch.setattr(
        "socket.getaddrinfo",
        lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))],
    )
    with server(LET_IN) as (port, _):
        assert look(port, host="fleet.example.org")["tls"].result == "warn"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def tls_server(certificate, *, wants=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if wants is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        wants.configure_trust(context)
    return context


def test_a_broker_with_a_good_certificate_is_ok(authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with server(LET_IN, tls=tls_server(authority.issue_cert("127.0.0.1"))) as (port, _):
        found = look(port, ca=str(tmp_path / "ca.pem"))
    assert [finding.result for finding in found.values()] == ["ok"] * 4
    assert "TLSv1" in found["tls"].found


@pytest.mark.parametrize(
    ("issue", "words"),
    [
        (lambda good: trustme.CA().issue_cert("127.0.0.1"), "right ca.pem"),
        (lambda good: good.issue_cert("other.example"), "another name"),
        (
            lambda good: good.issue_cert("127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC)),
            "clock is ahead",
        ),
    ],
)
def test_a_certificate_that_is_not_to_be_trusted_is_told_with_what_to_do(authority, tmp_path, issue, words):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with server(LET_IN, tls=tls_server(issue(authority))) as (port, _):
        found = look(port, ca=str(tmp_path / "ca.pem"))
    assert list(found) == ["name", "tcp", "tls"]
    assert found["tls"].result == "fail"
    assert words in found["tls"].do, found["tls"].found


def test_a_broker_that_wants_a_certificate_and_gets_none_is_told(authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with server(LET_IN, tls=tls_server(authority.issue_cert("127.0.0.1"), wants=authority)) as (port, _):
        found = look(port, ca=str(tmp_path / "ca.pem"))
    last = list(found.values())[-1]
    assert last.result == "fail"
    assert "certificate" in last.found + last.do


def test_a_port_without_tls_is_told(tmp_path, authority):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as (port, _):
        finding = look(port, ca=str(tmp_path / "ca.pem"))["tls"]
    assert (finding.result, "handshake" in finding.found) == ("fail", True)


def test_tls_files_that_cannot_be_used_are_told(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    with server(LET_IN) as (port, _):
        finding = look(port, ca=str(tmp_path / "ca.pem"))["tls"]
    assert (finding.result, "PEM" in finding.do) == ("fail", True)


@given(
    st.from_regex(r"\A[a-z0-9][a-z0-9-]{2,39}\Z"),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
)
def test_a_connect_packet_is_as_long_as_it_says(client, username, password):
    packet = connect_packet(client, username, password, 20)
    size, shift, at = 0, 0, 1
    while True:
        size |= (packet[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if packet[at - 1] < 128:
            break
    assert len(packet) == at + size
    assert packet[at : at + 7] == b"\x00\x04MQTT\x04"
    assert bool(packet[at + 7] & 0x80) == bool(username)
