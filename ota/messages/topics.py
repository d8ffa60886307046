"""Topics under `pehra/v1/<device>/`: built and parsed here, nowhere else.

A `Topic` that exists is valid: a device id of `../` or `#` cannot be put into one. Filters for
subscriptions are made by `Topic.filter`; this module never publishes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from ota.errors import BadTopic
from ota.messages.fields import DEVICE_ID_PATTERN, NAME_PATTERN

ROOT = "pehra/v1"
MAX_TOPIC_CHARS = 200

_DEVICE = re.compile(DEVICE_ID_PATTERN)
_NAME = re.compile(NAME_PATTERN)


class Channel(StrEnum):
    """What a topic is for; the value is its word in the topic, `REPLY` aside."""

    STATUS = "status"
    INFO = "info"
    HEALTH = "health"
    EVENT = "event"
    COUNT = "count"
    ALARM = "alarm"
    OCCUPANCY = "occupancy"
    FRAME = "frame"
    UPDATE = "update"
    ACK = "ack"
    DESIRED = "desired"
    REPORTED = "reported"
    COMMAND = "command"
    REPLY = "reply"


_PLAIN = {
    Channel.STATUS,
    Channel.INFO,
    Channel.HEALTH,
    Channel.UPDATE,
    Channel.ACK,
    Channel.DESIRED,
    Channel.REPORTED,
}
_CAMERA_NAMED = {Channel.EVENT, Channel.COUNT, Channel.ALARM, Channel.OCCUPANCY}
_COMMANDS = {Channel.COMMAND, Channel.REPLY}

FROM_FLEET = frozenset({Channel.ACK, Channel.DESIRED, Channel.COMMAND})
"""Channels that only the fleet may write; all others are the device's own."""
DURABLE = frozenset({Channel.EVENT, Channel.COUNT})
"""Channels whose messages carry `seq`, wait in the outbox and are acknowledged."""
RETAINED = frozenset(
    {
        Channel.STATUS,
        Channel.INFO,
        Channel.HEALTH,
        Channel.ALARM,
        Channel.OCCUPANCY,
        Channel.UPDATE,
        Channel.DESIRED,
        Channel.REPORTED,
    }
)
AT_MOST_ONCE = frozenset({Channel.HEALTH, Channel.OCCUPANCY, Channel.FRAME})
"""Channels sent with QoS 0: the next message replaces a lost one."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of one device.

    Attributes:
        device: the device's id.
        channel: what the topic is for.
        camera: the camera's name; empty unless the channel belongs to a camera.
        name: kind of event or alarm, name of the rule or of the command; empty otherwise.

    Raises:
        BadTopic: a part is missing, not allowed, or does not belong to the channel.
    """

    device: str
    channel: Channel
    camera: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        if not _DEVICE.fullmatch(self.device):
            raise BadTopic(self.device, "a device id is 3 to 40 of a-z, 0-9 and '-', not starting with '-'")
        needs_camera = self.channel in _CAMERA_NAMED or self.channel is Channel.FRAME
        needs_name = self.channel in _CAMERA_NAMED or self.channel in _COMMANDS
        _check_part("camera", self.camera, needed=needs_camera)
        _check_part("name", self.name, needed=needs_name)

    def __str__(self) -> str:
        base = f"{ROOT}/{self.device}"
        if self.channel in _PLAIN:
            return f"{base}/{self.channel}"
        if self.channel is Channel.COMMAND:
            return f"{base}/command/{self.name}"
        if self.channel is Channel.REPLY:
            return f"{base}/command/{self.name}/reply"
        if self.channel is Channel.FRAME:
            return f"{base}/{self.camera}/frame"
        return f"{base}/{self.camera}/{self.channel}/{self.name}"

    @property
    def qos(self) -> int:
        """MQTT quality of service: 0 or 1."""
        return 0 if self.channel in AT_MOST_ONCE else 1

    @property
    def is_retained(self) -> bool:
        """Whether the broker keeps the last message for those who come later."""
        return self.channel in RETAINED

    @classmethod
    def parse(cls, text: str) -> Topic:
        """Read a topic as it came from the broker.

        Raises:
            BadTopic: it is none of ours.
        """
        if len(text) > MAX_TOPIC_CHARS or not text.startswith(ROOT + "/"):
            raise BadTopic(text, f"not under {ROOT}/")
        device, *rest = text[len(ROOT) + 1 :].split("/")
        match rest:
            case [word] if word in _PLAIN:
                return cls(device, Channel(word))
            case ["command", name]:
                return cls(device, Channel.COMMAND, name=name)
            case ["command", name, "reply"]:
                return cls(device, Channel.REPLY, name=name)
            case [camera, "frame"]:
                return cls(device, Channel.FRAME, camera)
            case [camera, word, name] if word in _CAMERA_NAMED:
                return cls(device, Channel(word), camera, name)
        raise BadTopic(text, "no such channel")

    @staticmethod
    def filter(channel: Channel, device: str = "+") -> str:
        """Return the subscription filter for a channel, of one device or (`+`) of all.

        Raises:
            BadTopic: `device` is neither `+` nor a device id.
        """
        if device != "+" and not _DEVICE.fullmatch(device):
            raise BadTopic(device, "a filter takes '+' or one device id")
        sample = Topic("any", channel, *_sample_parts(channel))
        tail = str(sample).removeprefix(f"{ROOT}/any/").replace("any-camera", "+").replace("any-name", "+")
        return f"{ROOT}/{device}/{tail}"


def _sample_parts(channel: Channel) -> tuple[str, str]:
    camera = "any-camera" if channel in _CAMERA_NAMED or channel is Channel.FRAME else ""
    name = "any-name" if channel in _CAMERA_NAMED or channel in _COMMANDS else ""
    return camera, name


def _check_part(part: str, value: str, *, needed: bool) -> None:
    if needed and not _NAME.fullmatch(value):
        raise BadTopic(value, f"a {part} is 1 to 40 of a-z, 0-9 and '-', not starting with '-'")
    if not needed and value:
        raise BadTopic(value, f"this channel has no {part}")
