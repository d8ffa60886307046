"""What a fleet wants of a device: a configuration, and releases to install; around it goes a signature."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ota.messages.fields import MAX_SEQ, DeviceId, MessageId, Name, Seq, ShortText, Timestamp
from ota.messages.structs import Message

MAX_OVERLAY_BYTES = 48 * 1024
"""Of an overlay's text: leaves room for the document around it in one message."""
MAX_OVERLAY_LINES = 2000


class Target(msgspec.Struct, frozen=True, omit_defaults=True):
    """One release that a device should install (UPDATES.md).

    Attributes:
        path: in the image repository.
        custom: what is signed about it there; equal word for word, or the device refuses it.
        action: of this target, where several of them belong to different ones; the document's where absent.
        window: when it may be switched to, in the site's timezone; the document's where absent.
    """

    path: ShortText
    length: Annotated[int, Meta(ge=1, le=MAX_SEQ)]
    hashes: dict[Name, Annotated[str, Meta(max_length=128)]]
    custom: dict[str, Any] = {}
    action: MessageId | None = None
    window: ShortText | None = None


class Desired(Message, frozen=True, kw_only=True):
    """The director's document for one device (UPDATES.md); its signature travels around it (`signed.py`).

    Attributes:
        seq: rises with every document that says something new.
        config: SHA-256 of the overlay that is wanted, hexadecimal; empty says nothing about configuration.
        overlay: the lines of that overlay, TOML, joined by line feeds (docs/remote.md).
    """

    device: DeviceId
    action: MessageId
    seq: Seq
    expires: Timestamp
    targets: Annotated[list[Target], Meta(max_length=8)] = msgspec.field(default_factory=list)
    window: ShortText = ""
    deadline: Timestamp | None = None
    config: ShortText = ""
    overlay: Annotated[list[ShortText], Meta(max_length=MAX_OVERLAY_LINES)] = msgspec.field(
        default_factory=list
    )
