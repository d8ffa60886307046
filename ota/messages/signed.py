"""The envelope in which a desired document travels to a device that a fleet has let in (DSSE).

Only its shape: what is in it is believed after `ota.trust.director` has opened it.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from ota.errors import BadMessage
from ota.messages.topics import Channel

PAYLOAD_TYPE: Final = "application/vnd.pehra.desired+json"
MAX_SIGNED_BYTES: Final = 192 * 1024
"""A document of `codec.MAX_DOCUMENT_BYTES` in base64, its signatures, and the roots that go with it."""
MAX_ROOTS: Final = 16

KeyId = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)", description="id of a key (TUF)")]
Base64 = Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]*={0,2}$(?!\n)")]


class DocumentSignature(msgspec.Struct, frozen=True):
    """One signature, over payload and payload type."""

    keyid: KeyId
    sig: Base64


class SignedDesired(msgspec.Struct, frozen=True, omit_defaults=True, rename={"payload_type": "payloadType"}):
    """A `Desired` in a DSSE envelope (secure-systems-lab/dsse), and the roots that lead to its key.

    Attributes:
        payload: the document, JSON.
        payload_type: what it is; part of what is signed.
        signatures: of the director's keys.
        roots: metadata of the director's roots after the first, in order, for devices that lack them.
    """

    payload: Base64
    payload_type: Literal["application/vnd.pehra.desired+json"]
    signatures: Annotated[list[DocumentSignature], Meta(min_length=1, max_length=8)]
    roots: Annotated[list[dict[str, Any]], Meta(max_length=MAX_ROOTS)] = []


_DECODER = msgspec.json.Decoder(SignedDesired)


def decode_signed(payload: bytes) -> SignedDesired:
    """Return the envelope of a message on `desired`; nothing of it is believed yet.

    Raises:
        BadMessage: too large, not JSON, or no envelope.
    """
    if len(payload) > MAX_SIGNED_BYTES:
        raise BadMessage(Channel.DESIRED, f"{len(payload)} bytes, more than {MAX_SIGNED_BYTES}")
    try:
        return _DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(Channel.DESIRED, f"not signed by the fleet's director ({error})") from error
