"""Adds a release: packs a folder, tells about it, and stages the role that must sign it."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
from tuf.api.metadata import TargetFile

from ota.errors import BadRelease
from ota.images.home import FIRMWARE, MODELS, AnyMetadata, Home
from ota.packing import pack
from ota.trust.download import file_name
from ota.trust.release import Release, golden_digest
from ota.whole import sync_folder

MODEL_FILE = "model.tflite"
CARD_FILE = "model.toml"
CARD_KEYS = ("labels", "decoder", "licence", "description")
INPUT_KEYS = ("width", "height", "dtype", "colour", "resize")
ROLE_OF = {"model": MODELS, "firmware": FIRMWARE}
_WHEEL = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)-.+\.whl")


@dataclass(frozen=True, slots=True)
class Wish:
    """What an operator says about a release that its files do not say.

    Attributes:
        hw: Boards that it is for.
        sec_ver: Security version.
        name: Instead of what the files say.
        version: Instead of what the files say.
        min_agent: Oldest firmware that can install it.
        requires: Other releases that must be there, name by version at least.
    """

    hw: tuple[str, ...]
    sec_ver: int = 0
    name: str = ""
    version: str = ""
    min_agent: str = ""
    requires: tuple[tuple[str, str], ...] = ()


def add(home: Home, folder: Path, wish: Wish) -> TargetFile:
    """Add a folder as a release, to be signed.

    Raises:
        BadRelease: It is neither a model nor a wheelhouse, or its version has another content already.
    """
    release = describe(folder, wish)
    role = ROLE_OF[release.kind]
    path = f"{role}/{release.name}-{release.version}.tar"
    staged = home.next_version(role)
    packed = home.targets / ".adding"
    try:
        with packed.open("w+b") as file:
            pack(folder, file)
            file.flush()
            os.fsync(file.fileno())
        target = TargetFile.from_file(path, str(packed), ["sha256"])
        target.unrecognized_fields["custom"] = msgspec.to_builtins(release)
        _check_new(staged, target)
        kept = home.targets / file_name(target, prefixes_hash=True)
        kept.parent.mkdir(exist_ok=True)
        packed.replace(kept)
        sync_folder(kept.parent)
    except OSError as error:
        raise BadRelease(f"{folder}: {error}") from error
    finally:
        packed.unlink(missing_ok=True)
    staged.signed.targets[path] = target
    home.stage(role, staged)
    return target


def remove(home: Home, path: str) -> None:
    """Stage that a release is offered no longer; devices that have it keep it.

    Raises:
        BadRelease: There is no such release.
    """
    role = path.partition("/")[0]
    if role not in ROLE_OF.values():
        raise BadRelease(f"{path}: no release; `pehra ota status` lists them")
    staged = home.next_version(role)
    if staged.signed.targets.pop(path, None) is None:
        raise BadRelease(f"{path}: no such release; `pehra ota status` lists them")
    home.stage(role, staged)


def describe(folder: Path, wish: Wish) -> Release:
    """Return what is to be signed about a folder.

    Raises:
        BadRelease: It is neither a model nor a wheelhouse, or something of it is not allowed.
    """
    if not wish.hw:
        raise BadRelease("say for which boards it is: --hw raspberry-pi-4 (repeat), or --hw any")
    if (folder / MODEL_FILE).is_file():
        found = _model(folder)
    elif folder.is_dir() and (wheels := sorted(folder.glob("*.whl"))):
        found = _firmware(folder, wheels, wish)
    else:
        raise BadRelease(f"{folder}: holds neither {MODEL_FILE} with its {CARD_FILE} nor wheels")
    found |= {key: value for key, value in (("name", wish.name), ("version", wish.version)) if value}
    found |= {
        "hw": sorted(set(wish.hw)),
        "sec_ver": wish.sec_ver,
        "min_agent": wish.min_agent,
        "requires": dict(wish.requires),
    }
    try:
        return msgspec.convert(found, type=Release)
    except msgspec.ValidationError as error:
        raise BadRelease(f"{folder}: {error}; give another --name or --version") from error


def _model(folder: Path) -> dict[str, Any]:
    try:
        card = tomllib.loads((folder / CARD_FILE).read_text("utf-8"))
        about = {key: card[key] for key in CARD_KEYS if key in card}
        about["input"] = {key: card["input"][key] for key in INPUT_KEYS if key in card["input"]}
        return {
            "kind": "model",
            "name": card["name"],
            "version": card["version"],
            "slot": "model",
            "golden_sha256": golden_digest(card.get("golden")),
            "card": about,
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadRelease(
            f"{folder / CARD_FILE}: {error}; look at it with: pehra models verify {folder}"
        ) from error


def _firmware(folder: Path, wheels: list[Path], wish: Wish) -> dict[str, Any]:
    wanted = (wish.name or "pehra").replace("-", "_")
    found = [match for wheel in wheels if (match := _WHEEL.fullmatch(wheel.name)) and match["name"] == wanted]
    if len(found) != 1:
        raise BadRelease(
            f"{folder}: holds {len(found)} wheels of {wanted}; there must be one, it gives the version"
        )
    kind: Literal["firmware"] = "firmware"
    return {"kind": kind, "name": wish.name or "pehra", "version": found[0]["version"], "slot": "firmware"}


def _check_new(staged: AnyMetadata, target: TargetFile) -> None:
    before = staged.signed.targets.get(target.path)
    if before is not None and before.hashes != target.hashes:
        raise BadRelease(
            f"{target.path} was added before with another content: a version means one content for ever; "
            "give this one another version"
        )
