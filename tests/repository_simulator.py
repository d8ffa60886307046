"""A peer that signs for real: an image repository in memory, behind a real web server that can misbehave.

A test changes what `next` holds and issues roles; whatever was issued stays served under its version. A fault
can be put on a path, to send something else than the file, or to send it oddly.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)
from typer.testing import CliRunner

from pehra.cli import app

TOP = ("root", "timestamp", "snapshot", "targets")
NOW = datetime.now(UTC).replace(microsecond=0)
NEXT_MONTH = NOW + timedelta(days=30)
YESTERDAY = NOW - timedelta(days=1)
Fault = Callable[["Handler", bytes], None]


@cache
def some_key(number: int) -> CryptoSigner:
    """A key that is made once for all tests; each number is another key."""
    return CryptoSigner.generate_ed25519()


class Repository:
    """What a repository would publish next, and what it has published."""

    def __init__(self) -> None:
        self.next: dict[str, Any] = {
            "root": Root(expires=NEXT_MONTH, consistent_snapshot=True),
            "timestamp": Timestamp(expires=NEXT_MONTH),
            "snapshot": Snapshot(expires=NEXT_MONTH),
            "targets": Targets(expires=NEXT_MONTH),
        }
        self.signers: dict[str, list[CryptoSigner]] = {}
        self.issued: dict[str, list[bytes]] = {}
        self.contents: dict[str, bytes] = {}
        self.has_hashes = False
        self._keys = 0
        for role in TOP:
            self.give_key(role)
        self.issue("targets", "snapshot", "timestamp", "root")

    @property
    def root(self) -> Root:
        return self.next["root"]

    @property
    def timestamp(self) -> Timestamp:
        return self.next["timestamp"]

    @property
    def snapshot(self) -> Snapshot:
        return self.next["snapshot"]

    @property
    def targets(self) -> Targets:
        return self.next["targets"]

    def new_key(self) -> CryptoSigner:
        self._keys += 1
        return some_key(self._keys)

    def give_key(
        self, role: str, delegator: str = "root", signer: CryptoSigner | None = None
    ) -> CryptoSigner:
        """Let one more key sign a role."""
        signer = signer or self.new_key()
        self.next[delegator].add_key(signer.public_key, role)
        self.signers.setdefault(role, []).append(signer)
        return signer

    def rotate(self, role: str) -> None:
        """Let a new key sign a role instead of those that did."""
        self.root.roles[role].keyids.clear()
        self.signers[role].clear()
        self.give_key(role)

    def issue(self, *roles: str, version: int | None = None) -> None:
        """Sign what is next of each role, and publish it with the version that follows, or with this one."""
        for role in roles:
            before = self.issued.setdefault(role, [])
            signed = self.next[role]
            signed.version = version or (signed.version + 1 if before else signed.version)
            before.append(self.sign(role))
            about = self._about(signed.version, before[-1])
            if role == "snapshot":
                self.timestamp.snapshot_meta = about
            elif role not in TOP or role == "targets":
                self.snapshot.meta[f"{role}.json"] = about

    def issue_all(self, *first: str) -> None:
        """Publish roles, and whatever vouches for them."""
        self.issue(*first, "targets", "snapshot", "timestamp")

    def sign(self, role: str) -> bytes:
        metadata = Metadata(self.next[role])
        for signer in self.signers[role]:
            metadata.sign(signer, append=True)
        return metadata.to_bytes()

    def put(
        self, path: str, content: bytes, role: str = "targets", algorithms: tuple[str, ...] = ("sha256",)
    ) -> TargetFile:
        """Have a role vouch for a target, and serve it."""
        target = TargetFile.from_data(path, content, list(algorithms))
        self.next[role].targets[path] = target
        self.contents[path] = content
        return target

    def delegate(
        self, delegator: str, role: str, *paths: str, terminating: bool = False, threshold: int = 1
    ) -> None:
        """Have one role trust another, with a key of its own, for some paths."""
        targets = self.next[delegator]
        targets.delegations = targets.delegations or Delegations({}, {})
        targets.delegations.roles[role] = DelegatedRole(
            role, [], threshold, terminating, list(paths or ["*"])
        )
        self.next.setdefault(role, Targets(expires=NEXT_MONTH))
        known = self.signers.get(role)
        self.give_key(role, delegator, known[0] if known else None)
        if known:
            self.signers[role].pop()

    def delegate_bins(self, bits: int, prefix: str) -> None:
        """Have targets trust bins by hash, all with one key."""
        bins = SuccinctRoles([], 1, bits, prefix)
        self.targets.delegations = Delegations({}, None, bins)
        signer = self.new_key()
        self.targets.add_key(signer.public_key)
        for role in bins.get_roles():
            self.next[role] = Targets(expires=NEXT_MONTH)
            self.signers[role] = [signer]

    def file(self, path: str) -> bytes | None:
        """Return what lies below a path of the server."""
        kind, _, name = path.lstrip("/").partition("/")
        if kind == "metadata":
            return self._metadata(name.removesuffix(".json"))
        folder, slash, last = name.rpartition("/")
        if self.root.consistent_snapshot:
            last = last.partition(".")[2]
        return self.contents.get(f"{folder}{slash}{last}")

    def _metadata(self, name: str) -> bytes | None:
        number, dot, role = name.partition(".")
        if not (dot and number.isdecimal()):
            return self.issued.get(unquote(name), [None])[-1]
        versions = {
            Metadata.from_bytes(one).signed.version: one for one in self.issued.get(unquote(role), [])
        }
        return versions.get(int(number))

    def _about(self, version: int, content: bytes) -> MetaFile:
        if not self.has_hashes:
            return MetaFile(version)
        return MetaFile(version, len(content), {"sha256": sha256(content).hexdigest()})


class Handler(BaseHTTPRequestHandler):
    """Serves one repository, with ETags and ranges."""

    repository: Repository
    faults: dict[str, Fault]
    asked: list[str]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.asked.append(self.path)
        content = self.repository.file(self.path)
        fault = next((fault for part, fault in self.faults.items() if part in self.path), None)
        if fault is not None:
            self.close_connection = True
            fault(self, content or b"")
        elif content is None:
            self.send_error(404)
        else:
            self.give(content)

    def give(self, content: bytes, *, etag: str | None = None) -> None:
        etag = f'"{sha256(content).hexdigest()[:16]}"' if etag is None else etag
        begin = self.begin(len(content)) if self.headers.get("If-Range") == etag else 0
        self.head(206 if begin else 200, len(content) - begin, etag, begin, len(content))
        self.wfile.write(content[begin:])

    def begin(self, length: int) -> int:
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        return start if start < length else 0

    def head(self, status: int, length: int | None, etag: str = "", begin: int = 0, whole: int = 0) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if etag:
            self.send_header("ETag", etag)
        if status == 206:
            self.send_header("Content-Range", f"bytes {begin}-{whole - 1}/{whole}")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Served:
    """A repository and the web server before it."""

    repository: Repository
    url: str
    faults: dict[str, Fault]
    asked: list[str]

    @property
    def metadata_url(self) -> str:
        return f"{self.url}/metadata"

    @property
    def targets_url(self) -> str:
        return f"{self.url}/targets"

    def metadata_asked(self) -> list[str]:
        """File names of the metadata that was asked for, in order."""
        return [path.removeprefix("/metadata/") for path in self.asked if path.startswith("/metadata/")]


@contextmanager
def serving(repository: Repository, tls: ssl.SSLContext | None = None) -> Iterator[Served]:
    faults: dict[str, Fault] = {}
    asked: list[str] = []
    handler = type("Mine", (Handler,), {"repository": repository, "faults": faults, "asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            scheme = "https" if tls else "http"
            yield Served(repository, f"{scheme}://127.0.0.1:{server.server_address[1]}", faults, asked)
        finally:
            server.shutdown()
            thread.join()


class Client:
    """`pehra ota tuf-client`, run as the conformance suite runs it."""

    def __init__(self, folder: Path, served: Served) -> None:
        self.metadata = folder / "metadata"
        self.downloads = folder / "downloads"
        self.metadata.mkdir()
        self.downloads.mkdir()
        self.said = ""
        self._root = folder / "initial.json"
        self._served = served

    def init(self, root: bytes | None = None) -> int:
        self._root.write_bytes(root if root is not None else self._served.repository.issued["root"][0])
        return self.run("init", str(self._root))

    def refresh(self) -> int:
        return self.run("refresh")

    def download(self, path: str) -> int:
        return self.run("download", options=["--target-name", path])

    def run(self, *command: str, options: list[str] | None = None) -> int:
        result = CliRunner().invoke(app, [*self.arguments(options or []), *command])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        self.said = result.output
        return result.exit_code

    def arguments(self, options: list[str]) -> list[str]:
        return [
            *("ota", "tuf-client", "--metadata-dir", str(self.metadata)),
            *("--metadata-url", self._served.metadata_url, "--target-base-url", self._served.targets_url),
            *("--target-dir", str(self.downloads), *options),
        ]

    def trusted(self) -> dict[str, int]:
        """Versions of what is trusted, by the name of its file."""
        return {
            file.name.removesuffix(".json"): Metadata.from_bytes(file.read_bytes()).signed.version
            for file in self.metadata.glob("*.json")
        }

    def version(self, role: str) -> int | None:
        return self.trusted().get(role)

    def downloaded(self) -> dict[str, bytes]:
        return {
            unquote(file.name): file.read_bytes()
            for file in self.downloads.iterdir()
            if file.suffix not in (".part", ".note")
        }


def file_of(role: str, version: int) -> str:
    """Name of a role's metadata on a server."""
    return f"{version}.{quote(role, '')}.json"
