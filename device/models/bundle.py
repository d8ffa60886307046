"""A model as it lies on disk: the `.tflite` file and the card that says how to use it.

Reads and checks (key by key, sha256 and all); never runs a model and never writes one. Open
:mod:`device.models.recognise` for a file that came without a card.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from device.errors import ModelRefused, ModelUnavailable
from device.models.labels import NOT_OURS, class_of

HOME = Path(__file__).resolve().parent
"""Where the models that Pehra ships lie, one folder each."""

MODEL_FILE = "model.tflite"
CARD_FILE = "model.toml"

DECODERS = ("pehra-ltrb", "ssd-postprocess", "yolov8", "yolov5")
"""The output layouts that :mod:`device.models.decoders` reads."""

Dtype = Literal["int8", "uint8", "float32"]

TFLITE_MAGIC = b"TFL3"
"""File identifier of the TensorFlow Lite flatbuffer schema, at byte 4 (tensorflow/lite/schema/schema.fbs)."""


class InputCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model wants to see.

    Attributes:
        width: Pixels.
        height: Pixels.
        dtype: Type of the input tensor.
        scale: Real value of one quantisation step (0.0 for a float32 input).
        zero_point: Quantised value that means 0.0.
        colour: Order of the three channels.
        resize: Keep the shape and pad with grey 114 ("letterbox"), or fill the input ("stretch").
    """

    width: int
    height: int
    dtype: Dtype
    scale: float = 0.0
    zero_point: int = 0
    colour: Literal["rgb", "bgr"] = "rgb"
    resize: Literal["letterbox", "stretch"] = "letterbox"


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What counts as a detection: least score, and most overlap (IoU) of two boxes of one class."""

    conf: float = 0.25
    iou: float = 0.6


class Provenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the weights come from."""

    trained_on: list[str] = msgspec.field(default_factory=list)
    trained_at: str = ""
    recipe: str = ""
    initialised_from: str = ""


class GoldenValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One number that the model must give for a known picture.

    Attributes:
        output: Name of the output tensor.
        at: Index into that tensor, flattened.
        value: Dequantised value.
    """

    output: str
    at: int
    value: float


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A picture made from a seed, and the greatest outputs it gave (see :mod:`device.models.golden`)."""

    seed: int
    expected: list[GoldenValue]


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a person and the program must know of a model. Written as `model.toml`."""

    name: str
    version: str
    labels: list[str]
    decoder: str
    input: InputCard
    licence: str = ""
    description: str = ""
    sha256: str = ""
    thresholds: Thresholds = msgspec.field(default_factory=Thresholds)
    provenance: Provenance = msgspec.field(default_factory=Provenance)
    measured: dict[str, object] = msgspec.field(default_factory=dict)
    golden: list[Golden] = msgspec.field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model that was read and checked, ready for a :class:`device.models.detector.Detector`.

    Attributes:
        path: The `.tflite` file.
        card: Its card, read or recognised.
        sha256: Hex digest of the file as it was read.
        guessed: What was guessed rather than read, in words; empty when a card was there.
    """

    path: Path
    card: Card
    sha256: str
    guessed: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Size of the `.tflite` file."""
        return self.path.stat().st_size


def load_bundle(path_or_name: str | Path, *, int8_only: bool = False, labels: tuple[str, ...] = ()) -> Bundle:
    """Find a model, read it, and check that it is what its card says.

    Args:
        path_or_name: Name of a shipped, pulled or added model (a shipped one goes first), a bundle folder,
            its `model.toml`, or a bare `.tflite` file.
        int8_only: Refuse models whose input is float; what a device asks for.
        labels: Labels that replace a guess for a bare file.

    Raises:
        ModelUnavailable: There is no such model, it is not a detector, or it is not what its card says.
        ModelRefused: Its input is float and ``int8_only`` was asked for.
    """
    model_file = find_model(path_or_name)
    card_file = model_file.parent / CARD_FILE
    content = read_model(model_file)
    digest = hashlib.sha256(content).hexdigest()
    if model_file.name == MODEL_FILE and card_file.is_file():
        card = read_card(card_file)
        _check_digest(card, card_file, model_file, digest)
        bundle = Bundle(path=model_file, card=card, sha256=digest)
    else:
        from device.models.recognise import recognise

        card, guessed = recognise(model_file, content, labels)
        bundle = Bundle(path=model_file, card=card, sha256=digest, guessed=guessed)
    if int8_only and bundle.card.input.dtype == "float32":
        raise ModelRefused(
            path_or_name,
            "it is a float model at its input, and the firmware feeds int8 or uint8 only",
            "convert it with full-integer quantisation, input included",
        )
    return bundle


def find_model(path_or_name: str | Path) -> Path:
    """The `.tflite` file that a path or a name means.

    Raises:
        ModelUnavailable: Nothing is there; a wrong name lists the ones there are.
    """
    asked = Path(path_or_name).expanduser()
    if asked.name == CARD_FILE and asked.is_file():
        asked = asked.parent
    if asked.is_dir():
        return _inside(asked, path_or_name)
    if asked.exists():
        return asked
    for home in (HOME, models_folder()):
        if len(asked.parts) == 1 and (home / asked / MODEL_FILE).is_file():
            return home / asked / MODEL_FILE
    names = [*bundle_names(), *bundle_names(models_folder())]
    raise ModelUnavailable(
        path_or_name,
        "there is no such file, and no shipped, pulled or added model of that name",
        f"give the path of a .tflite file or one of: {', '.join(names) or '(none is installed)'}",
    )


def _inside(folder: Path, asked: str | Path) -> Path:
    if (folder / MODEL_FILE).is_file():
        return folder / MODEL_FILE
    raise ModelUnavailable(
        asked, f"the folder holds no {MODEL_FILE}", "name a bundle folder or a .tflite file"
    )


def bundle_names(home: Path = HOME) -> list[str]:
    """Names of the models that lie in a folder, sorted; those that Pehra ships unless told otherwise."""
    return sorted(file.parent.name for file in home.glob(f"[!.]*/{MODEL_FILE}"))


def models_folder() -> Path:
    """Where pulled and added models lie: `$PEHRA_MODELS`, else root's folder or the user's data folder.

    The user's data folder is that of the XDG Base Directory Specification.
    """
    if chosen := os.environ.get("PEHRA_MODELS"):
        return Path(chosen)
    if os.geteuid() == 0:
        return Path("/var/lib/pehra/models")
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "pehra" / "models"


def read_model(model_file: Path) -> bytes:
    """The bytes of a `.tflite` file.

    Raises:
        ModelUnavailable: It cannot be read, is empty, or is not TFLite at all.
    """
    get_right = "fetch or convert the model again and give a .tflite file"
    try:
        content = model_file.read_bytes()
    except OSError as error:
        raise ModelUnavailable(model_file, f"cannot be read ({error.strerror})", get_right) from error
    if not content:
        raise ModelUnavailable(model_file, "the file is empty (0 bytes)", get_right)
    if content[4:8] != TFLITE_MAGIC:
        raise ModelUnavailable(model_file, "the file is not a TFLite model", get_right)
    return content


def read_card(card_file: Path) -> Card:
    """Read and check a `model.toml`.

    Raises:
        ModelUnavailable: Not TOML, an unknown or missing key, a wrong type, or a decoder nobody knows;
            the sentence names the file and the key.
    """
    try:
        card = msgspec.toml.decode(card_file.read_bytes(), type=Card)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise ModelUnavailable(
            card_file, f"the card is wrong: {_in_words(error)}", "correct that key in the card"
        ) from error
    for problem in _problems(card):
        raise ModelUnavailable(card_file, f"the card is wrong: {problem}", "correct that key in the card")
    return card


def _in_words(error: Exception) -> str:
    return str(error).replace(" - at `$.", " in `").replace("$.", "")


def _problems(card: Card) -> list[str]:
    """What a type cannot say, in words."""
    problems = []
    if card.decoder not in DECODERS:
        problems.append(f"decoder `{card.decoder}` is unknown, there are {', '.join(DECODERS)}")
    if not card.labels or all(class_of(label) == NOT_OURS for label in card.labels):
        problems.append("labels holds none of Pehra's classes")
    if card.input.width < 1 or card.input.height < 1:
        problems.append("input.width and input.height must be at least 1")
    for key, value in (("conf", card.thresholds.conf), ("iou", card.thresholds.iou)):
        if not 0.0 <= value <= 1.0:
            problems.append(f"thresholds.{key} is {value}, it must lie in 0..1")
    return problems


def _check_digest(card: Card, card_file: Path, model_file: Path, digest: str) -> None:
    if card.sha256 and card.sha256.lower() != digest:
        raise ModelUnavailable(
            model_file,
            f"its sha256 is {digest[:12]}..., the card {card_file} says {card.sha256[:12]}...",
            "the file was damaged or exchanged: install the bundle again",
        )
