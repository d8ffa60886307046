"""Keeps what others trust up to date: the revocation list, the servers' certificates, who is a device now.

Looks into the database once a second, so that what another process decides (`pehra fleet revoke`, a second
fleet manager) is seen too. Brokers are told by the file `crl.pem`; ingest asks `is_trusted`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import Session, col, select

from fleet.broker.secure import follow
from fleet.errors import HomeUnusable, first_line
from fleet.identity.authority import CRL_LIFE, Revoked, Signer, as_pem, make_crl, renew_after
from fleet.identity.founding import make_servers
from fleet.identity.home import PUBLIC, Home, write_file
from fleet.identity.revocation import read_revoked, revoked_stamp
from fleet.store.tables_identity import Identity

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
REREAD: Final = timedelta(minutes=1)
"""So often the list on the disk is looked at though nothing was revoked: it may be old, or lost."""
TRUSTED: Final = ("active", "leaving")


class Keeper:
    """A part of the fleet: `run` until told to stop.

    Args:
        engine: of the database.
        home: where authorities and lists lie.
        on_servers: called when the servers' certificates were made anew.
    """

    def __init__(self, engine: Engine, home: Home, on_servers: Callable[[], None] = lambda: None) -> None:
        self._engine = engine
        self._home = home
        self._on_servers = on_servers
        self._issuing = home.issuing()
        self._trusted: frozenset[str] = frozenset()
        self._complaint = ""
        self._stamp: tuple[int, int] | None = None
        self._crl_due = datetime.min.replace(tzinfo=UTC)
        self._news = threading.Event()

    def is_trusted(self, device: str) -> bool:
        """Whether a device of this id was let in and is trusted still."""
        return device in self._trusted

    @property
    def issuing(self) -> Signer:
        """The authority that signs devices."""
        return self._issuing

    def wake(self) -> None:
        """Say that something has changed."""
        self._news.set()

    def run(self, stop: threading.Event) -> None:
        """Look again and again until `stop`."""
        while not stop.is_set():
            self._news.wait(LOOK_S)
            self._news.clear()
            try:
                faults = self.look(datetime.now(UTC))
            except (DBAPIError, PoolTimeout, HomeUnusable, OSError) as error:
                faults = [first_line(error)]
            self._complain("; ".join(faults))

    def look(self, now: datetime) -> list[str]:
        """Bring everything up to date once; return which brokers' folders could not follow, and why.

        Raises:
            HomeUnusable: a file of the home cannot be read or written.
        """
        with Session(self._engine) as session:
            trusted = session.exec(select(Identity.device).where(col(Identity.state).in_(TRUSTED)))
            self._trusted = frozenset(trusted)
            stamp = revoked_stamp(session, now)
            is_due = stamp != self._stamp or now >= self._crl_due
            revoked = read_revoked(session, now) if is_due else []
        if is_due:
            self._write_crl(revoked, now)
            self._stamp, self._crl_due = stamp, now + REREAD
        if any(
            now >= renew_after(self._home.certificate(file))
            for file in (self._home.https, self._home.broker, self._home.client)
        ):
            make_servers(self._home, self._issuing, self._home.read_addresses(), now)
            log.info("servers' certificates made anew")
            self._on_servers()
        faults = []
        for folder in self._home.read_addresses().brokers:
            try:
                follow(self._home, Path(folder))
            except HomeUnusable as error:  # one broker's full disk must not keep the others behind
                faults.append(str(error))
        return faults

    def _write_crl(self, revoked: list[Revoked], now: datetime) -> None:
        before = read_crl(self._home)
        is_fresh = before is not None and (before.next_update_utc or now) - now > CRL_LIFE / 2
        if before is not None and is_fresh and {entry.serial_number for entry in before} == _serials(revoked):
            return
        number = 1 + (_number_of(before) if before is not None else 0)
        write_file(self._home.crl, as_pem(make_crl(self._issuing, revoked, number, now)), PUBLIC)
        log.info("revocation list written number=%d certificates=%d", number, len(revoked))

    def _complain(self, reason: str) -> None:
        if reason and reason != self._complaint:
            log.error("not everything that is trusted is up to date reason=%r", reason)
        self._complaint = reason


def read_crl(home: Home) -> x509.CertificateRevocationList | None:
    """Return the list that lies in a home; None where there is none that can be read."""
    try:
        return x509.load_pem_x509_crl(home.crl.read_bytes())
    except (OSError, ValueError):
        return None


def _number_of(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def _serials(revoked: Iterable[Revoked]) -> set[int]:
    return {one.serial for one in revoked}
