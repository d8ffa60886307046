"""Sees devices off: tells those that leave to wipe themselves, and cuts off those that are trusted no longer.

A broker reads the revocation list only when somebody connects, so a session that stands would stand on. It is
ended by taking it over: the fleet signs itself a certificate of that name for a moment and connects with it;
MQTT allows a name one session (3.1.1, section 3.1.4). The device cannot come back: the list is read then.
"""

from __future__ import annotations

import logging
import ssl
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode
from sqlalchemy import Engine, func
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import Session, col, select

from fleet.errors import FleetError, first_line
from fleet.identity.authority import Signer, as_pem, issue_client, new_key
from fleet.identity.claims import as_ms
from fleet.identity.home import key_pem
from fleet.identity.revocation import REPLACED, retire_device
from fleet.link import Link
from fleet.settings import Settings
from fleet.store import tables
from fleet.store.tables_identity import Certificate, Identity
from ota.messages import Channel, Command, Reply, Topic, format_ts, new_id

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
ASK_AGAIN_S: Final = 30.0
COMMAND: Final = "decommission"
CUT_AFTER_S: Final = (3.0, 12.0, 30.0, 50.0)
"""When a session is taken over, after the revocation: the broker may not have the list yet the first time."""
CUT_REPLACED_AFTER_S: Final = (12.0, 50.0)
"""The same for the board that was replaced: whoever holds the name is cut off, and the new one comes back."""
WATCH_MS: Final = round((CUT_AFTER_S[-1] + 60) * 1000)
"""So long after its end a device is looked after."""
AT_START_MAX: Final = 500
CONNECT_S: Final = 5.0
MOMENT: Final = timedelta(minutes=5)


class Departures:
    """A part of the fleet: `run` until told to stop; `note_reply` is ingest's callback.

    Args:
        engine: of the database.
        link: to the broker.
        settings: where the broker is.
        issuing: signs the certificates of a moment.
    """

    def __init__(self, engine: Engine, link: Link, settings: Settings, issuing: Signer) -> None:
        self._engine = engine
        self._link = link
        self._settings = settings
        self._issuing = issuing
        self._asked_s: dict[str, float] = {}
        self._wiped: set[str] = set()
        self._cuts: dict[tuple[str, int], int] = {}
        self._begun_ms = 0
        self._lock = threading.Lock()

    def note_reply(self, device: str, name: str, reply: Reply) -> None:
        """Take a device's answer; any thread."""
        if name != COMMAND:
            return
        if reply.is_done:
            with self._lock:
                self._wiped.add(device)
        else:
            log.error("device does not wipe itself id=%s reason=%r", device, reply.reason)

    def run(self, stop: threading.Event) -> None:
        """See devices off until `stop`."""
        while not stop.wait(LOOK_S):
            try:
                self.look(datetime.now(UTC), time.monotonic())
            except (DBAPIError, PoolTimeout) as error:
                log.error("departures wait, the database does not answer reason=%r", first_line(error))
            except (FleetError, OSError) as error:
                log.error("departures wait reason=%r", first_line(error))

    def look(self, now: datetime, mono_s: float) -> None:
        """Do what is due once."""
        with Session(self._engine) as session:
            leaving = session.exec(select(Identity.device).where(Identity.state == "leaving")).all()
            self._retire(session, set(leaving), now)
            gone, replaced = self._gone(session, as_ms(now)), self._replaced(session, as_ms(now))
        for device in leaving:
            self._ask(device, now, mono_s)
        for device, since_ms in gone:
            self._cut_off(device, since_ms, as_ms(now), CUT_AFTER_S)
        for device, since_ms in replaced:
            self._cut_off(device, since_ms, as_ms(now), CUT_REPLACED_AFTER_S)

    def _gone(self, session: Session, now_ms: int) -> list[tuple[str, int]]:
        """Return who is to be cut off, and since when.

        Whoever was revoked while no fleet manager ran may have a session that stands: at our start everybody
        counts whose certificate has not expired, as if revoked just now.
        """
        self._begun_ms = self._begun_ms or now_ms
        wanted = select(Identity.device, Identity.since_ms).where(
            col(Identity.state).in_(("revoked", "retired"))
        )
        if now_ms - self._begun_ms < WATCH_MS:
            living = select(Certificate.device).where(Certificate.end_ms > now_ms)
            newest = wanted.order_by(col(Identity.since_ms).desc()).limit(AT_START_MAX)
            wanted = newest.where(col(Identity.device).in_(living))
        else:
            wanted = wanted.where(Identity.since_ms > now_ms - WATCH_MS)
        return [(device, max(since_ms, self._begun_ms)) for device, since_ms in session.exec(wanted)]

    def _replaced(self, session: Session, now_ms: int) -> list[tuple[str, int]]:
        """Return whose board was replaced lately, and since when."""
        wanted = select(Certificate.device, func.max(col(Certificate.revoked_ms))).where(
            Certificate.reason == REPLACED, col(Certificate.revoked_ms) > now_ms - WATCH_MS
        )
        found = session.exec(wanted.group_by(col(Certificate.device)))
        return [(device, since_ms) for device, since_ms in found if since_ms is not None]

    def _retire(self, session: Session, leaving: set[str], now: datetime) -> None:
        with self._lock:
            wiped, self._wiped = self._wiped & leaving, set()
        for device in wiped:
            retire_device(session, device, "wiped itself", now)
            wanted = session.get(tables.Desired, device)
            if wanted is not None:
                session.delete(wanted)
                session.commit()
            self._link.clear(Topic(device, Channel.DESIRED))

    def _ask(self, device: str, now: datetime, mono_s: float) -> None:
        if mono_s - self._asked_s.get(device, float("-inf")) < ASK_AGAIN_S or not self._link.is_up:
            return
        self._asked_s[device] = mono_s
        command = Command(
            id=new_id(),
            ts=format_ts(now.timestamp()),
            deadline=format_ts(now.timestamp() + ASK_AGAIN_S),
            args={"device": device},
        )
        self._link.publish(Topic(device, Channel.COMMAND, name=COMMAND), command)
        log.info("device told to wipe itself id=%s", device)

    def _cut_off(self, device: str, since_ms: int, now_ms: int, after_s: tuple[float, ...]) -> None:
        done = self._cuts.get((device, since_ms), 0)
        due = sum(now_ms - since_ms >= one_s * 1000 for one_s in after_s)
        if due > done:
            self._cuts[device, since_ms] = due
            take_over(self._settings, self._issuing, device)


def take_over(settings: Settings, issuing: Signer, device: str) -> bool:
    """End whatever session a device has at the broker; return whether the broker took us for it.

    Raises:
        OSError: no place for the certificate of a moment.
    """
    if settings.mqtt_ca is None:
        return False
    answered, taken = threading.Event(), threading.Event()
    key = new_key()
    certificate = issue_client(issuing, key.public_key(), device, datetime.now(UTC), MOMENT)
    with tempfile.NamedTemporaryFile("w", prefix="pehra-", suffix=".pem") as file:
        chain = as_pem(certificate) + as_pem(issuing.certificate)
        file.write(key_pem(key) + chain)
        file.flush()
        context = ssl.create_default_context(cafile=settings.mqtt_ca)
        context.load_cert_chain(file.name)
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=device, clean_session=True)
    client.tls_set_context(context)

    def connected(_c: object, _d: object, _f: object, reason: ReasonCode, _p: object) -> None:
        if not reason.is_failure:
            taken.set()
        answered.set()

    client.on_connect = connected
    try:
        client.connect(settings.mqtt_host, settings.mqtt_port, keepalive=10)
        client.loop_start()
        answered.wait(CONNECT_S)
        client.disconnect()
    except (OSError, ValueError) as error:
        log.warning("session of %s cannot be ended now reason=%r", device, first_line(error))
    finally:
        client.loop_stop()
    if taken.is_set():
        log.info("session ended device=%s", device)
    return taken.is_set()
