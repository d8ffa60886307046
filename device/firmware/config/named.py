"""What a configuration names beside itself: the model, its classes, the sources."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from device.errors import ConfigError
from device.firmware.config.tree import Config
from device.firmware.toml_lines import line_of
from device.models.bundle import load_bundle
from device.models.labels import CLASSES, classes_of

CAMERA_WORDS: Final = frozenset({"street", "webcam", "picamera2", "jetson"})


def check_named_things(config: Config, path: Path) -> None:
    """Check what a configuration names beside itself: the model, its classes, the sources.

    Args:
        config: a good configuration.
        path: its file, for the line in an error.

    Raises:
        ConfigError: a rule waits for a class that the model cannot see, or a source is no file and no camera.
        ModelUnavailable: there is no such model.
        ModelRefused: it is no int8 model.
    """
    text = path.read_text("utf-8")
    for number, camera in enumerate(config.camera):
        key = f"camera[{number}].source"
        if not _is_source(camera.source):
            reason = f"no camera and no file is called {camera.source!r}; see docs/cameras.md for the words"
            raise ConfigError(path, line_of(text, key), key, reason)
    check_model(config, text, path)


def check_model(config: Config, text: str, path: Path | None) -> None:
    """Check that the model can be used and sees what the rules wait for; arguments as in `config_of`.

    Raises:
        ConfigError: a rule waits for a class that the model cannot see.
        ModelUnavailable: there is no such model.
        ModelRefused: it is no int8 model.
    """
    bundle = load_bundle(config.model.name, int8_only=True)
    seen = {CLASSES[cls] for cls in classes_of(bundle.card.labels) if cls >= 0}
    for number, camera in enumerate(config.camera):
        for index, rule in enumerate(camera.rule):
            unseen = sorted(set(rule.classes) - seen)
            if unseen:
                key = f"camera[{number}].rule[{index}].classes"
                reason = f"{config.model.name} cannot see {', '.join(unseen)}: the rule would stay silent"
                raise ConfigError(path, line_of(text, key), key, reason)


def _is_source(source: str) -> bool:
    word = source.partition(":")[0]
    return "://" in source or word in CAMERA_WORDS or Path(source).exists()
