"""Ingest in messages a second, against a subscriber that only counts: same broker, same messages, same run.

`python -m tests.bench.ingest [--messages 20000] [--devices 20] [--rounds 3]` prints one JSON object:
`count_per_s`, `ingest_per_s`, `ratio` (ingest over count), and what was stored. All messages wait in
the broker before a reader connects, so that readers are compared and not the publisher.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from fleet.services import build_services
from fleet.settings import Settings
from ota.messages import Channel, Topic, encode
from tests.brokers import as_user, running_mosquitto, wait_until
from tests.fake_device import event, topic_of

DEADLINE_S = 60.0


def publish(broker: Any, messages: int, devices: int) -> None:
    """Publish events of many devices (QoS 1); they wait for the reader whose session exists."""
    sender = as_user(broker, "load")
    sender.client.max_inflight_messages_set(1000)
    with sender:
        for number in range(messages):
            said = event(number // devices + 1)
            topic = topic_of(f"load-{number % devices:03d}", said)
            last = sender.client.publish(str(topic), encode(said), qos=1)
            if number % 1000 == 999:
                last.wait_for_publish(DEADLINE_S)
        last.wait_for_publish(DEADLINE_S)


def rate(done: Callable[[], int], messages: int) -> float:
    """Return messages a second from the first to the last."""
    wait_until(lambda: done() > 0, "the first message", DEADLINE_S)
    first_s, already = time.monotonic(), done()
    wait_until(lambda: done() >= messages, f"all {messages} messages", DEADLINE_S)
    return float(messages - already) / (time.monotonic() - first_s)


def measure_counting(broker: Any, messages: int, devices: int) -> float:
    filters = [Topic.filter(Channel.EVENT)]
    with as_user(broker, "fleet", clean_session=False) as reader:
        assert reader.subscribe(*filters)
    publish(broker, messages, devices)
    counted = [0]

    def count(*_: object) -> None:
        counted[0] += 1

    reader = as_user(broker, "fleet", clean_session=False)
    reader.client.on_message = count
    with reader:
        return rate(lambda: counted[0], messages)


def measure_ingest(broker: Any, messages: int, devices: int, database: Path) -> tuple[float, dict[str, Any]]:
    settings = Settings(
        database_url=f"sqlite:///{database}",
        mqtt_port=broker.port,
        mqtt_username="fleet",
        mqtt_password=broker.secrets["fleet"],
    )
    first = build_services(settings)
    first.link.start()
    wait_until(lambda: first.link.is_up, "the fleet hears the broker")
    first.link.stop()
    publish(broker, messages, devices)
    services = build_services(settings)
    drained = threading.Event()
    writer = threading.Thread(target=services.ingest.run, args=(services.link, drained))
    writer.start()
    services.link.start()
    try:
        per_s = rate(lambda: services.tally.view().stored, messages)
    finally:
        drained.set()
        writer.join()
        services.link.stop()
        services.engine.dispose()
    view = services.tally.view()
    return per_s, {"stored": view.stored, "acked": view.acked, "refused": view.refused}


def measure(messages: int, devices: int, rounds: int) -> dict[str, Any]:
    """Return both rates (medians over the rounds, readers taking turns) and their ratio."""
    counts: list[float] = []
    ingests: list[float] = []
    last: dict[str, Any] = {}
    secrets = {"fleet": "fleet-secret", "load": "load-secret"}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            with running_mosquitto(Path(folder) / str(number), secrets=secrets, is_open=True) as broker:
                counts.append(measure_counting(broker, messages, devices))
            with running_mosquitto(Path(folder) / f"{number}i", secrets=secrets, is_open=True) as broker:
                per_s, last = measure_ingest(broker, messages, devices, Path(folder) / f"{number}.db")
                ingests.append(per_s)
    ratio = median(ingests) / median(counts)
    shown = {"messages": messages, "devices": devices, "rounds": rounds}
    rates = {
        "count_per_s": round(median(counts)),
        "ingest_per_s": round(median(ingests)),
        "ratio": round(ratio, 3),
    }
    return shown | rates | last


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--devices", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    sys.stdout.write(json.dumps(measure(given.messages, given.devices, given.rounds)) + "\n")


if __name__ == "__main__":
    main()
