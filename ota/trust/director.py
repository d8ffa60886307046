"""Whom a device believes when it is told what to run: the director's roots, and the envelope of a document.

The director's key hangs from a root of its own (TUF's root metadata, of which only the roles `root` and
`targets` are used: who may sign the next root, and who signs documents). Pure: no file, no clock. Signs
nothing: that is `fleet.director`.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from datetime import datetime
from typing import Any, Final, cast

import msgspec
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnverifiedSignatureError
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Key, Metadata, Root, Targets
from tuf.api.serialization.json import JSONDeserializer

from ota.errors import OutOfDate, Untrusted
from ota.messages import Channel, Desired, SignedDesired, decode

DIRECTOR: Final = Targets.type
"""The role of a director's root whose keys sign documents."""
MAX_ROOT_BYTES: Final = 32_768
datetime.strptime("2026", "%Y")  # imports what reading a root needs, while there still are rights to do so

DirectorRoot = Metadata[Root]


def read_root(content: bytes, whose: str = "director's") -> DirectorRoot:
    """Return a root that its own keys have signed: the one that a device begins with, or has kept.

    Raises:
        Untrusted: it is none.
    """
    if len(content) > MAX_ROOT_BYTES:
        raise Untrusted(f"{whose} root: {len(content)} bytes, more than {MAX_ROOT_BYTES}")
    try:
        root = _as_root(Metadata.from_bytes(content, JSONDeserializer()))
        _check_signatures(root, by=root)
    except (RepositoryError, ValueError, RecursionError) as error:
        raise Untrusted(f"{whose} root: {error}") from error
    return root


def follow_roots(trusted: DirectorRoot, newer: Iterable[dict[str, Any]]) -> DirectorRoot:
    """Return the newest root to which a chain leads; roots that are known already are passed over.

    Each must be the next one, signed by the keys of the root before it and by its own (TUF 1.0, section 5.3).

    Raises:
        Untrusted: a link of the chain does not hold.
    """
    for one in newer:
        root = _from_dict(one)
        if root.signed.version <= trusted.signed.version:
            continue
        if root.signed.version != trusted.signed.version + 1:
            raise Untrusted(
                f"director's root {root.signed.version}: the one after {trusted.signed.version} is missing"
            )
        if len(root.to_bytes()) > MAX_ROOT_BYTES:
            raise Untrusted(f"director's root {root.signed.version}: more than {MAX_ROOT_BYTES} bytes")
        try:
            _check_signatures(root, by=trusted)
            _check_signatures(root, by=root)
        except (RepositoryError, ValueError) as error:
            raise Untrusted(f"director's root {root.signed.version}: {error}") from error
        trusted = root
    return trusted


def check_root(root: DirectorRoot, now: datetime) -> None:
    """Refuse a root that holds no longer.

    Raises:
        OutOfDate: nobody has renewed it in time.
    """
    if root.signed.is_expired(now):
        raise OutOfDate(
            f"the director's root {root.signed.version} held until {root.signed.expires:%Y-%m-%d %H:%M} UTC: "
            "nothing new is taken until the fleet renews it (pehra fleet director rotate)"
        )


def open_document(signed: SignedDesired, root: DirectorRoot) -> Desired:
    """Return the document of an envelope that the director of a root has signed.

    Raises:
        Untrusted: somebody else has, or nobody.
        BadMessage: it is no document.
    """
    try:
        role = root.signed.roles[DIRECTOR]
        keys: list[Key] = [root.signed.keys[keyid] for keyid in role.keyids]
        envelope = Envelope.from_dict(msgspec.to_builtins(signed))
        envelope.verify(keys, role.threshold)
    except (UnverifiedSignatureError, ValueError, KeyError) as error:
        raise Untrusted(f"not signed by the fleet's director ({error})") from error
    document = decode(Channel.DESIRED, envelope.payload)
    assert isinstance(document, Desired)
    return document


def check_chain(chain: Iterable[bytes]) -> DirectorRoot:
    """Return the newest root of a chain that begins with one that is to be trusted.

    Raises:
        Untrusted: there is none, or a link does not hold.
    """
    roots = list(chain)
    if not roots:
        raise Untrusted("director's root: there is none")
    try:
        newer = [msgspec.json.decode(content, type=dict[str, Any]) for content in roots[1:]]
    except msgspec.DecodeError as error:
        raise Untrusted(f"director's root: {error}") from error
    return follow_roots(read_root(roots[0]), newer)


def _check_signatures(root: DirectorRoot, by: DirectorRoot) -> None:
    by.signed.verify_delegate(Root.type, root.signed_bytes, root.signatures)


def _from_dict(one: dict[str, Any]) -> DirectorRoot:
    try:
        return _as_root(Metadata.from_dict(deepcopy(one)))  # it takes apart what it is given
    except (RepositoryError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Untrusted(f"director's root: cannot be read ({error})") from error


def _as_root(metadata: Metadata[Any]) -> DirectorRoot:
    if not isinstance(metadata.signed, Root):
        raise Untrusted(f"director's root: it is metadata of {metadata.signed.type}")
    return cast(DirectorRoot, metadata)
