"""Many devices in one process, each with its own connection and certificate; they do what they are told.

`python -m tests.bench.rollout_air_devices PORT CA FOLDER`: a device for each `NAME.pem` in the folder. Prints
`up` when all are connected, and a line of JSON (bytes heard and said) when its standard input ends. It does
not verify what it is told and installs nothing: it is the fleet manager that is measured. At most 300 go into
a process: paho waits with select(2), which knows 1,024 files, and takes three a connection.
"""

from __future__ import annotations

import base64
import json
import resource
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from ota.messages import (
    CameraInfo,
    Channel,
    Info,
    Message,
    ModelInfo,
    Reported,
    Status,
    Topic,
    Update,
    encode,
    format_ts,
    new_id,
)

OLD: Final = ModelInfo("street-2", "2.0.0", "a" * 64, ["person", "car"])
WORDS: Final = ("accepted", "downloading", "verified", "staged", "switched", "probation", "committed")
CONNECTING: Final = 8
"""So many connections are made at the same time: more handshakes only wait for this process's lock."""
CONNECT_S: Final = 60.0


class Camera:
    """One device."""

    def __init__(self, port: int, ca: str, file: Path, gate: threading.Semaphore) -> None:
        self.device, self.model, self.action = file.stem, OLD, ""
        self.heard_bytes = self.said_bytes = 0
        self.is_up = threading.Event()
        self._gate = gate
        context = ssl.create_default_context(cafile=ca)
        context.load_cert_chain(file)
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=self.device)
        self.client.tls_set_context(context)
        self.client.connect_timeout = CONNECT_S
        self.client.reconnect_delay_set(1, 2)
        self.client.on_connect = self._on_connect
        self.client.on_message = self._on_message
        self._port = port

    def start(self) -> None:
        """Connect; waits for a place in the queue."""
        self._gate.acquire()
        self.client.connect_async("localhost", self._port, 120)
        self.client.loop_start()

    def _on_connect(self, *_: Any) -> None:
        if not self.is_up.is_set():
            self._gate.release()
        self.client.subscribe(str(Topic(self.device, Channel.DESIRED)), 1)
        now, camera = format_ts(time.time()), CameraInfo("cam0", "street", 640, 360)
        self._say(Channel.STATUS, Status(id=new_id(), ts=now, state="online", session=new_id()))
        about = {"site": "lahore/gulberg", "timezone": "Asia/Karachi", "board": "raspberry-pi-4"}
        info = Info(id=new_id(), ts=now, firmware="0.2.0", model=self.model, cameras=[camera], **about)
        self._say(Channel.INFO, info)
        self._report()
        self.is_up.set()

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self.heard_bytes += len(message.payload)
        for target in wanted_of(message.payload).get("targets", []):
            action = target.get("action") or ""
            if action and action != self.action:
                self.action = action
                self._obey(target)

    def _obey(self, target: dict[str, Any]) -> None:
        for word in WORDS:
            now = format_ts(time.time())
            update = Update(id=new_id(), ts=now, action=self.action, state=word, target=target["path"])
            self._say(Channel.UPDATE, update)
        self.model = ModelInfo("street-2", "2.0.1", target["hashes"]["sha256"], ["person", "car"])
        self._report()

    def _report(self) -> None:
        now = format_ts(time.time())
        reported = Reported(id=new_id(), ts=now, config_sha256="", firmware="0.2.0", model=self.model)
        self._say(Channel.REPORTED, reported)

    def _say(self, channel: Channel, message: Message) -> None:
        payload = encode(message)
        self.said_bytes += len(payload)
        self.client.publish(str(Topic(self.device, channel)), payload, qos=1, retain=True)


def wanted_of(payload: bytes) -> dict[str, Any]:
    """Return the document in a message, signed or not, as it is."""
    said = json.loads(payload) if payload else {}
    if "payload" in said:
        said = json.loads(base64.b64decode(said["payload"]))
    return dict(said)


def main() -> None:
    """Connect all, and wait for the end of standard input."""
    port, ca, folder = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    threading.stack_size(256 * 1024)
    gate = threading.Semaphore(CONNECTING)
    cameras = [Camera(port, ca, file, gate) for file in sorted(folder.glob("*.pem"))]
    for camera in cameras:
        camera.start()
    for camera in cameras:
        camera.is_up.wait()
    sys.stdout.write("up\n")
    sys.stdout.flush()
    sys.stdin.read()
    totals = [sum(one.heard_bytes for one in cameras), sum(one.said_bytes for one in cameras)]
    sys.stdout.write(json.dumps(totals) + "\n")


if __name__ == "__main__":
    main()
