"""All devices of a fleet renew in one run, beside the same TLS and ECDSA without a fleet.

A renewal is what a board does: a handshake with the old certificate and `/enrol/renew`, a handshake with the
new one and `/enrol/confirm`. The peer is `openssl s_server`, which only answers, and of ECDSA P-256 one
signature and one check, which is what the certificate and its request cost.
"""

from __future__ import annotations

import http.client
import os
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from device.firmware.fleet_https import post, trusting
from device.firmware.identity import check_answer, signing_request
from fleet.identity.authority import new_key
from fleet.identity.home import key_pem
from ota.enrolment import EnrolAnswer, RenewRequest
from tests.bench.identity_ground import LONG_AGO, START_S, Ground, Member
from tests.brokers import free_port, is_open, wait_until

THREADS: Final = 4
LIST_S: Final = 60.0
WORDS: Final = b"x" * 400
"""As long as what is signed of a certificate."""
One = TypeVar("One")


@dataclass(frozen=True, slots=True)
class Renewals:
    """What many renewals took, and what became of the certificates.

    Attributes:
        whole_s: all of them.
        each_ms: each of them.
        server_s: processor time of the fleet manager for all of them.
        peer_s: the same number of handshakes and signatures without a fleet.
        peer_server_s: processor time of `openssl s_server` for them.
        listed_s: from the last confirmation until all old ones stood on the revocation list.
        lists: how often it was written meanwhile.
        listed: old ones that stand there.
        taken: new ones that the broker took.
        old_taken: old ones that the broker took.
    """

    whole_s: float
    each_ms: np.ndarray
    server_s: float
    peer_s: float
    peer_server_s: float
    listed_s: float
    lists: int
    listed: int
    taken: int
    old_taken: int


class _Nothing(msgspec.Struct):
    """A question without words."""


@dataclass(frozen=True, slots=True)
class _Asking:
    """A device that is about to renew: its key and its request are made already."""

    old: Member
    key: ec.EllipticCurvePrivateKey
    csr: str
    file: Path


def renew_all(ground: Ground, number: int) -> Renewals:
    """Let in devices long ago, renew them all, and do the same number of the peer's work."""
    members = ground.let_in([f"cam-r{n:05d}" for n in range(number)], LONG_AGO - timedelta(days=1))
    asking = [_prepared(ground, one) for one in members]
    root = ground.home.root_certificate.read_text()
    lists = ground.lists_written()
    begun_s, used_s = time.perf_counter(), _used_s(ground.fleet.process)
    each_ms = np.array(_at_once(lambda one: _renew(ground.url, root, one), asking))
    whole_s = time.perf_counter() - begun_s
    server_s = _used_s(ground.fleet.process) - used_s
    old = {one.number for one in members}
    wait_until(lambda: old <= ground.crl(), lambda: f"{len(old - ground.crl())} are not listed", LIST_S)
    listed_s = time.perf_counter() - begun_s - whole_s
    lists = ground.lists_written() - lists
    wait_until(
        lambda: not ground.is_taken(members[-1].file, members[-1].device), "the broker follows", LIST_S
    )
    taken = _at_once(lambda one: ground.is_taken(one.file, one.old.device), asking)
    old_taken = _at_once(lambda one: ground.is_taken(one.file, one.device), members)
    peer_s, peer_server_s = _peer(ground, root, asking)
    listed = len(old & ground.crl())
    return Renewals(
        whole_s, each_ms, server_s, peer_s, peer_server_s, listed_s, lists, listed, sum(taken), sum(old_taken)
    )


def _prepared(ground: Ground, member: Member) -> _Asking:
    key = new_key()
    return _Asking(
        member, key, signing_request(key, member.device), ground.folder / f"{member.device}.new.pem"
    )


def _at_once(work: Callable[[One], Any], things: Sequence[One]) -> list[Any]:
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(work, things))


def _renew(url: str, root: str, one: _Asking) -> float:
    """Renew one certificate; return the milliseconds until the old one has ended."""
    begun_s = time.perf_counter()
    with_old = trusting(root, valid_from_s=0, identity=one.old.file)
    answer = post(url, with_old, "/enrol/renew", RenewRequest(csr=one.csr), EnrolAnswer)
    check_answer(answer, one.key, x509.load_pem_x509_certificate(root.encode()))
    one.file.write_text(key_pem(one.key) + answer.certificate + answer.chain)
    with_new = trusting(root, valid_from_s=0, identity=one.file)
    ended = post(url, with_new, "/enrol/confirm", _Nothing(), dict)["ended"]
    assert ended == [format(one.old.number, "x")], ended
    return (time.perf_counter() - begun_s) * 1000.0


def _peer(ground: Ground, root: str, asking: list[_Asking]) -> tuple[float, float]:
    """Return how long the peer's work takes, and the server's processor time of it."""
    with _openssl_server(ground) as (port, server):
        begun_s, used_s = time.perf_counter(), _used_s(server)
        _at_once(lambda one: _peer_once(port, root, one), asking)
        return time.perf_counter() - begun_s, _used_s(server) - used_s


def _peer_once(port: int, root: str, one: _Asking) -> None:
    for file in (one.old.file, one.file):
        _ask(port, trusting(root, valid_from_s=0, identity=file))
    signature = one.key.sign(WORDS, ec.ECDSA(hashes.SHA256()))
    one.key.public_key().verify(signature, WORDS, ec.ECDSA(hashes.SHA256()))


def _ask(port: int, context: ssl.SSLContext) -> None:
    connection = http.client.HTTPSConnection("localhost", port, timeout=START_S, context=context)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read()
    finally:
        connection.close()


@contextmanager
def _openssl_server(ground: Ground) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """`openssl s_server` with the fleet's own certificate, which wants one of the client's."""
    port, home = free_port(), ground.home
    command = ["openssl", "s_server", "-accept", str(port), "-cert", str(home.https), "-key", str(home.https)]
    command += ["-CAfile", str(home.authorities), "-cert_chain", str(home.https), "-Verify", "3"]
    command += ["-verify_return_error", "-www", "-quiet"]
    with tempfile.TemporaryFile() as words:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=words, stderr=words)
        try:
            wait_until(lambda: is_open(port), "openssl s_server listens", START_S)
            yield port, server
        finally:
            server.kill()
            server.wait()


def _used_s(process: subprocess.Popen[bytes] | None) -> float:
    """Return the processor time that a process has used (proc(5), fields 14 and 15 of stat)."""
    assert process is not None
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
