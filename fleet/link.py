"""Our connection to the broker: keeps it, subscribes to all devices, hands messages on.

paho's own thread calls `on_message`; nothing here decodes or stores. The client id is fixed and the
session persistent, so the broker queues QoS 1 messages while we are away; nothing depends on it,
because devices send again what was not acknowledged.
"""

from __future__ import annotations

import logging
import ssl
import sys
import time
from collections.abc import Callable
from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from fleet.errors import SettingsError, first_line
from fleet.settings import Settings
from ota.messages import Channel, Message, SignedDesired, Topic, encode
from ota.messages.topics import AT_MOST_ONCE, FROM_FLEET

log = logging.getLogger(__name__)

KEEPALIVE_S: Final = 30
RECONNECT_MAX_S: Final = 5
CHANNELS: Final = tuple(channel for channel in Channel if channel not in FROM_FLEET)

OnMessage = Callable[[str, bytes, bool], None]
"""Called with topic, payload and whether the broker had kept it (retained)."""


class Link:
    """The one MQTT client of the fleet."""

    def __init__(self, settings: Settings, on_message: OnMessage) -> None:
        """Make the client; connects nothing.

        Raises:
            SettingsError: a TLS file holds no certificate or key.
        """
        self._settings = settings
        self._hand_on = on_message
        self.up_since_s: float | None = None
        """Monotonic seconds since when we hear devices; None while we do not."""
        self._complaint = ""
        self._client = self._make_client()

    @property
    def is_up(self) -> bool:
        """Whether we are connected and the broker has granted our subscriptions."""
        return self.up_since_s is not None

    def start(self) -> None:
        """Connect in the background; keeps trying when the broker is not there."""
        self._client.connect_async(self._settings.mqtt_host, self._settings.mqtt_port, KEEPALIVE_S)
        self._client.loop_start()

    def stop(self, flush_s: float = 2.0) -> None:
        """Let what was published go out (at most `flush_s`), then disconnect."""
        deadline_s = time.monotonic() + flush_s
        while self._client.want_write() and self._client.is_connected() and time.monotonic() < deadline_s:
            time.sleep(0.01)
        self._client.disconnect()
        self._client.loop_stop()
        self.up_since_s = None

    def publish(self, topic: Topic, message: Message | SignedDesired) -> bool:
        """Send a message if the link is up; return whether it was handed to the network.

        Not queued while the link is down: a late ack or command is worth nothing, devices ask again.
        """
        if not self._client.is_connected():
            return False
        info = self._client.publish(str(topic), encode(message), qos=topic.qos, retain=topic.is_retained)
        return info.rc == paho.MQTT_ERR_SUCCESS

    def clear(self, topic: Topic) -> None:
        """Let the broker forget what it remembers of a topic; with the link down nothing happens."""
        if self._client.is_connected():
            self._client.publish(str(topic), b"", qos=1, retain=True)

    def subscribe(self) -> None:
        """Subscribe to all devices; doing it again makes the broker tell anew what it remembers."""
        self._client.subscribe([(Topic.filter(c), 0 if c in AT_MOST_ONCE else 1) for c in CHANNELS])

    def _make_client(self) -> paho.Client:
        settings = self._settings
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=settings.mqtt_client_id, clean_session=False
        )
        if settings.mqtt_username:
            client.username_pw_set(settings.mqtt_username, settings.mqtt_password)
        if settings.mqtt_ca:
            _use_tls(client, settings)
        client.reconnect_delay_set(min_delay=1, max_delay=RECONNECT_MAX_S)
        client.max_inflight_messages_set(1000)
        client.max_queued_messages_set(10_000)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        return client

    def _on_connect(
        self, _client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            self._complain(f"broker refuses us reason={reason}: check PEHRA_MQTT_USERNAME and _PASSWORD")
            return
        self.subscribe()

    def _on_connect_fail(self, _client: paho.Client, _data: object) -> None:
        error = sys.exc_info()[1]  # paho calls us while it handles it, and does not hand it over
        if isinstance(error, ssl.SSLError):
            what_to_do = "check PEHRA_MQTT_CA, _CERT and _KEY, and that the broker speaks TLS on this port"
            self._complain(f"TLS failed reason={first_line(error)!r}: {what_to_do}")
        else:
            reason = first_line(error) if error else "unknown"
            self._complain(f"broker not reachable reason={reason!r}: tried every {RECONNECT_MAX_S} s at most")

    def _complain(self, sentence: str) -> None:
        """Log why there is no link, once for each reason and not at each try."""
        if sentence != self._complaint:
            log.error("%s host=%s port=%d", sentence, self._settings.mqtt_host, self._settings.mqtt_port)
        self._complaint = sentence

    def _on_subscribe(
        self, _client: paho.Client, _data: object, _mid: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        refused = [c for c, reason in zip(CHANNELS, reasons, strict=False) if reason.is_failure]
        if refused:
            names = ",".join(refused)
            self._complain(f"subscription refused channels={names}: the ACL must let us read pehra/v1/#")
            return
        if self.is_up:
            return
        self.up_since_s = time.monotonic()
        self._complaint = ""
        log.info("link up host=%s port=%d", self._settings.mqtt_host, self._settings.mqtt_port)

    def _on_disconnect(
        self, _client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if self.up_since_s is not None:
            level = logging.WARNING if reason.is_failure else logging.INFO
            log.log(level, "link down reason=%s", reason)
        self.up_since_s = None

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        self._hand_on(topic, bytes(message.payload), message.retain)


def _use_tls(client: paho.Client, settings: Settings) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(settings.mqtt_ca)
        _load_own(context, settings)
        client.tls_set_context(context)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"PEHRA_MQTT_CA, _CERT or _KEY cannot be used ({first_line(error)}): each is a PEM file, "
            "and the key is the one of the certificate"
        ) from error

    def read_again(_client: paho.Client, _data: object) -> None:
        """Take the certificate that lies there now: this process may outlive the one it began with."""
        try:
            _load_own(context, settings)
        except (OSError, ValueError) as error:
            log.error("our certificate cannot be read again reason=%r", first_line(error))

    client.on_pre_connect = read_again


def _load_own(context: ssl.SSLContext, settings: Settings) -> None:
    if settings.mqtt_cert:
        context.load_cert_chain(settings.mqtt_cert, settings.mqtt_key)
