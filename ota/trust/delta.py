"""Deltas between two versions of a release: bsdiff's control, difference and extra blocks in a zstd frame.

A delta is a target like any other and is verified before it is looked into; what it makes is verified as the
full target is. Everything is held in memory, so sizes are bounded (`Limits.max_delta_bytes`).
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final

import bsdiff4.core
import zstandard
from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import TargetFile

from ota.errors import FolderProblem, WrongContent
from ota.trust.limits import Limits
from ota.whole import sync_folder

MAGIC: Final = b"pehra-delta-1\n"
LEVEL: Final = 19
MAX_WINDOW_BYTES: Final = 128 * 1024 * 1024
_SIZES = struct.Struct("<4Q")


def delta_path(old_sha256: str, new_sha256: str) -> str:
    """Return the target path of the delta between two contents, whether there is one or not."""
    return f"deltas/{old_sha256[:32]}-{new_sha256[:32]}.delta"


def make_delta(old: bytes, new: bytes) -> bytes:
    """Return what makes `new` out of `old`."""
    control, difference, extra = bsdiff4.core.diff(old, new)
    sizes = _SIZES.pack(len(new), len(control), len(difference), len(extra))
    packed = zstandard.ZstdCompressor(level=LEVEL).compress(sizes + control + difference + extra)
    return MAGIC + packed


def apply_delta(old: bytes, delta: bytes, length: int) -> bytes:
    """Return the content that a delta makes; whether it is the right one is for the caller to verify.

    Args:
        old: What the delta was made from.
        delta: The delta, verified.
        length: Of the content that is wanted.

    Raises:
        WrongContent: The delta is damaged, or makes something else.
    """
    if not delta.startswith(MAGIC):
        raise WrongContent("delta", "is no delta of a kind that is known")
    # difference and extra are no longer than what they make; bsdiff takes no step (24 bytes) for less than 8
    most = 4096 + 4 * length
    try:
        with zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).stream_reader(
            delta[len(MAGIC) :]
        ) as reader:
            content = reader.read(most + 1)
        made, *sizes = _SIZES.unpack_from(content)
        if made != length or _SIZES.size + sum(sizes) != len(content) or sizes[0] % 24:
            raise WrongContent("delta", "its sizes do not fit what it is to make")
        blocks, at = [], _SIZES.size
        for size in sizes:
            blocks.append(content[at : at + size])
            at += size
        return bytes(bsdiff4.core.patch(old, made, *blocks))
    except (ValueError, zstandard.ZstdError, struct.error, MemoryError, OverflowError) as error:
        raise WrongContent("delta", f"cannot be applied ({error})") from error


def patch_file(
    old: Path, delta: Path, target: TargetFile, destination: Path, limits: Limits | None = None
) -> None:
    """Make a target from an older one and a delta, verified as the full target is.

    Raises:
        WrongContent: What came out is not the target: fetch it in full.
        FolderProblem: Our disk refuses.
    """
    most = (limits or Limits()).max_delta_bytes
    fresh = destination.with_name(f".{destination.name}.patched")
    try:
        if max(old.stat().st_size, delta.stat().st_size, target.length) > most:
            raise WrongContent(target.path, f"larger than {most} bytes: fetch it in full")
        content = apply_delta(old.read_bytes(), delta.read_bytes(), target.length)
        target.verify_length_and_hashes(content)
        with fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(destination)
        sync_folder(destination.parent)
    except LengthOrHashMismatchError as error:
        raise WrongContent(
            target.path, f"the delta makes something else: fetch it in full ({error})"
        ) from error
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise FolderProblem(f"{destination}: {error}; free some space, then try again") from error
