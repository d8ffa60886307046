"""Errors of what crosses the air; the peer's fault, never the operator's.

```
WireError
├── BadTopic       the topic is none of ours, or a part of it is not allowed
└── BadMessage     the payload is not JSON, not of the schema, or too large
```
"""

from __future__ import annotations


class WireError(Exception):
    """Something that crossed the air is not what WIRE.md says."""


class BadTopic(WireError):
    """A topic outside `pehra/v1`, or with a part that is not allowed."""

    def __init__(self, topic: str, reason: str) -> None:
        super().__init__(f"topic {topic[:120]!r}: {reason}")
        self.topic = topic
        self.reason = reason


class BadMessage(WireError):
    """A payload that does not decode; `reason` names the field where there is one."""

    def __init__(self, channel: str, reason: str) -> None:
        super().__init__(f"{channel} message: {reason}")
        self.channel = channel
        self.reason = reason
