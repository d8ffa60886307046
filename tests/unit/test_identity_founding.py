"""An authority that an organisation has already is taken if it is fit to be one, and refused in words."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from fleet.errors import BadAuthority
from fleet.identity.authority import Signer, as_pem, issue_client, make_issuing, make_root, new_key
from fleet.identity.founding import found_fleet, read_authority
from fleet.identity.home import Addresses, Home, key_pem
from tests.conftest import missing

NOW = datetime.now(UTC)
ROOT = make_root("acme", NOW)
ISSUING = make_issuing(ROOT, "acme", NOW)
SECRET = "an organisation's secret"


def written(folder: Path, *texts: str | bytes) -> list[Path]:
    files = [folder / f"{number}.pem" for number, _ in enumerate(texts)]
    for file, text in zip(files, texts, strict=True):
        file.write_bytes(text.encode() if isinstance(text, str) else text)
    return files


def p12(signer: Signer, secret: str = SECRET, chain: Any = (ROOT.certificate,)) -> bytes:
    how = serialization.BestAvailableEncryption(secret.encode())
    return pkcs12.serialize_key_and_certificates(b"acme", signer.key, signer.certificate, list(chain), how)


PARTS = {
    "one file": lambda: [key_pem(ISSUING.key) + as_pem(ISSUING.certificate) + as_pem(ROOT.certificate)],
    "three files": lambda: [as_pem(ROOT.certificate), as_pem(ISSUING.certificate), key_pem(ISSUING.key)],
    "an encrypted key": lambda: [
        key_pem(ISSUING.key, SECRET), as_pem(ISSUING.certificate) + as_pem(ROOT.certificate)
    ],
    "PKCS#12": lambda: [p12(ISSUING)],
    "PKCS#12 and the root apart": lambda: [p12(ISSUING, chain=()), as_pem(ROOT.certificate)],
}  # fmt: skip


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS.keys())
def test_a_fleet_is_founded_on_an_authority_that_was_there(tmp_path: Path, parts: Any) -> None:
    authority = read_authority(written(tmp_path, *parts()), SECRET)
    home = Home(tmp_path / "home")
    found_fleet(home, Addresses(name="acme", hosts=["localhost"]), NOW, passphrase="", imported=authority)
    assert home.issuing().certificate == ISSUING.certificate
    assert home.certificate(home.root_certificate) == ROOT.certificate
    assert not home.root_key.exists()
    home.certificate(home.broker).verify_directly_issued_by(ISSUING.certificate)


def test_what_openssl_makes_is_read_too(tmp_path: Path) -> None:
    files = written(tmp_path, key_pem(ISSUING.key), as_pem(ISSUING.certificate), as_pem(ROOT.certificate))
    command = ["openssl", "pkcs12", "-export", "-inkey", str(files[0]), "-in", str(files[1])]
    command += ["-certfile", str(files[2]), "-out", str(tmp_path / "a.p12"), "-passout", f"pass:{SECRET}"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        missing("openssl is not installed (Debian package: openssl)")
    assert read_authority([tmp_path / "a.p12"], SECRET).root == ROOT.certificate


def rsa_authority() -> str:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acme RSA")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, NOW, NOW + timedelta(days=9))
    builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    secret = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret)
    return pem.decode() + as_pem(builder.sign(key, hashes.SHA256()))


def no_authority() -> str:
    key = new_key()
    leaf = issue_client(ISSUING, key.public_key(), "cam-01", NOW)
    return key_pem(key) + as_pem(leaf) + as_pem(ISSUING.certificate) + as_pem(ROOT.certificate)


def says_nothing() -> str:
    key = new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "old")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, NOW, NOW + timedelta(days=9))
    return key_pem(key) + as_pem(builder.sign(key, hashes.SHA256()))


CERTIFICATES = as_pem(ISSUING.certificate) + as_pem(ROOT.certificate)
OTHER = ec.generate_private_key(ec.SECP384R1())
WRONG: dict[str, tuple[Any, str]] = {
    "wrong passphrase of a key": (lambda: [key_pem(ISSUING.key, "another"), CERTIFICATES], "passphrase"),
    "wrong passphrase of PKCS#12": (lambda: [p12(ISSUING, "another")], "passphrase"),
    "no key": (lambda: [CERTIFICATES], "0 private keys"),
    "two keys in two files": (lambda: [key_pem(ISSUING.key), key_pem(new_key()), CERTIFICATES], "2 private"),
    "two keys in one file": (lambda: [key_pem(ISSUING.key) + key_pem(new_key()) + CERTIFICATES], "several"),
    "another's key": (lambda: [key_pem(new_key()), CERTIFICATES], "none of the certificates"),
    "no root": (lambda: [key_pem(ISSUING.key) + as_pem(ISSUING.certificate)], "root"),
    "another root": (
        lambda: [
            key_pem(ISSUING.key) + as_pem(ISSUING.certificate) + as_pem(make_root("acme", NOW).certificate)
        ],
        "root",
    ),
    "RSA": (lambda: [rsa_authority()], "P-256"),
    "P-384": (lambda: [key_pem(OTHER), CERTIFICATES], "P-256"),
    "no authority": (lambda: [no_authority()], "may not sign"),
    "an authority that does not say so": (lambda: [says_nothing()], "does not say"),
    "junk": (lambda: [b"\x30\x82junk"], "neither PEM nor PKCS#12"),
    "a cut file": (lambda: [key_pem(ISSUING.key)[:90], CERTIFICATES], "0 private|passphrase"),
}


@pytest.mark.parametrize(("parts", "words"), WRONG.values(), ids=WRONG.keys())
def test_what_is_not_fit_to_be_an_authority_is_refused(tmp_path: Path, parts: Any, words: str) -> None:
    with pytest.raises(BadAuthority, match=words):
        read_authority(written(tmp_path, *parts()), SECRET)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadAuthority, match=r"none\.pem: No such file"):
        read_authority([tmp_path / "none.pem"], "")


def test_an_authority_whose_time_is_over_founds_no_fleet(tmp_path: Path) -> None:
    then = NOW - timedelta(days=11 * 365)
    root = make_root("acme", then)
    old = make_issuing(root, "acme", then)
    text = key_pem(old.key) + as_pem(old.certificate) + as_pem(root.certificate)
    authority = read_authority(written(tmp_path, text), "")
    home = Home(tmp_path / "home")
    with pytest.raises(BadAuthority, match="not valid now"):
        found_fleet(home, Addresses(name="acme", hosts=["a"]), NOW, passphrase="", imported=authority)
    assert not home.folder.exists()
