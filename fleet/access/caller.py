"""Who asks, and what that one may do where: frozen values, no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from fleet.access.roles import FLEET_WIDE, ROLES, Permission, Role
from fleet.errors import BadInput, Forbidden
from fleet.queries.sites import EVERYWHERE, Sites

SITE_CHARS: Final = 200
Kind = Literal["session", "token", "local", "system"]


def lies_within(site: str, prefix: str) -> bool:
    """Whether a site is the prefix or lies below it; whole parts of the path count."""
    return not prefix or site == prefix or site.startswith(f"{prefix}/")


def site_prefix(text: str) -> str:
    """Return a beginning of site paths as it is kept: no slash at the ends, empty for everywhere.

    Raises:
        BadInput: too long, an empty part, or letters that no database holds.
    """
    prefix = text.strip().strip("/")
    if len(prefix) > SITE_CHARS or not prefix.isprintable() or any(not p.strip() for p in prefix.split("/")):
        if prefix == "" and len(text) <= SITE_CHARS:
            return ""
        raise BadInput(f"no site: a path such as lahore/gulberg, at most {SITE_CHARS} letters")
    return prefix


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """A role in a part of the tree of sites; an empty site is everywhere."""

    role: Role
    site: str = ""

    def __str__(self) -> str:
        return f"{self.role}@{self.site}" if self.site else str(self.role)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token leaves of its owner's permissions."""

    permissions: frozenset[Permission]
    sites: Sites = EVERYWHERE


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        name: as the audit log says it.
        kind: `session` (a browser that has logged in), `token`, `local` (a fleet without log-in), `system`.
        user_id: of the user; empty for `local` and `system`.
        grants: the user's roles and where they hold.
        scope: of a token; None leaves all.
        session: the stored hash of the log-in session; empty for others.
        address: where the request came from.
    """

    name: str
    kind: Kind
    user_id: str = ""
    grants: tuple[Grant, ...] = ()
    scope: Scope | None = None
    session: str = ""
    address: str = ""

    def sites(self, permission: Permission) -> Sites:
        """Return where a permission holds, without parts that lie within others."""
        found = {grant.site for grant in self.grants if permission in ROLES[grant.role]}
        if self.scope is not None:
            if permission not in self.scope.permissions:
                return ()
            found = {both for site in found for scoped in self.scope.sites for both in _meet(site, scoped)}
        if permission in FLEET_WIDE:
            return EVERYWHERE if "" in found else ()
        return tuple(
            sorted(site for site in found if not any(o != site and lies_within(site, o) for o in found))
        )

    def has(self, permission: Permission) -> bool:
        """Whether the permission holds anywhere."""
        return bool(self.sites(permission))

    def may(self, permission: Permission, site: str) -> bool:
        """Whether the permission holds at a site."""
        return any(lies_within(site, prefix) for prefix in self.sites(permission))

    def need(self, permission: Permission) -> None:
        """Refuse who does not have the permission anywhere.

        Raises:
            Forbidden: no role of the caller has it.
        """
        if not self.has(permission):
            raise Forbidden(f"{self.name} may not do this: it needs the permission {permission}")

    @property
    def sees_all(self) -> bool:
        """Whether the caller sees the devices of every site."""
        return "" in self.sites(Permission.SEE_DEVICES)

    @property
    def main_role(self) -> Role:
        """The role whose home page is shown: the one that can do most."""
        roles = {grant.role for grant in self.grants}
        return next((role for role in HOME_ORDER if role in roles), Role.VIEWER)


HOME_ORDER: Final = (
    Role.OWNER,
    Role.FLEET_ADMIN,
    Role.AUDITOR,
    Role.TECHNICIAN,
    Role.OPERATOR,
    Role.PILOT,
    Role.VIEWER,
)
LOCAL: Final = Caller("local", "local", grants=(Grant(Role.OWNER),))
"""Everybody on this machine, in a fleet without log-in."""

SYSTEM: Final = Caller("system", "system", grants=(Grant(Role.OWNER),))
"""The command line on the fleet's own machine."""


def _meet(one: str, other: str) -> Sites:
    """Return what two beginnings of paths have in common."""
    if lies_within(one, other):
        return (one,)
    return (other,) if lies_within(other, one) else ()
