"""Which device a caller may reach: what he must not know of is not there, what he must not do is refused."""

from __future__ import annotations

from sqlmodel import Session

from fleet.access.caller import Caller
from fleet.access.roles import Permission
from fleet.errors import Forbidden, NotFound
from fleet.queries.devices import get_device
from fleet.store.tables import Device


def reach_device(session: Session, caller: Caller, permission: Permission, device: str) -> Device:
    """Return a device for something that needs a permission at its site.

    Raises:
        NotFound: no message of it has ever come, or its site is none of the caller's.
        Forbidden: the caller sees it, but may not do this there.
    """
    found = get_device(session, device)
    check_site(caller, permission, found.site, f"no device {device!r} has reported to this fleet")
    return found


def check_site(caller: Caller, permission: Permission, site: str, not_there: str) -> None:
    """Refuse what the caller may not do at a site.

    Args:
        caller: who asks.
        permission: what it needs.
        site: where.
        not_there: the sentence for a caller who sees nothing at that site.

    Raises:
        NotFound: the caller sees no devices there.
        Forbidden: he does, but has no permission for this there.
    """
    if not caller.may(Permission.SEE_DEVICES, site):
        raise NotFound(f"{not_there}: see /api/v1/devices for those that have")
    if not caller.may(permission, site):
        raise Forbidden(f"{caller.name} may not do this at {site or 'a device without site'}: {permission}")


def need_at(caller: Caller, permission: Permission, site: str) -> None:
    """Refuse what the caller may not do at a site that he has named himself.

    Raises:
        Forbidden: he has no permission for this there.
    """
    if not caller.may(permission, site):
        where = f"at {site}" if site else "for every site: name one of yours"
        raise Forbidden(f"{caller.name} may not do this {where} ({permission})")
