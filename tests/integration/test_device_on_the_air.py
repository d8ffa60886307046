"""What a real device process says and does over a real Mosquitto; the fleet is played by a plain client."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest

from ota.messages import Ack, Channel, Command, Topic, decode, encode, format_ts, new_id
from tests.brokers import as_user, running_mosquitto, wait_until
from tests.system.programs import Device


class Listener:
    """The fleet's ear and mouth, without a fleet."""

    def __init__(self, broker):
        self.client = as_user(broker, "fleet").start()
        assert self.client.subscribe(
            *(Topic.filter(channel) for channel in Channel if channel is not Channel.REPLY)
        )
        assert self.client.subscribe(Topic.filter(Channel.REPLY))

    def said(self, channel):
        """Every message of a channel, decoded; zero bytes come as None."""
        found = []
        for text, payload in list(self.client.heard):
            topic = Topic.parse(text)
            if topic.channel is channel:
                found.append(decode(channel, payload) if payload else None)
        return found

    def command(self, name, args, *, deadline_s=30.0, request=None):
        command = Command(
            id=request or new_id(),
            ts=format_ts(time.time()),
            deadline=format_ts(time.time() + deadline_s),
            args=args,
        )
        self.client.publish(Topic("cam-01", Channel.COMMAND, name=name), encode(command))
        return command.id

    def answer(self, request):
        return wait_until(
            lambda: [reply for reply in self.said(Channel.REPLY) if reply.request == request], "an answer"
        )


@pytest.fixture
def air(tmp_path):
    with running_mosquitto(tmp_path / "broker") as broker:
        listener = Listener(broker)
        device = Device(broker.port, tmp_path, password=broker.secrets["cam-01"])
        device.start()
        wait_until(lambda: listener.said(Channel.STATUS), f"a birth\n{device.log.read_text()}", 60)
        yield listener, device, broker
        device.end()
        listener.client.stop()


def test_a_device_is_born_with_everything_that_is_retained_and_says_goodbye(air):
    listener, device, _ = air
    wait_until(lambda: listener.said(Channel.INFO), "the birth certificate")
    wait_until(lambda: listener.said(Channel.HEALTH), "health")
    info = listener.said(Channel.INFO)[0]
    assert (info.model.name, info.cameras[0].id, info.cameras[0].driver) == ("street-2", "cam0", "street")
    assert [rule.kind for rule in info.cameras[0].rules] == ["line", "zone"]
    assert device.stop() == 0
    wait_until(lambda: listener.said(Channel.STATUS)[-1].state == "stopped", "the goodbye")


def test_a_killed_device_is_lost_at_once_and_its_will_pairs_with_its_birth(air):
    listener, device, _ = air
    born = listener.said(Channel.STATUS)[0]
    device.kill()
    wait_until(lambda: listener.said(Channel.STATUS)[-1].state == "lost", "the will")
    assert listener.said(Channel.STATUS)[-1].session == born.session


def test_an_unacknowledged_event_comes_again_as_it_was_and_an_acknowledged_one_does_not(air):
    listener, device, _ = air
    first = wait_until(lambda: listener.said(Channel.EVENT), "an event", 60)[0]
    repeats = wait_until(
        lambda: (again := [e for e in listener.said(Channel.EVENT) if e.seq == first.seq])[1:] and again,
        "a repeat",
    )
    assert {event.id for event in repeats} == {first.id}
    everything = Ack(id=new_id(), ts=format_ts(time.time()), ranges=[(1, 2**53 - 1)])
    listener.client.publish(Topic("cam-01", Channel.ACK), encode(everything))
    wait_until(lambda: device.outbox("event.acked") > 0, "the acknowledgement is kept")
    count = sum(event.seq == first.seq for event in listener.said(Channel.EVENT))
    later = listener.said(Channel.EVENT)[-1].seq
    wait_until(lambda: listener.said(Channel.EVENT)[-1].seq > later, "a newer event", 60)
    assert sum(event.seq == first.seq for event in listener.said(Channel.EVENT)) <= count + 1


def test_the_live_view_is_sent_only_while_its_lease_lasts(air):
    listener, _, _ = air
    assert not listener.said(Channel.FRAME)
    (reply,) = listener.answer(listener.command("live", {"cam": "cam0", "lease_s": 2}))
    assert reply.is_done
    wait_until(lambda: len(listener.said(Channel.FRAME)) >= 3, "frames of boxes")
    began_s = time.monotonic()
    wait_until(lambda: _is_quiet(listener), "the end of the lease", 30)
    assert time.monotonic() - began_s < 25
    frames = listener.said(Channel.FRAME)
    assert len(frames) <= 2 * 5 + 3


def _is_quiet(listener):
    before = len(listener.said(Channel.FRAME))
    threading.Event().wait(1.0)
    return len(listener.said(Channel.FRAME)) == before


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("live", {"cam": "cam7", "lease_s": 5}, "cam"),
        ("live", {}, "lease_s"),
        ("reformat", {}, "no command"),
    ],
)
def test_a_command_that_makes_no_sense_is_answered_with_the_reason(air, name, args, words):
    listener, _, _ = air
    (reply,) = listener.answer(listener.command(name, args))
    assert not reply.is_done
    assert words in reply.reason


def test_a_command_after_its_deadline_is_not_carried_out(air):
    listener, _, _ = air
    (reply,) = listener.answer(listener.command("live", {"cam": "cam0", "lease_s": 5}, deadline_s=-5))
    assert not reply.is_done
    assert "deadline" in reply.reason
    assert not listener.said(Channel.FRAME)


def test_garbage_from_the_broker_does_not_stop_the_device(air):
    listener, device, _ = air
    for channel, name in ((Channel.ACK, ""), (Channel.DESIRED, ""), (Channel.COMMAND, "live")):
        for payload in (b"\xff\xfe", b"[" * 5000, b'{"v":9}', b"{}"):
            listener.client.publish(Topic("cam-01", channel, name=name), payload)
    (reply,) = listener.answer(listener.command("live", {"cam": "cam0", "lease_s": 1}))
    assert reply.is_done
    assert device.process.poll() is None


def test_nothing_that_a_device_says_could_be_a_picture(air):
    """Every payload is JSON of our schema and far too small; nobody is identified by anything in it."""
    listener, _, _ = air
    listener.command("live", {"cam": "cam0", "lease_s": 20})
    wait_until(lambda: len(listener.said(Channel.FRAME)) > 10, "the live view", 60)
    wait_until(lambda: listener.said(Channel.EVENT), "an event", 60)
    for text, payload in listener.client.heard:
        if not payload:
            continue
        assert len(payload) < 4096, text
        decode(Topic.parse(text).channel, payload)
        assert all(len(value) < 70 for value in _texts(json.loads(payload))), payload


def _texts(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def test_a_camera_that_is_lost_raises_an_alarm_that_clears_when_it_is_back(tmp_path):
    with running_mosquitto(tmp_path / "broker") as broker:
        listener = Listener(broker)
        device = Device(broker.port, tmp_path, password=broker.secrets["cam-01"])
        picture = tmp_path / "lens.mkv"
        config = tmp_path / "cam-01.toml"
        config.write_text(
            config.read_text()
            .replace("street:seed=5", str(picture))
            .replace("fps = 12", "fps = 12\nloop = true")
        )
        device.start()
        try:
            wait_until(lambda: any(listener.said(Channel.ALARM)), f"the alarm\n{device.log.read_text()}", 60)
            wait_until(lambda: listener.said(Channel.STATUS)[-1].state == "degraded", "a degraded status")
            assert listener.said(Channel.HEALTH)[-1].cameras == {"cam0": "lost"}
            _write_video(picture)
            wait_until(lambda: listener.said(Channel.ALARM)[-1] is None, "the alarm clears", 60)
            kinds = wait_until(
                lambda: (k := [e.kind for e in listener.said(Channel.EVENT)]) and "alarm-cleared" in k and k,
                "its trace",
            )
            assert "alarm-raised" in kinds
            assert str(tmp_path) not in str(listener.said(Channel.ALARM)), "an alarm tells no path or address"
        finally:
            device.end()
            listener.client.stop()


def test_a_covered_lens_raises_an_alarm_that_outlasts_a_killed_device_and_clears_with_the_cover(tmp_path):
    with running_mosquitto(tmp_path / "broker") as broker:
        listener = Listener(broker)
        device = Device(broker.port, tmp_path, password=broker.secrets["cam-01"])
        picture, config = tmp_path / "lens.mkv", tmp_path / "cam-01.toml"
        _write_video(picture, covered_from=15 * 12, until=40 * 12)
        config.write_text(
            config.read_text()
            .replace("street:seed=5", str(picture))
            .replace("fps = 12", "fps = 12\nloop = true\nview = { hold_s = 2, clear_s = 2 }")
        )
        device.start()
        try:
            alarm = wait_until(
                lambda: _standing(listener, "covered"), f"the alarm\n{device.log.read_text()}", 90
            )
            assert "black" in alarm.detail
            wait_until(lambda: listener.said(Channel.STATUS)[-1].state == "degraded", "a degraded status")
            assert listener.said(Channel.STATUS)[-1].reason == "camera covered: cam0"
            wait_until(lambda: device.outbox("event.made") > 0, "the trace is written")
            device.kill()
            device.start()
            wait_until(lambda: _standing(listener, "covered") is None, "the alarm clears", 90)
            wait_until(lambda: "alarm-cleared" in _alarm_events(listener), "its trace")
            assert _alarm_events(listener) == ["alarm-raised", "alarm-cleared"]
            assert not {
                topic for topic, payload in listener.client.heard if "/alarm/" in topic and payload
            } - {str(Topic("cam-01", Channel.ALARM, "cam0", "covered"))}, "one cause, one alarm"
        finally:
            device.end()
            listener.client.stop()


def _standing(listener, kind):
    topic = str(Topic("cam-01", Channel.ALARM, "cam0", kind))
    payloads = [payload for heard, payload in list(listener.client.heard) if heard == topic]
    return decode(Channel.ALARM, payloads[-1]) if payloads and payloads[-1] else None


def _alarm_events(listener):
    events = {e.seq: e for e in listener.said(Channel.EVENT) if e.kind.startswith("alarm-")}
    assert {event.rule for event in events.values()} <= {"covered"}, [
        (e.ts, e.kind, e.rule) for e in events.values()
    ]
    return [events[seq].kind for seq in sorted(events)]


def _write_video(path, *, covered_from=36, until=36):
    """A street of so many frames, covered from a frame on."""
    import av

    from hardware.camera.street import Street

    street = Street(3, 320, 240)
    new = path.with_name("new.mkv")
    with av.open(str(new), "w") as container:
        stream = container.add_stream("mpeg4", rate=12)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(until):
            rgb = street.render(number / 12) if number < covered_from else np.zeros((240, 320, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    new.rename(path)


def test_a_device_that_cannot_start_says_why_and_exits_with_2(tmp_path):
    device = Device(1, tmp_path)
    config = tmp_path / "cam-01.toml"
    config.write_text(config.read_text().replace("[mqtt]", '[model]\nname = "street-99"\n\n[mqtt]'))
    device.start()
    assert device.process.wait(60) == 2
    assert "street-99" in device.log.read_text()
    assert "Traceback" not in device.log.read_text()


def test_how_many_are_in_a_zone_is_said_when_it_changes_and_kept_by_the_broker(air):
    listener, _, broker = air
    said = wait_until(
        lambda: [o for o in listener.said(Channel.OCCUPANCY) if o.counts], "somebody in the zone", 60
    )
    assert {occupancy.rule for occupancy in said} == {"street"}
    late = as_user(broker, "fleet", client_id="late").start()
    assert late.subscribe(Topic.filter(Channel.OCCUPANCY))
    wait_until(lambda: late.heard, "the retained occupancy")
    late.stop()
