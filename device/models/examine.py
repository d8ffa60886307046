"""What is in a `.tflite` file, found out in a child process: tensors, operators, card, and whether it runs.

A file from elsewhere may be damaged or hostile, and the runtimes are native code that dies of some such
files. So a child loads and runs it, within limits of time and memory, and only its answer is read here.
Open :func:`examine`. Never judges (see :mod:`device.models.verify`) and never writes.
"""

from __future__ import annotations

import contextlib
import hashlib
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO

import msgspec

from device.errors import ModelUnavailable
from device.models.bundle import CARD_FILE, MODEL_FILE, Bundle, Card, find_model, read_card, read_model
from device.models.interpreter import POSTPROCESS_OP, Graph, Interpreter, Operator, read_graph
from device.models.quantise import TensorSpec

TIME_LIMIT_S = 60.0
"""A detector that needs longer for one picture on this machine is of no use to a camera."""

MEMORY_LIMIT_BYTES = 4 << 30
"""Address space of the child; a detector of a few MB needs a hundredth of it."""

KILLED = "the runtime was killed (SIGKILL): there was not memory enough"
"""Nothing is said of the model by that: another time there may be."""

_EDGES = frozenset(("QUANTIZE", "DEQUANTIZE", POSTPROCESS_OP))
"""Operators that stand between integers and floats by their nature."""

_MOST_NAMED = 5
_LOOK_S = 0.2
_REFUSED = 3
_MOST_ANSWER_BYTES = 16 << 20


class Tensor(msgspec.Struct, frozen=True):
    """An input or output; scale 0 where it is not quantised."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


class Anatomy(msgspec.Struct, frozen=True):
    """What stands in the file.

    Attributes:
        runtime: Which library read it.
        inputs: All of them.
        outputs: All of them.
        operators: How many of each name.
        macs: Multiplications with addition of one invoke: convolutions and dense layers.
        float_operators: How many of each name compute in float; those between integer and float not counted.
        float_tensors: Names of the first few tensors that these compute.
    """

    runtime: str
    inputs: list[Tensor]
    outputs: list[Tensor]
    operators: dict[str, int]
    macs: int
    float_operators: dict[str, int]
    float_tensors: list[str]

    @property
    def is_integer(self) -> bool:
        """Whether a device can run it: integers go in, and all that computes does so in integers."""
        return not self.float_operators and not any(one.dtype.startswith("float") for one in self.inputs)


class Wrong(msgspec.Struct, frozen=True):
    """A golden value that came out otherwise."""

    seed: int
    output: str
    at: int
    expected: float
    got: float


class Trial(msgspec.Struct, frozen=True):
    """What happened when it was run.

    Attributes:
        trouble: Why it does not run, one sentence; empty when it ran.
        invoke_ms: One invoke with one thread, after one that warmed up.
        image: The input that takes the picture.
        decoder: Layout told by its shapes; empty for no detector we know.
        classes: How many, where the shapes tell.
        card: Read, or made by recognition.
        guessed: What recognition guessed.
        no_card: Why there is no card, or what is wrong with it.
        misfit: Why the card's decoder and labels do not fit the outputs; empty when they do.
        golden_values: How many golden values were compared.
        golden_wrong: Those that came out otherwise.
        golden_trouble: Why they could not be compared.
    """

    trouble: str = ""
    invoke_ms: float = 0.0
    image: Tensor | None = None
    decoder: str = ""
    classes: int | None = None
    card: Card | None = None
    guessed: list[str] = msgspec.field(default_factory=list)
    no_card: str = ""
    misfit: str = ""
    golden_values: int = 0
    golden_wrong: list[Wrong] = msgspec.field(default_factory=list)
    golden_trouble: str = ""


@dataclass(frozen=True, slots=True)
class Examination:
    """The child's answer.

    Attributes:
        path: The `.tflite` file.
        size_bytes: Its size.
        sha256: Hex digest of its bytes.
        has_card: Whether a card lies beside it.
        card_sha256: The digest that the card names, in small letters; None where there is none.
        anatomy: None where the runtime could not even read the file; `trial.trouble` then says why.
        trial: What happened when it was run.
    """

    path: Path
    size_bytes: int
    sha256: str
    has_card: bool
    card_sha256: str | None
    anatomy: Anatomy | None
    trial: Trial


def examine(
    asked: str | Path,
    labels: tuple[str, ...] = (),
    *,
    limit_s: float = TIME_LIMIT_S,
    is_over: Callable[[], bool] = lambda: False,
) -> Examination:
    """Look into a model without risk to this process.

    Args:
        asked: A name, a bundle folder, its card, or a `.tflite` file.
        labels: Labels of a file without a card.
        limit_s: Seconds that the child may take.
        is_over: Asked several times a second; true ends the child at once.

    Raises:
        ModelUnavailable: There is no such file, it is empty, or it is not TFLite.
    """
    file = find_model(asked)
    content = read_model(file)
    lines, ended = _ask_child(file, labels, limit_s, is_over)
    anatomy = msgspec.json.decode(lines[0], type=Anatomy) if lines else None
    trial = msgspec.json.decode(lines[1], type=Trial) if len(lines) > 1 else Trial(trouble=ended)
    digest = hashlib.sha256(content).hexdigest()
    card_file = _card_file(file)
    named = _named_digest(card_file) if card_file else None
    return Examination(file, len(content), digest, card_file is not None, named, anatomy, trial)


def _ask_child(
    file: Path, labels: tuple[str, ...], limit_s: float, is_over: Callable[[], bool]
) -> tuple[list[bytes], str]:
    """The lines of the child's answer, and why there are not two, in words."""
    done = _run(_command(file, labels), limit_s, is_over)
    if max(len(done.stdout), len(done.stderr)) >= _MOST_ANSWER_BYTES:
        return [], "the file is damaged (the runtime talks without end); fetch or convert the model again"
    lines = done.stdout.splitlines()[:2]
    if not done.args:
        return lines, f"it does not come to an end within {limit_s:.0f} s"
    if done.returncode < 0:
        if done.returncode == -signal.SIGKILL:
            return lines, KILLED
        name = signal.Signals(-done.returncode).name
        return lines, f"the runtime dies of it ({name}): it is damaged, or needs more than there is"
    said = done.stderr.decode(errors="replace").strip().splitlines() or [""]
    if done.returncode == _REFUSED:
        return lines, said[-1]
    return lines, f"the file is damaged ({said[-1][:200]}); fetch or convert the model again"


def _command(file: Path, labels: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "device.models.examine", str(file.resolve()), *labels]


def _run(
    command: list[str], limit_s: float, is_over: Callable[[], bool]
) -> subprocess.CompletedProcess[bytes]:
    """What a child said, within bounds, and how it ended; without arguments where it had to be ended."""
    end_s, is_ended = time.monotonic() + limit_s, False
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:  # noqa: S603
        answer, words = _Bounded(child.stdout), _Bounded(child.stderr)
        try:
            while not (is_ended or answer.is_full or words.is_full):
                if time.monotonic() >= end_s or is_over():
                    break
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(_LOOK_S)
                    is_ended = True
        finally:
            child.kill()
        child.wait()
        said = answer.end(), words.end()
    return subprocess.CompletedProcess(command if is_ended else [], child.returncode, *said)


class _Bounded:
    """Reads what a child says, up to `_MOST_ANSWER_BYTES`; a child that says more is heard no further."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        assert stream is not None
        self._stream = stream
        self._said = b""
        self.is_full = False
        self._thread = threading.Thread(target=self._read, name="examined", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # it is closed when the child has ended
            self._said = self._stream.read(_MOST_ANSWER_BYTES)
            self.is_full = len(self._said) == _MOST_ANSWER_BYTES

    def end(self) -> bytes:
        """Return what was said until the child's end."""
        self._thread.join(_LOOK_S)
        return self._said


def _named_digest(card_file: Path) -> str | None:
    try:
        return read_card(card_file).sha256.lower() or None
    except ModelUnavailable:
        return None


def _card_file(file: Path) -> Path | None:
    card = file.parent / CARD_FILE
    return card if file.name == MODEL_FILE and card.is_file() else None


# The child.


def main(path: str, labels: tuple[str, ...]) -> None:
    """What the child does: one JSON line of the anatomy, and one of the trial."""
    with contextlib.suppress(OSError):  # where memory ends, the kernel is to end this child and nobody else
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (int(TIME_LIMIT_S), int(TIME_LIMIT_S) + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    file = Path(path)
    content = read_model(file)
    try:
        graph = read_graph(file, content)
        print(msgspec.json.encode(_anatomy(graph)).decode(), flush=True)  # noqa: T201
        trial = _try(file, content, labels, graph)
    except ModelUnavailable as error:
        print(f"{error.reason}; {error.what_to_do}", file=sys.stderr)  # noqa: T201
        sys.exit(_REFUSED)
    print(msgspec.json.encode(trial).decode(), flush=True)  # noqa: T201


def _anatomy(graph: Graph) -> Anatomy:
    floating = [one for one in graph.operators if one.name not in _EDGES and _is_float(one)]
    names = [spec.name for one in floating for spec in one.outputs]
    return Anatomy(
        runtime=graph.runtime,
        inputs=[_tensor(spec) for spec in graph.inputs],
        outputs=[_tensor(spec) for spec in graph.outputs],
        operators=dict(Counter(one.name for one in graph.operators).most_common()),
        macs=sum(macs_of(one) for one in graph.operators),
        float_operators=dict(Counter(one.name for one in floating).most_common()),
        float_tensors=names[:_MOST_NAMED],
    )


def macs_of(operator: Operator) -> int:
    """Multiplications with addition of one operator, from its shapes; 0 for those that are not products.

    Filters are OHWI for a convolution, 1HWC depthwise and (out, in) for a dense layer
    (tensorflow/lite/kernels/{conv,depthwise_conv,transpose_conv,fully_connected}.cc).
    """
    shapes = [spec.shape for spec in operator.inputs]
    if not operator.outputs or len(shapes) < 2:
        return 0
    out = prod(operator.outputs[0].shape)
    if operator.name == "CONV_2D" and len(shapes[1]) == 4:
        return out * prod(shapes[1][1:])
    if operator.name == "DEPTHWISE_CONV_2D" and len(shapes[1]) == 4:
        return out * prod(shapes[1][1:3])
    if operator.name == "TRANSPOSE_CONV" and len(shapes) > 2 and len(shapes[1]) == 4:
        return prod(shapes[2]) * prod(shapes[1][:3])
    if operator.name == "FULLY_CONNECTED" and shapes[1]:
        return out * shapes[1][-1]
    return out * shapes[0][-1] if operator.name == "BATCH_MATMUL" and shapes[0] else 0


def _is_float(operator: Operator) -> bool:
    return any(spec.dtype.kind == "f" for spec in (*operator.inputs, *operator.outputs))


def _tensor(spec: TensorSpec) -> Tensor:
    return Tensor(spec.name, spec.shape, spec.dtype.name, spec.scale, spec.zero_point)


def _try(file: Path, content: bytes, labels: tuple[str, ...], graph: Graph) -> Trial:
    """Run it, and compare it with its card or with the card that recognition makes."""
    from device.models.decoders import make_decoder
    from device.models.recognise import recognise, recognise_layout

    try:
        interpreter = Interpreter(file, content)
    except ModelUnavailable as error:
        return Trial(trouble=f"{error.reason}; {error.what_to_do}")
    for _ in range(2):
        interpreter.invoke()
    image = interpreter.image_input
    layout = recognise_layout(image, graph.outputs, interpreter.postprocess) or ("", None)
    trial = Trial(
        invoke_ms=round(interpreter.last_invoke_ms, 3),
        image=_tensor(image),
        decoder=layout[0],
        classes=layout[1],
    )
    card_file = _card_file(file)
    try:
        card, guessed = (read_card(card_file), ()) if card_file else recognise(file, content, labels)
    except ModelUnavailable as error:
        return msgspec.structs.replace(trial, no_card=f"{error.reason}; {error.what_to_do}")
    trial = msgspec.structs.replace(trial, card=card, guessed=list(guessed))
    postprocess = interpreter.postprocess
    try:
        make_decoder(file, card, interpreter.outputs, postprocess.outputs if postprocess else None)
    except ModelUnavailable as error:
        trial = msgspec.structs.replace(trial, misfit=f"{error.reason}; {error.what_to_do}")
    return _with_golden(Bundle(file, card, hashlib.sha256(content).hexdigest(), guessed), trial)


def _with_golden(bundle: Bundle, trial: Trial) -> Trial:
    from device.models.golden import mismatches

    try:
        wrong = mismatches(bundle)
    except (ModelUnavailable, ValueError) as error:
        return msgspec.structs.replace(trial, golden_trouble=str(error))
    return msgspec.structs.replace(
        trial,
        golden_values=sum(len(golden.expected) for golden in bundle.card.golden),
        golden_wrong=[
            Wrong(one.seed, one.expected.output, one.expected.at, one.expected.value, one.got)
            for one in wrong
        ],
    )


if __name__ == "__main__":
    main(sys.argv[1], tuple(sys.argv[2:]))
