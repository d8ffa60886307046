"""The roles and what each may do: one table, no I/O.

A role is given together with a part of the tree of sites (`Grant` in `caller.py`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from fleet.errors import BadInput


class Permission(StrEnum):
    """One thing that somebody may or may not do."""

    SEE_DEVICES = "see-devices"
    SEE_EVENTS = "see-events"
    SEE_LIVE = "see-live"
    SEE_STATS = "see-stats"
    SEE_CONFIG = "see-config"
    CHANGE_CONFIG = "change-config"
    SEND_COMMANDS = "send-commands"
    MAKE_CLAIMS = "make-claims"
    APPROVE_ENROLMENT = "approve-enrolment"
    REPLACE_DEVICE = "replace-device"
    REVOKE_DEVICE = "revoke-device"
    DECOMMISSION_DEVICE = "decommission-device"
    MANAGE_FLEET_IDENTITY = "manage-fleet-identity"
    MANAGE_ROLLOUTS = "manage-rollouts"
    APPROVE_ROLLOUTS = "approve-rollouts"
    PLAN_MISSIONS = "plan-missions"
    SEE_AUDIT = "see-audit"
    MANAGE_USERS = "manage-users"
    MANAGE_TOKENS = "manage-tokens"


class Role(StrEnum):
    """What somebody is to this fleet."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    TECHNICIAN = "technician"
    PILOT = "pilot"
    FLEET_ADMIN = "fleet-admin"
    AUDITOR = "auditor"
    OWNER = "owner"


MEANINGS: Final = {
    Permission.SEE_DEVICES: "devices, their health and their alarms",
    Permission.SEE_EVENTS: "events and counts",
    Permission.SEE_LIVE: "the live view (boxes, never a picture)",
    Permission.SEE_STATS: "the fleet in numbers",
    Permission.SEE_CONFIG: "what is wanted of a device's configuration",
    Permission.CHANGE_CONFIG: "want another configuration of a device",
    Permission.SEND_COMMANDS: "commands to a device (identify, restart, ...)",
    Permission.MAKE_CLAIMS: "tickets with which new devices enrol",
    Permission.APPROVE_ENROLMENT: "let in a device that waits for approval",
    Permission.REPLACE_DEVICE: "put a new device in the place of a broken one",
    Permission.REVOKE_DEVICE: "shut a device out",
    Permission.DECOMMISSION_DEVICE: "take a device out of service and wipe it",
    Permission.MANAGE_FLEET_IDENTITY: "the fleet's own authorities and certificates",
    Permission.MANAGE_ROLLOUTS: "releases, and rollouts of them: make, pause, abort, revert",
    Permission.APPROVE_ROLLOUTS: "let a rollout begin that somebody else has made",
    Permission.PLAN_MISSIONS: "patrol plans and flights",
    Permission.SEE_AUDIT: "the audit log",
    Permission.MANAGE_USERS: "users, their roles, passwords and locks",
    Permission.MANAGE_TOKENS: "one's own API tokens",
}
FLEET_WIDE: Final = frozenset(
    {
        Permission.MANAGE_FLEET_IDENTITY,
        Permission.MANAGE_ROLLOUTS,
        Permission.APPROVE_ROLLOUTS,
        Permission.SEE_AUDIT,
        Permission.MANAGE_USERS,
    }
)
"""What concerns the whole fleet: a grant for a part of the sites does not give it."""

_LOOKS: Final = frozenset(
    {Permission.SEE_DEVICES, Permission.SEE_EVENTS, Permission.SEE_STATS, Permission.MANAGE_TOKENS}
)
_WATCHES: Final = _LOOKS | {Permission.SEE_LIVE}
_INSTALLS: Final = _WATCHES | {
    Permission.SEE_CONFIG,
    Permission.CHANGE_CONFIG,
    Permission.SEND_COMMANDS,
    Permission.MAKE_CLAIMS,
    Permission.REPLACE_DEVICE,
}
ROLES: Final[dict[Role, frozenset[Permission]]] = {
    Role.VIEWER: _LOOKS,
    Role.OPERATOR: _WATCHES,
    Role.TECHNICIAN: _INSTALLS,
    Role.PILOT: _WATCHES | {Permission.PLAN_MISSIONS},
    Role.FLEET_ADMIN: _INSTALLS
    | {
        Permission.APPROVE_ENROLMENT,
        Permission.REVOKE_DEVICE,
        Permission.DECOMMISSION_DEVICE,
        Permission.MANAGE_FLEET_IDENTITY,
        Permission.MANAGE_ROLLOUTS,
        Permission.APPROVE_ROLLOUTS,
    },
    Role.AUDITOR: _LOOKS | {Permission.SEE_CONFIG, Permission.SEE_AUDIT},
    Role.OWNER: frozenset(Permission),
}


def role_of(word: str) -> Role:
    """Return the role that a word names.

    Raises:
        BadInput: there is none of that name.
    """
    try:
        return Role(word)
    except ValueError as error:
        raise BadInput(f"no role {word[:40]!r}: choose one of {', '.join(Role)}") from error


def permission_of(word: str) -> Permission:
    """Return the permission that a word names.

    Raises:
        BadInput: there is none of that name.
    """
    try:
        return Permission(word)
    except ValueError as error:
        raise BadInput(f"no permission {word[:40]!r}: choose among {', '.join(Permission)}") from error
