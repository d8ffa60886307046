"""A signing request gives its key and nothing else; whatever is wrong with it is a refusal, never a fault."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from device.firmware.identity import signing_request
from fleet.errors import EnrolmentRefused
from fleet.identity.csr import MAX_CSR_BYTES, read_csr
from fleet.identity.enrolment import _key_of

KEY = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
NO_USAGE = dict.fromkeys(
    (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ),
    False,
)


def request(
    key: Any = KEY, names: tuple[str, ...] = ("cam-01",), extension: x509.ExtensionType | None = None
) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    )
    if extension is not None:
        builder = builder.add_extension(extension, critical=True)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


def broken_signature() -> str:
    der = bytearray(x509.load_pem_x509_csr(request().encode()).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    return x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM).decode()


def changed(old: bytes, new: bytes) -> Callable[[], str]:
    """A request of which some bytes were changed: odd algorithms and versions that no library writes."""

    def make() -> str:
        der = x509.load_pem_x509_csr(request().encode()).public_bytes(serialization.Encoding.DER)
        assert old in der
        text = base64.encodebytes(der.replace(old, new, 1)).decode()
        return f"-----BEGIN CERTIFICATE REQUEST-----\n{text}-----END CERTIFICATE REQUEST-----\n"

    return make


WHOLE = x509.load_pem_x509_csr(request().encode()).public_bytes(serialization.Encoding.DER)
P256_OID, EC_OID = bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06072a8648ce3d0201")
ODD = {
    "unknown curve": changed(P256_OID, P256_OID[:-1] + b"\x66"),
    "unknown key": changed(EC_OID, EC_OID[:-1] + b"\x66"),
    "version 8": changed(b"\x02\x01\x00", b"\x02\x01\x07"),
    "point not on the curve": changed(b"\x03\x42\x00\x04", b"\x03\x42\x00\x05"),
}
WRONG = {
    "foreign name": lambda: request(names=("cam-02",)),
    "the fleet's name": lambda: request(names=("fleet",)),
    "two names": lambda: request(names=("cam-01", "cam-02")),
    "RSA": lambda: request(RSA),
    "P-384": lambda: request(ec.generate_private_key(ec.SECP384R1())),
    "secp256k1": lambda: request(ec.generate_private_key(ec.SECP256K1())),
    "Ed25519": lambda: request(ed25519.Ed25519PrivateKey.generate()),
    "authority": lambda: request(extension=x509.BasicConstraints(ca=True, path_length=None)),
    "signs certificates": lambda: request(extension=x509.KeyUsage(**NO_USAGE | {"key_cert_sign": True})),
    "signs lists": lambda: request(extension=x509.KeyUsage(**NO_USAGE | {"crl_sign": True})),
    "further names": lambda: request(extension=x509.SubjectAlternativeName([x509.DNSName("cam-02")])),
    "signature": broken_signature,
    "nothing": lambda: "",
    "junk": lambda: "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
    "a megabyte": lambda: "A" * 1_000_000,
    "a key": lambda: KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode(),
    **ODD,
}


def test_the_key_of_a_devices_own_request_is_taken_with_its_id_or_without_a_name() -> None:
    for device in ("cam-01", ""):
        assert read_csr(signing_request(KEY, device), "cam-01") == KEY.public_key()


def test_a_harmless_wish_is_ignored() -> None:
    wish = x509.KeyUsage(**NO_USAGE | {"digital_signature": True})
    assert read_csr(request(extension=wish), "cam-01") == KEY.public_key()
    assert read_csr(request(extension=x509.BasicConstraints(False, None)), "cam-01") == KEY.public_key()


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_with_a_request_is_said_in_a_sentence(make: Callable[[], str]) -> None:
    with pytest.raises(EnrolmentRefused) as refused:
        read_csr(make(), "cam-01")
    assert refused.value.reason == "csr"
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("make", ODD.values(), ids=ODD.keys())
def test_looking_for_an_earlier_enrolment_refuses_odd_requests_too(make: Callable[[], str]) -> None:
    with pytest.raises(EnrolmentRefused):
        _key_of(make())


def test_a_request_just_within_the_limit_is_read_and_one_above_is_not() -> None:
    fits = request() + " " * (MAX_CSR_BYTES - len(request()))
    assert read_csr(fits, "cam-01") == KEY.public_key()
    with pytest.raises(EnrolmentRefused, match="larger"):
        read_csr(fits + " ", "cam-01")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_to_a_request_is_taken_or_raises_anything_else(data: st.DataObject) -> None:
    der = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    body = base64.encodebytes(bytes(der)).decode()
    pem = f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"
    for reader in (lambda text: read_csr(text, "cam-01"), _key_of):
        try:
            key = reader(pem)
        except EnrolmentRefused:
            continue
        assert reader is _key_of or key == KEY.public_key()


@given(st.text(max_size=300))
def test_no_text_is_taken_or_raises_anything_else(text: str) -> None:
    with pytest.raises(EnrolmentRefused):
        read_csr(text, "cam-01")
