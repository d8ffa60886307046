"""A fleet's identities in numbers: 1,000 renewals in one run, devices cut off, a long revocation list.

Everything is real: the fleet manager with a home on SQLite and Mosquitto as processes, mutual TLS.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

import numpy as np

from fleet.broker.run import find_mosquitto
from tests.bench.identity_ends import LIMIT_S, Endings, LongList, end_all, list_many
from tests.bench.identity_ground import running_ground
from tests.bench.identity_renewal import THREADS, Renewals, renew_all
from tests.bench.table import Row

RENEWALS: Final = 1000
DEVICES: Final = 20
ENTRIES: Final = 10_000


def measure(data: Path) -> list[Row]:
    """Renew, revoke, and write a long list; each row says how busy the machine was."""
    del data
    what = "identity: renewals, revocations, a long revocation list"
    if not find_mosquitto() or shutil.which("openssl") is None:
        return [Row(what, "not measured", "mosquitto or openssl is not installed")]
    with running_ground() as ground:
        ends = rows_of_endings(end_all(ground, DEVICES))
        renewals = rows_of_renewals(renew_all(ground, RENEWALS))
        return [*renewals, *ends, *rows_of_list(list_many(ground, ENTRIES))]


def rows_of_renewals(found: Renewals) -> list[Row]:
    """Return the rows of many renewals in one run."""
    number = len(found.each_ms)
    p50, p95 = np.percentile(found.each_ms, (50, 95))
    peer_ms = found.peer_s / number * 1000.0
    return [
        Row(
            f"{number} renewals over HTTPS with mutual TLS, {THREADS} at once, SQLite{_load()}",
            f"{found.whole_s:.1f} s, {number / found.whole_s:.0f} a second",
            f"two handshakes each with `openssl s_server`, ECDSA sign, verify: {found.peer_s:.1f} s",
            f"{found.whole_s / found.peer_s:.2f}",
        ),
        Row(
            "one of them, from the handshake with the old certificate to the old one's end, p50 / p95",
            f"{p50:.0f} / {p95:.0f} ms",
            f"the peer's, mean of {THREADS} at once: {peer_ms * THREADS:.0f} ms",
            f"{found.each_ms.mean() / (peer_ms * THREADS):.2f}",
        ),
        Row(
            "processor time of the fleet manager for one",
            f"{found.server_s / number * 1000:.1f} ms",
            f"of s_server, which signs no certificate: {found.peer_server_s / number * 1000:.1f} ms",
            f"{found.server_s / found.peer_server_s:.1f}" if found.peer_server_s else "",
        ),
        Row(
            "what became of them",
            f"{found.listed} old ones on the revocation list {found.listed_s:.1f} s after the last, "
            f"which was written {found.lists} times; "
            f"{found.taken} new and {found.old_taken} old taken by Mosquitto",
            f"wanted {number}, {number} and 0",
            "enough" if (found.listed, found.taken, found.old_taken) == (number, number, 0) else "MISSED",
        ),
    ]


def rows_of_endings(found: Endings) -> list[Row]:
    """Return the rows of devices that were revoked while they were connected."""
    number = len(found.closed_s)
    return [
        Row(
            f"{what}, {number} devices over TLS, p50 / max{load}",
            f"{np.median(taken):.1f} / {taken.max():.1f} s",
            f"limit {LIMIT_S:.0f} s{more}",
            f"{taken.max() / LIMIT_S:.2f}",
        )
        for what, taken, load, more in (
            (
                "from revocation to the closed connection at Mosquitto",
                found.closed_s,
                _load(),
                f"; {found.came_back} came back",
            ),
            ("from revocation to ingest's refusal", found.refused_s, "", ""),
        )
    ]


def rows_of_list(found: LongList) -> list[Row]:
    """Return the rows of a long revocation list."""
    return [
        Row(
            f"a revocation list of {found.entries} entries{_load()}",
            f"{found.size_bytes / 1024:.0f} KiB, {found.size_bytes / found.entries:.0f} bytes each",
        ),
        Row(
            "from the commit to the list, and from there to Mosquitto's first refusal",
            f"{found.listed_s:.1f} + {found.taken_s:.1f} s",
            f"limit {LIMIT_S:.0f} s",
            f"{(found.listed_s + found.taken_s) / LIMIT_S:.2f}",
        ),
        Row("reading, signing and writing it", f"{found.write_ms:.0f} ms"),
        Row(
            "the keeper's look, once a second, that finds nothing new",
            f"{found.look_ms:.0f} ms",
            "its second: 1000 ms",
            f"{found.look_ms / 1000:.2f}",
        ),
        Row(
            "one connection to Mosquitto with it, p50",
            f"{found.connect_ms:.1f} ms",
            f"before it: {found.connect_before_ms:.1f} ms",
            f"{found.connect_ms / found.connect_before_ms:.2f}",
        ),
    ]


def _load() -> str:
    return f" (load {os.getloadavg()[0]:.0f})"
