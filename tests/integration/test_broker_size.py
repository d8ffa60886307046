"""Messages that are too large for the broker: who sends one is cut off, and nobody else notices."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleet.broker.mosquitto import MESSAGE_MAX_BYTES
from ota.messages import MAX_MESSAGE_BYTES, ROOT
from tests.brokers import Certificates, Client, Mosquitto, as_user, running_mosquitto, wait_until
from tests.homes import make_home

LARGEST = MESSAGE_MAX_BYTES - 200
"""Room for the topic and what MQTT puts around it."""


@pytest.fixture(scope="module", params=["passwords", "certificates"])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    folder = tmp_path_factory.mktemp("broker")
    options = {}
    if request.param == "certificates":
        options["certificates"] = Certificates(make_home(folder / "home"), folder)
    with running_mosquitto(folder / "broker", **options) as running:
        yield running


def topic_of(device: str) -> str:
    return f"{ROOT}/{device}/health"


def heard(fleet: Client, device: str) -> list[int]:
    return [len(payload) for topic, payload in fleet.heard if topic == topic_of(device)]


def test_a_message_of_the_largest_size_that_may_be_arrives(broker: Mosquitto) -> None:
    assert LARGEST > MAX_MESSAGE_BYTES
    with as_user(broker, "fleet") as fleet, as_user(broker, "cam-01") as device:
        fleet.subscribe(f"{ROOT}/#")
        device.publish(topic_of("cam-01"), b"x" * LARGEST)
        wait_until(lambda: LARGEST in heard(fleet, "cam-01"), "it arrives")


def test_who_sends_a_larger_one_is_cut_off_and_others_go_on(broker: Mosquitto) -> None:
    with (
        as_user(broker, "fleet") as fleet,
        as_user(broker, "cam-01") as large,
        as_user(broker, "cam-02") as other,
    ):
        fleet.subscribe(f"{ROOT}/#")
        large.client.publish(topic_of("cam-01"), b"x" * (MESSAGE_MAX_BYTES + 1), qos=0)
        wait_until(lambda: large.times_lost, "the broker cuts the connection")
        other.publish(topic_of("cam-02"), b"after")
        wait_until(lambda: heard(fleet, "cam-02") == [5], "the other is heard")
        assert heard(fleet, "cam-01") == []
        assert fleet.times_lost == other.times_lost == 0


def test_the_broker_finds_no_fault_with_its_configuration(broker: Mosquitto) -> None:
    said = broker.config.with_suffix(".log").read_text()
    assert "recommended" not in said
    assert ": Error" not in said, "a client that breaks off its handshake is an OpenSSL Error of its own"
