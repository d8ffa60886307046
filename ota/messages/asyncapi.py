"""Writes the AsyncAPI 3 description of all topics and messages from the structs themselves.

`python -m ota.messages.asyncapi` prints it; `docs/asyncapi.yaml` holds it and a test keeps both alike.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

import msgspec
import yaml

from ota.messages.codec import MAX_MESSAGE_BYTES, STRUCTS
from ota.messages.signed import MAX_SIGNED_BYTES, PAYLOAD_TYPE, SignedDesired
from ota.messages.topics import DURABLE, FROM_FLEET, ROOT, Channel, Topic

_PURPOSE = {
    Channel.STATUS: "whether the device lives; also its will",
    Channel.INFO: "birth certificate",
    Channel.HEALTH: "how the device is, every 20 s and on change",
    Channel.EVENT: "a rule that came true",
    Channel.COUNT: "a closed time bucket",
    Channel.ALARM: "a condition that stands; zero bytes clear it",
    Channel.OCCUPANCY: "how many are in a zone now",
    Channel.FRAME: "boxes of the live view without pixels, while a lease lasts",
    Channel.UPDATE: "progress of the current action",
    Channel.ACK: "ranges of seq that are durably stored",
    Channel.DESIRED: "what the device should run",
    Channel.REPORTED: "what the device runs",
    Channel.COMMAND: "a request with a deadline",
    Channel.REPLY: "the answer to a command",
}


def asyncapi_yaml() -> str:
    """Return the document as YAML, the same for the same structs."""
    return yaml.safe_dump(_document(), sort_keys=False, allow_unicode=True, width=110)


def _document() -> dict[str, Any]:
    structs = [*STRUCTS.values(), SignedDesired]
    _, components = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Pehra on the air",
            "version": version("pehra"),
            "description": f"MQTT 3.1.1, JSON (UTF-8), at most {MAX_MESSAGE_BYTES} bytes a message, "
            f"{MAX_SIGNED_BYTES} for a signed desired document. "
            "Only metadata: no message has a field that could carry a picture.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {channel.value: _channel(channel) for channel in Channel},
        "operations": {_operation_name(channel): _operation(channel) for channel in Channel},
        "components": {
            "messages": {
                channel.value: {
                    "payload": {"$ref": f"#/components/schemas/{struct.__name__}"},
                    "summary": _PURPOSE[channel],
                }
                for channel, struct in STRUCTS.items()
            }
            | {_SIGNED: _signed_message()},
            "schemas": {name: components[name] for name in sorted(components)},
        },
    }


_SIGNED = "desired-signed"


def _signed_message() -> dict[str, Any]:
    return {
        "payload": {"$ref": f"#/components/schemas/{SignedDesired.__name__}"},
        "summary": "the document in a DSSE envelope, for devices that a fleet has let in, their only one; "
        f"its payload is a `Desired` in base64 ({PAYLOAD_TYPE})",
    }


def _channel(channel: Channel) -> dict[str, Any]:
    address = Topic.filter(channel).removeprefix(f"{ROOT}/+/")
    for name in ("{camera}", "{name}") if channel not in {Channel.COMMAND, Channel.REPLY} else ("{name}",):
        address = address.replace("+", name, 1)
    parameters = [word for word in ("device", "camera", "name") if f"{{{word}}}" in f"{{device}}/{address}"]
    return {
        "address": f"{ROOT}/{{device}}/{address}",
        "description": _PURPOSE[channel],
        "parameters": {word: {} for word in parameters},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _messages(channel)},
    }


def _messages(channel: Channel) -> list[str]:
    return [channel.value, *([_SIGNED] if channel is Channel.DESIRED else [])]


def _operation_name(channel: Channel) -> str:
    return f"{'fleet' if channel in FROM_FLEET else 'device'}-says-{channel.value}"


def _operation(channel: Channel) -> dict[str, Any]:
    sample = next(
        topic
        for topic in (_sample(channel, camera, name) for camera in ("", "c") for name in ("", "n"))
        if topic
    )
    notes = ["durable: repeated until acknowledged"] if channel in DURABLE else []
    return {
        "action": "receive" if channel in FROM_FLEET else "send",
        "channel": {"$ref": f"#/channels/{channel.value}"},
        **({"description": "; ".join(notes)} if notes else {}),
        "bindings": {"mqtt": {"qos": sample.qos, "retain": sample.is_retained}},
    }


def _sample(channel: Channel, camera: str, name: str) -> Topic | None:
    from ota.errors import BadTopic

    try:
        return Topic("device", channel, camera, name)
    except BadTopic:
        return None


if __name__ == "__main__":
    sys.stdout.write(asyncapi_yaml())
