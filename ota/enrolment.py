"""What a device and its fleet say to each other before they trust each other: over HTTPS, never over MQTT.

A `Ticket` is what a person carries from the fleet to a board (on the card, by cable, as a line of text): the
one-time claim, where the fleet is, and the pin by which the board knows that it is that fleet. The claim is a
secret until it is used. Pure: no network, no key, no clock.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from ota.errors import BadMessage
from ota.messages.fields import DeviceId, Timestamp, parse_ts

TICKET_PREFIX: Final = "pehra:"
MAX_TICKET_BYTES: Final = 4096
SITE_PATTERN: Final = r"^([a-z0-9-]+(/[a-z0-9-]+)*)?$(?!\n)"

Claim = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{20,64}$(?!\n)", description="one-time secret")]
Url = Annotated[str, Meta(pattern=r"^https://[^\s/?#@]+$(?!\n)", max_length=300)]
Pin = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)", description="SHA-256 of the root's public key")]
Site = Annotated[str, Meta(pattern=SITE_PATTERN, max_length=200)]
Pem = Annotated[str, Meta(max_length=32_768)]
RootJson = Annotated[str, Meta(max_length=32_768, description="metadata of a TUF root, JSON")]
LINE_PATTERN: Final = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$(?!\n)"
Serial = Annotated[str, Meta(pattern=LINE_PATTERN, max_length=64)]
Model = Annotated[str, Meta(pattern=LINE_PATTERN, max_length=100)]


class Ticket(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="v", tag=1):
    """What a person carries from the fleet to a board.

    Attributes:
        claim: spent by the first device that enrols with it, or by the last of a batch.
        url: of the fleet, `https://HOST[:PORT]`.
        pin: SHA-256 of the DER SubjectPublicKeyInfo of the fleet's root certificate (RFC 7469, section 2.4).
        made: when; a board whose clock is earlier knows that its clock is wrong.
        site: where the device will hang, or below which; empty where the claim does not say.
        device: id that the device will have; empty to let it or the fleet choose one.
    """

    claim: Claim
    url: Url
    pin: Pin
    made: Timestamp
    site: Site = ""
    device: DeviceId | Literal[""] = ""


class EnrolRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a board asks for; the same again gets the same answer, so that a cut link loses nothing.

    Attributes:
        claim: of its ticket.
        csr: certificate signing request (PEM) for the board's own key.
        serial: of the board, as the vendor gave it; empty where unknown.
        board: model of the board.
        device: id it would like; empty to be given one.
        site: where its card says that it hangs; must lie where its claim allows; empty to be told.
    """

    claim: Claim
    csr: Pem
    site: Site = ""
    serial: Serial = ""
    board: Model = ""
    device: DeviceId | Literal[""] = ""


class RenewRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a device asks for before its certificate ends; it proves itself by that certificate.

    Attributes:
        csr: certificate signing request (PEM) for a new key.
    """

    csr: Pem


class EnrolAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the fleet answers.

    Attributes:
        state: `enrolled`, or `waiting` for an administrator's approval: ask again after `retry_s`.
        device: the id that the device has from now on.
        site: where it hangs.
        timezone: IANA name of the site's timezone.
        certificate: its certificate (PEM).
        chain: the issuing authorities between it and the root (PEM).
        root: the fleet's root certificate (PEM).
        mqtt_host: name or address of the broker.
        mqtt_port: its port.
        now: the fleet's clock.
        desired: the first document that is wanted of it (`SignedDesired` as JSON), where there is one.
        director_roots: metadata of the director's roots, from the first (JSON): who may say what is wanted.
        image_root: the image repository's first root (JSON): whose releases it may install.
        retry_s: seconds.
    """

    state: Literal["enrolled", "waiting"]
    device: DeviceId
    now: Timestamp
    site: Site = ""
    timezone: str = "UTC"
    certificate: Pem = ""
    chain: Pem = ""
    root: Pem = ""
    mqtt_host: str = ""
    mqtt_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    desired: dict[str, Any] | None = None
    director_roots: Annotated[list[RootJson], Meta(max_length=64)] = []
    image_root: RootJson = ""
    retry_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0


class TrustAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whom a device is to believe; for one that was let in before it could be told.

    Attributes:
        director_roots: as in `EnrolAnswer`; none where the fleet has no director yet.
        image_root: as in `EnrolAnswer`.
    """

    director_roots: Annotated[list[RootJson], Meta(max_length=64)] = []
    image_root: RootJson = ""


def ticket_json(ticket: Ticket) -> bytes:
    """Return a ticket as the file `claim.json`."""
    return msgspec.json.format(msgspec.json.encode(ticket), indent=2) + b"\n"


def ticket_text(ticket: Ticket) -> str:
    """Return a ticket as one line that can be typed, pasted or put into a QR code."""
    return TICKET_PREFIX + base64.urlsafe_b64encode(msgspec.json.encode(ticket)).decode().rstrip("=")


def parse_ticket(text: str | bytes) -> Ticket:
    """Return the ticket of a `claim.json` or of its one-line text.

    Raises:
        BadMessage: it is neither, or a part of it is not allowed.
    """
    raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
    raw = raw.strip()
    if len(raw) > MAX_TICKET_BYTES:
        raise BadMessage("ticket", f"{len(raw)} bytes, a ticket has at most {MAX_TICKET_BYTES}")
    if raw.startswith(TICKET_PREFIX.encode()):
        raw = _unwrapped(raw[len(TICKET_PREFIX) :])
    try:
        ticket = msgspec.json.decode(raw, type=Ticket)
        _check(ticket)
    except (ValueError, RecursionError, BadMessage) as error:
        raise BadMessage("ticket", f"{error}: copy the whole line or file that the fleet gave") from error
    return ticket


def contradiction(
    claim_site: str, claim_device: str, site: str, device: str = ""
) -> Literal["", "site", "id"]:
    """Return what a card says that its claim does not allow; empty where the two agree.

    A card may name the claim's site or any site below it, and must name the claim's id; either may be silent.

    Args:
        claim_site: where the claim lets devices hang; empty for anywhere.
        claim_device: the one id that it is for; empty for any.
        site: that the card says.
        device: id that the card says.
    """
    if claim_site and site and site != claim_site and not site.startswith(f"{claim_site}/"):
        return "site"
    return "id" if claim_device and device and device != claim_device else ""


def _check(ticket: Ticket) -> None:
    """Refuse what has the right shape but names no port or no moment.

    Raises:
        ValueError: the address.
        BadMessage: the moment.
    """
    parts = urlsplit(ticket.url)
    if not parts.hostname or parts.port == 0:
        raise ValueError(f"{ticket.url} names no host or no port")
    parse_ts(ticket.made)


def _unwrapped(raw: bytes) -> bytes:
    try:
        return base64.b64decode(raw + b"=" * (-len(raw) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadMessage("ticket", f"{error}: copy the whole line that the fleet gave") from error
