"""Errors of what crosses the air and of the trust in it, split by who must act.

```
WireError                  the peer: what it said cannot be read
├── BadTopic               the topic is none of ours, or a part of it is not allowed
├── BadMessage             the payload is not JSON, not of the schema, or too large
└── BadWindow              a maintenance window that cannot be read
TrustError                 releases and the trust in them
├── SigningProblem         the operator, at the image repository
│   ├── KeyProblem         a key is not there, its passphrase is wrong, a token does not answer
│   └── BadRelease         what is to be released cannot be: no folder, a name that is taken, ...
├── Untrusted              the peer: what was served is not what was signed; never retried into success
│   ├── RolledBack         older than what was trusted before
│   ├── OutOfDate          its signatures have expired: freeze attack, sleeping repository, or our clock
│   └── WrongContent       length or hash is not the signed one
├── SourceAway             the environment: server or stick does not answer; try again later
│   ├── NotThere           it answers, and has no such file
│   └── TooSlow            it sends, but so slowly that it might go on for ever
└── FolderProblem          the environment: our own disk is full, damaged or in use
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


class BadWindow(WireError):
    """A maintenance window that cannot be read; the sentence says how one is written."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"window: {reason}")
        self.reason = reason


class TrustError(Exception):
    """A release cannot be made, found or trusted."""


class SigningProblem(TrustError):
    """The operator of the image repository must do something."""


class KeyProblem(SigningProblem):
    """A signing key cannot be used; `key` is its name."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"key {key}: {reason}")
        self.key = key
        self.reason = reason


class BadRelease(SigningProblem):
    """What is to be released, or the folder to release it from, is not fit for it."""


class Untrusted(TrustError):
    """What was served does not stand the check of its signatures."""


class RolledBack(Untrusted):
    """A role's metadata is older than what was trusted before; `role` names it."""

    def __init__(self, role: str, served: int, floor: int) -> None:
        super().__init__(
            f"{role} has version {served}, but version {floor} was trusted before: the source is old or an "
            "attacker's; use another source, or wait until this one is up to date"
        )
        self.role = role
        self.served = served
        self.floor = floor


class OutOfDate(Untrusted):
    """Signed well, but not valid any more by our clock."""


class WrongContent(Untrusted):
    """A file has not the length or hash that was signed; `path` names it."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class SourceAway(TrustError):
    """The server or the stick does not answer now."""


class NotThere(SourceAway):
    """The source answers, and has no such file; `status` is what HTTP would say."""

    def __init__(self, where: str, status: int = 404) -> None:
        super().__init__(f"{where}: not there (HTTP {status})")
        self.where = where
        self.status = status


class TooSlow(SourceAway):
    """The source sends so slowly that it might go on for ever."""


class FolderProblem(TrustError):
    """Our own folder cannot be read or written: the disk is full, damaged, or another process uses it."""
