"""Whether this very program could work on this board: asked of a new firmware before it is ever started.

It runs beside the firmware that watches: no camera is opened, no login made, nothing written. Each firmware
of the future must answer it, because the one before asks (docs/firmware-slots.md).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from device.check.finding import Finding, fail, ok
from device.check.run import Check
from device.errors import PehraDeviceError

PARTS: Final = (
    "device.firmware.__main__",
    "device.firmware.console",
    "device.check.checks",
    "hardware.camera.child",
)
"""Parts of this program that between them need all others."""
LIBRARIES: Final = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "av": "av",
    "bsdiff4": "bsdiff4",
    "cryptography": "cryptography.x509",
    "lap": "lap",
    "numpy": "numpy",
    "opencv-python-headless": "cv2",
    "paho-mqtt": "paho.mqtt.client",
    "psutil": "psutil",
    "pyserial": "serial",
    "securesystemslib": "securesystemslib.signer",
    "tuf": "tuf.ngclient",
    "uuid-utils": "uuid_utils",
    "zstandard": "zstandard",
}
"""What the extra [device] brings, and what shows that it can be loaded here."""
_INTERPRETERS: Final = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")
_RELEASE: Final = "this release is not for this board: another wheelhouse"
LIBRARIES_S, CONFIG_S, MODEL_S = 90.0, 20.0, 90.0


def self_test(config_file: Path | None) -> list[Check]:
    """Return what is to be looked at.

    Args:
        config_file: of this device, which must be understood; None leaves it out.
    """
    checks = [Check("libraries", LIBRARIES_S, lambda stop: [_libraries()])]
    if config_file is not None:
        checks.append(Check("configuration", CONFIG_S, lambda stop: [_configuration(config_file)]))
    return [*checks, Check("model", MODEL_S, lambda stop: _model(config_file))]


def _libraries() -> Finding:
    for name in (*LIBRARIES.values(), *PARTS):
        names = _INTERPRETERS if name in _INTERPRETERS else (name,)
        if why := _why_not(*names):
            return fail("libraries", f"{name} cannot be loaded: {why}", _RELEASE)
    return ok("libraries", f"{len(LIBRARIES)} libraries and all parts load")


def _why_not(*names: str) -> str:
    """Why none of several modules can be loaded; a library may break in any way."""
    why = ""
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is told)
            why = why or f"{type(error).__name__}: {error}"[:200]
        else:
            return ""
    return why


def _configuration(file: Path) -> Finding:
    from device.firmware.config import check_named_things, load_config

    try:
        config = load_config(file)
        check_named_things(config, file)
    except PehraDeviceError as error:
        return fail(
            "configuration", str(error), "this release does not know it: mend the file, or the release"
        )
    if any(camera.source.partition(":")[0] == "picamera2" for camera in config.camera) and (
        why := _why_not("picamera2")
    ):
        return fail("configuration", f"the system's picamera2 does not load beside it: {why}", _RELEASE)
    return ok("configuration", f"{file} is understood")


def _model(config_file: Path | None) -> Iterator[Finding]:
    from device.check.model import look_at_content
    from device.firmware.config import ModelSection

    try:
        yield look_at_content(ModelSection().name if config_file is None else _model_of(config_file))
    except PehraDeviceError as error:
        yield fail("model", str(error), "docs/models.md")


def _model_of(config_file: Path) -> str:
    """The model that a start would take: the one in the current slot, where that is whole."""
    from device.firmware.config import load_config
    from device.firmware.updating.kind import FACTORY
    from device.firmware.updating.model_slots import ModelSlots

    config = load_config(config_file)
    slots = ModelSlots(Path(config.device.state), config.model.name)
    slot = slots.current()
    return config.model.name if slot == FACTORY or slots.fault(slot) else str(slots.path(slot))
