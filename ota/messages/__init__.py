"""Topics and messages between a device and its fleet (MQTT 3.1.1, JSON).

Open `topics.py` first (who may say what where), then `structs.py` and `desired.py` (what is said), then
`codec.py` (bytes to struct and back). `asyncapi.py` writes the public description from these structs.
Nothing here opens a socket or reads a clock.
"""

from ota.messages.codec import MAX_DOCUMENT_BYTES, MAX_MESSAGE_BYTES, decode, encode
from ota.messages.desired import Desired, Target
from ota.messages.fields import format_ts, new_id, parse_ts
from ota.messages.signed import SignedDesired, decode_signed
from ota.messages.structs import (
    Ack,
    Alarm,
    BoxedObject,
    CameraInfo,
    CardInfo,
    Command,
    Count,
    Event,
    Health,
    Info,
    LiveFrame,
    Message,
    ModelInfo,
    Occupancy,
    Reply,
    Reported,
    ReportedError,
    RuleInfo,
    Status,
    Update,
)
from ota.messages.topics import ROOT, Channel, Topic

__all__ = [
    "MAX_DOCUMENT_BYTES",
    "MAX_MESSAGE_BYTES",
    "ROOT",
    "Ack",
    "Alarm",
    "BoxedObject",
    "CameraInfo",
    "CardInfo",
    "Channel",
    "Command",
    "Count",
    "Desired",
    "Event",
    "Health",
    "Info",
    "LiveFrame",
    "Message",
    "ModelInfo",
    "Occupancy",
    "Reply",
    "Reported",
    "ReportedError",
    "RuleInfo",
    "SignedDesired",
    "Status",
    "Target",
    "Topic",
    "Update",
    "decode",
    "decode_signed",
    "encode",
    "format_ts",
    "new_id",
    "parse_ts",
]
