"""Checks a certificate signing request before anything is signed. Pure."""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID, NameOID

from fleet.errors import EnrolmentRefused

MAX_CSR_BYTES: Final = 16_384
_UNREADABLE: Final = (
    *(ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature),
    *(x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType),
)


def read_csr(pem: str, device: str) -> ec.EllipticCurvePublicKey:
    """Return the public key that a device asks a certificate for.

    Only the key is taken from the request: name, life and purpose of the certificate are the fleet's.

    Args:
        pem: the request.
        device: the id that the certificate is going to name.

    Raises:
        EnrolmentRefused: it is none, its signature is wrong, its key is not on P-256, it asks for another's
            name, or for an authority.
    """
    if len(pem) > MAX_CSR_BYTES:
        raise EnrolmentRefused("csr", f"the signing request is larger than {MAX_CSR_BYTES} bytes")
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        key = request.public_key()
        is_signed = request.is_signature_valid
        names = [str(one.value) for one in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        extensions = list(request.extensions)
    except _UNREADABLE as error:
        raise EnrolmentRefused("csr", f"this is no signing request in PEM ({error})") from error
    if not is_signed:
        raise EnrolmentRefused("csr", "the request's signature is wrong: its sender does not hold the key")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise EnrolmentRefused("csr", "the key must be ECDSA on P-256: RSA and weaker curves are refused")
    if any(name not in ("", device) for name in names) or len(names) > 1:
        raise EnrolmentRefused("csr", f"it asks for the name {names[0][:60]!r}, this device is {device!r}")
    _check_extensions(extensions)
    return key


def _check_extensions(extensions: list[x509.Extension[x509.ExtensionType]]) -> None:
    for one in extensions:
        value = one.value
        if isinstance(value, x509.BasicConstraints) and value.ca:
            raise EnrolmentRefused("csr", "it asks to be an authority: a device never is")
        if isinstance(value, x509.KeyUsage) and (value.key_cert_sign or value.crl_sign):
            raise EnrolmentRefused("csr", "it asks to sign certificates: a device never does")
        if one.oid == ExtensionOID.SUBJECT_ALTERNATIVE_NAME:
            raise EnrolmentRefused("csr", "it asks for further names: a device has one, its id")
