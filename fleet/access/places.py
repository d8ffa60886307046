"""Where somebody is known from: a network, and the mark that a log-in leaves in a browser. Pure.

The mark opens nothing. It comes from the hash that the database keeps of a session, so it is good as long as
that row is kept (30 days), also after log-out, and the session's own secret cannot be had from it.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable
from typing import Final

from fleet.access.secrets import hash_of

ADDRESS_CHARS: Final = 64
HOST_BITS: Final = 64
"""Of an IPv6 address: who has one has all 2^64 of that network (RFC 6177), so they count as one."""


def network_of(address: str) -> str:
    """Return what counts as one place: an IPv4 address, the /64 of an IPv6 one, or what is neither."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:ADDRESS_CHARS]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return f"{ipaddress.IPv6Address(int(found) >> HOST_BITS << HOST_BITS)}/{HOST_BITS}"


def mark_of(session_hash: str) -> str:
    """Return the mark that the log-in of this session leaves in its browser."""
    return hash_of(f"mark of {session_hash}")


def matching(mark: str, session_hashes: Iterable[str]) -> str:
    """Return which session left a mark; empty for none."""
    found = ""
    for one in session_hashes:
        if hmac.compare_digest(mark_of(one).encode(), mark.encode("utf-8", "replace")):
            found = one
    return found
