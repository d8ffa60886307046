"""The real device takes a real model, from a stick and from a web server, while it looks at the street."""

from __future__ import annotations

import time

import msgspec
import pytest

from device.firmware.config import parse_config
from device.firmware.daemon import Daemon
from device.models.bundle import HOME, load_bundle
from ota.messages import Channel, Topic, encode
from tests.brokers import running_mosquitto, wait_until
from tests.device_toml import head
from tests.integration.test_daemon_parts import CAMERA, Running
from tests.integration.test_device_on_the_air import Listener
from tests.repository_simulator import serving
from tests.system.programs import Device
from tests.updating import Publisher, document, tiny_model

FAST = HOME / "street-2-fast"


@pytest.fixture
def publisher(tmp_path):
    made = Publisher(tmp_path / "repository")
    made.publish()
    return made


def let_trust(state, publisher):
    (state / "identity").mkdir(parents=True)
    (state / "identity" / "image-root.json").write_bytes(publisher.root)


def digest_of(name):
    return load_bundle(name).sha256


def test_a_model_from_a_stick_is_switched_to_between_two_frames(tmp_path, publisher, monkeypatch):
    monkeypatch.setattr("device.firmware.daemon.DRAIN_S", 0.2)
    wanted = publisher.add(FAST)
    (tmp_path / "media" / "STICK").mkdir(parents=True)
    publisher.www.rename(tmp_path / "media" / "STICK" / "pehra-update")
    let_trust(tmp_path / "state", publisher)
    text = head(tmp_path / "state")
    text += f'[update]\nsticks = ["{tmp_path}/media"]\nprobation_s = 4\nmetered = "no"\n'
    daemon = Daemon(
        parse_config(text + CAMERA.format(id="cam0", source="street:seed=5"), tmp_path / "d.toml")
    )
    looks, switched = [], []
    detect, looking = daemon._detector.detect, daemon._detector

    def noting(frame):
        found = detect(frame)
        looks.append((time.monotonic(), looking.info.sha256))
        return found

    monkeypatch.setattr(looking, "detect", noting)
    change = looking.on_change
    looking.on_change = lambda info: (switched.append(time.monotonic()), change(info))
    running = Running(daemon)
    try:
        wait_until(lambda: len(looks) > 30, "it looks", 60)
        daemon._updater.hear(document(wanted))
        wait_until(lambda: daemon._updater.journals["model"].state == "committed", _state(daemon), 60)
    finally:
        running.end()
    assert looking.info.sha256 == digest_of("street-2-fast")
    assert {sha for _, sha in looks} == {digest_of("street-2"), digest_of("street-2-fast")}
    (at_s,) = switched
    before_s = max(moment for moment, _ in looks if moment <= at_s)
    after_s = min(moment for moment, _ in looks if moment > at_s)
    assert after_s - before_s < 1.0, "no blind second"
    assert (daemon._voice.model, daemon._steward.model) == (looking.info, looking.info)
    Daemon(daemon._config)._end()


def _state(daemon):
    return lambda: str(daemon._updater.journals["model"])


def with_updates(device, url):
    file = device.state.parent / f"{device.device}.toml"
    file.write_text(
        file.read_text() + f'\n[update]\nurl = "{url}"\nprobation_s = 3\nmetered = "no"\nsticks = []\n'
    )


def states(listener):
    return [update.state for update in listener.said(Channel.UPDATE) if update]


@pytest.mark.timeout(240)
def test_a_document_over_mqtt_and_a_model_over_http_while_the_device_is_killed_and_a_bad_one_is_refused(
    tmp_path, publisher
):
    with running_mosquitto(tmp_path / "broker") as broker, serving(publisher.repository) as served:
        listener = Listener(broker)
        device = Device(broker.port, tmp_path, password=broker.secrets["cam-01"])
        with_updates(device, served.url)
        let_trust(device.state, publisher)
        device.start()
        try:
            _road(listener, device, publisher, tmp_path)
        finally:
            device.end()
            listener.client.stop()


def _road(listener, device, publisher, folder):
    def log():
        return f"{states(listener)}\n{device.log.read_text()[-3000:]}"

    def want(*targets, seq):
        heard = document(*targets, seq=seq)
        topic = Topic("cam-01", Channel.DESIRED)
        listener.client.publish(topic, encode(heard), retain=True)
        return heard

    wait_until(lambda: listener.said(Channel.INFO), log, 60)
    wait_until(lambda: len(listener.said(Channel.REPORTED)) > 0, log)
    process = device.process
    heard = want(publisher.add(FAST, sec_ver=1), seq=1)
    wait_until(lambda: states(listener)[-1:] == ["probation"], log, 60)
    device.kill()  # in the middle of its probation
    device.start()
    wait_until(lambda: "committed" in states(listener), log, 60)
    assert process is not device.process
    assert listener.said(Channel.REPORTED)[-1].model.sha256 == digest_of("street-2-fast")
    assert listener.said(Channel.INFO)[-1].model.name == "street-2-fast"
    assert {update.action for update in listener.said(Channel.UPDATE)} == {heard.action}
    small = tiny_model(folder / "small", "1.0", boxes=2)
    card = small / "model.toml"
    card.write_text(card.read_text().replace("value = ", "value = 9"))
    bad = want(publisher.add(small, name="street-2-fast", version="9.9", sec_ver=1), seq=2)
    wait_until(lambda: states(listener)[-1] == "rejected", log, 60)
    last = listener.said(Channel.UPDATE)[-1]
    assert (last.action, "golden" in last.reason) == (bad.action, True)
    assert listener.said(Channel.REPORTED)[-1].model.sha256 == digest_of("street-2-fast")
    assert device.stop() == 0
    assert "Traceback" not in device.log.read_text()


def test_a_device_in_safe_mode_takes_a_model_and_is_started_with_it(tmp_path, publisher, monkeypatch):
    monkeypatch.setattr("device.firmware.daemon.DRAIN_S", 0.2)
    wanted = publisher.add(FAST)
    (tmp_path / "media" / "STICK").mkdir(parents=True)
    publisher.www.rename(tmp_path / "media" / "STICK" / "pehra-update")
    let_trust(tmp_path / "state", publisher)
    text = head(tmp_path / "state") + f'[update]\nsticks = ["{tmp_path}/media"]\nprobation_s = 2\n'
    config = parse_config(text + CAMERA.format(id="cam0", source="street:seed=5"), tmp_path / "d.toml")
    daemon = Daemon(config, safe_reason="5 starts failed")
    daemon._updater.hear(document(wanted))
    running = Running(daemon)
    running.thread.join(60)
    assert daemon.ending == "configuration", daemon._updater.journals
    normal = Daemon(msgspec.structs.replace(config))
    assert normal._detector.info.sha256 == digest_of("street-2-fast")
    again = Running(normal)
    try:
        wait_until(lambda: normal._updater.journals["model"].state == "committed", _state(normal), 60)
    finally:
        again.end()
