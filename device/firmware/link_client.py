"""The MQTT client that a link is made of: where the broker is, TLS, and what paho must not do by itself."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from device.errors import ConfigError
from device.firmware.clock import BUILT_UTC_S
from device.firmware.fleet_https import begin_of, heed_clock


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Where the broker is and how patient the link is.

    Attributes:
        host: name or address of the broker.
        port: TCP port.
        username: the device's id, where the broker wants a name and password.
        password: with it.
        ca: PEM file of the CA that signed the broker's certificate; turns TLS on.
        cert: PEM file of the device's certificate chain, for mTLS.
        key: PEM file of its key.
        keepalive_s: the broker publishes the will after 1.5 times this silence.
        resend_s: a message unacknowledged for this long is sent again; doubles each time.
        max_resend_s: up to this.
        replay_per_s: messages a second of those that waited while the link was away.
    """

    host: str
    port: int = 1883
    username: str = ""
    password: str = ""
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    keepalive_s: int = 20
    resend_s: float = 30.0
    max_resend_s: float = 600.0
    replay_per_s: float = 50.0


def make_client(device: str, settings: LinkSettings) -> mqtt.Client:
    """Return a client that is not connected yet.

    Raises:
        ConfigError: the TLS files cannot be used.
    """
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id=device, clean_session=True, protocol=mqtt.MQTTv311
    )
    if settings.username:
        client.username_pw_set(settings.username, settings.password)
    if settings.ca is not None:
        _set_tls(client, settings.ca, settings.cert, settings.key)
    client.max_inflight_messages_set(0)  # the window is the link's; what paho still holds must not come late
    client.reconnect_delay_set(min_delay=1, max_delay=60)
    return client


def packet_bytes(topic: str, payload: bytes, qos: int) -> int:
    """Return the size of one PUBLISH packet in bytes (MQTT 3.1.1, sections 2.2 and 3.3), TCP/IP aside."""
    rest = 2 + len(topic.encode()) + (2 if qos else 0) + len(payload)
    length_field = 1 + (rest > 127) + (rest > 16_383) + (rest > 2_097_151)
    return 1 + length_field + rest


def _set_tls(client: mqtt.Client, ca: Path, cert: Path | None, key: Path | None) -> None:
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(ca)
        if cert:
            context.load_cert_chain(cert, key)
        been_s = max(BUILT_UTC_S, begin_of(cert) if cert else 0.0)
        client.tls_set_context(context)
    except (OSError, ssl.SSLError, ValueError) as error:
        files = ", ".join(str(file) for file in (ca, cert, key) if file)
        reason = f"the TLS files cannot be used ({error}): {files}"
        raise ConfigError(None, None, "mqtt.ca", reason) from error
    # A board without a battery wakes in 1970, or at its last power cut: while its clock is certainly
    # wrong, no date speaks against anybody.
    client.on_pre_connect = lambda *_: heed_clock(context, been_s)
