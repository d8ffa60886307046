"""A device's updater without a daemon: real journals, slots, models and signatures; clock and link are ours.

`Publisher` signs releases of tiny models for real (`tests/repository_simulator.py`) and writes them as files.
`Unit` is a device that can be started, cut, crashed and stopped; `said` is what it told its fleet.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from device.firmware.config import Config, parse_config
from device.firmware.looking import Looking
from device.firmware.updating.admission import Situation
from device.firmware.updating.beginning import begin
from device.firmware.updating.engine import Updater
from device.firmware.updating.fetching import Fetcher
from device.firmware.updating.holding import Hold, never
from device.firmware.updating.journal import Journal, JournalFiles
from device.firmware.updating.kind import Kind
from device.firmware.updating.ledger import Ledger, LedgerFiles
from device.firmware.updating.model_check import check_model
from device.firmware.updating.model_kind import ModelKind, Sight
from device.firmware.updating.model_slots import ModelSlots
from device.firmware.updating.places import Place
from device.firmware.updating.sampling import Sampler
from device.firmware.updating.telling import Teller
from device.firmware.updating.ways import Ways
from device.models.bundle import load_bundle
from device.models.detector import Detector
from device.models.examine import Examination, Trial
from device.models.golden import golden_of
from ota.images.adding import Wish, describe
from ota.messages import Desired, Update, format_ts, new_id
from ota.messages.desired import Target
from ota.packing import pack
from ota.trust.download import file_name
from ota.trust.limits import Limits
from ota.trust.sources import FolderSource, Source
from tests.device_toml import head
from tests.power_cut_scenarios import lay_out
from tests.repository_simulator import NOW, Repository
from tests.tiny_tflite import Constant, tiny_tflite

NOW_S = NOW.timestamp()
LABELS = ("person", "bicycle", "motorcycle", "car", "bus", "truck")
CARD = """\
name = "{name}"
version = "{version}"
labels = {labels}
decoder = "yolov5"
licence = "Apache-2.0"
[input]
width = 64
height = 64
dtype = "uint8"
scale = {scale}
zero_point = 0
"""


def tiny_model(
    folder: Path,
    version: str = "1.0",
    *,
    name: str = "small",
    labels: tuple[str, ...] = LABELS,
    boxes: int = 1,
) -> Path:
    """A folder with a real model whose outputs are constants, its card and its golden vectors."""
    real = np.zeros((1, 252, 5 + len(labels)))
    for row in range(boxes):
        real[0, row, :6] = [0.2 + 0.05 * row, 0.5, 0.1, 0.3, 0.9, 1.0]
    values = np.rint(real * 200).astype(np.uint8)
    values[0, -1, 0] = sum(version.encode()) % 200  # another version has other bytes, and the same boxes
    folder.mkdir(parents=True)
    scale = float(np.float32(1 / 255))
    (folder / "model.tflite").write_bytes(tiny_tflite([Constant("out", values, 1 / 200)], size=64))
    card = CARD.format(name=name, version=version, labels=list(labels), scale=scale)
    (folder / "model.toml").write_text(card)
    golden = golden_of(load_bundle(folder), 1)
    card += "[[golden]]\nseed = 1\n"
    for one in golden.expected:
        card += f'[[golden.expected]]\noutput = "{one.output}"\nat = {one.at}\nvalue = {one.value}\n'
    (folder / "model.toml").write_text(card)
    return folder


def packed(folder: Path) -> bytes:
    made = io.BytesIO()
    pack(folder, made)
    return made.getvalue()


@dataclass
class Publisher:
    """An image repository whose releases are signed for real and lie in a folder."""

    folder: Path
    repository: Repository = field(default_factory=Repository)

    def __post_init__(self) -> None:
        self.repository.delegate("targets", "releases", "models/*", "firmware/*")
        self.repository.delegate("targets", "deltas", "deltas/*")
        self.repository.issue("releases", "deltas", "targets", "snapshot", "timestamp")
        self.www = self.folder / "www"

    @property
    def root(self) -> bytes:
        return self.repository.issued["root"][0]

    def add(self, folder: Path, **wish: Any) -> Target:
        """Publish a model's folder, or a wheelhouse; return it as a director names it."""
        release = describe(folder, Wish(**({"hw": ("any",)} | wish)))
        path = (
            f"{release.kind if release.kind == 'firmware' else 'models'}/{release.name}-{release.version}.tar"
        )
        return self.put(path, packed(folder), msgspec.to_builtins(release))

    def put(self, path: str, content: bytes, custom: dict[str, Any], role: str = "releases") -> Target:
        target = self.repository.put(path, content, role)
        if custom:
            target.unrecognized_fields["custom"] = custom
        self.publish()
        return Target(path, target.length, dict(target.hashes), custom)

    def publish(self) -> None:
        self.repository.issue("releases", "deltas", "targets", "snapshot", "timestamp")
        shutil.rmtree(self.www, ignore_errors=True)
        lay_out(self.repository, self.www)
        for role in ("releases", "deltas"):
            for path, target in self.repository.next[role].targets.items():
                file = self.www / "targets" / file_name(target, prefixes_hash=True)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(self.repository.contents[path])

    def source(self) -> FolderSource:
        return FolderSource(self.www, chunk_bytes=512)


def document(*targets: Target, seq: int = 1, **fields: Any) -> Desired:
    values = {
        "id": new_id(),
        "ts": format_ts(NOW_S),
        "device": "cam-01",
        "action": new_id(),
        "seq": seq,
        "expires": format_ts(NOW_S + 3600),
        "targets": list(targets),
    }
    return Desired(**(values | fields))


def trusting_check(place: Path, *_: object, **__: object) -> Examination:
    """Instead of the child, where its seconds would only be waited for."""
    card = load_bundle(place).card
    return Examination(place, 0, "", has_card=True, card_sha256=None, anatomy=None, trial=Trial(card=card))


class Store(dict[str, bytes]):
    """What is kept of an outbox's small values."""

    def save(self, key: str, value: bytes) -> None:
        self[key] = value

    def load(self, key: str) -> bytes | None:
        return self.get(key)

    def saved_keys(self, prefix: str) -> list[str]:
        return [key for key in self if key.startswith(prefix)]

    def forget(self, key: str) -> None:
        self.pop(key, None)


class Unit:
    """A device's updater; `start` is what a start of the daemon does."""

    def __init__(self, folder: Path, publisher: Publisher | None = None, *, rest: str = "") -> None:
        self.state = folder / "state"
        self.publisher = publisher
        self.factory = folder / "factory"
        if not self.factory.exists():
            tiny_model(self.factory, "0.9", name="factory")
        text = head(self.state) + f'[model]\nname = "{self.factory}"\n[[camera]]\nsource = "street"\n{rest}'
        self.config: Config = parse_config(text, folder / "device.toml")
        self.said: list[Update] = []
        self.now_s, self.mono_s = NOW_S, 1000.0
        self.is_linked = True
        self.hold: Hold = never
        self.check: Callable[..., Examination] = trusting_check
        self.gate: Callable[[int], str] = lambda length: ""
        self.surroundings: Hashable = 0
        self.boards = frozenset({"raspberry-pi-4"})
        self.places: list[Place] = []
        self.restarts: list[str] = []
        self.store = Store()
        self.eyes: list[Any] = []
        self.more_kinds: Callable[[Unit], list[Kind]] = lambda unit: []
        self.limits = Limits()
        self.is_safe = False
        if publisher is not None:
            self.use(publisher.source())

    def use(self, *sources: Source) -> None:
        self.places = [Place(f"source {number}", one, is_network=True) for number, one in enumerate(sources)]

    def start(self) -> Unit:
        """Begin as the daemon does, from what lies on the disk."""
        self.slots = ModelSlots(self.state, self.config.model.name)
        sight = None
        if not self.is_safe:
            chosen = begin(self.state, self.slots, Detector)
            self.looking = Looking(chosen.detector)
            journal = JournalFiles(self.state / "journal").read("model")
            sampler = Sampler(self.eyes, self.looking, self.store, is_watching=journal.is_watching)
            sight = Sight(self.looking, sampler, chosen.slot)
            self.sampler = sampler
        self.kind = ModelKind(
            self.slots,
            sight,
            Detector,
            self.config.camera,
            self.config.update.probation_s,
            check=self._check,
        )
        self.kinds: list[Kind] = [*self.more_kinds(self), self.kind]
        ways = Ways(
            situation=self._situation,
            is_linked=lambda: self.is_linked,
            restart=self._restart,
            hold=self._hold,
            gate=self._gate,
            surroundings=lambda: (self.surroundings, self.is_linked),
            sample=sight.sampler.sample if sight is not None else lambda mono_s, utc_s: None,
            timezone=self.config.device.timezone,
            watch_s=self.config.update.watch_h * 3600,
        )
        root = self.publisher.root if self.publisher is not None else b""
        self.updater = Updater(
            self.state / "journal",
            self.state / "slots" / "incoming",
            self.kinds,
            Fetcher(
                self.state / "trust", lambda: root, lambda: list(self.places), self.limits, lambda: self.now_s
            ),
            Teller("cam-01", lambda topic, message: self.said.append(message), lambda: self.mono_s),
            ways,
            now=lambda: self.now_s,
            mono=lambda: self.mono_s,
        )
        return self

    def _situation(self, ledger: Ledger) -> Situation:
        sees = frozenset(() if self.is_safe else self.looking.info.labels)
        return Situation(
            self.boards,
            "0.2.0",
            ledger,
            installed={"pehra": "0.2.0", "small": self.runs.version if not self.is_safe else ""},
            cameras=self.config.camera,
            sees=sees,
            max_bytes={kind.name: kind.max_bytes for kind in self.kinds},
        )

    def _hold(self) -> str:
        return self.hold()

    def _gate(self, length: int) -> str:
        return self.gate(length)

    def _check(self, *arguments: Any, **options: Any) -> Examination:
        return self.check(*arguments, **options)

    def _restart(self, kind: str) -> None:
        self.restarts.append(kind)

    def hear(self, heard: Desired) -> Unit:
        self.updater.hear(heard)
        return self

    def live(self, seconds: float = 1.0) -> Unit:
        """Let time pass; the updater has a round every second."""
        for _ in range(max(1, round(seconds))):
            self.mono_s += 1.0
            self.now_s += 1.0
            self.updater.round()
        return self

    def stop(self) -> Unit:
        """End in order."""
        self.updater.end_in_order(is_process_over=True)
        return self

    @property
    def runs(self) -> Any:
        return self.looking.info

    @property
    def journal(self) -> Journal:
        return JournalFiles(self.state / "journal").read("model")

    @property
    def ledger(self) -> Ledger:
        return LedgerFiles(self.state / "journal").read()

    @property
    def words(self) -> list[str]:
        """The states that were told, each once in a row."""
        words: list[str] = []
        for update in self.said:
            if not words or words[-1] != update.state:
                words.append(update.state)
        return words

    @property
    def last(self) -> tuple[str, str]:
        return self.said[-1].state, self.said[-1].reason


def digest(folder: Path) -> str:
    """What a report names of a model."""
    return sha256((folder / "model.tflite").read_bytes()).hexdigest()


__all__ = ["Publisher", "Unit", "check_model", "digest", "document", "tiny_model", "trusting_check"]
