"""Detectors of others, fetched by name: the manifest, and a download that goes on where it broke off.

Nothing is taken that has not the sha256 of the manifest. Never decides where a model is put:
:mod:`device.models.adding` does.
"""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

import msgspec

from device.errors import ConfigError, ModelRefused, ModelUnavailable
from device.models.bundle import HOME
from device.models.verify import SLOT_BYTES

MANIFEST = HOME / "zoo.toml"
"""The manifest that Pehra ships."""

_CHUNK = 64 * 1024
_TIMEOUT_S = 30.0

Progress = Callable[[int, int | None], None]
"""Told how many bytes are there, and how many there will be where the server says so."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model of a manifest.

    Attributes:
        name: To pull it by.
        version: Its maker's.
        url: Of the `.tflite` file, http or https.
        sha256: Of that file, in hexadecimal.
        licence: Of the weights.
        description: What it is and how it compares.
        labels: In the order of its outputs, where the file does not hold them.
    """

    name: str
    version: str = "1"
    url: str
    sha256: str
    licence: str
    description: str = ""
    labels: tuple[str, ...] = ()


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: list[Entry]


def load_manifest(file: Path = MANIFEST) -> list[Entry]:
    """Read a manifest of `[[model]]` tables.

    Raises:
        ConfigError: It is absent or no manifest, an entry has no proper url or sha256, or a name is twice.
    """
    try:
        entries = msgspec.toml.decode(file.read_bytes(), type=_Manifest).model
    except OSError as error:
        raise ConfigError(file, None, "", f"cannot be read ({error.strerror})") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(file, None, "", f"is not a manifest of models ({error})") from error
    for entry in entries:
        if urllib.parse.urlsplit(entry.url).scheme not in ("http", "https"):
            raise ConfigError(file, None, entry.name, f"the url {entry.url} is neither http nor https")
        if len(entry.sha256) != 64 or set(entry.sha256) - set("0123456789abcdef"):
            raise ConfigError(file, None, entry.name, "the sha256 is not 64 small hexadecimal digits")
        if sum(other.name == entry.name for other in entries) > 1:
            raise ConfigError(file, None, entry.name, "the name is there twice")
    return entries


def find(entries: list[Entry], name: str) -> Entry:
    """The entry of that name.

    Raises:
        ModelUnavailable: There is none.
    """
    for entry in entries:
        if entry.name == name:
            return entry
    names = ", ".join(entry.name for entry in entries) or "none"
    raise ModelUnavailable(name, "the zoo has no model of that name", f"pull one of these: {names}")


def download(
    entry: Entry, folder: Path, tell: Progress = lambda done, whole: None, most_bytes: int = SLOT_BYTES
) -> Path:
    """Fetch the file of an entry into a folder and return its path.

    What an earlier try left there is gone on with, where the server can. The file has the entry's sha256 and
    replaces nothing until then.

    Args:
        entry: Of a manifest.
        folder: Made where it is not there.
        tell: Called after each piece.
        most_bytes: Where to stop, whatever the server sends.

    Raises:
        ModelUnavailable: The server cannot be reached, refuses, or breaks off; what came is kept.
        ModelRefused: The file is too large, or another than the manifest means; it is thrown away.
        OSError: The folder cannot be written, or the disk is full; what came is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / f"{entry.sha256}.tflite"
    part = folder / f"{entry.sha256}.part"
    if done.is_file() and _sha256(done) == entry.sha256:
        return done
    was_begun = part.is_file() and part.stat().st_size > 0
    _fetch(entry, part, tell, most_bytes)
    if was_begun and _sha256(part) != entry.sha256:
        # The file at the url may have been another when it was begun: once more, from the start.
        part.unlink()
        _fetch(entry, part, tell, most_bytes)
    found = _sha256(part)
    if found != entry.sha256:
        part.unlink()
        raise ModelRefused(
            entry.name,
            f"what {_host(entry)} sent has sha256 {found[:12]}..., the manifest says {entry.sha256[:12]}...",
            "it was thrown away; try again, and if it stays so, tell whoever keeps the manifest",
        )
    part.replace(done)
    return done


def _fetch(entry: Entry, part: Path, tell: Progress, most_bytes: int) -> None:
    """Get what is missing of `part`."""
    have = part.stat().st_size if part.is_file() else 0
    asked = urllib.request.Request(entry.url, headers={"User-Agent": "pehra"})  # noqa: S310 (checked on loading)
    if have:
        asked.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(asked, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            goes_on = answer.status == http.client.PARTIAL_CONTENT
            _write(entry, part, answer, have if goes_on else 0, tell, most_bytes)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return  # all of it is there, or it is another file: its sha256 tells
        raise ModelUnavailable(
            entry.name,
            f"{_host(entry)} answers {error.code} {error.reason}",
            f"look whether {entry.url} is right",
        ) from error
    except urllib.error.URLError as error:
        raise ModelUnavailable(
            entry.name,
            f"there is no way to {_host(entry)} ({error.reason})",
            "go online or set https_proxy; without either, bring the file and use pehra models add",
        ) from error
    except (TimeoutError, http.client.HTTPException, ConnectionError) as error:
        raise _broken_off(entry, part) from error


def _write(
    entry: Entry, part: Path, answer: http.client.HTTPResponse, have: int, tell: Progress, most_bytes: int
) -> None:
    rest = answer.length
    whole = None if rest is None else have + rest
    if whole is not None and whole > most_bytes:
        raise _too_large(entry, whole, most_bytes)
    with part.open("ab" if have else "wb") as sink:
        while piece := answer.read(_CHUNK):
            have += len(piece)
            if have > most_bytes:
                sink.close()
                part.unlink()
                raise _too_large(entry, have, most_bytes)
            sink.write(piece)
            tell(have, whole)
    if whole is not None and have < whole:
        raise _broken_off(entry, part)


def _broken_off(entry: Entry, part: Path) -> ModelUnavailable:
    have = part.stat().st_size if part.is_file() else 0
    return ModelUnavailable(
        entry.name, f"{_host(entry)} broke off after {have} bytes", "pull it again: it goes on from there"
    )


def _too_large(entry: Entry, size: int, most_bytes: int) -> ModelRefused:
    return ModelRefused(
        entry.name, f"it has {size} bytes or more, over {most_bytes}", "a device has no room for it"
    )


def _host(entry: Entry) -> str:
    return urllib.parse.urlsplit(entry.url).netloc


def _sha256(file: Path) -> str:
    if not file.is_file():
        return ""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
