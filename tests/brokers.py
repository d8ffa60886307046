"""Real brokers for tests: Mosquitto on a free port with a throw-away folder, and the embedded amqtt.

Both let in by password, or with mutual TLS by certificates of a fleet's home.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from fleet.broker.mosquitto import write_mosquitto_config
from fleet.broker.secure import write_secure_config
from fleet.broker.trust import BrokerTls
from fleet.identity.authority import Signer, as_pem, issue_client, new_key
from fleet.identity.home import Home, key_pem
from tests.conftest import missing

SECRETS = {"fleet": "fleet-secret", **{f"cam-{n:02d}": f"secret-{n:02d}" for n in range(1, 13)}}


@dataclass(frozen=True)
class RunningBroker:
    """A broker that listens on 127.0.0.1."""

    port: int
    secrets: dict[str, str]
    certificates: Certificates | None = None


class Certificates:
    """Client certificates of a fleet's home, made when somebody asks; as files, and as TLS contexts."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.home = home
        self._folder = folder

    def file(self, user: str, issuing: Signer | None = None) -> Path:
        """Key, certificate and chain of a user; signed by this fleet, or by somebody else."""
        signer, key = issuing or self.home.issuing(), new_key()
        certificate = issue_client(signer, key.public_key(), user, datetime.now(UTC))
        file = self._folder / f"{user}-{certificate.serial_number:x}.pem"
        file.write_text(key_pem(key) + as_pem(certificate) + as_pem(signer.certificate))
        return file

    def context(self, file: Path | None) -> ssl.SSLContext:
        """Trusts the fleet's brokers and comes with a file's certificate, or with none."""
        context = ssl.create_default_context(cafile=str(self.home.authorities))
        if file is not None:
            context.load_cert_chain(file)
        return context


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(claim: Callable[[], Any], what: str | Callable[[], str], deadline_s: float = 20.0) -> Any:
    """Return the claim's first true value; fail with `what` after the deadline.

    Evidence, such as a log, comes in a callable, which is asked at the failure and not before.
    """
    until_s = time.monotonic() + deadline_s
    while time.monotonic() < until_s:
        value = claim()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {deadline_s} s: {what if isinstance(what, str) else what()}")


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Mosquitto:
    """A Mosquitto that can be stopped, killed and started again on the same port and folder."""

    def __init__(self, folder: Path, secrets: dict[str, str] | None = None, **options: Any) -> None:
        binary = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if binary is None:
            missing("mosquitto is not installed (Debian package: mosquitto)")
        self.binary = binary
        self.port = free_port()
        self.secrets = dict(SECRETS if secrets is None else secrets)
        folder.mkdir(parents=True, exist_ok=True)
        run_as = "root" if os.geteuid() == 0 else ""
        is_open = options.pop("is_open", False)
        self.certificates: Certificates | None = options.pop("certificates", None)
        if self.certificates is None:
            self.config = write_mosquitto_config(folder, self.port, self.secrets, run_as=run_as, **options)
        else:
            home = self.certificates.home
            self.config = write_secure_config(folder, home, self.port, host="127.0.0.1", run_as=run_as)
        if is_open:  # a load test speaks for many devices over one connection
            (folder / "acl").write_text("pattern readwrite #\n")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Mosquitto:
        words = self.config.with_suffix(".log")
        with words.open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.binary), "-c", str(self.config)], stdout=log, stderr=log
            )
        wait_until(lambda: is_open(self.port), lambda: f"mosquitto listens: {words.read_text()[-2000:]}")
        return self

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(10)
            self.process = None


@contextlib.contextmanager
def running_mosquitto(folder: Path, **options: Any) -> Iterator[Mosquitto]:
    broker = Mosquitto(folder, **options).start()
    try:
        yield broker
    finally:
        broker.stop()


@contextlib.contextmanager
def running_embedded(
    secrets: dict[str, str] | None = None, certificates: Certificates | None = None
) -> Iterator[RunningBroker]:
    """The embedded broker in a thread of this process."""
    from fleet.broker.embedded import run_broker  # amqtt, which a device does not have

    secrets = dict(SECRETS if secrets is None else secrets)
    port, stop, ready = free_port(), threading.Event(), threading.Event()
    tls = None
    if certificates is not None:
        home = certificates.home
        tls = BrokerTls(home.authorities, home.broker, home.crl)
    options = {"ready": ready, "tls": tls}
    thread = threading.Thread(target=run_broker, args=(port, secrets, stop), kwargs=options)
    thread.start()
    try:
        assert ready.wait(15), "the embedded broker starts"
        yield RunningBroker(port, secrets, certificates)
    finally:
        stop.set()
        thread.join(15)


class Client:
    """A plain paho client that keeps what it hears."""

    def __init__(self, port: int, user: str = "", password: str = "", **options: Any) -> None:
        will, context = options.pop("will", None), options.pop("context", None)
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=options.pop("client_id", user), **options
        )
        if user:
            self.client.username_pw_set(user, password)
        if will:
            self.client.will_set(*will)
        if context is not None:
            self.client.tls_set_context(context)
        self.port = port
        self.heard: list[tuple[str, bytes]] = []
        self.refused: Any = None
        self.granted: dict[int, bool] = {}
        self.client.on_message = self._on_message
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_disconnect = self._on_disconnect
        self.client.on_connect_fail = self._on_connect_fail
        self.times_lost = self.tried = 0

    def _on_message(self, _c: Any, _d: Any, message: Any) -> None:
        self.heard.append((message.topic, message.payload))

    def _on_connect(self, _c: Any, _d: Any, _f: Any, reason: Any, _p: Any) -> None:
        self.refused = reason if reason.is_failure else False

    def _on_disconnect(self, _c: Any, _d: Any, _f: Any, reason: Any, _p: Any) -> None:
        self.times_lost += 1
        if self.refused is None:
            self.refused = reason

    def _on_connect_fail(self, _c: Any, _d: Any) -> None:
        self.tried += 1

    def _on_subscribe(self, _c: Any, _d: Any, mid: int, reasons: Any, _p: Any) -> None:
        self.granted[mid] = not any(reason.is_failure for reason in reasons)

    def start(self) -> Client:
        self.client.connect("127.0.0.1", self.port, 30)
        self.client.loop_start()
        wait_until(lambda: self.refused is not None, "the broker answers")
        return self

    def is_let_in(self) -> bool:
        """Try once; whether the broker takes us. TLS 1.3 says no only after the handshake."""
        try:
            self.start()
        except ssl.SSLError:
            return False
        return not self.refused

    def publish(self, topic: Any, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        self.client.publish(str(topic), payload, qos=qos, retain=retain).wait_for_publish(10)

    def subscribe(self, *filters: str) -> bool:
        _, mid = self.client.subscribe([(one, 1) for one in filters])
        wait_until(lambda: mid in self.granted, "the broker answers the subscription")
        return self.granted[mid]

    def stop(self) -> None:
        self.client.disconnect()
        self._end()

    def vanish(self) -> None:
        """Go without a word: the broker publishes the will."""
        self.client._sock.shutdown(socket.SHUT_RDWR)
        self._end()

    def _end(self) -> None:
        """Close what paho leaves to the garbage collector: its wake-up pair, and at times its connection."""
        self.client.loop_stop()
        self.client._reset_sockets()

    def __enter__(self) -> Client:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def as_user(broker: Any, user: str, **options: Any) -> Client:
    """A client that the broker knows: by its password, or by its certificate alone."""
    certificates = broker.certificates
    if certificates is None:
        return Client(broker.port, user, broker.secrets[user], **options)
    context = certificates.context(certificates.file(user))
    return Client(broker.port, **{"client_id": user, "context": context} | options)


def python_process(*arguments: str, env: dict[str, str] | None = None, log: Path) -> subprocess.Popen[bytes]:
    """A Python process of this environment whose output goes to a file."""
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, *arguments], env=dict(os.environ) | (env or {}), stdout=out, stderr=out
        )
