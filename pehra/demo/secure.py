"""The demo's fleet with locks on: authorities, people of every role, and a ticket for each camera.

Goes the roads that people go: the technician makes tickets over HTTPS with a token, cameras enrol with them.
"""

from __future__ import annotations

import json
import os
import secrets
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from sqlmodel import Session

from fleet.access.caller import SYSTEM, Caller, Grant
from fleet.access.roles import ROLES, Role
from fleet.access.sessions import grants_of
from fleet.access.tokens import NOT_FOR_TOKENS, make_token
from fleet.access.users import add_user, create_owner, get_user
from fleet.broker.secure import write_secure_config
from fleet.identity.founding import found_fleet
from fleet.identity.home import Addresses, Home
from fleet.store.database import open_database
from ota.enrolment import Ticket, parse_ticket
from ota.errors import BadMessage
from pehra.demo.plan import TIMEZONE, CannotStart

ANSWER_S: Final = 15


@dataclass(frozen=True, slots=True)
class SecureFleet:
    """A fleet that lets nobody in without proof.

    Attributes:
        home: its folder.
        broker: folder of Mosquitto's configuration.
        password: of its people, one for each role, called like the role.
        token: of the technician, who looks and makes tickets.
    """

    home: Home
    broker: Path
    password: str
    token: str

    def context(self) -> ssl.SSLContext:
        """Return a TLS context that trusts this fleet and nobody else."""
        return ssl.create_default_context(cafile=str(self.home.root_certificate))

    def new_ticket(self, url: str, device: str, site: str) -> Ticket:
        """Let the technician make a ticket.

        Raises:
            CannotStart: the fleet refuses, or does not answer.
        """
        body = json.dumps({"site": site, "timezone": TIMEZONE, "device": device, "hours": 1}).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{url}/api/v1/claims", body, headers)  # noqa: S310 (our own fleet)
        try:
            with urllib.request.urlopen(  # noqa: S310 (our own fleet)
                request, timeout=ANSWER_S, context=self.context()
            ) as answer:
                return parse_ticket(str(json.load(answer)["ticket"]))
        except (urllib.error.URLError, OSError, ValueError, KeyError, BadMessage) as error:
            raise CannotStart(f"no ticket for {device}: {error}") from error


def found(folder: Path, https_port: int, mqtt_port: int) -> SecureFleet:
    """Make a fleet with its people; its home, database and broker lie in a folder.

    Raises:
        FleetError: the disk refuses.
    """
    home, password = Home(folder / "fleet"), secrets.token_urlsafe(12)
    addresses = Addresses(
        name="Pehra demo", hosts=["localhost", "127.0.0.1"], https_port=https_port, mqtt_port=mqtt_port
    )
    found_fleet(home, addresses, datetime.now(UTC), passphrase=secrets.token_urlsafe(24))
    broker = folder / "mosquitto"
    run_as = "root" if os.geteuid() == 0 else ""  # the demo's folder is its user's alone
    write_secure_config(broker, home, mqtt_port, host="127.0.0.1", run_as=run_as)
    home.write_addresses(msgspec.structs.replace(addresses, brokers=[str(broker)]))
    engine = open_database(f"sqlite:///{home.database}")
    try:
        create_owner(engine, Role.OWNER, password)
        with Session(engine) as session:
            token = _make_people(session, password)
    finally:
        engine.dispose()
    return SecureFleet(home, broker, password, token)


def _make_people(session: Session, password: str) -> str:
    """Make a user of each role; return a token of the technician."""
    now_ms = round(time.time() * 1000)
    for role in Role:
        if role is not Role.OWNER:
            add_user(session, SYSTEM, role, password, [Grant(role)], now_ms=now_ms)
    user = get_user(session, Role.TECHNICIAN)
    technician = Caller(user.name, "session", user_id=user.id, grants=grants_of(session, user.id))
    permissions = [str(one) for one in ROLES[Role.TECHNICIAN] - NOT_FOR_TOKENS]
    _, token = make_token(session, technician, "demo", permissions, [], days=1, now_ms=now_ms)
    return token
