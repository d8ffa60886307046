"""The fleet's home folder: where authorities, certificates and lists lie, and who may read them.

::

    HOME/
      ca/root.pem, root.key.pem        the root; its key is encrypted and belongs in a safe
      ca/issuing.pem, issuing.key.pem  signs servers and devices; the fleet needs it every day
      https/server.pem                 key, certificate and chain of API and console
      mqtt/broker.pem                  key, certificate and chain of the broker
      mqtt/fleet.pem, ca.pem           those of the fleet as its client; whom both trust
      director/                        keys and roots of the director (fleet/director/home.py)
      image-root.json                  the image repository's first root: what devices are given
      crl.pem                          who is no longer trusted
      os-images/                       OS images that rollouts hand out
      fleet.json                       names and ports that devices are told

Keys are readable by the owner alone. Written whole: a cut leaves the old file or the new one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Meta

from fleet.errors import HomeUnusable
from fleet.identity.authority import Signer, as_pem
from ota.whole import sync_folder

PRIVATE: Final = 0o600
PUBLIC: Final = 0o644


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """What devices are told of their fleet.

    Attributes:
        name: of the fleet, for people.
        hosts: names and addresses under which the fleet and its broker are reached; the first is told.
        https_port: of API and console.
        mqtt_port: of the broker, TLS.
        device_days: life of a device's certificate in days.
        brokers: folders of brokers on this machine, which get each new certificate and revocation list.
    """

    name: Annotated[str, Meta(min_length=1, max_length=50)]
    hosts: Annotated[list[str], Meta(min_length=1, max_length=32)]
    https_port: Annotated[int, Meta(ge=1, le=65535)] = 8443
    mqtt_port: Annotated[int, Meta(ge=1, le=65535)] = 8883
    device_days: Annotated[float, Meta(gt=0, le=3650)] = 365.0
    brokers: Annotated[list[str], Meta(max_length=16)] = []

    @property
    def url(self) -> str:
        """Where devices and people find the fleet."""
        host = f"[{self.hosts[0]}]" if ":" in self.hosts[0] else self.hosts[0]
        return f"https://{host}:{self.https_port}"


@dataclass(frozen=True, slots=True)
class Home:
    """Paths of one home folder; says nothing of whether they are there."""

    folder: Path

    @property
    def root_certificate(self) -> Path:
        """Of the root authority."""
        return self.folder / "ca" / "root.pem"

    @property
    def root_key(self) -> Path:
        """Encrypted; may be absent, once it lies in a safe."""
        return self.folder / "ca" / "root.key.pem"

    @property
    def issuing_certificate(self) -> Path:
        """Of the issuing authority."""
        return self.folder / "ca" / "issuing.pem"

    @property
    def issuing_key(self) -> Path:
        """Of the issuing authority."""
        return self.folder / "ca" / "issuing.key.pem"

    @property
    def https(self) -> Path:
        """Key, certificate and chain of API and console."""
        return self.folder / "https" / "server.pem"

    @property
    def broker(self) -> Path:
        """Key, certificate and chain of the broker."""
        return self.folder / "mqtt" / "broker.pem"

    @property
    def client(self) -> Path:
        """Key, certificate and chain with which the fleet speaks to the broker."""
        return self.folder / "mqtt" / "fleet.pem"

    @property
    def authorities(self) -> Path:
        """Issuing and root certificate: whom broker and fleet trust."""
        return self.folder / "mqtt" / "ca.pem"

    @property
    def crl(self) -> Path:
        """The revocation list."""
        return self.folder / "crl.pem"

    @property
    def image_root(self) -> Path:
        """The first root of the image repository, where there is one."""
        return self.folder / "image-root.json"

    @property
    def addresses(self) -> Path:
        """What devices are told."""
        return self.folder / "fleet.json"

    @property
    def os_images(self) -> Path:
        """The folder of OS images, where none is named."""
        return self.folder / "os-images"

    @property
    def database(self) -> Path:
        """The database, where none is named."""
        return self.folder / "fleet.db"

    def read_addresses(self) -> Addresses:
        """Return what devices are told.

        Raises:
            HomeUnusable: the folder is no home of a fleet.
        """
        try:
            return msgspec.json.decode(self.addresses.read_bytes(), type=Addresses)
        except (OSError, msgspec.DecodeError) as error:
            reason = f"no home of a fleet ({error}): `pehra fleet init` makes one, a backup brings one back"
            raise HomeUnusable(self.folder, reason) from error

    def write_addresses(self, addresses: Addresses) -> None:
        """Keep what devices are told.

        Raises:
            HomeUnusable: the disk refuses.
        """
        text = msgspec.json.format(msgspec.json.encode(addresses), indent=2).decode()
        write_file(self.addresses, text + "\n", PUBLIC)

    def issuing(self) -> Signer:
        """Return the issuing authority.

        Raises:
            HomeUnusable: its files are missing or do not belong together.
        """
        return self._signer(self.issuing_certificate, self.issuing_key, None)

    def root(self, passphrase: str) -> Signer:
        """Return the root authority.

        Raises:
            HomeUnusable: its key is not here, or the passphrase is wrong.
        """
        return self._signer(self.root_certificate, self.root_key, passphrase.encode())

    def certificate(self, path: Path) -> x509.Certificate:
        """Return the first certificate of a file.

        Raises:
            HomeUnusable: it is missing or broken.
        """
        try:
            return x509.load_pem_x509_certificates(path.read_bytes())[0]
        except (OSError, ValueError) as error:
            raise HomeUnusable(self.folder, f"{path}: {error}") from error

    def _signer(self, certificate: Path, key: Path, passphrase: bytes | None) -> Signer:
        made = self.certificate(certificate)
        try:
            loaded = serialization.load_pem_private_key(key.read_bytes(), passphrase)
        except (OSError, ValueError, TypeError) as error:
            raise HomeUnusable(self.folder, f"{key}: {error}") from error
        if not isinstance(loaded, ec.EllipticCurvePrivateKey) or loaded.public_key() != made.public_key():
            raise HomeUnusable(self.folder, f"{key} is not the key of {certificate.name}")
        return Signer(made, loaded)


def key_pem(key: ec.EllipticCurvePrivateKey, passphrase: str = "") -> str:
    """Return a private key as PEM (PKCS#8), encrypted where there is a passphrase."""
    how: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        how = serialization.BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how).decode()


def chain_pem(home: Home, certificate: x509.Certificate) -> str:
    """Return a certificate and the issuing one that signed it."""
    return as_pem(certificate) + home.issuing_certificate.read_text()


def write_file(path: Path, text: str, mode: int, owner: int | None = None, group: int | None = None) -> None:
    """Write beside, sync, rename over, sync the folder.

    The new file is made, never opened: what another user has laid in its place is not followed.

    Args:
        path: of the file.
        text: what is to be in it.
        mode: who may read it.
        owner: user id that it is given to before anybody finds it; None to keep it.
        group: the same of its group.

    Raises:
        HomeUnusable: the disk refuses.
    """
    fresh = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            os.fchown(file.fileno(), -1 if owner is None else owner, -1 if group is None else group)
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise HomeUnusable(path.parent, f"{path.name} cannot be written ({error.strerror})") from error
