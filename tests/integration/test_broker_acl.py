"""The same rules on both brokers: what a device may say and hear."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from fleet.broker.mosquitto import hash_password
from fleet.broker.secure import follow
from fleet.identity.authority import Revoked, as_pem, make_crl, make_issuing
from fleet.identity.departures import take_over
from fleet.identity.home import PUBLIC, write_file
from fleet.identity.keeper import read_crl
from fleet.settings import Settings
from ota.messages import ROOT
from tests.brokers import (
    SECRETS,
    Certificates,
    Client,
    Mosquitto,
    as_user,
    free_port,
    is_open,
    python_process,
    running_embedded,
    running_mosquitto,
    wait_until,
)
from tests.homes import PASSPHRASE, make_home

MARK = b'{"mark":1}'
OWN = [
    "status",
    "info",
    "health",
    "reported",
    "update",
    "cam0/event/dwell",
    "cam0/count/gate",
    "cam0/alarm/dark",
    "cam0/frame",
    "cam0/occupancy/zone-1",
    "command/live/reply",
]
FROM_FLEET = ["ack", "desired", "command/live"]


@pytest.fixture(scope="module", params=["mosquitto", "embedded", "mosquitto-tls", "embedded-tls"])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    kind, _, is_secure = request.param.partition("-")
    certificates = None
    if is_secure:
        certificates = Certificates(
            make_home(tmp_path_factory.mktemp("home")), tmp_path_factory.mktemp("users")
        )
    if kind == "mosquitto":
        with running_mosquitto(tmp_path_factory.mktemp(kind), certificates=certificates) as running:
            yield running
    else:
        with running_embedded(certificates=certificates) as running:
            yield running


by_password = pytest.mark.parametrize("broker", ["mosquitto", "embedded"], indirect=True)
by_certificate = pytest.mark.parametrize("broker", ["mosquitto-tls", "embedded-tls"], indirect=True)


def delivered(broker: Any, sender: Client, topics: list[str], fence: str) -> set[str]:
    """What the fleet hears of what a sender publishes, up to a fence that it may publish."""
    with as_user(broker, "fleet", client_id="listener") as fleet:
        assert fleet.subscribe(f"{ROOT}/#")
        for topic in topics:
            sender.publish(topic, MARK)
        sender.publish(fence, b'{"fence":1}')
        wait_until(lambda: any(payload == b'{"fence":1}' for _, payload in fleet.heard), "the fence arrives")
        return {topic for topic, payload in fleet.heard if payload == MARK}


def test_a_device_writes_all_its_own_channels(broker: Any) -> None:
    topics = [f"{ROOT}/cam-01/{tail}" for tail in OWN]
    with as_user(broker, "cam-01") as device:
        assert delivered(broker, device, topics, f"{ROOT}/cam-01/status") == set(topics)


def test_a_device_cannot_write_for_another_nor_on_the_fleets_channels(broker: Any) -> None:
    topics = [f"{ROOT}/cam-02/{tail}" for tail in OWN + FROM_FLEET]
    topics += [f"{ROOT}/cam-01/{tail}" for tail in FROM_FLEET]
    topics += [f"{ROOT}/cam-01/../cam-02/status", "other/cam-01/status", f"{ROOT}/fleet/status"]
    with as_user(broker, "cam-01") as device:
        assert delivered(broker, device, topics, f"{ROOT}/cam-01/status") == set()


def test_a_device_hears_only_what_the_fleet_says_to_it(broker: Any) -> None:
    with (
        as_user(broker, "cam-03") as device,
        as_user(broker, "fleet") as fleet,
        as_user(broker, "cam-04") as other,
    ):
        assert device.subscribe(f"{ROOT}/cam-03/ack", f"{ROOT}/cam-03/desired", f"{ROOT}/cam-03/command/+")
        device.subscribe(f"{ROOT}/#")
        device.subscribe(f"{ROOT}/+/ack")
        device.subscribe(f"{ROOT}/cam-04/status")
        other.publish(f"{ROOT}/cam-04/status", MARK, retain=True)
        for tail in FROM_FLEET:
            fleet.publish(f"{ROOT}/cam-04/{tail}", MARK)
        for tail in FROM_FLEET:
            fleet.publish(f"{ROOT}/cam-03/{tail}", MARK)
        wait_until(lambda: len({topic for topic, _ in device.heard}) >= 3, "the three channels arrive")
    assert {topic for topic, _ in device.heard} == {f"{ROOT}/cam-03/{tail}" for tail in FROM_FLEET}


def test_retained_messages_of_others_are_not_pushed_to_a_device(broker: Any) -> None:
    with as_user(broker, "fleet", client_id="listener") as fleet, as_user(broker, "cam-05") as other:
        assert fleet.subscribe(f"{ROOT}/+/status")
        other.publish(f"{ROOT}/cam-05/status", b"kept", retain=True)
        wait_until(lambda: (f"{ROOT}/cam-05/status", b"kept") in fleet.heard, "the status is kept")
    with as_user(broker, "fleet") as fleet, as_user(broker, "cam-06") as device:
        assert device.subscribe(f"{ROOT}/cam-06/ack")
        fleet.publish(f"{ROOT}/cam-06/ack", MARK)
        wait_until(lambda: device.heard, "the ack arrives")
        assert [topic for topic, _ in device.heard] == [f"{ROOT}/cam-06/ack"]


OF_OTHERS = [
    "#",
    "+/#",
    "+/+/status",
    "+/+/+/event/+",
    "$SYS/#",
    "$SYS/broker/clients/+",
    f"{ROOT}/#",
    f"{ROOT}/+/#",
    f"{ROOT}/+/status",
    f"{ROOT}/+/ack",
    f"{ROOT}/cam-02/#",
    f"{ROOT}/cam-02/status",
    f"{ROOT}/cam-02/desired",
    f"{ROOT}/cam-02/command/+",
    f"{ROOT}/cam-01/#",
    "$share/group/#",
    "$share/group/$SYS/#",
    f"$share/group/{ROOT}/#",
    f"$share/group/{ROOT}/cam-02/status",
    f"$share/fleet/{ROOT}/+/status",
    f"$share/fleet/{ROOT}/+/command/+",
]


@pytest.mark.parametrize("wanted", OF_OTHERS)
def test_a_device_hears_nothing_of_others_whatever_it_subscribes_to_and_takes_nothing_away(
    broker: Any, wanted: str
) -> None:
    own = f"{ROOT}/cam-01/ack"
    said = [f"{ROOT}/cam-02/{tail}" for tail in ("status", "cam0/event/dwell")]
    with (
        as_user(broker, "fleet", client_id="listener") as fleet,
        as_user(broker, "cam-01") as device,
        as_user(broker, "cam-02") as other,
    ):
        assert fleet.subscribe(f"{ROOT}/#")
        assert device.subscribe(own)
        device.subscribe(wanted)
        for topic in said:
            other.publish(topic, MARK)
        for tail in FROM_FLEET:
            fleet.publish(f"{ROOT}/cam-02/{tail}", MARK)
        fleet.publish(own, b"fence")
        wait_until(lambda: (own, b"fence") in device.heard, "the fence arrives")
        wait_until(lambda: all((topic, MARK) in fleet.heard for topic in said), "the fleet hears all of it")
        assert {topic for topic, _ in device.heard} == {own}


@pytest.mark.parametrize(
    "topic",
    [
        "$SYS/broker/version",
        f"$SYS/{ROOT}/cam-02/status",
        f"$share/group/{ROOT}/cam-02/status",
        f"$share/group/{ROOT}/cam-01/ack",
        f"/{ROOT}/cam-02/status",
        f"{ROOT}//cam-02/status",
    ],
)
def test_a_device_writes_nothing_on_the_brokers_own_topics(broker: Any, topic: str) -> None:
    """The embedded broker ends the connection of who tries a topic that begins with a dollar sign."""
    fence = (f"{ROOT}/cam-02/status", b"fence")
    with (
        as_user(broker, "fleet", client_id="listener") as fleet,
        as_user(broker, "cam-02") as other,
        as_user(broker, "cam-01") as device,
    ):
        assert fleet.subscribe(f"{ROOT}/#")
        assert device.subscribe(f"{ROOT}/cam-01/ack")
        said = device.client.publish(topic, b"hostile", qos=1)
        wait_until(lambda: said.is_published() or device.times_lost, "the broker answers")
        other.publish(*fence)
        wait_until(lambda: fence in fleet.heard, "the fence arrives")
        assert b"hostile" not in [payload for _, payload in fleet.heard + device.heard]


def test_a_device_cannot_make_the_broker_forget_what_another_said(broker: Any) -> None:
    topic = f"{ROOT}/cam-02/status"
    with as_user(broker, "cam-02") as other, as_user(broker, "cam-01") as device:
        other.publish(topic, b"kept", retain=True)
        for payload in (b"", b"other"):
            device.publish(topic, payload, retain=True)
        device.publish(f"{ROOT}/cam-01/status", b"fence", retain=True)
    with as_user(broker, "fleet", client_id="listener") as fleet:
        assert fleet.subscribe(topic, f"{ROOT}/cam-01/status")
        wait_until(lambda: (f"{ROOT}/cam-01/status", b"fence") in fleet.heard, "the fence was kept")
        wait_until(lambda: (topic, b"kept") in fleet.heard, "it is kept still")
    for name in ("cam-01", "cam-02"):  # the next test finds nothing of it
        with as_user(broker, name) as device:
            device.publish(f"{ROOT}/{name}/status", b"", retain=True)


def test_the_fleet_cannot_speak_for_a_device(broker: Any) -> None:
    with as_user(broker, "fleet") as sender, as_user(broker, "cam-07") as device:
        assert device.subscribe(f"{ROOT}/cam-07/ack")
        sender.subscribe(f"{ROOT}/cam-07/#")
        sender.publish(f"{ROOT}/cam-07/status", MARK)
        sender.publish(f"{ROOT}/cam-07/ack", MARK)
        wait_until(lambda: device.heard, "the ack arrives")
        assert f"{ROOT}/cam-07/status" not in {topic for topic, _ in sender.heard}


@by_password
@pytest.mark.parametrize(
    ("user", "password"), [("", ""), ("cam-01", "wrong"), ("cam-01", ""), ("nobody", "x")]
)
def test_who_does_not_know_a_secret_is_not_let_in(broker: Any, user: str, password: str) -> None:
    client = Client(broker.port, user, password, client_id="stranger")
    client.start()
    try:
        assert client.refused
    finally:
        client.stop()


def test_a_will_on_another_devices_topic_does_not_arrive(broker: Any) -> None:
    with as_user(broker, "fleet", client_id="listener") as fleet:
        assert fleet.subscribe(f"{ROOT}/#")
        hostile = as_user(broker, "cam-08", will=(f"{ROOT}/cam-09/status", MARK, 1, True)).start()
        if hostile.refused:
            hostile.stop()
        else:
            hostile.vanish()
        honest = as_user(broker, "cam-10", will=(f"{ROOT}/cam-10/status", b"lost", 1, False)).start()
        honest.vanish()
        wait_until(lambda: (f"{ROOT}/cam-10/status", b"lost") in fleet.heard, "the honest will arrives")
        assert f"{ROOT}/cam-09/status" not in {topic for topic, _ in fleet.heard}


def test_a_device_cannot_take_over_the_session_of_another(broker: Any) -> None:
    topic = f"{ROOT}/cam-11/ack"
    with as_user(broker, "cam-11", clean_session=False) as victim:
        assert victim.subscribe(topic)
    with as_user(broker, "fleet") as fleet:
        fleet.publish(topic, MARK)
        with as_user(broker, "cam-12", client_id="cam-11", clean_session=False) as hostile:
            assert hostile.subscribe(f"{ROOT}/cam-12/ack")
            fleet.publish(f"{ROOT}/cam-12/ack", b"fence")
            wait_until(lambda: hostile.heard, "the fence arrives")
            assert [payload for _, payload in hostile.heard] == [b"fence"]
    with as_user(broker, "cam-11", clean_session=False) as victim:
        wait_until(lambda: (topic, MARK) in victim.heard, "what waited is still there for its owner")


@by_password
def test_who_does_not_know_the_secret_cannot_throw_a_client_out(broker: Any) -> None:
    topic = f"{ROOT}/cam-11/ack"
    with as_user(broker, "cam-11") as victim, as_user(broker, "fleet") as fleet:
        assert victim.subscribe(topic)
        for clean_session in (True, False):
            hostile = Client(broker.port, "cam-11", "wrong", clean_session=clean_session).start()
            assert hostile.refused
            hostile.stop()
        fleet.publish(topic, MARK)
        wait_until(lambda: (topic, MARK) in victim.heard, "the client still hears")


def newcomer(broker: Any, file: Path | None, **options: Any) -> Client:
    context = broker.certificates.context(file)
    options = {"client_id": "newcomer", "reconnect_on_failure": False} | options
    return Client(
        broker.port, options.pop("user", ""), options.pop("password", ""), context=context, **options
    )


def let_in(client: Client) -> bool:
    try:
        return client.is_let_in()
    finally:
        client.stop()


@by_certificate
def test_only_a_certificate_that_our_authority_gave_to_a_client_is_let_in(
    broker: Any, tmp_path: Path
) -> None:
    certificates = broker.certificates
    home = certificates.home
    foreign = make_home(tmp_path / "foreign")
    beside = make_issuing(home.root(PASSPHRASE), "beside", datetime.now(UTC))
    assert let_in(newcomer(broker, certificates.file("cam-01")))
    for what, file in (
        ("none", None),
        ("another fleet's", certificates.file("cam-01", foreign.issuing())),
        ("another fleet's own", foreign.client),
        ("one of another authority under our root", certificates.file("fleet", beside)),
        ("a server's", home.broker),
    ):
        assert not let_in(newcomer(broker, file)), what


@by_certificate
def test_what_a_client_calls_itself_beside_its_certificate_counts_nothing(broker: Any) -> None:
    """User, password and client id of CONNECT are not listened to: no other's session, no other's topics."""
    topic = f"{ROOT}/cam-02/ack"
    with as_user(broker, "cam-02", clean_session=False) as victim:
        assert victim.subscribe(topic)
    with as_user(broker, "fleet") as fleet:
        fleet.publish(topic, MARK)
    file = broker.certificates.file("cam-01")
    for claimed in ("cam-02", "fleet"):
        hostile = newcomer(broker, file, user=claimed, password="x", client_id=claimed, clean_session=False)
        with hostile:
            hostile.subscribe(topic)
            topics = [f"{ROOT}/cam-02/status", f"{ROOT}/cam-02/desired"]
            assert not delivered(broker, hostile, topics, f"{ROOT}/cam-01/status") & set(topics)
            assert (topic, MARK) not in hostile.heard
    with as_user(broker, "cam-02", clean_session=False) as victim:
        wait_until(lambda: (topic, MARK) in victim.heard, "what waited is still there for its owner")


def revoke(broker: Any, file: Path) -> None:
    """Put a certificate on the list, and let the broker read it as the running fleet does."""
    home = broker.certificates.home
    serial = home.certificate(file).serial_number
    before = read_crl(home)
    assert before is not None
    number = before.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number + 1
    now = datetime.now(UTC)
    ended = [Revoked(entry.serial_number, now, x509.ReasonFlags.key_compromise) for entry in before]
    ended.append(Revoked(serial, now, x509.ReasonFlags.key_compromise))
    write_file(home.crl, as_pem(make_crl(home.issuing(), ended, number, now)), PUBLIC)
    if isinstance(broker, Mosquitto):
        follow(home, broker.config.parent)
        assert broker.process is not None
        broker.process.send_signal(signal.SIGHUP)


@by_certificate
def test_a_revoked_certificate_is_let_in_no_more(broker: Any) -> None:
    file = broker.certificates.file("cam-04")
    assert let_in(newcomer(broker, file))
    revoke(broker, file)
    wait_until(lambda: not let_in(newcomer(broker, file)), "the list is read")
    assert let_in(newcomer(broker, broker.certificates.file("cam-04"))), "its next certificate is another"


@by_certificate
def test_the_standing_session_of_a_revoked_device_is_ended_and_does_not_come_back(broker: Any) -> None:
    home, file = broker.certificates.home, broker.certificates.file("cam-05")
    settings = Settings(mqtt_host="127.0.0.1", mqtt_port=broker.port, mqtt_ca=home.authorities)
    client = newcomer(broker, file, client_id="cam-05", reconnect_on_failure=True)
    other = as_user(broker, "cam-06")
    client.client.reconnect_delay_set(1, 1)
    with client, other:
        assert client.refused is False
        revoke(broker, file)
        wait_until(lambda: not let_in(newcomer(broker, file, client_id="x")), "the list is read")
        assert take_over(settings, home.issuing(), "cam-05")
        wait_until(lambda: client.times_lost, "the session ends")
        tries = client.times_lost
        wait_until(lambda: client.tried > 1 or client.times_lost > tries, "it tries to come back")
        assert not client.client.is_connected()
        assert other.client.is_connected()
        assert other.times_lost == 0


@by_certificate
def test_nothing_older_than_tls_1_2_is_spoken(broker: Any) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(broker.certificates.file("cam-07"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", broker.port)) as plain,
        pytest.raises(OSError, match=r"(?i)alert|reset|EOF|protocol"),
        context.wrap_socket(plain),
    ):
        pass


def test_a_password_is_hashed_as_mosquitto_hashes_it(tmp_path: Path) -> None:
    """`mosquitto_passwd -U` leaves alone what is hashed already; the brokers above prove the hash."""
    assert hash_password("x", b"0" * 12) == hash_password("x", b"0" * 12)
    assert hash_password("x", b"0" * 12) != hash_password("y", b"0" * 12)
    assert hash_password("x").startswith("$7$101$")


def test_the_broker_process_ends_with_0_on_sigterm_and_2_when_its_port_is_taken(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.json"
    secrets.write_text(json.dumps(SECRETS))
    port = free_port()
    arguments = ("-m", "fleet.broker", "--port", str(port), "--secrets", str(secrets))
    process = python_process(*arguments, log=tmp_path / "broker.log")
    try:
        wait_until(lambda: is_open(port), "the broker listens")
        second = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, timeout=30, check=False
        )
        assert second.returncode == 2
        assert f"cannot listen on 127.0.0.1:{port}" in second.stderr
    finally:
        process.terminate()
        assert process.wait(10) == 0


def test_a_secrets_file_that_is_no_table_is_refused_with_a_sentence(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.json"
    secrets.write_text("[1]")
    command = [sys.executable, "-m", "fleet.broker", "--port", "1", "--secrets", str(secrets)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "user -> password" in done.stderr
