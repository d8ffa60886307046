"""Errors of the fleet, by who must act.

```
FleetError
├── SettingsError      operator: an argument or a variable of the environment is wrong
├── AddressInUse       operator: the port is taken
├── DatabaseUnusable   operator: the database cannot be opened or migrated
├── HomeUnusable       operator: the fleet's home folder lacks something, or cannot be written
├── BadAuthority       operator: an authority that is to be imported is not fit to be one
├── BadClaim           caller of the API: a claim whose terms make no sense
├── EnrolmentRefused   peer: a board that is not let in; `reason` says why in one word
├── DatabaseAway       the console: the database does not answer now
├── NotFound           caller of the API: no such device
├── BadQuery           caller of the API: a filter or a cursor makes no sense
├── BadOverlay         caller of the API: a configuration that no device could read
├── BadInput           caller of the API or the command line: a name, a role, a password makes no sense
├── NotLoggedIn        caller: log in, or show a token that is good
├── Forbidden          caller: no role of theirs has the permission
├── Conflict           caller: it would leave the fleet without an owner, or is there already
├── TooManyTries       caller: wait `retry_after_s` before the next log-in
├── Gone               caller of the API: an action that has ended
├── TooLarge           caller of the API: more than is taken
├── DiskRefuses        operator: the disk is full, or a folder cannot be written
├── NotWell            caller of the API: it answers, but does not do its work now
└── Refused            peer: a message that is kept out; `reason` is what it is counted under
```
"""

from __future__ import annotations

from pathlib import Path


class FleetError(Exception):
    """Something the fleet manager cannot go on with; the sentence says what to do."""


def first_line(error: BaseException) -> str:
    """Return one line that names an error, also one that comes without a word."""
    inner = getattr(error, "orig", None) or error
    return next((line.strip() for line in str(inner).splitlines() if line.strip()), type(inner).__name__)


class SettingsError(FleetError):
    """A setting is wrong; nothing was started."""


class AddressInUse(FleetError):
    """Somebody else listens there."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(
            f"cannot listen on {host}:{port} ({reason}): choose another address with --host or --port, "
            "or stop the program that holds it"
        )
        self.host = host
        self.port = port


class DatabaseUnusable(FleetError):
    """The database cannot be opened, or its tables cannot be brought up to date."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"the database {url} cannot be used: {reason}; check --db (the folder must exist and be writable)"
        )


class HomeUnusable(FleetError):
    """The fleet's home folder lacks something, or cannot be written."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(f"{folder}: {reason}")
        self.folder = folder


class BadAuthority(FleetError):
    """An authority that is to be imported is not fit to be one."""


class BadClaim(FleetError):
    """A claim whose terms make no sense."""


class EnrolmentRefused(FleetError):
    """A board is not let in, and asking again changes nothing.

    Attributes:
        reason: short word: `claim-unknown`, `claim-used`, `claim-expired`, `claim-site`, `claim-serial`,
            `csr`, `key-used`, `id-taken`, `refused`; of a renewal `foreign`, `revoked`, `expired`,
            `too-early`, `too-many`, `csr`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class DatabaseAway(FleetError):
    """The database does not answer now; it may in a moment."""


class NotFound(FleetError):
    """What was asked for is not there."""


class BadQuery(FleetError):
    """A filter, a page or a cursor that makes no sense."""


class BadOverlay(FleetError):
    """A configuration for a device that no device could read."""


class BadInput(FleetError):
    """A name, a role, a site or a password that makes no sense."""


class NotLoggedIn(FleetError):
    """Nobody we know: no session, no token, or one that has ended.

    Attributes:
        scheme: with which to come (`WWW-Authenticate`).
    """

    def __init__(self, detail: str, scheme: str = "Bearer") -> None:
        super().__init__(detail)
        self.scheme = scheme


class Forbidden(FleetError):
    """Somebody we know who may not do this."""


class Conflict(FleetError):
    """It cannot be done as things stand."""


class TooManyTries(FleetError):
    """Too many wrong log-ins.

    Attributes:
        retry_after_s: whole seconds until the next try is looked at.
    """

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many wrong log-ins: try again in {retry_after_s} seconds")
        self.retry_after_s = retry_after_s


class Gone(FleetError):
    """It was there and has ended; nothing can be said of it any more."""


class TooLarge(FleetError):
    """More than is taken."""


class DiskRefuses(FleetError):
    """The disk is full, or a folder cannot be written."""


class NotWell(FleetError):
    """The fleet manager answers, but a part of it does not do its work."""


class Refused(FleetError):
    """A message that is kept out.

    Attributes:
        reason: short word under which it is counted (`REASONS` in `fleet/reading.py`).
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
