"""The link over TLS with certificates on both sides, against a real Mosquitto."""

from __future__ import annotations

import shutil
import subprocess
import threading

import pytest
import trustme

from device.firmware.link import Link
from device.firmware.link_client import LinkSettings
from device.firmware.outbox import Outbox
from device.firmware.remote import Answer
from ota.messages import Channel, Event, Topic, format_ts, new_id
from tests.brokers import free_port, is_open, wait_until
from tests.conftest import missing


@pytest.fixture
def secure_broker(tmp_path):
    """A Mosquitto that takes only clients with a certificate of our CA; gives (port, ca, device's pem)."""
    binary = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if binary is None:
        missing("mosquitto is not installed (Debian package: mosquitto)")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.issue_cert("cam-01", common_name="cam-01").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "device.pem"
    )
    port = free_port()
    config = tmp_path / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\ncafile {tmp_path}/ca.pem\ncertfile {tmp_path}/server.pem\n"
        f"keyfile {tmp_path}/server.pem\nrequire_certificate true\nuse_identity_as_username true\n"
        "user root\nallow_anonymous false\n"
    )
    with (tmp_path / "mosquitto.log").open("wb") as log:
        process = subprocess.Popen([binary, "-c", str(config)], stdout=log, stderr=log)
    wait_until(lambda: is_open(port), "mosquitto listens")
    yield port, tmp_path
    process.terminate()
    process.wait(10)


def make_link(folder, settings):
    outbox = Outbox(folder / "state" / "outbox.db")
    born = threading.Event()
    link = Link("cam-01", settings, outbox, on_birth=born.set, on_command=lambda name, command: Answer())
    return link, outbox, born


def test_a_device_with_its_certificate_is_let_in_and_its_events_are_taken(secure_broker):
    port, folder = secure_broker
    pem = folder / "device.pem"
    link, outbox, born = make_link(
        folder, LinkSettings("127.0.0.1", port, ca=folder / "ca.pem", cert=pem, key=pem)
    )
    link.start()
    assert born.wait(20)
    sent = link.bytes_sent
    topic = Topic("cam-01", Channel.EVENT, "cam0", "dwell")
    outbox.add(
        topic,
        lambda seq: Event(id=new_id(), ts=format_ts(1.8e9), seq=seq, cam="cam0", kind="dwell", rule="yard"),
    )
    outbox.flush()
    wait_until(lambda: link.bytes_sent > sent, "the event is sent")
    link.stop()
    outbox.close()


# paho 2.2 leaves its socket to the garbage collector when the TLS handshake fails.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("fault", ["no certificate", "a certificate of a stranger", "a broker of a stranger"])
def test_who_cannot_prove_himself_is_not_let_in_and_nothing_is_lost(secure_broker, caplog, fault):
    port, folder = secure_broker
    stranger = trustme.CA()
    stranger.cert_pem.write_to_path(folder / "other-ca.pem")
    stranger.issue_cert("cam-01").private_key_and_cert_chain_pem.write_to_path(folder / "other.pem")
    ca, pem = folder / "ca.pem", folder / "device.pem"
    settings = {
        "no certificate": LinkSettings("127.0.0.1", port, ca=ca),
        "a certificate of a stranger": LinkSettings(
            "127.0.0.1", port, ca=ca, cert=folder / "other.pem", key=folder / "other.pem"
        ),
        "a broker of a stranger": LinkSettings(
            "127.0.0.1", port, ca=folder / "other-ca.pem", cert=pem, key=pem
        ),
    }[fault]
    link, outbox, born = make_link(folder, settings)
    topic = Topic("cam-01", Channel.EVENT, "cam0", "dwell")
    outbox.add(
        topic,
        lambda seq: Event(id=new_id(), ts=format_ts(1.8e9), seq=seq, cam="cam0", kind="dwell", rule="yard"),
    )
    outbox.flush()
    link.start()
    log = folder / "mosquitto.log"
    wait_until(lambda: "rror" in log.read_text(), "the broker has seen and refused the attempt", 30)
    assert not born.is_set()
    wait_until(lambda: "link" in caplog.text and "WARNING" in caplog.text, "the operator is told")
    if fault != "a broker of a stranger":
        wait_until(lambda: link.is_turned_away, "it knows that the broker did not take it in", 30)
    else:
        assert not link.is_turned_away, "it was we who did not trust the broker"
    link.stop()
    assert outbox.depth == 1
    outbox.close()
