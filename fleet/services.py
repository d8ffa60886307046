"""The parts of a running fleet that API and console use, in one frozen value.

Made once in `app.py`; holds no request's state.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Engine
from sqlmodel import Session

from fleet.access.sign_on import SignOn
from fleet.director.home import DirectorHome
from fleet.director.seal import Seal
from fleet.director.telling import Director
from fleet.errors import HomeUnusable
from fleet.feed import Feed
from fleet.hawkbit.entry import Guesses
from fleet.hawkbit.images import ImageFolder
from fleet.identity.departures import Departures
from fleet.identity.home import Home
from fleet.identity.keeper import Keeper
from fleet.identity.office import Office
from fleet.images.keeping import ImageKeeper
from fleet.ingest import Ingest
from fleet.link import Link
from fleet.live import Live
from fleet.parts import Parts
from fleet.peer import load_chain, tls_context
from fleet.presence import LastHeard, Presence
from fleet.replies import Replies
from fleet.rollouts.engine import Rollouts
from fleet.rollouts.tell import Tell, WantedTable
from fleet.settings import Settings
from fleet.store.database import connect_database, open_database
from fleet.tally import Tally

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Services:
    """What runs.

    Attributes:
        sign_on: single sign-on, where a provider is set.
        engine: for API, console and presence; the writer has its own, so that neither waits for the other.
        rollouts: lets rollouts go on.
        tell: where orders of rollouts go.
        office: lets devices in; None for a fleet without a home.
        keeper: knows whom to trust; None for a fleet without a home.
        departures: sees devices off; None for a fleet without a home.
        images: keeps the image repository; None for a fleet without one.
        tls: of API and console; None for a fleet without a home.
        os_images: images of operating systems; None where no folder is named.
        guesses: wrong tokens of clients of hawkBit's API.
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
    rollouts: Rollouts
    tell: Tell
    parts: Parts
    office: Office | None
    keeper: Keeper | None
    departures: Departures | None
    images: ImageKeeper | None
    tls: ssl.SSLContext | None
    sign_on: SignOn | None = None
    os_images: ImageFolder | None = None
    guesses: Guesses = field(default_factory=Guesses)

    def session(self) -> Session:
        """Return a new session; the caller closes it (`with`)."""
        return Session(self.engine)

    def keeper_wake(self) -> None:
        """Say that somebody was let in or shut out."""
        if self.keeper is not None:
            self.keeper.wake()

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
    office, keeper, tls = _identity(settings, engine)
    is_trusted = keeper.is_trusted if keeper is not None else _everybody
    replies = Replies()
    ingest = Ingest(writer_engine, tally, feed, live, last_heard.note, is_trusted, replies.note)
    link = Link(settings, ingest.on_message)
    departures = None
    if keeper is not None:
        departures = Departures(engine, link, settings, keeper.issuing)
        replies.hand_to(departures.note_reply)
    presence = Presence(engine, link, last_heard, offline_after_s=settings.offline_after_s)
    seal, is_silent = _seal(settings)
    director = Director(engine, link, seal, is_silent=is_silent)
    tell = WantedTable()
    rollouts = Rollouts(engine, tell, director.wake, lambda: link.is_up)
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
        rollouts,
        tell,
        Parts(),
        office,
        keeper,
        departures,
        _images(settings, engine),
        tls,
        SignOn(settings.provider) if settings.provider else None,
        ImageFolder(settings.image_folder) if settings.image_folder else None,
    )


def _identity(
    settings: Settings, engine: Engine
) -> tuple[Office | None, Keeper | None, ssl.SSLContext | None]:
    """Open the home, where there is one, and learn whom to trust before the first message comes.

    Raises:
        HomeUnusable: it lacks something.
    """
    if settings.home is None:
        return None, None, None
    home = Home(settings.home)
    tls = tls_context(home.https, home.authorities)
    keeper = Keeper(engine, home, on_servers=lambda: load_chain(tls, home.https))
    keeper.look(datetime.now(UTC))
    return Office(home), keeper, tls


def _seal(settings: Settings) -> tuple[Seal | None, bool]:
    """Return what signs documents, and whether devices are told nothing because it is missing."""
    if settings.home is None:
        return None, False
    try:
        return Seal(DirectorHome(settings.home)), False
    except HomeUnusable as error:
        log.error("devices are told nothing, because documents cannot be signed reason=%r", str(error))
        return None, True


def _images(settings: Settings, engine: Engine) -> ImageKeeper | None:
    if settings.images is None and settings.image_repository is None:
        return None
    home = Home(settings.home) if settings.home is not None else None
    return ImageKeeper(engine, home, settings.images, settings.image_repository)


def _everybody(_device: str) -> bool:
    """Trust of a fleet without a home: its broker alone says who is who."""
    return True


@contextmanager
def running(services: Services) -> Iterator[None]:
    """Run all parts and the link; at the end take no more, write what is queued, acknowledge it."""
    stop, drained = threading.Event(), threading.Event()
    services.parts.start("ingest", services.ingest.run, services.link, drained)
    services.parts.start("presence", services.presence.run, stop)
    services.parts.start("director", services.director.run, stop)
    services.parts.start("rollouts", services.rollouts.run, stop)
    if services.keeper is not None:
        services.parts.start("keeper", services.keeper.run, stop)
    if services.departures is not None:
        services.parts.start("departures", services.departures.run, stop)
    if services.images is not None:
        services.parts.start("images", services.images.run, stop)
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
