"""Bytes to struct and back; refuses what is too large before it reads it.

Which struct belongs to which channel is the one table here. Never raises anything but `BadMessage`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ota.errors import BadMessage
from ota.messages import structs
from ota.messages.desired import Desired
from ota.messages.signed import SignedDesired
from ota.messages.structs import Message
from ota.messages.topics import Channel

MAX_MESSAGE_BYTES: Final = 64 * 1024
"""An event is under 350 bytes; a live frame of 300 boxes about 30 kB. More is hostile or broken."""
MAX_DOCUMENT_BYTES: Final = 96 * 1024
"""Of a desired document: its overlay within the limit of all messages, and room for its targets."""

STRUCTS: Final[dict[Channel, type[Message]]] = {
    Channel.STATUS: structs.Status,
    Channel.INFO: structs.Info,
    Channel.HEALTH: structs.Health,
    Channel.EVENT: structs.Event,
    Channel.COUNT: structs.Count,
    Channel.ALARM: structs.Alarm,
    Channel.OCCUPANCY: structs.Occupancy,
    Channel.FRAME: structs.LiveFrame,
    Channel.UPDATE: structs.Update,
    Channel.ACK: structs.Ack,
    Channel.DESIRED: Desired,
    Channel.REPORTED: structs.Reported,
    Channel.COMMAND: structs.Command,
    Channel.REPLY: structs.Reply,
}

_ENCODER = msgspec.json.Encoder()
_DECODERS = {channel: msgspec.json.Decoder(struct) for channel, struct in STRUCTS.items()}


def encode(message: Message | SignedDesired) -> bytes:
    """Return the message as UTF-8 JSON."""
    return _ENCODER.encode(message)


def decode(channel: Channel, payload: bytes) -> Message:
    """Return the message of a channel.

    Raises:
        BadMessage: too large, not JSON, or not of the channel's schema.
    """
    most = MAX_DOCUMENT_BYTES if channel is Channel.DESIRED else MAX_MESSAGE_BYTES
    if len(payload) > most:
        raise BadMessage(channel, f"{len(payload)} bytes, more than {most}")
    try:
        return _DECODERS[channel].decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(channel, str(error)) from error
