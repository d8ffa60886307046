"""What can go wrong on a device, split by who must act.

Each error carries its facts as fields and says in its sentence what to do next. This module never
catches, logs or retries anything.

::

    PehraDeviceError
    ├── ConfigError        the operator: a key of the configuration is wrong
    ├── ModelUnavailable   the operator: there is no such model, or this file is not one
    ├── ModelRefused       the operator: a sound model that this device will not run
    ├── StateUnavailable   the environment: the state folder cannot be written, or another Pehra uses it
    ├── FirmwareUnusable   the peer or the environment: a release does not become a firmware that starts here
    ├── NetworkRefused     the environment: no network manager, or it could not join
    ├── FleetAway          the environment: the fleet does not answer now; asked again later
    ├── NotOurFleet        the peer: whoever answers is not the fleet that this board belongs to
    ├── EnrolRefused       the peer: the fleet does not let this board in, for good
    ├── UpdateRefused      the peer: a release that does not stand its check; not again on this device
    │   └── UpdateUnsuited     a release that this device does not take as it is configured or told now
    ├── UpdateHindered     the environment: an update cannot go on now; tried again later
    └── PartDied           us: a part of the daemon ended or hung; the service manager starts it again
"""

from __future__ import annotations

from pathlib import Path


class PehraDeviceError(Exception):
    """The base of everything that the `device` room raises on purpose."""


class ConfigError(PehraDeviceError):
    """A configuration file is not what it must be.

    Args:
        file: The configuration file, or None when the value came from elsewhere (environment, command line).
        line: Line in that file, from 1, or None where it is not known.
        path: Dotted path of the key, such as ``camera.fps``; empty for the file as a whole.
        reason: What is wrong and what would be right.
    """

    def __init__(self, file: Path | str | None, line: int | None, path: str, reason: str) -> None:
        self.file = file
        self.line = line
        self.path = path
        self.reason = reason
        where = "" if file is None else f"{file}:{line}: " if line is not None else f"{file}: "
        super().__init__(f"{where}{path}: {reason}" if path else f"{where}{reason}")


class _ModelError(PehraDeviceError):
    """A model, the reason, and the way out."""

    def __init__(self, path: Path | str, reason: str, what_to_do: str) -> None:
        self.path = path
        self.reason = reason
        self.what_to_do = what_to_do
        super().__init__(f"model {path}: {reason}; {what_to_do}")


class ModelUnavailable(_ModelError):
    """There is no such model, or the file is not a detector that can be run.

    Args:
        path: The model as it was asked for.
        reason: What is wrong with it.
        what_to_do: The next step of the person who reads this.
    """


class ModelRefused(_ModelError):
    """The model is sound, but a device will not run it (a float model, for example).

    Args:
        path: The model as it was asked for.
        reason: Why it is refused.
        what_to_do: The next step of the person who reads this.
    """


class StateUnavailable(PehraDeviceError):
    """The folder that holds the state cannot be used.

    Args:
        path: The file or folder that could not be opened.
        reason: What the system said, and what to do about it.
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class FirmwareUnusable(PehraDeviceError):
    """A release did not become a firmware that starts on this board; what runs now is as it was.

    Args:
        reason: Why, with the last words of what failed.
        what_to_do: The next step of the person who reads this.
        is_final: True: the release itself is at fault, and trying it again here changes nothing. False: the
            board is (no room, no time, told to stop); it may be tried again.
    """

    def __init__(self, reason: str, what_to_do: str, *, is_final: bool) -> None:
        self.reason = reason
        self.what_to_do = what_to_do
        self.is_final = is_final
        super().__init__(f"{reason}; {what_to_do}")


class NetworkRefused(PehraDeviceError):
    """The board did not join a network.

    Args:
        reason: Why, as far as the network manager said.
        what_to_do: The next step of the person who reads this.
    """

    def __init__(self, reason: str, what_to_do: str) -> None:
        self.reason = reason
        self.what_to_do = what_to_do
        super().__init__(f"{reason}; {what_to_do}")


class FleetAway(PehraDeviceError):
    """The fleet does not answer now, or not well; asking again later may help."""


class NotOurFleet(PehraDeviceError):
    """Whoever answers is not the fleet of the ticket or of the identity: nothing secret was said."""


class EnrolRefused(PehraDeviceError):
    """The fleet does not let this board in; asking again with the same ticket changes nothing.

    Args:
        reason: One word, as the fleet says it.
        detail: Why, and what to do.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{detail} ({reason})")


class UpdateRefused(PehraDeviceError):
    """A release does not stand its check; the same again is not tried again.

    Args:
        reason: Why, for people; at most 200 characters of it cross the air.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class UpdateUnsuited(UpdateRefused):
    """A release may be sound, but is not for this device as it is configured, or as it was told of now."""


class UpdateHindered(PehraDeviceError):
    """An update cannot go on now: no source, no room, no trust yet; tried again later.

    Args:
        reason: What is missing, for people.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class PartDied(PehraDeviceError):
    """A part of the daemon ended or hung and cannot be helped; only a fresh start helps.

    Args:
        name: The part.
        reason: Why, as far as it could say.
    """

    def __init__(self, name: str, reason: str = "") -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"the part {name!r} is lost: {reason or 'it ended by itself'}; see the lines above")
