"""The embedded broker: amqtt with our rules, for the demo and tests. Never for production.

Four things in amqtt 0.12 are not as MQTT or our rules have them and are closed here: a will is published
without asking (so its topic is checked at connect), retained messages are pushed to a client for everybody's
subscriptions (so only its own count), a session is handed to whoever says its client id, before anybody asks
for a password (so we ask first, and the user name is the client id, as with Mosquitto), and who connects anew
with a clean session leaves the old connection standing (so we end it).
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

from amqtt.adapters import ReaderAdapter, WriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import Action
from amqtt.errors import MQTTError
from amqtt.mqtt.connack import NOT_AUTHORIZED, ConnackPacket
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin

from fleet.broker.acl import may_hear, may_subscribe, may_write
from fleet.broker.trust import BrokerTls
from fleet.errors import AddressInUse, FleetError

log = logging.getLogger(__name__)

START_S: Final = 10.0
_ASK: Final = {Action.PUBLISH: may_write, Action.SUBSCRIBE: may_subscribe, Action.RECEIVE: may_hear}


class _Session(Protocol):
    client_id: str | None
    clean_session: bool | None
    parent: int
    username: str | None
    password: str | None
    will_flag: bool
    will_topic: str | None


_OF_A_CONNECTION: Final = (
    *("clean_session", "keep_alive", "username", "password"),
    *("will_flag", "will_message", "will_topic", "will_qos", "will_retain"),
)
"""What a new connection brings to a session that waited for it."""


class PasswordPlugin(BaseAuthPlugin):  # type: ignore[misc]  # amqtt is untyped here
    """Lets in who knows their secret; nobody else, and no will on somebody else's topic."""

    @dataclass
    class Config:
        """User -> secret."""

        secrets: dict[str, str] = field(default_factory=dict)

    async def authenticate(self, *, session: _Session) -> bool:
        """Whether the client of a session may connect."""
        user = session.username or ""
        wanted = self.config.secrets.get(user)
        is_known = wanted is not None and hmac.compare_digest(
            wanted.encode(), (session.password or "").encode()
        )
        is_will_own = not session.will_flag or may_write(user, session.will_topic or "")
        if not (is_known and is_will_own):
            log.warning("client refused user=%r known=%s will_own=%s", user[:60], is_known, is_will_own)
        return is_known and is_will_own


class CertificatePlugin(BaseAuthPlugin):  # type: ignore[misc]  # amqtt is untyped here
    """Lets in whom TLS has let in and the broker has named by its certificate; no will on another's topic."""

    @dataclass
    class Config:
        """Nothing to set."""

    async def authenticate(self, *, session: _Session) -> bool:
        """Whether the client of a session may connect."""
        user = session.username or ""
        is_will_own = not session.will_flag or may_write(user, session.will_topic or "")
        if not (user and is_will_own):
            log.warning("client refused user=%r will_own=%s", user[:60], is_will_own)
        return bool(user) and is_will_own


class TopicPlugin(BaseTopicPlugin):  # type: ignore[misc]  # amqtt is untyped here
    """Asks `acl.py` for every publish, subscription and delivery."""

    @dataclass
    class Config:
        """Nothing to set."""

    async def topic_filtering(
        self, *, session: _Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        """Whether the client of a session may do this with a topic."""
        if session is None or not topic or action is None:
            return False
        return _ASK[action](session.username or "", topic)


class _Broker(Broker):  # type: ignore[misc]  # amqtt is untyped here
    tls: BrokerTls | None = None

    @staticmethod
    def _create_ssl_context(listener: Mapping[str, str]) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=listener["cafile"])
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(listener["certfile"])
        return context

    def _name(self, session: _Session, writer: WriterAdapter) -> None:
        """Let the certificate alone say who a client is; a revoked one says nothing."""
        if self.tls is None:
            return
        secured = writer.get_ssl_info()
        found = secured.getpeercert(binary_form=True) if secured is not None else None
        session.username, session.password = self.tls.name_of(found), None

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        try:
            await super().stream_connected(reader, writer, listener_name)
        finally:  # amqtt leaves open what has not finished its CONNECT when the broker ends
            writer.close()

    async def _initialize_client_session(
        self, reader: ReaderAdapter, writer: WriterAdapter, remote_address: str, remote_port: int
    ) -> tuple[BrokerProtocolHandler, _Session]:
        handler, session = await BrokerProtocolHandler.init_from_connect(reader, writer, self.plugins_manager)
        self._name(session, writer)
        if not await self._authenticate(session, None):
            await ConnackPacket.build(0, NOT_AUTHORIZED).to_stream(writer)
            await writer.close()
            raise MQTTError(f"client refused address={remote_address}:{remote_port}")
        session.client_id = session.username
        return handler, await self._own_session(session)

    async def _own_session(self, session: _Session) -> _Session:
        """Return the session that waits for this user, or a new one."""
        session.parent = 0
        if session.clean_session:
            await self._end_standing(session.client_id)
            await self._delete_session(session.client_id)
        waiting, _ = self._sessions.get(session.client_id, (None, None))
        if waiting is None:
            return session
        for name in _OF_A_CONNECTION:
            setattr(waiting, name, getattr(session, name))
        waiting.parent = 1
        return cast(_Session, waiting)

    async def _end_standing(self, client_id: str | None) -> None:
        """End the connection that stands under this name (MQTT 3.1.1, section 3.1.4)."""
        standing, handler = self._sessions.get(client_id, (None, None))
        if standing is not None and standing.transitions.is_connected():
            await handler.handle_connection_closed()
            await handler.stop()

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: _Session
    ) -> None:
        subscribers = self._subscriptions.get(subscription[0], [])
        if any(subscriber is session for subscriber, _ in subscribers):
            await super()._publish_retained_messages_for_subscription(subscription, session)


def broker_config(
    host: str, port: int, secrets: Mapping[str, str], tls: BrokerTls | None = None
) -> dict[str, Any]:
    """Return amqtt's configuration with our two plugins and nothing else."""
    here = "fleet.broker.embedded"
    listener: dict[str, Any] = {"type": "tcp", "bind": f"{host}:{port}"}
    plugins: dict[str, Any] = {f"{here}.PasswordPlugin": {"secrets": dict(secrets)}}
    if tls is not None:
        files = {"cafile": str(tls.authorities), "certfile": str(tls.server), "keyfile": str(tls.server)}
        listener |= {"ssl": True, **files}
        plugins = {f"{here}.CertificatePlugin": {}}
    return {"listeners": {"default": listener}, "plugins": plugins | {f"{here}.TopicPlugin": {}}}


def run_broker(
    port: int,
    secrets: Mapping[str, str],
    stop: threading.Event,
    *,
    host: str = "127.0.0.1",
    ready: threading.Event | None = None,
    tls: BrokerTls | None = None,
) -> None:
    """Run a broker in this thread until `stop`.

    Args:
        host: address to listen on.
        port: where it listens.
        secrets: user (a device id, or `fleet`) -> password; nobody else is let in.
        stop: ends it.
        ready: set once clients can connect.
        tls: mutual TLS; then the certificate's name is the user, and nobody has a password.

    Raises:
        AddressInUse: the port is taken.
        FleetError: amqtt did not start.
    """
    asyncio.run(_serve(host, port, secrets, stop, ready, tls))


async def _serve(
    host: str,
    port: int,
    secrets: Mapping[str, str],
    stop: threading.Event,
    ready: threading.Event | None,
    tls: BrokerTls | None,
) -> None:
    broker = _Broker(broker_config(host, port, secrets, tls))
    broker.tls = tls
    try:
        await asyncio.wait_for(broker.start(), START_S)
    except Exception as error:
        cause = _root_cause(error)
        if isinstance(cause, OSError):
            raise AddressInUse(host, port, cause.strerror or str(cause)) from error
        raise FleetError(f"the embedded broker did not start: {cause}") from error
    log.info("broker ready host=%s port=%d users=%d", host, port, len(secrets))
    if ready:
        ready.set()
    while not stop.is_set():
        await asyncio.sleep(0.1)
    await broker.shutdown()


def _root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error
