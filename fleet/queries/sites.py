"""The part of the tree of sites that somebody sees, as a condition of a query."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, false, func, or_
from sqlmodel import col, select

from fleet.store.tables import Device

Sites = tuple[str, ...]
"""Beginnings of site paths; `("",)` is everywhere, `()` nowhere."""

EVERYWHERE: Final[Sites] = ("",)


def at_sites(sites: Sites, of: str = Device.site) -> list[ColumnElement[bool]]:
    """Return the conditions that leave rows at these sites and below; none for everywhere.

    Args:
        sites: beginnings of site paths.
        of: the attribute of a table that holds the site; of devices if not said.
    """
    if "" in sites:
        return []
    site = col(of)
    # Not LIKE: in SQLite it takes small and capital letters for the same.
    below = [or_(site == one, func.substr(site, 1, len(one) + 1) == f"{one}/") for one in sites]
    return [or_(false(), *below)]


def of_devices_at(device: str, sites: Sites) -> list[ColumnElement[bool]]:
    """Return the conditions that leave rows of devices at these sites.

    Args:
        device: the attribute of a table that holds the device's id.
        sites: beginnings of site paths.
    """
    if "" in sites:
        return []
    return [col(device).in_(select(Device.id).where(*at_sites(sites)))]
