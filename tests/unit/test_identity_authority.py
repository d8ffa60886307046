"""What our authorities sign is what OpenSSL and `cryptography` take for a chain, and nothing more."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from fleet.identity.authority import (
    CRL_LIFE,
    ISSUING_LIFE,
    SKEW,
    Revoked,
    Signer,
    as_pem,
    issue_client,
    issue_server,
    key_digest,
    make_crl,
    make_issuing,
    make_root,
    name_of,
    new_key,
    pin_of,
    renew_after,
)
from tests.conftest import missing

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
ROOT = make_root("test", NOW)
ISSUING = make_issuing(ROOT, "test", NOW)
DEVICE_KEY = new_key()
DEVICE = issue_client(ISSUING, DEVICE_KEY.public_key(), "cam-01", NOW)
SERVER = issue_server(ISSUING, new_key().public_key(), ["fleet.example", "10.0.0.5", "::1"], NOW)


def policy() -> PolicyBuilder:
    return PolicyBuilder().store(Store([ROOT.certificate])).time(NOW)


def openssl_verify(folder: Path, certificate: x509.Certificate, *options: str) -> subprocess.CompletedProcess:
    if shutil.which("openssl") is None:
        missing("openssl is not installed (Debian package: openssl)")
    files = {
        "root": as_pem(ROOT.certificate),
        "issuing": as_pem(ISSUING.certificate),
        "own": as_pem(certificate),
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    command = ["openssl", "verify", "-x509_strict", "-attime", str(int(NOW.timestamp()))]
    command += ["-CAfile", str(folder / "root"), "-untrusted", str(folder / "issuing"), *options]
    return subprocess.run([*command, str(folder / "own")], capture_output=True, text=True, check=False)


def test_a_servers_certificate_is_good_for_each_of_its_names() -> None:
    for name in (x509.DNSName("fleet.example"), x509.IPAddress(SERVER_ADDRESS)):
        chain = policy().build_server_verifier(name).verify(SERVER, [ISSUING.certificate])
        assert [one.subject for one in chain] == [
            one.subject for one in (SERVER, ISSUING.certificate, ROOT.certificate)
        ]


SERVER_ADDRESS = SERVER.extensions.get_extension_for_class(
    x509.SubjectAlternativeName
).value.get_values_for_type(x509.IPAddress)[0]


def test_a_server_is_not_found_under_another_name_nor_by_its_clients_certificate() -> None:
    for certificate, name in ((SERVER, "evil.example"), (DEVICE, "cam-01")):
        with pytest.raises(VerificationError):
            policy().build_server_verifier(x509.DNSName(name)).verify(certificate, [ISSUING.certificate])


@pytest.mark.parametrize(("certificate", "purpose"), [(DEVICE, "sslclient"), (SERVER, "sslserver")])
def test_openssl_takes_a_certificate_for_its_one_purpose(
    tmp_path: Path, certificate: x509.Certificate, purpose: str
) -> None:
    assert openssl_verify(tmp_path, certificate, "-purpose", purpose).returncode == 0
    other = {"sslclient": "sslserver", "sslserver": "sslclient"}[purpose]
    assert openssl_verify(tmp_path, certificate, "-purpose", other).returncode != 0


def test_openssl_refuses_what_the_revocation_list_names_and_takes_the_rest(tmp_path: Path) -> None:
    entry = Revoked(DEVICE.serial_number, NOW, x509.ReasonFlags.key_compromise)
    for crl, is_good in ((make_crl(ISSUING, [], 1, NOW), True), (make_crl(ISSUING, [entry], 2, NOW), False)):
        (tmp_path / "crl").write_text(as_pem(crl))
        done = openssl_verify(tmp_path, DEVICE, "-crl_check", "-CRLfile", str(tmp_path / "crl"))
        assert (done.returncode == 0) is is_good, done.stderr
    assert "revoked" in done.stderr


def test_a_leaf_is_no_authority_and_signs_no_certificate() -> None:
    for certificate, purpose in (
        (DEVICE, ExtendedKeyUsageOID.CLIENT_AUTH),
        (SERVER, ExtendedKeyUsageOID.SERVER_AUTH),
    ):
        extensions = certificate.extensions
        constraints = extensions.get_extension_for_class(x509.BasicConstraints)
        usage = extensions.get_extension_for_class(x509.KeyUsage)
        assert constraints.critical
        assert not constraints.value.ca
        assert usage.critical
        assert not usage.value.key_cert_sign
        assert not usage.value.crl_sign
        assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [purpose]


def test_a_device_cannot_sign_another(tmp_path: Path) -> None:
    forged = issue_client(Signer(DEVICE, DEVICE_KEY), new_key().public_key(), "fleet", NOW)
    chain = tmp_path / "chain"
    chain.write_text(as_pem(DEVICE))
    assert openssl_verify(tmp_path, forged, "-untrusted", str(chain)).returncode != 0


def test_the_issuing_authority_signs_no_further_authority() -> None:
    constraints = ISSUING.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
    assert ISSUING.certificate.not_valid_after_utc == NOW + ISSUING_LIFE


def test_what_a_clock_that_is_slow_by_the_skew_sees_is_valid() -> None:
    assert DEVICE.not_valid_before_utc == NOW - SKEW
    short = issue_client(ISSUING, DEVICE_KEY.public_key(), "cam-01", NOW, timedelta(minutes=10))
    assert short.not_valid_before_utc == NOW - timedelta(minutes=1)
    assert short.not_valid_after_utc == NOW + timedelta(minutes=10)


def test_nothing_outlives_the_authority_that_signed_it() -> None:
    late = ISSUING.certificate.not_valid_after_utc - timedelta(days=10)
    end = ISSUING.certificate.not_valid_after_utc
    assert issue_client(ISSUING, DEVICE_KEY.public_key(), "cam-01", late).not_valid_after_utc == end
    assert issue_server(ISSUING, DEVICE_KEY.public_key(), ["x"], late).not_valid_after_utc == end
    late = ROOT.certificate.not_valid_after_utc - timedelta(days=10)
    again = make_issuing(ROOT, "test", late).certificate
    assert again.not_valid_after_utc == ROOT.certificate.not_valid_after_utc


def test_a_revocation_list_is_signed_numbered_and_lives_long() -> None:
    crl = make_crl(ISSUING, [Revoked(77, NOW, x509.ReasonFlags.superseded)], 8, NOW)
    assert crl.is_signature_valid(ISSUING.key.public_key())
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 8
    assert crl.next_update_utc == NOW + CRL_LIFE
    (entry,) = crl
    assert entry.serial_number == 77
    assert (
        entry.extensions.get_extension_for_class(x509.CRLReason).value.reason == x509.ReasonFlags.superseded
    )


def test_the_pin_is_the_digest_of_the_public_key_and_survives_a_new_certificate() -> None:
    spki = ROOT.certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert pin_of(ROOT.certificate) == key_digest(ROOT.key.public_key())
    assert len(spki) == 91  # P-256
    assert pin_of(ROOT.certificate) != pin_of(ISSUING.certificate)


def test_a_certificate_has_one_name_and_is_renewed_after_two_thirds() -> None:
    assert name_of(DEVICE) == "cam-01"
    life = DEVICE.not_valid_after_utc - DEVICE.not_valid_before_utc
    assert abs(renew_after(DEVICE) - DEVICE.not_valid_before_utc - life * 2 / 3) < timedelta(seconds=1)


def test_serial_numbers_do_not_repeat_and_fit_their_column() -> None:
    numbers = {issue_client(ISSUING, DEVICE_KEY.public_key(), "cam-01", NOW).serial_number for _ in range(50)}
    assert len(numbers) == 50
    assert max(len(format(number, "x")) for number in numbers) <= 40
