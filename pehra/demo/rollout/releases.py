"""The demo's image repository, with keys that are thrown away, and its two models.

Both compute what the shipped model computes: no model can be trained while a demo runs. They have bytes of
their own at their end, which no interpreter reads. The bad one calls bicycles motorcycles, as it
happens when pictures are labelled anew: every camera that counts bicycles refuses it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from device.models.bundle import CARD_FILE, MODEL_FILE, find_model
from ota.images.adding import Wish, add
from ota.images.founding import found
from ota.images.home import Home
from ota.images.publishing import publish
from ota.images.signing import sign_staged

GOOD: Final = "2.1.0"
BAD: Final = "2.2.0"
LOST: Final = "bicycle"
"""What the bad model cannot see."""
CALLED: Final = "motorcycle"


class Images:
    """An image repository and the folder that it is published in.

    Args:
        folder: where both are made.
        model: name of the shipped model that is to be updated.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self._model = find_model(model).parent
        self._work = folder
        self.home, self.www = Home(folder / "images"), folder / "www"
        passphrase = secrets.token_urlsafe(24)
        self._ask = lambda name, is_new: passphrase
        found(self.home, self._ask, datetime.now(UTC))
        self._publish()

    def release(self, version: str) -> str:
        """Make, sign and publish one version; return the digest of its `.tflite`."""
        folder = self._work / version
        folder.mkdir()
        content = (self._model / MODEL_FILE).read_bytes() + f"pehra demo {version}".encode()
        digest = hashlib.sha256(content).hexdigest()
        (folder / MODEL_FILE).write_bytes(content)
        (folder / CARD_FILE).write_text(self._card(version, digest), "utf-8")
        with self.home.locked() as settings:
            add(self.home, folder, Wish(hw=("any",)))
            sign_staged(self.home, settings, self._ask, datetime.now(UTC))
        self._publish()
        return digest

    def _card(self, version: str, digest: str) -> str:
        text = (self._model / CARD_FILE).read_text("utf-8")
        text = re.sub(r"(?m)^version = .*$", f'version = "{version}"', text, count=1)
        text = re.sub(r"(?m)^sha256 = .*$", f'sha256 = "{digest}"', text, count=1)
        return text.replace(f'"{LOST}"', f'"{CALLED}"', 1) if version == BAD else text

    def _publish(self) -> None:
        with self.home.locked() as settings:
            publish(self.home, settings, self.www, self._ask, datetime.now(UTC))
