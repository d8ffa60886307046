"""A device in a few lines: speaks the real messages, resends what is not acknowledged.

As a program it makes the console look alive:
`python -m tests.fake_device --port 1883 --devices 4` (user and password: the device's id, `secret-NN`).
"""

from __future__ import annotations

import argparse
import math
import random
import threading
import time
from typing import Any

from ota.messages import (
    Ack,
    Alarm,
    BoxedObject,
    CameraInfo,
    Channel,
    Count,
    Event,
    Health,
    Info,
    LiveFrame,
    Message,
    ModelInfo,
    RuleInfo,
    Status,
    Topic,
    decode,
    encode,
    format_ts,
    new_id,
)
from tests.brokers import Client

RULES = [
    RuleInfo("gate", "line", [(0.08, 0.62), (0.92, 0.55)]),
    RuleInfo("parking", "zone", [(0.55, 0.3), (0.95, 0.28), (0.97, 0.5), (0.6, 0.52)]),
]


def now() -> str:
    return format_ts(time.time())


def event(seq: int, *, kind: str = "line-cross", rule: str = "gate", **fields: Any) -> Event:
    seen = BoxedObject(seq % 50, "car", 0.87, (0.41, 0.33, 0.52, 0.47))
    values = {"id": new_id(), "ts": now(), "cam": "cam0", "object": seen, "direction": "in"} | fields
    return Event(seq=seq, kind=kind, rule=rule, **values)


def count(seq: int, from_s: float, *, cars: int = 3, **fields: Any) -> Count:
    values = {
        "id": new_id(),
        "ts": now(),
        "cam": "cam0",
        "rule": "gate",
        "bucket_s": 60,
        "from_ts": format_ts(from_s),
        "to_ts": format_ts(from_s + 60),
        "counts": {"car": {"in": cars, "out": 1}, "person": {"in": 2}},
    } | fields
    return Count(seq=seq, **values)


def health(**fields: Any) -> Health:
    values = {
        "uptime_s": 61.0,
        "cpu_pct": 31.0,
        "mem_pct": 42.0,
        "disk_pct": 12.0,
        "fps": 9.8,
        "skipped_pct": 55.0,
    }
    values |= {"infer_ms_p50": 21.0, "infer_ms_p95": 28.5, "temp_c": 51.5, "cameras": {"cam0": "ok"}}
    return Health(id=new_id(), ts=now(), **(values | fields))


def info(site: str = "lahore/gulberg/liberty-chowk") -> Info:
    return Info(
        id=new_id(),
        ts=now(),
        firmware="0.1.0",
        board="raspberry-pi-5",
        model=ModelInfo("street-2", "1.0.0", "0" * 64, ["person", "car"]),
        cameras=[CameraInfo("cam0", "street", 640, 360, RULES)],
        site=site,
        timezone="Asia/Karachi",
    )


def topic_of(device: str, message: Message) -> Topic:
    match message:
        case Event():
            return Topic(device, Channel.EVENT, message.cam, message.kind)
        case Count():
            return Topic(device, Channel.COUNT, message.cam, message.rule)
        case LiveFrame():
            return Topic(device, Channel.FRAME, message.cam)
        case Health():
            return Topic(device, Channel.HEALTH)
        case Info():
            return Topic(device, Channel.INFO)
        case Status():
            return Topic(device, Channel.STATUS)
    raise AssertionError(type(message))


class FakeDevice:
    """One connection of one device; `acked` holds what the fleet has acknowledged."""

    def __init__(self, broker: Any, device: str) -> None:
        self.device = device
        self.session = new_id()
        will = Status(id=new_id(), ts=now(), state="lost", session=self.session)
        self.client = Client(
            broker.port,
            device,
            broker.secrets[device],
            will=(str(Topic(device, Channel.STATUS)), encode(will), 1, True),
        )
        self.acked: set[int] = set()
        self.leases: list[str] = []

    def __enter__(self) -> FakeDevice:
        self.client.start()
        assert self.client.refused is False, self.client.refused
        self.client.client.on_message = self._on_message
        assert self.client.subscribe(
            Topic.filter(Channel.ACK, self.device), Topic.filter(Channel.COMMAND, self.device)
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.client.stop()

    def _on_message(self, _c: Any, _d: Any, message: Any) -> None:
        topic = Topic.parse(message.topic)
        said = decode(topic.channel, message.payload)
        if isinstance(said, Ack):
            for first, last in said.ranges:
                self.acked.update(range(first, last + 1))
        else:
            self.leases.append(str(said.args["cam"]))

    @staticmethod
    def encoded(message: Message) -> bytes:
        return encode(message)

    def resubscribe_on_connect(self) -> None:
        """Hear acks again after the broker was away."""
        filters = [(Topic.filter(channel, self.device), 1) for channel in (Channel.ACK, Channel.COMMAND)]
        self.client.client.on_connect = lambda client, *_: client.subscribe(filters)

    def say(self, message: Message) -> None:
        topic = topic_of(self.device, message)
        self.client.publish(topic, encode(message), qos=topic.qos, retain=topic.is_retained)

    def birth(self, state: Any = "online") -> None:
        self.say(Status(id=new_id(), ts=now(), state=state, session=self.session))

    def raw(self, tail: str, payload: bytes, *, retain: bool = False) -> None:
        self.client.publish(f"pehra/v1/{self.device}/{tail}", payload, retain=retain)

    def raise_alarm(self, kind: Any, detail: str = "") -> None:
        topic = Topic(self.device, Channel.ALARM, "cam0", kind)
        self.client.publish(
            topic, encode(Alarm(id=new_id(), ts=now(), kind=kind, detail=detail)), retain=True
        )

    def clear_alarm(self, kind: str) -> None:
        self.client.publish(Topic(self.device, Channel.ALARM, "cam0", kind), b"", retain=True)


def moving_objects(t_s: float, seed: int) -> list[BoxedObject]:
    """Objects that drive and walk through the frame."""
    objects = []
    for number in range(7):
        chance = random.Random(seed * 100 + number)
        cls = chance.choice(["person", "car", "car", "bus", "motorcycle", "truck", "bicycle"])
        width = {"person": 0.03, "bus": 0.16, "truck": 0.14, "car": 0.1}.get(cls, 0.05)
        height = {"person": 0.14, "bus": 0.2, "truck": 0.2, "car": 0.1}.get(cls, 0.1)
        x = (chance.random() + t_s * chance.uniform(0.02, 0.09)) % (1 - width)
        y = 0.25 + 0.45 * chance.random() + 0.02 * math.sin(t_s + number)
        box = (round(x, 4), round(y, 4), round(x + width, 4), round(min(1.0, y + height), 4))
        objects.append(BoxedObject(number + 1, cls, round(chance.uniform(0.5, 0.97), 2), box))
    return objects


def act(device: FakeDevice, seed: int, stop: threading.Event) -> None:
    device.birth()
    device.say(info(f"lahore/gulberg/site-{seed % 3}"))
    began_s, seq, beat = time.time(), int(time.time() * 10), 0
    bucket_s = began_s - 3600 - began_s % 60
    chance = random.Random(seed)
    for minute in range(60):
        seq += 1
        device.say(count(seq, bucket_s + 60 * minute, cars=chance.randint(2, 20)))
    if seed % 3 == 0:
        device.raise_alarm("dark", "mean luma 9")
    while not stop.wait(0.2):
        beat += 1
        if beat % 50 == 1:
            device.say(health(temp_c=48 + 6 * chance.random(), fps=9 + chance.random()))
        if chance.random() < 0.06:
            seq += 1
            seen = chance.choice(moving_objects(time.time() - began_s, seed))
            device.say(event(seq, kind=chance.choice(["line-cross", "zone-enter"]), object=seen, rule="gate"))
        if device.leases:
            device.say(
                LiveFrame(
                    id=new_id(), ts=now(), cam="cam0", objects=moving_objects(time.time() - began_s, seed)
                )
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--devices", type=int, default=4)
    given = parser.parse_args()
    broker = argparse.Namespace(
        port=given.port, secrets={f"cam-{n:02d}": f"secret-{n:02d}" for n in range(1, 100)}
    )
    stop = threading.Event()
    devices = [FakeDevice(broker, f"cam-{n + 1:02d}").__enter__() for n in range(given.devices)]
    for seed, device in enumerate(devices):
        threading.Thread(target=act, args=(device, seed, stop), daemon=True).start()
    stop.wait()


if __name__ == "__main__":
    main()
