"""Lays a configuration from the fleet over the device's own file. Pure.

An overlay is TOML with the keys of the file, but only those that concern what is noticed: who the device
is, where its broker is, where its state lies and where its pictures come from stay with whoever holds the
board. Tables are joined key by key, cameras are found by their `id`, lists (rules, masks) are replaced.
The result passes every check that a file passes.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from device.errors import ConfigError, ModelRefused, ModelUnavailable
from device.firmware.config import Config, check_model, config_of, read_table
from device.firmware.toml_lines import line_of
from ota.messages.desired import MAX_OVERLAY_BYTES

LOCAL_TABLES: Final = frozenset({"console", "device", "mqtt", "outbox", "remote", "update"})
LOCAL_CAMERA_KEYS: Final = frozenset({"source", "loop", "every_frame", "process"})
_MODEL_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_CAMERA: Final = re.compile(r"^camera\[(\d+)\]")

Table = dict[str, Any]


def overlaid(base: Config, text: str) -> Config:
    """Return the device's own configuration with an overlay on it.

    Args:
        base: the device's own file.
        text: the overlay, TOML; an empty one changes nothing.

    Raises:
        ConfigError: too large, not TOML, a key that only the device's own file may set, or whatever is
            wrong with the result; `path` is the key as it stands in the overlay.
    """
    size = len(text.encode())
    if size > MAX_OVERLAY_BYTES:
        raise _fault(text, "", f"{size} bytes; an overlay has at most {MAX_OVERLAY_BYTES}")
    overlay = read_table(text, None)
    _check_keys(overlay, text, base)
    merged = _joined(msgspec.to_builtins(base), overlay)
    places = _places(base, overlay)
    try:
        config = config_of(merged, "", None)
        check_model(config, "", None)
    except ConfigError as error:
        raise _placed(error, text, places) from error
    except (ModelUnavailable, ModelRefused) as error:
        raise _fault(text, "model.name", f"{error.reason}; {error.what_to_do}") from error
    return config


def _fault(text: str, path: str, reason: str) -> ConfigError:
    return ConfigError(None, line_of(text, path) if path else None, path, reason)


def _check_keys(overlay: Table, text: str, base: Config) -> None:
    for key in overlay:
        if key in LOCAL_TABLES:
            raise _fault(text, key, "only the device's own file says this")
    model = overlay.get("model")
    name = model.get("name") if isinstance(model, dict) else None
    if isinstance(name, str) and name != base.model.name and not _MODEL_NAME.fullmatch(name):
        raise _fault(text, "model.name", "the name of a model on the device; a path belongs in its own file")
    cameras = overlay.get("camera", [])
    if not isinstance(cameras, list) or not all(isinstance(camera, dict) for camera in cameras):
        raise _fault(text, "camera", "a list of tables, each begun by [[camera]]")
    known = [camera.id for camera in base.camera]
    for number, camera in enumerate(cameras):
        where = f"camera[{number}]"
        if camera.get("id") not in known:
            raise _fault(text, f"{where}.id", f"the id of a camera of this device: {', '.join(known)}")
        if camera["id"] in [other.get("id") for other in cameras[:number]]:
            raise _fault(text, f"{where}.id", f"camera {camera['id']!r} stands here twice")
        for key in LOCAL_CAMERA_KEYS & camera.keys():
            raise _fault(text, f"{where}.{key}", "only the device's own file says this")


def _joined(base: Table, overlay: Table) -> Table:
    joined = dict(base)
    for key, value in overlay.items():
        below = base.get(key)
        if key == "camera" and isinstance(below, list):
            by_id = {camera["id"]: camera for camera in value}
            joined[key] = [_joined(camera, by_id.get(camera["id"], {})) for camera in below]
        elif isinstance(below, dict) and isinstance(value, dict):
            joined[key] = _joined(below, value)
        else:
            joined[key] = value
    return joined


def _places(base: Config, overlay: Table) -> dict[int, int]:
    """Return number of a camera in the result -> its number in the overlay, of those that stand there."""
    ids = [camera["id"] for camera in overlay.get("camera", [])]
    return {n: ids.index(camera.id) for n, camera in enumerate(base.camera) if camera.id in ids}


def _placed(error: ConfigError, text: str, places: dict[int, int]) -> ConfigError:
    found = _CAMERA.match(error.path)
    if not found:
        return _fault(text, error.path, error.reason)
    place = places.get(int(found[1]))
    if place is None:
        reason = f"{error.reason} (camera[{found[1]}] of the device's own file)"
        return _fault(text, error.path, reason)
    return _fault(text, _CAMERA.sub(f"camera[{place}]", error.path), error.reason)
