"""The town of docs/updates.md: a fleet that is founded, run and saved by nothing but what the manual says.

Broker and fleet manager are processes, the cameras the whole firmware; sticks are folders.
"""

from __future__ import annotations

import json
import re
import shutil
import ssl
from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlmodel import Session, select

from device.firmware.claim_file import IDENTITY, keep_ticket
from device.firmware.trust_roots import IMAGE_ROOT, kept_director
from device.models.bundle import HOME as MODELS
from fleet.director.home import DirectorHome
from fleet.identity.home import Home
from fleet.store.tables import Device
from fleet.store.tables_rollouts import Release
from ota.enrolment import parse_ticket
from ota.trust.folder import TrustFolder
from ota.trust.http import HttpSource
from ota.trust.refresh import Catalogue, refresh
from ota.trust.sources import Source
from pehra.demo.processes import Child, answers, free_port, start
from tests.boards import lay_out
from tests.brokers import wait_until
from tests.conftest import ROOT
from tests.typed_manual import Block, Typist, blocks_of

DOCUMENT = ROOT / "docs/updates.md"
MANUAL = blocks_of(DOCUMENT)
CHAPTERS = list(dict.fromkeys(block.chapter for block in MANUAL))
CAMERAS = ("cam-01", "cam-02", "cam-03")
SECRET = "correct horse battery"
FACTORY, GOOD, BAD, MENDED = "2.0.0", "3.0.0", "3.1.0", "3.2.0"
CAMERA = """\
health_s = 10

[device]
state = "{state}"

[update]
probation_s = 2
sticks = []
metered = "no"

[[camera]]
id = "cam0"
source = "street:seed={number},size=320x240"
width = 320
height = 240
fps = 1
process = false
"""
Hooks = dict[str, Callable[["Town"], None]]


class Town:
    """See the module.

    Args:
        folder: where all of it lies.
        instead: what is typed instead of what stands there; `{...}` in it is filled in.
        people: who types the lines that begin so.
        before: what happens before a chapter.
        after: what happens after a chapter, or after a line that begins so.
    """

    def __init__(
        self, folder: Path, instead: dict[str, str], people: dict[str, str], before: Hooks, after: Hooks
    ) -> None:
        self.folder, self._before, self._after = folder, before, after
        self._https, self._mqtt = free_port(), free_port()
        self.home, self.images = folder / "var/lib/pehra-fleet", folder / "var/lib/pehra-images"
        self.media = folder / "media"
        for place in ("var/lib/mosquitto", "srv/www", *(f"media/{name}" for name in self.STICKS)):
            (folder / place).mkdir(parents=True)
        for name, version in (("street-3", GOOD), ("street-3.1", BAD), ("street-3.2", MENDED)):
            model(folder / "models" / name, version)
        filled = {"folder": folder, "root": ROOT, "https": self._https, "mqtt": self._mqtt}
        typed = {word: other.format(**filled) for word, other in instead.items()}
        self.typist = Typist(folder, typed, SECRET, people, self._wait_for)
        self.trust = TrustFolder(folder / "client")
        self.cameras: Child | None = None
        self.typed: list[Block] = []
        self.thief: Any = None

    STICKS = ("ayesha", "bilal", "chanda", "signing", "stick")

    def close(self) -> None:
        """End everything."""
        children = [child for child in (self.cameras, *self.typist.programs) if child is not None]
        for child in children:
            child.ask_to_stop()
        for child in children:
            child.wait(20)
        self.database.dispose()

    def read(self, chapter: str) -> None:
        """Type the manual to the end of a chapter, as far as that was not done before."""
        for name in CHAPTERS[: CHAPTERS.index(chapter) + 1]:
            blocks = [block for block in MANUAL if block.chapter == name and block not in self.typed]
            if not blocks:
                continue
            self._happen(self._before, name)
            for block in blocks:
                for line in block.lines:
                    self.typist.type(line)
                    self._happen(self._after, line)
                self.typed.append(block)
            self._happen(self._after, name)

    def _happen(self, hooks: Hooks, where: str) -> None:
        for begin, hook in hooks.items():
            if where.startswith(begin):
                hook(self)

    def let_in(self) -> None:
        """Let cameras in by ticket, and start them."""
        configs = []
        for number, name in enumerate(CAMERAS, 1):
            ticket, state = self.folder / f"{name}.json", self.folder / name
            about = "--site lahore/gulberg --timezone Asia/Karachi"
            self.typist.type(f"pehra fleet claim new --device {name} {about} --out {ticket}")
            keep_ticket(state, parse_ticket(ticket.read_bytes()))
            config = self.folder / f"{name}.toml"
            config.write_text(CAMERA.format(state=state, number=number))
            configs.append(str(config))
        root = lay_out(self.folder / "board")
        self.cameras = start("cameras", ["tests.boards", str(root), *configs], self.folder)
        wait_until(lambda: set(self.running().values()) == {FACTORY}, self.words, 60)

    def running(self) -> dict[str, str]:
        """Which version of its model each camera reports."""
        with Session(self.database) as session:
            told = session.exec(select(Device)).all()
            models = {one.id: (one.reported or {}).get("model") or {} for one in told}
        return {name: models.get(name, {}).get("version", "") for name in CAMERAS}

    def releases(self, state: str = "ready") -> set[str]:
        """Versions of the releases that the fleet knows."""
        with Session(self.database) as session:
            return set(session.exec(select(Release.version).where(Release.state == state)).all())

    def rollout(self, name: str) -> dict[str, Any]:
        """How a rollout stands."""
        shown: dict[str, Any] = json.loads(self.typist.type(f'pehra rollout show "{name}" --json'))
        return shown

    def wait_for_director(self) -> None:
        """Wait until every camera has followed to the director's newest root."""
        newest = DirectorHome(self.home).newest()

        def known() -> set[int]:
            return {kept_director(self.folder / name).signed.version for name in CAMERAS}

        wait_until(lambda: known() == {newest}, self.words)

    @property
    def source(self) -> HttpSource:
        """The image repository as the fleet serves it."""
        tls = ssl.create_default_context(cafile=str(Home(self.home).authorities))
        url = f"https://localhost:{self._https}/updates"
        return HttpSource(f"{url}/metadata", f"{url}/targets", tls=tls)

    def see(self, *paths: str, source: Source | None = None, now: datetime | None = None) -> Catalogue:
        """What a camera sees of the image repository; of another source as a trial, which it forgets."""
        trust = self.trust
        if source is not None:
            trust = TrustFolder(self.folder / "trial")
            shutil.rmtree(trust.folder, ignore_errors=True)
            shutil.copytree(self.trust.folder, trust.folder, symlinks=True)
        root = (self.folder / CAMERAS[0] / IDENTITY / IMAGE_ROOT).read_bytes()
        return refresh(trust, root, source or self.source, paths, now=now)

    @cached_property
    def database(self) -> Engine:
        """The fleet's."""
        return create_engine(f"sqlite:///{self.home}/fleet.db")

    def words(self) -> str:
        """What happened last, for an assertion that fails."""
        children = [child for child in (self.cameras, *self.typist.programs) if child is not None]
        logs = [f"--- {child.name}\n{child.last_words(20)}" for child in children]
        return "\n".join([*self.typist.said[-5:], str(self.running()), *logs])

    def _wait_for(self, child: Child) -> None:
        port = self._https if child.name == "run" else self._mqtt
        wait_until(lambda: answers(port) or not child.is_running, lambda: child.last_words(30), 30)
        assert child.is_running, child.last_words(30)


def model(folder: Path, version: str) -> Path:
    """A model that computes what the shipped one computes, and has bytes of its own."""
    folder.mkdir(parents=True)
    content = (MODELS / "street-2" / "model.tflite").read_bytes() + version.encode()
    (folder / "model.tflite").write_bytes(content)
    card = (MODELS / "street-2" / "model.toml").read_text()
    for name, value in (("name", "street-3"), ("version", version), ("sha256", sha256(content).hexdigest())):
        card = re.sub(rf"(?m)^{name} = .*$", f'{name} = "{value}"', card, count=1)
    (folder / "model.toml").write_text(card)
    return folder
