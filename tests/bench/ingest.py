"""Ingest in messages a second, against a subscriber that only counts: same broker, same messages, same run.

By itself, `python -m tests.bench.ingest [--messages 20000] [--devices 20] [--rounds 3]` prints one JSON
object: `count_per_s`, `ingest_per_s`, `ratio` (ingest over count), and what was stored. All messages wait in
the broker before a reader connects, so that readers are compared and not the publisher.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from fleet.services import build_services
from fleet.settings import Settings
from ota.messages import Channel, Topic, encode
from tests.bench.table import Row
from tests.brokers import Mosquitto, as_user, running_mosquitto, wait_until
from tests.fake_device import event, topic_of

DEADLINE_S = 60.0
MESSAGES, DEVICES, ROUNDS = 20_000, 20, 3
SECRETS = {"fleet": "fleet-secret", "load": "load-secret"}


@dataclass(frozen=True, slots=True)
class Rates:
    """Both readers' messages a second (medians over the rounds), and what ingest did in its last round."""

    messages: int
    devices: int
    rounds: int
    count_per_s: int
    ingest_per_s: int
    ratio: float
    stored: int
    acked: int
    refused: int


@dataclass(frozen=True, slots=True)
class _Ingested:
    """One round of ingest."""

    per_s: float
    stored: int
    acked: int
    refused: int


def measure(data: Path) -> list[Row]:
    """Measure both readers on Mosquitto and SQLite."""
    del data
    what = f"ingest into SQLite, {DEVICES} devices"
    if shutil.which("mosquitto", path="/usr/bin:/usr/sbin:/usr/local/bin:/usr/local/sbin") is None:
        return [Row(what, "not measured", "mosquitto is not installed")]
    rates = compare(MESSAGES, DEVICES, ROUNDS)
    return [
        Row(
            f"{what}, committed messages a second",
            f"{rates.ingest_per_s}",
            f"a paho subscriber that only counts: {rates.count_per_s}",
            f"{rates.ratio:.2f}",
        )
    ]


def compare(messages: int, devices: int, rounds: int) -> Rates:
    """Let both readers take the same messages, in turns."""
    counted: list[float] = []
    ingested: list[_Ingested] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            with running_mosquitto(Path(folder) / str(number), secrets=SECRETS, is_open=True) as broker:
                counted.append(_count(broker, messages, devices))
            with running_mosquitto(Path(folder) / f"{number}i", secrets=SECRETS, is_open=True) as broker:
                ingested.append(_ingest(broker, messages, devices, Path(folder) / f"{number}.db"))
    count_per_s, ingest_per_s = median(counted), median(one.per_s for one in ingested)
    last = ingested[-1]
    return Rates(
        messages, devices, rounds,
        round(count_per_s), round(ingest_per_s), round(ingest_per_s / count_per_s, 3),
        last.stored, last.acked, last.refused,
    )  # fmt: skip


def _publish(broker: Mosquitto, messages: int, devices: int) -> None:
    """Publish events of many devices (QoS 1); they wait for the reader whose session exists."""
    sender = as_user(broker, "load")
    sender.client.max_inflight_messages_set(1000)
    with sender:
        for number in range(messages):
            said = event(number // devices + 1)
            topic = topic_of(f"load-{number % devices:03d}", said)
            last = sender.client.publish(str(topic), encode(said), qos=1)
            if number % 1000 == 999 or number == messages - 1:
                last.wait_for_publish(DEADLINE_S)


def _rate(done: Callable[[], int], messages: int) -> float:
    """Return messages a second from the first to the last."""
    wait_until(lambda: done() > 0, "the first message", DEADLINE_S)
    first_s, already = time.monotonic(), done()
    wait_until(lambda: done() >= messages, lambda: f"{done()} of {messages} messages", DEADLINE_S)
    return float(messages - already) / (time.monotonic() - first_s)


def _count(broker: Mosquitto, messages: int, devices: int) -> float:
    with as_user(broker, "fleet", clean_session=False) as reader:
        assert reader.subscribe(Topic.filter(Channel.EVENT))
    _publish(broker, messages, devices)
    counted = [0]

    def count(*_: object) -> None:
        counted[0] += 1

    reader = as_user(broker, "fleet", clean_session=False)
    reader.client.on_message = count
    with reader:
        return _rate(lambda: counted[0], messages)


def _ingest(broker: Mosquitto, messages: int, devices: int, database: Path) -> _Ingested:
    settings = Settings(
        database_url=f"sqlite:///{database}",
        mqtt_port=broker.port,
        mqtt_username="fleet",
        mqtt_password=broker.secrets["fleet"],
    )
    _leave_a_session(settings)
    _publish(broker, messages, devices)
    services = build_services(settings)
    drained = threading.Event()
    writer = threading.Thread(target=services.ingest.run, args=(services.link, drained))
    writer.start()
    services.link.start()
    try:
        per_s = _rate(lambda: services.tally.view().stored, messages)
    finally:
        drained.set()
        writer.join()
        services.link.stop()
        services.engine.dispose()
    view = services.tally.view()
    return _Ingested(per_s, view.stored, view.acked, sum(view.refused.values()))


def _leave_a_session(settings: Settings) -> None:
    """Connect once, so that the broker keeps what comes while the fleet is away."""
    services = build_services(settings)
    services.link.start()
    wait_until(lambda: services.link.is_up, "the fleet hears the broker")
    services.link.stop()
    services.engine.dispose()


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--devices", type=int, default=DEVICES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    sys.stdout.write(json.dumps(asdict(compare(given.messages, given.devices, given.rounds))) + "\n")


if __name__ == "__main__":
    main()
