"""Signing keys: files with a passphrase, or a PKCS#11 token (a YubiKey, an HSM) through securesystemslib.

A passphrase is asked for by a function that is handed in, never taken from a command line. A key in memory is
handed to `securesystemslib`, which alone signs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import CryptoSigner, HSMSigner, Key, Signer, SSlibKey

from ota.errors import KeyProblem

AskSecret = Callable[[str, bool], str]
"""Returns the passphrase (or PIN) of the key of that name; asks twice where it is new."""

PASSPHRASE_MIN: Final = 12
HSM: Final = "hsm:"
FILE: Final = "file:"
HSM_ADVICE: Final = (
    "a token needs python-pkcs11 (pip install 'securesystemslib[hsm]'), "
    "and PYKCS11LIB must name its PKCS#11 library"
)


def ask_once(ask: AskSecret) -> AskSecret:
    """Return what asks for each passphrase once only."""
    known: dict[str, str] = {}

    def asked(name: str, is_new: bool) -> str:
        if name not in known:
            known[name] = ask(name, is_new)
        return known[name]

    return asked


def make_key_file(path: Path, name: str, ask: AskSecret | None) -> CryptoSigner:
    """Make an Ed25519 key, and write it to a file with a passphrase.

    Args:
        path: The file; nothing is overwritten.
        name: Of the key, for people.
        ask: Asks for the passphrase; None for a key that a machine uses by itself.

    Raises:
        KeyProblem: The passphrase is too short, or the file cannot be written.
    """
    private = Ed25519PrivateKey.generate()
    encryption: KeySerializationEncryption = NoEncryption()
    if ask is not None:
        passphrase = ask(name, True)
        if len(passphrase) < PASSPHRASE_MIN:
            raise KeyProblem(
                name, f"its passphrase has at least {PASSPHRASE_MIN} letters; choose a longer one"
            )
        encryption = BestAvailableEncryption(passphrase.encode())
    content = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise KeyProblem(name, f"cannot be written ({error})") from error
    return CryptoSigner(private)


def import_token_key(name: str, uri: str, ask: AskSecret) -> tuple[str, Key]:
    """Return a token's key as a URI by which it is found again, and its public half.

    Args:
        name: Of the key, for people.
        uri: `hsm:[SLOT][?label=LABEL]`.
        ask: Asks for the PIN where reading needs it.

    Raises:
        KeyProblem: There is no library, no token, or no such key on it.
    """
    slot, _, query = uri.removeprefix(HSM).partition("?")
    label = query.removeprefix("label=").replace("+", " ") or None
    try:
        found, key = HSMSigner.import_(int(slot) if slot else None, label, lambda _: ask(name, False))
    except UnsupportedLibraryError as error:
        raise KeyProblem(name, HSM_ADVICE) from error
    except Exception as error:
        raise KeyProblem(
            name, f"the token does not give it ({error or type(error).__name__}); {HSM_ADVICE}"
        ) from error
    return found, key


def open_signer(name: str, uri: str, public: Key, folders: list[Path], ask: AskSecret) -> Signer | None:
    """Return what signs with a key; None where its file, or its token's library, is not here.

    Args:
        name: Of the key, for people.
        uri: `file:NAME` or `hsm:...`.
        public: The key's public half.
        folders: Where to look for the file.
        ask: Asks for passphrase or PIN.

    Raises:
        KeyProblem: It is here and cannot be used.
    """
    if uri.startswith(HSM):
        return _token_signer(name, uri, public, ask)
    for folder in folders:
        path = folder / uri.removeprefix(FILE)
        try:
            return _file_signer(name, path, path.read_bytes(), public, ask)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise KeyProblem(
                name, f"{path} cannot be read ({error.strerror}): may you look there?"
            ) from error
    return None


def is_elsewhere(error: BaseException | None) -> bool:
    """Whether a token does not sign because it, or its library, is not here."""
    return isinstance(error, UnsupportedLibraryError) or (
        isinstance(error, ValueError) and ("PYKCS11LIB" in str(error) or "No PKCS#11 token" in str(error))
    )


def _file_signer(name: str, path: Path, content: bytes, public: Key, ask: AskSecret) -> Signer:
    try:
        passphrase = ask(name, False).encode() if b"ENCRYPTED" in content else None
        private = load_pem_private_key(content, passphrase)
        signer = CryptoSigner(private)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyProblem(
            name, f"{path} cannot be opened: the passphrase is wrong, or the file is damaged"
        ) from error
    if signer.public_key.keyid != public.keyid:
        raise KeyProblem(name, f"{path} holds another key; put the right file there")
    return signer


def _token_signer(name: str, uri: str, public: Key, ask: AskSecret) -> Signer | None:
    try:
        if not isinstance(public, SSlibKey):
            raise KeyProblem(name, "is of no kind that a token signs with")
        return HSMSigner.from_priv_key_uri(uri, public, lambda _: ask(name, False))
    except UnsupportedLibraryError:
        return None
    except ValueError as error:
        raise KeyProblem(name, f"{uri}: {error}") from error
