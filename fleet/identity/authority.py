"""Signs certificates and revocation lists: X.509 (RFC 5280) with ECDSA on P-256, by `cryptography`.

Values in, values out: reads no file, no clock and no database. The root signs the issuing authority and then
belongs in a safe; the issuing authority signs servers and devices.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT_LIFE: Final = timedelta(days=20 * 365)
ISSUING_LIFE: Final = timedelta(days=10 * 365)
SERVER_LIFE: Final = timedelta(days=397)
"""What browsers take at most (CA/Browser Forum, Baseline Requirements, section 6.3.2)."""
DEVICE_LIFE: Final = timedelta(days=365)
CRL_LIFE: Final = timedelta(days=90)
"""A broker refuses everybody once its list has expired, so it lives long and is renewed early."""
SKEW: Final = timedelta(hours=1)
"""A board's clock may be this far behind the fleet's."""
RENEW_AT: Final = 2 / 3
"""Part of a certificate's life after which a new one is asked for."""


@dataclass(frozen=True, slots=True)
class Signer:
    """An authority: its certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Revoked:
    """One line of a revocation list."""

    serial: int
    when: datetime
    reason: x509.ReasonFlags


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new private key on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def make_root(name: str, now: datetime) -> Signer:
    """Return a new root authority, signed by itself."""
    key, subject = new_key(), _name(f"{name} root")
    builder = _begun(subject, subject, key.public_key(), now, ROOT_LIFE)
    return Signer(
        _as_authority(builder, key.public_key(), key.public_key(), 1).sign(key, hashes.SHA256()), key
    )


def make_issuing(root: Signer, name: str, now: datetime) -> Signer:
    """Return a new issuing authority: it may sign servers and devices, but no further authority."""
    key = new_key()
    end = min(now + ISSUING_LIFE, root.certificate.not_valid_after_utc)
    builder = _begun(_name(f"{name} issuing"), root.certificate.subject, key.public_key(), now, end - now)
    builder = _as_authority(builder, key.public_key(), root.key.public_key(), 0)
    return Signer(builder.sign(root.key, hashes.SHA256()), key)


def issue_server(
    issuing: Signer, key: ec.EllipticCurvePublicKey, hosts: Iterable[str], now: datetime
) -> x509.Certificate:
    """Return a certificate for a server that is reached under these names and addresses."""
    names = [_host(host) for host in hosts]
    builder = _leaf(issuing, key, str(names[0].value), now, SERVER_LIFE, ExtendedKeyUsageOID.SERVER_AUTH)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuing.key, hashes.SHA256())


def issue_client(
    issuing: Signer, key: ec.EllipticCurvePublicKey, name: str, now: datetime, life: timedelta = DEVICE_LIFE
) -> x509.Certificate:
    """Return a certificate for a client of the broker: a device under its id, or the fleet itself."""
    builder = _leaf(issuing, key, name, now, life, ExtendedKeyUsageOID.CLIENT_AUTH)
    return builder.sign(issuing.key, hashes.SHA256())


def make_crl(
    issuing: Signer, revoked: Iterable[Revoked], number: int, now: datetime
) -> x509.CertificateRevocationList:
    """Return the list of certificates that are no longer to be trusted (RFC 5280, section 5)."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuing.certificate.subject)
        .last_update(now - SKEW)
        .next_update(now + CRL_LIFE)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing.key.public_key()), critical=False
        )
    )
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.serial).revocation_date(one.when)
        entry = entry.add_extension(x509.CRLReason(one.reason), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuing.key, hashes.SHA256())


def pin_of(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate's public key (RFC 7469, section 2.4), hexadecimal."""
    return hashlib.sha256(_spki(certificate.public_key())).hexdigest()  # type: ignore[arg-type]


def key_digest(key: ec.EllipticCurvePublicKey) -> str:
    """Return the SHA-256 of a public key, hexadecimal: the same for its certificate, CSR and private key."""
    return hashlib.sha256(_spki(key)).hexdigest()


def renew_after(certificate: x509.Certificate) -> datetime:
    """Return the moment at which two thirds of a certificate's life are over."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begin + (end - begin) * RENEW_AT


def as_pem(certificate: x509.Certificate | x509.CertificateRevocationList) -> str:
    """Return a certificate or a list as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def name_of(certificate: x509.Certificate) -> str:
    """Return the one common name of a certificate; empty where there is none or there are several."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if len(found) == 1 else ""


def _begun(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    whole = now.astimezone(UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(whole - min(SKEW, life / 10))
        .not_valid_after(whole + life)
    )


def _as_authority(
    builder: x509.CertificateBuilder,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    path_length: int,
) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _leaf(
    issuing: Signer,
    key: ec.EllipticCurvePublicKey,
    name: str,
    now: datetime,
    life: timedelta,
    purpose: x509.ObjectIdentifier,
) -> x509.CertificateBuilder:
    end = min(now + life, issuing.certificate.not_valid_after_utc)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    issuer_key = issuing.key.public_key()
    return (
        _begun(_name(name), issuing.certificate.subject, key, now, end - now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _host(host: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _spki(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
