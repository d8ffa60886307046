"""The parts of a running fleet that API and console use, in one frozen value.

Made once in `app.py`; holds no request's state.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlmodel import Session

from fleet.access.sign_on import SignOn
from fleet.desired import Director
from fleet.feed import Feed
from fleet.ingest import Ingest
from fleet.link import Link
from fleet.live import Live
from fleet.parts import Parts
from fleet.presence import LastHeard, Presence
from fleet.settings import Settings
from fleet.store.database import connect_database, open_database
from fleet.tally import Tally


@dataclass(frozen=True, slots=True)
class Services:
    """What runs.

    Attributes:
        sign_on: single sign-on, where a provider is set.
        engine: for API, console and presence; the writer has its own, so that neither waits for the other.
    """

    settings: Settings
    engine: Engine
    writer_engine: Engine
    tally: Tally
    feed: Feed
    live: Live
    link: Link
    ingest: Ingest
    presence: Presence
    director: Director
    parts: Parts
    sign_on: SignOn | None = None

    def session(self) -> Session:
        """Return a new session; the caller closes it (`with`)."""
        return Session(self.engine)

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()
        self.writer_engine.dispose()


def build_services(settings: Settings) -> Services:
    """Open the database and put the parts together; starts no thread and no connection.

    Raises:
        DatabaseUnusable: the database cannot be opened.
        SettingsError: a TLS file holds no certificate or key.
    """
    engine = open_database(settings.database_url)
    writer_engine = connect_database(settings.database_url)
    tally, feed, live = Tally(), Feed(), Live()
    last_heard = LastHeard()
    ingest = Ingest(writer_engine, tally, feed, live, last_heard.note)
    link = Link(settings, ingest.on_message)
    presence = Presence(engine, link, last_heard, offline_after_s=settings.offline_after_s)
    director = Director(engine, link)
    return Services(
        settings,
        engine,
        writer_engine,
        tally,
        feed,
        live,
        link,
        ingest,
        presence,
        director,
        Parts(),
        SignOn(settings.provider) if settings.provider else None,
    )


@contextmanager
def running(services: Services) -> Iterator[None]:
    """Run all parts and the link; at the end take no more, write what is queued, acknowledge it."""
    stop, drained = threading.Event(), threading.Event()
    services.parts.start("ingest", services.ingest.run, services.link, drained)
    services.parts.start("presence", services.presence.run, stop)
    services.parts.start("director", services.director.run, stop)
    services.link.start()
    try:
        yield
    finally:
        services.parts.expect_end()
        stop.set()
        services.ingest.stop_taking()
        drained.set()
        services.parts.join()
        services.link.stop()
        services.close()
