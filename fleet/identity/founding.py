"""Makes a fleet: its authorities, its servers' certificates, and what devices are told. Once a folder.

The root's key is encrypted with a passphrase and is needed again only to make another issuing authority:
move it out of the home. An authority that an organisation has already can be imported as the issuing one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from fleet.broker.acl import FLEET
from fleet.director.home import DirectorHome
from fleet.errors import BadAuthority, HomeUnusable, SettingsError
from fleet.identity.authority import (
    SERVER_LIFE,
    Signer,
    as_pem,
    issue_client,
    issue_server,
    make_crl,
    make_issuing,
    make_root,
    new_key,
)
from fleet.identity.home import PRIVATE, PUBLIC, Addresses, Home, chain_pem, key_pem, write_file
from ota.errors import KeyProblem

HOST_PATTERN: Final = r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*"


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority that was there before: the issuing one with its key, and the root above it."""

    issuing: Signer
    root: x509.Certificate


def found_fleet(
    home: Home, addresses: Addresses, now: datetime, *, passphrase: str, imported: Authority | None = None
) -> None:
    """Make all files of a home.

    Args:
        home: its folder may be absent or empty.
        addresses: under which the fleet is reached.
        now: the fleet's clock.
        passphrase: encrypts the root's key (unused with `imported`) and the director's root keys; without one
            no director is made.
        imported: signs instead of an authority made here.

    Raises:
        HomeUnusable: there is a fleet already, or the disk refuses.
        BadAuthority: the imported one is not valid now.
        SettingsError: an address is none, or the root's key would lie there unencrypted.
    """
    check_new(home)
    check_addresses(addresses)
    if imported is None and not passphrase:
        raise SettingsError("the root's key needs a passphrase")
    if imported is not None:
        _check_dates(imported, now)
    if imported is None:
        root = make_root(addresses.name, now)
        write_file(home.root_key, key_pem(root.key, passphrase), PRIVATE)
        imported = Authority(make_issuing(root, addresses.name, now), root.certificate)
    write_file(home.root_certificate, as_pem(imported.root), PUBLIC)
    write_file(home.issuing_key, key_pem(imported.issuing.key), PRIVATE)
    write_file(home.issuing_certificate, as_pem(imported.issuing.certificate), PUBLIC)
    write_file(home.authorities, as_pem(imported.issuing.certificate) + as_pem(imported.root), PUBLIC)
    write_file(home.crl, as_pem(make_crl(imported.issuing, [], 1, now)), PUBLIC)
    make_servers(home, imported.issuing, addresses, now)
    if passphrase:
        make_director(home, passphrase, now)
    home.write_addresses(addresses)


def make_director(home: Home, passphrase: str, now: datetime) -> None:
    """Make the director, its root keys with one passphrase; nothing where there is one.

    Raises:
        HomeUnusable: the disk refuses.
        SettingsError: the passphrase is too short.
    """
    director = DirectorHome(home.folder)
    try:
        if not director.exists:
            director.make(lambda _name, _is_new: passphrase, now)
    except KeyProblem as error:
        raise SettingsError(str(error)) from error


def check_new(home: Home) -> None:
    """Make sure that nothing is overwritten.

    Raises:
        HomeUnusable: there is a fleet already.
    """
    if home.addresses.exists():
        raise HomeUnusable(home.folder, "there is a fleet already: nothing was changed")
    if home.issuing_key.exists():
        reason = f"keys of a fleet, but no {home.addresses.name}: nothing was changed; bring it back, or"
        raise HomeUnusable(home.folder, f"{reason} delete the folder if it was never used")


def check_addresses(addresses: Addresses) -> None:
    """Make sure that what is written now can be read again.

    Raises:
        SettingsError: a name, a port or a life is not allowed.
    """
    try:
        msgspec.convert(msgspec.to_builtins(addresses), Addresses)
    except msgspec.ValidationError as error:
        raise SettingsError(f"the fleet's addresses: {error}") from error
    for host in addresses.hosts:
        if not re.fullmatch(HOST_PATTERN, host) and not _is_address(host):
            raise SettingsError(f"host {host[:80]!r}: a name such as fleet.lahore.example, or an address")


def make_servers(home: Home, issuing: Signer, addresses: Addresses, now: datetime) -> None:
    """Make keys and certificates anew: of API and console, of the broker, of the fleet as its client.

    Raises:
        HomeUnusable: the disk refuses.
    """
    for file in (home.https, home.broker):
        key = new_key()
        signed = issue_server(issuing, key.public_key(), addresses.hosts, now)
        write_file(file, key_pem(key) + chain_pem(home, signed), PRIVATE)
    key = new_key()
    signed = issue_client(issuing, key.public_key(), FLEET, now, SERVER_LIFE)
    write_file(home.client, key_pem(key) + chain_pem(home, signed), PRIVATE)


def read_authority(files: Sequence[Path], passphrase: str) -> Authority:
    """Return an authority of PEM or PKCS#12 files: issuing certificate, its key, the chain to a root.

    Raises:
        BadAuthority: something is missing, does not belong together, or may not sign devices.
    """
    certificates: list[x509.Certificate] = []
    keys: list[object] = []
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise BadAuthority(f"{file}: {error.strerror}") from error
        if content.count(b"PRIVATE KEY-----") > 2:
            raise BadAuthority(f"{file}: several private keys, one is needed: that of the issuing authority")
        read = _read_pem if b"-----BEGIN" in content else _read_p12
        more, key = read(file, content, passphrase)
        certificates += more
        keys.extend(key)
    if len(keys) != 1:
        raise BadAuthority(f"{len(keys)} private keys found, one is needed: that of the issuing authority")
    own_key = keys[0]
    if not isinstance(own_key, ec.EllipticCurvePrivateKey) or not isinstance(own_key.curve, ec.SECP256R1):
        raise BadAuthority("its key is not ECDSA on P-256: small boards verify nothing else quickly enough")
    own = [one for one in certificates if one.public_key() == own_key.public_key()]
    if not own:
        raise BadAuthority("none of the certificates belongs to the key")
    issuing = Signer(own[0], own_key)
    _check_issuing(issuing.certificate)
    return Authority(issuing, _root_of(issuing.certificate, certificates))


def _read_pem(file: Path, content: bytes, passphrase: str) -> tuple[list[x509.Certificate], list[object]]:
    certificates: list[x509.Certificate] = []
    keys: list[object] = []
    try:
        if b"CERTIFICATE" in content:
            certificates = x509.load_pem_x509_certificates(content)
        if b"PRIVATE KEY" in content:
            secret = passphrase.encode() if b"ENCRYPTED" in content else None
            keys = [serialization.load_pem_private_key(content, secret)]
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadAuthority(f"{file}: {error}; is the passphrase right?") from error
    return certificates, keys


def _read_p12(file: Path, content: bytes, passphrase: str) -> tuple[list[x509.Certificate], list[object]]:
    try:
        key, certificate, more = pkcs12.load_key_and_certificates(content, passphrase.encode() or None)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadAuthority(
            f"{file}: neither PEM nor PKCS#12, or the passphrase is wrong ({error})"
        ) from error
    return [*([certificate] if certificate else []), *more], [key] if key is not None else []


def _check_issuing(certificate: x509.Certificate) -> None:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, ValueError) as error:
        raise BadAuthority(f"the issuing certificate does not say what it may do ({error})") from error
    if not constraints.ca or not usage.key_cert_sign or not usage.crl_sign:
        raise BadAuthority("the issuing certificate may not sign certificates and revocation lists")


def _check_dates(authority: Authority, now: datetime) -> None:
    for one in (authority.issuing.certificate, authority.root):
        if not one.not_valid_before_utc <= now < one.not_valid_after_utc:
            until = one.not_valid_after_utc
            raise BadAuthority(f"{one.subject.rfc4514_string()} is not valid now (until {until:%Y-%m-%d})")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _root_of(issuing: x509.Certificate, certificates: list[x509.Certificate]) -> x509.Certificate:
    for root in certificates:
        if root.subject == root.issuer and _is_signed_by(issuing, root):
            return root
    raise BadAuthority("the root that signed the issuing certificate is missing: give its certificate too")


def _is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
