"""Signed images for SWUpdate (cpio archives, as its manual says), and the real program that installs them."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.conftest import missing

BOARD = "pehra-test"


@dataclass(frozen=True)
class ImageSigner:
    """A key that signs images, and its certificate, which the devices have."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @classmethod
    def new(cls, name: str = "OS images") -> ImageSigner:
        key = rsa.generate_private_key(65537, 2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=3650))
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(key, certificate)

    def sign(self, content: bytes) -> bytes:
        """A detached CMS signature (DER), which is what Debian's build checks."""
        builder = pkcs7.PKCS7SignatureBuilder().set_data(content)
        builder = builder.add_signer(self.certificate, self.key, hashes.SHA256())
        options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary]
        return builder.sign(serialization.Encoding.DER, options)

    def write_certificate(self, file: Path) -> Path:
        file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return file


def make_swu(payload: bytes, goal: Path, signer: ImageSigner, version: str = "1.2.0") -> bytes:
    """An image that writes `payload` to the file `goal`."""
    description = f"""software =
{{
    version = "{version}";
    hardware-compatibility = [ "1.0" ];
    images: ( {{
        filename = "rootfs.img";
        device = "{goal}";
        type = "raw";
        sha256 = "{hashlib.sha256(payload).hexdigest()}";
    }} );
}}
""".encode()
    files = {
        "sw-description": description,
        "sw-description.sig": signer.sign(description),
        "rootfs.img": payload,
        "TRAILER!!!": b"",
    }
    archive = b"".join(_member(name, content) for name, content in files.items())
    return archive + b"\0" * (-len(archive) % 512)


def _member(name: str, content: bytes) -> bytes:
    """One file of a cpio archive with sums (`cpio -H crc`)."""
    words = name.encode() + b"\0"
    fields = (0, 0o100644, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(words), sum(content) & 0xFFFFFFFF)
    head = b"070702" + b"".join(b"%08x" % field for field in fields) + words
    return head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4)


def swupdate_program() -> str:
    found = shutil.which("swupdate", path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/sbin")
    if found is None:
        missing("swupdate is not installed (Debian package: swupdate)")
    return str(found)


@dataclass
class Swupdate:
    """A running `swupdate` that polls."""

    process: subprocess.Popen[bytes]
    log: Path

    def words(self) -> str:
        return self.log.read_text("utf-8", errors="replace")


@contextlib.contextmanager
def running_swupdate(
    folder: Path, url: str, device: str, *, trusted: Path, told: str, arguments: str = ""
) -> Iterator[Swupdate]:
    """SWUpdate's client of hawkBit ("suricatta"), with a folder of its own for its sockets.

    Args:
        folder: of the board.
        url: of the fleet.
        device: id.
        trusted: certificate of who signs images.
        told: lines of its section: token, authorities, ...
        arguments: of the client, such as `-c 2`: the system that was installed runs well.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tmp").mkdir(exist_ok=True)
    config, log = folder / "swupdate.cfg", folder / "swupdate.log"
    config.write_text(
        f"""globals : {{ verbose = true; loglevel = 5; public-key-file = "{trusted}"; }};
suricatta : {{ tenant = "default"; id = "{device}"; url = "{url}"; {told} }};
identify : ( {{ name = "serial"; value = "0001"; }} );
"""
    )
    command = [swupdate_program(), "-f", str(config), "-H", f"{BOARD}:1.0", "-u", arguments]
    environment = os.environ | {"TMPDIR": str(folder / "tmp")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            cwd=folder,
        )
        try:
            yield Swupdate(process, log)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
