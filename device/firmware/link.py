"""The link to the fleet: paho over MQTT 3.1.1, TLS where configured, and the end-to-end acknowledgement.

The broker's PUBACK is not storage, so a durable message is published again until the fleet's `ack` names
it. The link never decides what is said and never blocks whoever speaks: with the broker away, what is
durable waits in the outbox and the rest is not said.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Final

import paho.mqtt.client as mqtt
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from device.firmware.delivery import Delivery
from device.firmware.link_client import LinkSettings, make_client, packet_bytes
from device.firmware.outbox import Outbox
from device.firmware.remote.commands import Answer
from ota.errors import WireError
from ota.messages import (
    Ack,
    Channel,
    Command,
    Message,
    Reply,
    Status,
    Topic,
    decode,
    encode,
    format_ts,
    new_id,
)
from ota.messages.structs import DeviceState

_log = logging.getLogger(__name__)

PUMP_S: Final = 0.25
GOODBYE_S: Final = 3.0


class Link:
    """One device's connection. `start` makes the threads; `stop` says goodbye.

    Attributes:
        beat_s: monotonic time at which the thread that publishes last began a round.
        is_connected: the broker has taken the device in.
        is_turned_away: it answered the last time, and broke off or refused before it took the device in.
    """

    def __init__(
        self,
        device: str,
        settings: LinkSettings,
        outbox: Outbox,
        *,
        on_birth: Callable[[], None],
        on_command: Callable[[str, Command], Answer],
        on_desired: Callable[[bytes], None] = lambda payload: None,
    ) -> None:
        """Prepare, without connecting.

        Args:
            device: id of this device.
            settings: where and how.
            outbox: what is durable.
            on_birth: called in paho's thread after each connection; says everything that is retained.
            on_command: obeys, or says why not; called in paho's thread.
            on_desired: takes a desired document as bytes, unread and of any size; called in paho's thread.
        """
        self._device = device
        self._settings = settings
        self._outbox = outbox
        self._on_birth = on_birth
        self._on_command = on_command
        self._on_desired = on_desired
        self._delivery = Delivery(
            outbox,
            settings.resend_s,
            settings.max_resend_s,
            self._publish_durable,
            replay_per_s=settings.replay_per_s,
        )
        self._birth_mid: int | None = None
        self._refusal = ""
        self._unreadable = ""
        self._stop = threading.Event()
        self._pump = threading.Thread(target=self._run, name="link", daemon=True)
        self._session = new_id()
        self.bytes_sent = 0
        self.beat_s = time.monotonic()
        self.is_connected = False
        self.is_turned_away = False
        self._is_unreachable = False
        self._client = self._make_client()

    @property
    def is_alive(self) -> bool:
        """Whether both threads run; only meaningful between `start` and `stop`."""
        network = f"paho-mqtt-client-{self._device}"
        return self._pump.is_alive() and any(thread.name == network for thread in threading.enumerate())

    def start(self) -> None:
        """Begin to connect; a broker that is not there yet is tried again, up to once a minute."""
        address = f"{self._settings.host}:{self._settings.port}"
        _log.info("link starting broker=%s tls=%s", address, self._settings.ca is not None)
        self._client.connect_async(
            self._settings.host, self._settings.port, keepalive=self._settings.keepalive_s
        )
        self._client.loop_start()
        self._pump.start()

    def say(self, topic: Topic, message: Message) -> None:
        """Publish something that is not durable; with the broker away it is not said."""
        if self.is_connected:
            self._publish(str(topic), encode(message), qos=topic.qos, is_retained=topic.is_retained)

    def clear(self, topic: Topic) -> None:
        """Publish zero bytes to a retained topic, so that the broker forgets it."""
        if self.is_connected:
            self._publish(str(topic), b"", qos=topic.qos, is_retained=True)

    def say_status(self, state: DeviceState, reason: str = "") -> None:
        """Publish the retained status of this connection."""
        self.say(Topic(self._device, Channel.STATUS), self._status(state, reason))

    def drain(self, timeout_s: float) -> bool:
        """Wait until the fleet has acknowledged everything; return whether it has."""
        deadline_s = time.monotonic() + timeout_s
        while self._outbox.depth and time.monotonic() < deadline_s and not self._stop.wait(0.05):
            self._outbox.wake()
        return self._outbox.depth == 0

    def stop(self) -> None:
        """Say `stopped`, disconnect in order (so that no will is published) and end the threads.

        A goodbye that the broker did not take in time is made up for by the will: the connection is left
        without a DISCONNECT.
        """
        is_said = self._say_goodbye()
        self._stop.set()
        self._outbox.written.set()
        if self._pump.is_alive():
            self._pump.join(timeout=5.0)
        if is_said:
            self._client.disconnect()
        self._client.loop_stop()

    def _say_goodbye(self) -> bool:
        if not self.is_connected:
            return True
        topic = Topic(self._device, Channel.STATUS)
        goodbye = self._client.publish(
            str(topic), encode(self._status("stopped")), qos=topic.qos, retain=True
        )
        try:
            goodbye.wait_for_publish(GOODBYE_S)
        except (RuntimeError, ValueError) as error:
            _log.warning("link: the goodbye was not sent reason=%r", str(error))
            return False
        if not goodbye.is_published():
            _log.warning(
                "link: the broker did not take the goodbye within %.0f s; it will say lost", GOODBYE_S
            )
        return goodbye.is_published()

    def _make_client(self) -> mqtt.Client:
        client = make_client(self._device, self._settings)
        client.on_connect = self._connected
        client.on_connect_fail = self._not_connected
        client.on_disconnect = self._disconnected
        client.on_subscribe = self._subscribed
        client.on_message = self._heard
        self._set_will(client)
        return client

    def _set_will(self, client: mqtt.Client) -> None:
        topic = Topic(self._device, Channel.STATUS)
        client.will_set(str(topic), encode(self._status("lost")), qos=1, retain=True)

    def _status(self, state: DeviceState, reason: str = "") -> Status:
        return Status(
            id=new_id(), ts=format_ts(time.time()), state=state, session=self._session, reason=reason
        )

    def _connected(
        self,
        client: mqtt.Client,
        userdata: object,
        flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        del userdata, flags, properties
        if reason.is_failure:
            self.is_turned_away = True
            self._note_refusal(str(reason))
            return
        # Birth waits for the broker's answer: paho first sends again what it still holds of an earlier
        # connection, and an old retained alarm must not come after the new state.
        channels = (Channel.ACK, Channel.DESIRED, Channel.COMMAND)
        _, self._birth_mid = client.subscribe(
            [(Topic.filter(channel, self._device), 1) for channel in channels]
        )

    def _subscribed(
        self,
        client: mqtt.Client,
        userdata: object,
        mid: int,
        reasons: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        del client, userdata, properties
        if mid != self._birth_mid:
            return
        if any(reason.is_failure for reason in reasons):
            _log.error("link: the broker denies ack, desired or command; check its access list")
        self._delivery.begin_anew()
        self.is_connected, self._is_unreachable, self._refusal = True, False, ""
        self.is_turned_away = False
        _log.info("link up session=%s waiting=%d", self._session, self._outbox.depth)
        try:
            self._on_birth()
        except Exception:  # noqa: BLE001 (paho's thread must live; the supervisor repeats the birth)
            _log.exception("link: the birth was not said in full")
        self._outbox.written.set()

    def _not_connected(self, client: mqtt.Client, userdata: object) -> None:
        del client, userdata
        self.is_turned_away = False
        self._note_unreachable()

    def _note_refusal(self, reason: str) -> None:
        if reason != self._refusal:
            _log.error(
                "link refused by the broker reason=%r check username, password and certificate", reason
            )
        self._refusal = reason

    def _note_unreachable(self) -> None:
        if not self._is_unreachable and not self._refusal and not self._stop.is_set():
            address = f"{self._settings.host}:{self._settings.port}"
            _log.warning(
                "link: no connection broker=%s trying again; check network, address and TLS files", address
            )
        self._is_unreachable = True

    def _disconnected(
        self,
        client: mqtt.Client,
        userdata: object,
        flags: mqtt.DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        del userdata, flags, properties
        was_connected, self.is_connected = self.is_connected, False
        # A will left over from this connection must not speak for the next one.
        self._session = new_id()
        self._set_will(client)
        if not was_connected:
            # TLS 1.3 tells who comes with a bad certificate only after it has let him begin.
            self.is_turned_away = not self._stop.is_set()
            self._note_unreachable()
        elif not self._stop.is_set():
            _log.warning("link down reason=%r durable messages wait in the outbox", str(reason))

    def _heard(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        del client, userdata
        try:
            topic = Topic.parse(message.topic)
            payload = bytes(message.payload)
            if topic.device != self._device:
                _log.warning("link ignored a message for another device topic=%r", message.topic[:120])
            elif topic.channel is Channel.DESIRED:
                self._on_desired(payload)
            elif payload:
                self._read(topic, payload)
        except WireError as error:
            _log.warning("link ignored a message error=%r", str(error))
        except Exception:  # noqa: BLE001 (one odd message must not end paho's thread)
            _log.exception("link: a message could not be handled topic=%r", message.topic[:120])

    def _read(self, topic: Topic, payload: bytes) -> None:
        heard = decode(topic.channel, payload)
        if isinstance(heard, Ack):
            self._delivery.acknowledged(heard.ranges)
        elif isinstance(heard, Command):
            answer = self._on_command(topic.name, heard)
            reply = Reply(
                id=new_id(),
                ts=format_ts(time.time()),
                request=heard.id,
                is_done=not answer.reason,
                reason=answer.reason[:200],
                lines=list(answer.lines),
            )
            self.say(Topic(self._device, Channel.REPLY, name=topic.name), reply)

    def _run(self) -> None:
        """Publish what waits: new messages at once, unacknowledged ones again after a while."""
        while not self._stop.is_set():
            self.beat_s = time.monotonic()
            self._outbox.written.wait(PUMP_S)
            self._outbox.written.clear()
            if not self.is_connected:
                continue
            try:
                self._delivery.send_due()
            except sqlite3.Error as error:
                self._note_unreadable(str(error))
            else:
                self._note_unreadable("")

    def _note_unreadable(self, fault: str) -> None:
        if fault and not self._unreadable:
            _log.error("link: the outbox cannot be read error=%r; check the disk", fault)
        self._unreadable = fault

    def _publish_durable(self, topic: str, payload: bytes) -> None:
        self._publish(topic, payload, qos=1, is_retained=False)

    def _publish(self, topic: str, payload: bytes, *, qos: int, is_retained: bool) -> None:
        self._client.publish(topic, payload, qos=qos, retain=is_retained)
        self.bytes_sent += packet_bytes(topic, payload, qos)
