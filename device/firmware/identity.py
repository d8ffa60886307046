"""Who this board is, once a fleet has let it in: its key, its certificate, and where its fleet is.

::

    STATE/identity/
      claim.json      a ticket that waits (claim_file.py)
      key.pem         the key that a certificate is being asked for
      root.pem        the fleet's root certificate
      identity.json   who it is, and where fleet and broker are
      device.pem      key, certificate and chain in one file: whole, or not there
      next-key.pem    the key of the next certificate, while it is asked for
      word            why the fleet trusts the certificate no longer (fleet_word.py)
      director-root.json, image-root.json   whom it believes (trust_roots.py)
      ended.json      taken out of service: waits for a ticket
    STATE/wiping      everything is being removed; whoever finds it goes on with that

The key is made here and never leaves.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec import Meta

from device.errors import NotOurFleet, StateUnavailable
from device.firmware.claim_file import CERTIFICATE, IDENTITY, WORD, drop_ticket
from ota.enrolment import EnrolAnswer, Pin, Site, Url
from ota.messages.fields import DeviceId
from ota.whole import write_private, write_whole

KEY: Final = "key.pem"
NEXT_KEY: Final = "next-key.pem"
ROOT: Final = "root.pem"
WHO: Final = "identity.json"
ENDED: Final = "ended.json"
WIPING: Final = "wiping"
_NOT_OURS: Final = "lost+found"
_log = logging.getLogger(__name__)

Table = dict[str, Any]


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who this board is.

    Attributes:
        device: its id.
        site: where it hangs.
        timezone: IANA name.
        url: of the fleet.
        pin: SHA-256 of the public key of the fleet's root.
        mqtt_host: name or address of the broker.
        mqtt_port: its port.
    """

    device: DeviceId
    site: Site
    timezone: str
    url: Url
    pin: Pin
    mqtt_host: str
    mqtt_port: Annotated[int, Meta(ge=1, le=65535)]


def read_identity(state: Path) -> Identity | None:
    """Return who this board is; None where no fleet has let it in.

    Raises:
        StateUnavailable: there is an identity, but it cannot be read.
    """
    folder = state / IDENTITY
    if not (folder / CERTIFICATE).exists():
        return None
    try:
        return msgspec.json.decode((folder / WHO).read_bytes(), type=Identity)
    except (OSError, msgspec.DecodeError) as error:
        raise StateUnavailable(folder / WHO, f"{error}: enrol the board anew with a ticket") from error


def with_identity(table: Table, state: Path) -> Table:
    """Return a configuration's table with what the identity says where the file says nothing.

    Raises:
        StateUnavailable: the identity cannot be read.
    """
    identity = read_identity(state)
    if identity is None:
        return table
    folder = state / IDENTITY
    certificate = str(folder / CERTIFICATE)
    who = {"id": identity.device, "site": identity.site, "timezone": identity.timezone}
    link = {
        "host": identity.mqtt_host,
        "port": identity.mqtt_port,
        "ca": str(folder / ROOT),
        "cert": certificate,
        "key": certificate,
    }
    return {**table, "device": _under(table, "device", who), "mqtt": _under(table, "mqtt", link)}


def own_key(state: Path, name: str = KEY) -> ec.EllipticCurvePrivateKey:
    """Return the key that a certificate is asked for; made at the first call, the same after a cut.

    What can be read but is no key of ours is replaced: nobody comes by to delete it.

    Raises:
        StateUnavailable: it cannot be read or written.
    """
    file = state / IDENTITY / name
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = _kept_key(file)
        if key is None:
            key = ec.generate_private_key(ec.SECP256R1())
            write_private(file, _private_pem(key))
    except OSError as error:
        raise StateUnavailable(file, f"{error.strerror}: the board's key cannot be kept") from error
    return key


def signing_request(key: ec.EllipticCurvePrivateKey, device: str) -> str:
    """Return the request (PEM) with which a certificate is asked for; `device` may be empty."""
    names = [x509.NameAttribute(NameOID.COMMON_NAME, device)] if device else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def check_answer(answer: EnrolAnswer, key: ec.EllipticCurvePrivateKey, root: x509.Certificate) -> None:
    """Check that a certificate is ours, and that our fleet's root stands above it.

    Raises:
        NotOurFleet: it is not.
    """
    try:
        own = x509.load_pem_x509_certificate(answer.certificate.encode())
        chain = x509.load_pem_x509_certificates(answer.chain.encode())
        for lower, upper in zip([own, *chain], [*chain, root], strict=True):
            lower.verify_directly_issued_by(upper)
        names = [str(one.value) for one in own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise NotOurFleet(f"its certificate does not lead to the fleet's root ({error})") from error
    if own.public_key() != key.public_key() or names != [answer.device]:
        raise NotOurFleet("the certificate is for another key or another device")


def keep_identity(state: Path, identity: Identity, answer: EnrolAnswer, root_pem: str) -> None:
    """Keep what the fleet gave; the certificate last, so that a cut leaves a board that asks again.

    Raises:
        StateUnavailable: the folder cannot be written.
    """
    folder = state / IDENTITY
    try:
        write_whole(folder / ROOT, root_pem.encode(), 0o644)
        write_private(folder / WHO, msgspec.json.format(msgspec.json.encode(identity), indent=2))
        _keep_certificate(state, answer, KEY)
        for over in (ENDED, WORD):
            (folder / over).unlink(missing_ok=True)
        drop_ticket(state)
    except OSError as error:
        raise StateUnavailable(folder, f"{error.strerror}: the identity cannot be kept") from error


def keep_renewed(state: Path, identity: Identity, answer: EnrolAnswer) -> None:
    """Put a renewed certificate, and its key, in the place of the old; site and broker may be others now.

    Raises:
        StateUnavailable: the folder cannot be written.
    """
    now = msgspec.structs.replace(
        identity,
        site=answer.site,
        timezone=answer.timezone,
        mqtt_host=answer.mqtt_host,
        mqtt_port=answer.mqtt_port,
    )
    try:
        write_private(state / IDENTITY / WHO, msgspec.json.format(msgspec.json.encode(now), indent=2))
        _keep_certificate(state, answer, NEXT_KEY)
    except OSError as error:
        raise StateUnavailable(state / IDENTITY, f"{error.strerror}: it cannot be kept") from error


def own_certificate(state: Path) -> x509.Certificate:
    """Return the certificate in use.

    Raises:
        StateUnavailable: it cannot be read.
    """
    file = state / IDENTITY / CERTIFICATE
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())[0]
    except (OSError, ValueError) as error:
        raise StateUnavailable(file, f"{error}: enrol the board anew with a ticket") from error


def wipe(state: Path, reason: str) -> None:
    """Forget everything: key, certificate, messages, configurations. The board then waits for a ticket.

    Flash memory may keep what was overwritten; that the certificate is revoked is what ends it.

    Raises:
        StateUnavailable: something cannot be removed; `must_wipe` holds until it could.
    """
    begin_wipe(state)
    try:
        for path in sorted(state.iterdir()):
            if path.name in (WIPING, _NOT_OURS):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        (state / IDENTITY).mkdir(mode=0o700)
        write_private(state / IDENTITY / ENDED, msgspec.json.encode({"reason": reason}))
        os.sync()
        (state / WIPING).unlink()
    except OSError as error:
        raise StateUnavailable(state, f"{error.strerror}: not everything could be wiped") from error


def begin_wipe(state: Path) -> None:
    """Note that everything is to be removed, before anybody is told so: a cut changes nothing about it.

    Raises:
        StateUnavailable: the folder cannot be written.
    """
    try:
        write_private(state / WIPING, b"")
    except OSError as error:
        raise StateUnavailable(state, f"{error.strerror}: it cannot be wiped") from error


def must_wipe(state: Path) -> bool:
    """Whether a cut left this board half wiped, or promised to be."""
    return (state / WIPING).exists()


def is_ended(state: Path) -> bool:
    """Whether this board was taken out of service."""
    return (state / IDENTITY / ENDED).exists()


def _keep_certificate(state: Path, answer: EnrolAnswer, key_name: str) -> None:
    folder = state / IDENTITY
    key = (folder / key_name).read_text()
    write_private(folder / CERTIFICATE, f"{key}{answer.certificate}{answer.chain}".encode())
    (folder / key_name).unlink()


def _kept_key(file: Path) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), None)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key
    _log.warning("identity: %s holds no key of ours, another is made", file)
    return None


def _under(table: Table, name: str, said: Table) -> Table:
    own = table.get(name)
    return {**said, **own} if isinstance(own, dict) else said if own is None else own


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
