"""The link to the broker, one stage after the other: name, TCP, TLS, MQTT; where it ends, why, in words.

Speaks just enough MQTT 3.1.1 to be let in (sections 3.1 and 3.2), subscribes to nothing, and leaves in
order, without a will.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Final

from device.check.finding import Finding, ok, warn
from device.check.finding import fail as failed
from device.firmware.config import MqttSection

STAGE_S: Final = 8.0
_CONNACK: Final = b"\x20\x02"
_DISCONNECT: Final = b"\xe0\x00"
_REFUSALS: Final = {
    1: ("it does not speak MQTT 3.1.1", "ask your administrator for the right port"),
    2: ("it refuses this device's id", "compare [device] id with your administrator"),
    3: ("its MQTT service is not available", "try again later; tell your administrator"),
    4: ("wrong user name or password", "compare [mqtt] username and password with your administrator"),
    5: ("this device is not allowed in", "compare id, password and certificate with your administrator"),
}
"""Return codes of CONNACK (MQTT 3.1.1, table 3.1)."""


def look_at_link(
    device: str, mqtt: MqttSection, stop: threading.Event, *, may_log_in: bool
) -> Iterator[Finding]:
    """Try the road to the broker, and end at the first stage that fails.

    Args:
        device: id of this device.
        mqtt: where the broker is.
        stop: the time is over.
        may_log_in: false while the device's own program is connected, whose connection a second one with the
            same id would take.
    """
    addresses, finding = _resolve(mqtt)
    yield finding
    if not addresses or stop.is_set():
        return
    connection, finding = _connect(mqtt, addresses, stop)
    yield finding
    if connection is None:
        return
    with connection:
        if not mqtt.ca:
            yield _in_the_clear(mqtt)
            secured: socket.socket | None = connection
        else:
            secured, finding = _secure(mqtt, connection)
            yield finding
        if secured is None or stop.is_set():
            return
        with secured:
            yield _log_in(device, mqtt, secured) if may_log_in else _left_out()


def connect_packet(client: str, username: str, password: str, keepalive_s: int) -> bytes:
    """Return a CONNECT packet of MQTT 3.1.1 with a clean session and no will (section 3.1)."""
    flags = 0x02 | (0x80 if username else 0) | (0x40 if username and password else 0)
    body = _text("MQTT") + bytes((4, flags)) + keepalive_s.to_bytes(2, "big") + _text(client)
    body += (_text(username) if username else b"") + (_text(password) if username and password else b"")
    return b"\x10" + _length(len(body)) + body


def _text(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def _length(size: int) -> bytes:
    """The remaining length, seven bits a byte (section 2.2.3)."""
    found = bytearray()
    while True:
        size, low = divmod(size, 128)
        found.append(low | (0x80 if size else 0))
        if not size:
            return bytes(found)


def _resolve(mqtt: MqttSection) -> tuple[list[tuple[str, int]], Finding]:
    began_s = time.monotonic()
    try:
        answers = socket.getaddrinfo(mqtt.host, mqtt.port, type=socket.SOCK_STREAM)
    except OSError as error:
        way = "check [mqtt] host, the network cable or Wi-Fi, and the name server (`resolvectl status`)"
        return [], failed("link: name", f"{mqtt.host} is not found ({error.strerror or error})", way)
    took_ms = 1000 * (time.monotonic() - began_s)
    addresses = list(dict.fromkeys((str(answer[4][0]), int(answer[4][1])) for answer in answers))
    shown = ", ".join(address for address, _ in addresses[:3])
    return addresses, ok("link: name", f"{mqtt.host} is {shown} ({took_ms:.0f} ms)")


def _connect(
    mqtt: MqttSection, addresses: list[tuple[str, int]], stop: threading.Event
) -> tuple[socket.socket | None, Finding]:
    reason, way = "", ""
    for address in addresses:
        if stop.is_set():
            break
        began_s = time.monotonic()
        try:
            connection = socket.create_connection(address, timeout=STAGE_S)
        except ConnectionRefusedError:
            reason, way = "refused", "is the broker running, and is [mqtt] port right?"
        except TimeoutError:
            reason, way = "no answer", "a firewall or a wrong address: check [mqtt] host and port"
        except OSError as error:
            reason, way = error.strerror or str(error), "check the network: cable, Wi-Fi, router"
        else:
            took_ms = 1000 * (time.monotonic() - began_s)
            return connection, ok("link: tcp", f"connected to port {mqtt.port} ({took_ms:.0f} ms)")
    return None, failed("link: tcp", f"port {mqtt.port} of {mqtt.host}: {reason}", way)


def _in_the_clear(mqtt: MqttSection) -> Finding:
    if _is_this_machine(mqtt.host):
        return ok("link: tls", "off, and the broker is on this machine")
    way = "give the broker's certificate in [mqtt] ca"
    return warn("link: tls", "off: who listens reads everything, the password too", way)


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _secure(mqtt: MqttSection, connection: socket.socket) -> tuple[ssl.SSLSocket | None, Finding]:
    name = "link: tls"
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(mqtt.ca)
        if mqtt.cert:
            context.load_cert_chain(mqtt.cert, mqtt.key or None)
    except (OSError, ValueError) as error:
        way = "[mqtt] ca, cert and key must be PEM files, and the key that of the certificate"
        return None, failed(name, f"the files cannot be used ({_tls_words(error)})", way)
    try:
        secured = context.wrap_socket(connection, server_hostname=mqtt.host)
    except ssl.SSLCertVerificationError as error:
        return None, failed(
            name, f"its certificate is refused: {error.verify_message}", _certificate_way(error)
        )
    except (OSError, ValueError) as error:
        way = "does this port speak TLS? Is it the broker's?"
        return None, failed(name, f"no handshake ({_tls_words(error)})", way)
    return secured, ok(name, f"{secured.version()}, the certificate is good")


def _certificate_way(error: ssl.SSLCertVerificationError) -> str:
    message = error.verify_message.lower()
    if "not yet valid" in message:
        return "this device's clock is behind: see the line `clock`"
    if "expired" in message:
        return "renew the broker's certificate; if it is good, this device's clock is ahead"
    if "hostname" in message or "ip address" in message:
        return "the certificate is for another name: write that into [mqtt] host"
    return "[mqtt] ca is not the authority that signed it: get the right ca.pem"


def _log_in(device: str, mqtt: MqttSection, connection: socket.socket) -> Finding:
    """Say CONNECT and read the answer; with TLS 1.3 a refusal of our certificate comes only now."""
    name, began_s = "link: mqtt", time.monotonic()
    try:
        connection.settimeout(STAGE_S)
        connection.sendall(connect_packet(device, mqtt.username, mqtt.password, mqtt.keepalive_s))
        answer = _read(connection, 4)
    except TimeoutError:
        return failed(name, "no answer to CONNECT", "is it an MQTT broker? Is it overloaded?")
    except ssl.SSLError as error:
        way = "the broker wants a certificate that it knows: [mqtt] cert and key"
        return failed(name, f"the broker refuses this device's certificate ({_tls_words(error)})", way)
    except OSError as error:
        return failed(name, f"the connection broke ({error.strerror or error})", "look at the broker's log")
    if answer == _CONNACK + answer[2:3] + b"\0":
        _leave(connection)
        return ok(name, f"let in as {device} ({1000 * (time.monotonic() - began_s):.0f} ms)")
    return failed(name, *_refusal(answer))


def _refusal(answer: bytes) -> tuple[str, str]:
    """What an answer that lets nobody in says, and what to do."""
    if not answer:
        way = "it may want TLS ([mqtt] ca), a certificate, or another password: look at its log"
        return "the broker hung up without an answer", way
    if len(answer) < 4 or not answer.startswith(_CONNACK):
        return "what answers there is no MQTT broker", "check [mqtt] host and port"
    return _REFUSALS.get(answer[3], (f"it refuses with code {answer[3]}", "look at its log"))


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            break
        data += more
    return data


def _leave(connection: socket.socket) -> None:
    try:
        connection.sendall(_DISCONNECT)
    except OSError:
        return  # it was let in; how the broker takes a farewell is no matter


def _left_out() -> Finding:
    return ok("link: mqtt", "not tried: the device runs, and a second login would end its connection")


def _tls_words(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    text = reason if isinstance(reason, str) and reason else str(getattr(error, "strerror", None) or error)
    return text.replace("_", " ").lower()[:120]
