"""A fleet as programs, and devices that were let in long ago: what `identity` measures on."""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from sqlalchemy import Engine
from sqlmodel import Session

from device.check.link import connect_packet
from fleet.broker.secure import write_secure_config
from fleet.identity.authority import Signer, as_pem, issue_client, new_key
from fleet.identity.claims import as_ms
from fleet.identity.enrolment import certificate_row
from fleet.identity.founding import found_fleet
from fleet.identity.home import Addresses, Home, key_pem
from fleet.store.database import open_database
from fleet.store.tables_identity import Identity
from tests.brokers import free_port, is_open, wait_until
from tests.homes import PASSPHRASE
from tests.system.programs import Program

LONG_AGO: Final = timedelta(days=300)
"""A certificate of a year that was given then is due for renewal."""
LIFE: Final = timedelta(days=365)
START_S: Final = 60.0
ANSWER_S: Final = 30.0
LET_IN: Final = b"\x20\x02\x00\x00"
"""CONNACK of a new session (MQTT 3.1.1, section 3.2)."""


@dataclass(frozen=True, slots=True)
class Member:
    """A device with a certificate: key, certificate and chain in one file."""

    device: str
    file: Path
    number: int


class Ground:
    """A home on SQLite with its broker and its fleet manager as processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = Home(folder / "fleet")
        self.https_port, self.mqtt_port = free_port(), free_port()
        addresses = Addresses(
            name="bench",
            hosts=["localhost", "127.0.0.1"],
            https_port=self.https_port,
            mqtt_port=self.mqtt_port,
            brokers=[str(folder / "mosquitto")],
        )
        found_fleet(self.home, addresses, datetime.now(UTC), passphrase=PASSPHRASE)
        write_secure_config(folder / "mosquitto", self.home, self.mqtt_port, host="127.0.0.1")
        self.engine: Engine = open_database(f"sqlite:///{self.home.database}")
        self.issuing: Signer = self.home.issuing()
        self.url = f"https://localhost:{self.https_port}"
        self.broker = Program("broker", ["pehra", "fleet", "broker-run", str(folder / "mosquitto")], folder)
        self.fleet = Program("fleet", ["pehra", "fleet", "run", "--home", str(self.home.folder)], folder)

    def start(self) -> None:
        """Start both, and wait until the fleet hears the broker."""
        for program, port in ((self.broker, self.mqtt_port), (self.fleet, self.https_port)):
            program.start()
            wait_until(lambda port=port: is_open(port), program.log.read_text, START_S)
        wait_until(lambda: "link up" in self.fleet.log.read_text(), self.fleet.log.read_text, START_S)

    def let_in(self, names: Iterable[str], ago: timedelta = timedelta(0)) -> list[Member]:
        """Write identities and certificates straight into the database, as if they had enrolled then."""
        now, members = datetime.now(UTC) - ago, []
        with Session(self.engine) as session:
            for name in names:
                key = new_key()
                certificate = issue_client(self.issuing, key.public_key(), name, now, LIFE)
                session.add(
                    Identity(device=name, state="active", since_ms=as_ms(now), enrolled_ms=as_ms(now))
                )
                session.add(certificate_row(certificate, name, key.public_key()))
                file = self.folder / f"{name}.pem"
                file.write_text(key_pem(key) + as_pem(certificate) + as_pem(self.issuing.certificate))
                members.append(Member(name, file, certificate.serial_number))
            session.commit()
        return members

    def context(self, file: Path) -> ssl.SSLContext:
        """Trusts the fleet's servers and comes with a file's certificate."""
        context = ssl.create_default_context(cafile=str(self.home.authorities))
        context.load_cert_chain(file)
        return context

    def is_taken(self, file: Path, name: str) -> bool:
        """Whether the broker lets a certificate in; TLS 1.3 says no only after the handshake."""
        try:
            with (
                socket.create_connection(("127.0.0.1", self.mqtt_port), ANSWER_S) as plain,
                self.context(file).wrap_socket(plain, server_hostname="localhost") as secured,
            ):
                secured.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                secured.sendall(connect_packet(name, "", "", 30))
                return secured.recv(4) == LET_IN
        except (ssl.SSLError, ConnectionError):
            return False

    def lists_written(self) -> int:
        """How often the fleet manager has written the revocation list."""
        return self.fleet.log.read_text().count("revocation list written")

    def crl(self) -> set[int]:
        """The numbers on the revocation list that lies in the home."""
        return {one.serial_number for one in x509.load_pem_x509_crl(self.home.crl.read_bytes())}


@contextlib.contextmanager
def ground_folder() -> Iterator[Path]:
    """Outside of other folders: the broker gives root's rights up and must still find its files."""
    with tempfile.TemporaryDirectory(prefix="pehra-bench-") as place:
        Path(place).chmod(0o755)
        yield Path(place)


@contextlib.contextmanager
def running_ground() -> Iterator[Ground]:
    """Both programs, until they are wanted no longer."""
    with ground_folder() as folder:
        ground = Ground(folder)
        try:
            ground.start()
            yield ground
        finally:
            for program in (ground.fleet, ground.broker):
                program.end()
            ground.engine.dispose()
