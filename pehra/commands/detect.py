"""`pehra detect`: run a detector over photos, folders, videos and cameras.

With `--json -` the standard output holds JSON Lines and nothing else; everything for people goes to the
standard error. A picture that cannot be read is named and passed over.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from device.models.bundle import Bundle
    from device.models.detector import Detector
    from pehra.commands.detect_looks import Look
    from pehra.commands.detect_output import Drawings, JsonLines, Tally

BAD_INPUT = 2
_THREADS = min(4, os.cpu_count() or 1)

Sources = Annotated[
    list[str],
    typer.Argument(
        help="Photos, folders, videos; cameras as webcam:0, rtsp://..., picamera2, street:seed=7."
    ),
]
Model = Annotated[str, typer.Option(help="A shipped model's name, a bundle folder, or a .tflite file.")]
Conf = Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Least score; else the model's own.")]
Iou = Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Most overlap of two boxes of one class.")]
Json = Annotated[str | None, typer.Option("--json", metavar="FILE|-", help="Write JSON Lines; - is stdout.")]
Draw = Annotated[Path | None, typer.Option(help="Folder for the pictures with their boxes drawn.")]
MaxFrames = Annotated[int | None, typer.Option(min=1, help="Stop after so many frames.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of the model.")]
Labels = Annotated[
    str | None, typer.Option(help="Labels of a .tflite without a card: a file, or names with commas.")
]


def detect(
    source: Sources,
    *,
    model: Model = "street-2",
    conf: Conf = None,
    iou: Iou = None,
    json_to: Json = None,
    draw: Draw = None,
    max_frames: MaxFrames = None,
    threads: Threads = _THREADS,
    labels: Labels = None,
) -> None:
    """Find people, bicycles, motorcycles, cars, buses and trucks in pictures."""
    from rich.console import Console

    from pehra.commands.detect_output import Drawings, JsonLines, Tally

    stderr = Console(stderr=True, highlight=False, soft_wrap=True)
    detector = _detector(stderr, model, conf, iou, threads=threads, labels=labels)
    tally = Tally()
    with contextlib.ExitStack() as stack:
        try:
            lines = JsonLines(stack.enter_context(_opened(json_to))) if json_to else None
            drawings = Drawings(draw) if draw else None
        except OSError as error:
            _end(stderr, f"{error.filename or draw}: cannot be written ({error.strerror})")
        try:
            _run(stderr, detector, source, max_frames, _Sinks(tally, lines, drawings))
        except _Unwritable as error:
            if not isinstance(error.reason, BrokenPipeError):
                _end(stderr, f"cannot write: {error.reason}")
            # The reader of the pipe has seen enough; the interpreter's own flush at exit must not complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    _close(stderr, detector, tally, is_stdout_free=json_to != "-")


class _Unwritable(Exception):
    """A finding could not be written, so that it is not taken for a source that could not be read."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class _Sinks:
    """Everything that wants to hear of a frame."""

    def __init__(self, tally: Tally, lines: JsonLines | None, drawings: Drawings | None) -> None:
        self.tally = tally
        self._lines = lines
        self._drawings = drawings

    def add(self, look: Look, detector: Detector) -> None:
        detections = detector.detect(look.frame)
        self.tally.add(look, detections, detector.times)
        try:
            if self._lines:
                self._lines.add(look, detections)
            if self._drawings:
                self._drawings.add(look, detections)
        except OSError as error:
            raise _Unwritable(error) from error


def _detector(
    stderr: Console, model: str, conf: float | None, iou: float | None, *, threads: int, labels: str | None
) -> Detector:
    """The model, or the end with one clear sentence."""
    from device.errors import PehraDeviceError
    from device.models.bundle import load_bundle
    from device.models.detector import Detector

    try:
        bundle = load_bundle(model, labels=read_labels(labels))
        detector = Detector(bundle, conf=conf, iou=iou, threads=threads)
    except (PehraDeviceError, OSError) as error:
        _end(stderr, str(error))
    for remark in remarks(bundle, is_labelled=labels is not None):
        stderr.print(remark, markup=False)
    return detector


def read_labels(labels: str | None) -> tuple[str, ...]:
    """Labels from the command line: the lines of a file, or names with commas between them."""
    from device.models.labels import parse_label_file

    if not labels:
        return ()
    if _is_file(labels):
        return parse_label_file(Path(labels).read_text(encoding="utf-8", errors="replace"))
    return tuple(name.strip() for name in labels.split(",") if name.strip())


def _is_file(text: str) -> bool:
    """Whether there is such a file; names with commas may be too long for the name of one."""
    try:
        return Path(text).is_file()
    except OSError:
        return False


def remarks(bundle: Bundle, *, is_labelled: bool = False) -> list[str]:
    """What a person should know of a model before trusting its boxes; `is_labelled` if --labels was given."""
    said = []
    if is_labelled and not bundle.guessed:
        said.append(f"{bundle.card.name} has a card with its labels: --labels is ignored")
    if bundle.guessed:
        said.append(f"{bundle.path.name} has no card; recognised: {'; '.join(bundle.guessed)}")
    if bundle.card.input.dtype == "float32":
        said.append(
            f"{bundle.path.name} is a float model at its input: a device refuses it, because the firmware "
            "feeds int8 or uint8 only; convert it with full-integer quantisation, input included"
        )
    return said


@contextlib.contextmanager
def _opened(json_to: str) -> Iterator[IO[bytes]]:
    if json_to == "-":
        yield sys.stdout.buffer
        return
    stream = Path(json_to).open("wb")  # noqa: SIM115 (closed below, also where the disk is full)
    try:
        yield stream
    finally:
        # Every line was flushed; what is left is what could not be written, and that has been said.
        with contextlib.suppress(OSError):
            stream.close()


def _run(stderr: Console, detector: Detector, sources: list[str], max_frames: int | None, to: _Sinks) -> None:
    """Look at every source in turn, until all are seen or somebody has had enough."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from hardware.camera.pictures import BadPicture
    from hardware.camera.sources import shown
    from hardware.errors import CameraUnavailable
    from pehra.commands.detect_looks import looks

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal)
    with _stopping() as stop, bar:
        task = bar.add_task("looking", total=max_frames)
        for source in sources:
            try:
                for look in looks(source, stop):
                    if isinstance(look, BadPicture):
                        to.tally.skipped += 1
                        stderr.print(f"{look.path}: skipped, because {look.reason}", markup=False)
                        continue
                    to.add(look, detector)
                    bar.update(task, advance=1, description=Path(look.source).name)
                    if stop.is_set() or to.tally.frames == max_frames:
                        return
            except CameraUnavailable as error:
                to.tally.skipped += 1
                stderr.print(str(error), markup=False)
            except OSError as error:
                to.tally.skipped += 1
                stderr.print(f"{shown(source)}: cannot be read ({error.strerror or error})", markup=False)


@contextlib.contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, so that what was found is still written and summed up."""
    stop = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: stop.set()) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _close(stderr: Console, detector: Detector, tally: Tally, *, is_stdout_free: bool) -> None:
    from rich.console import Console

    if tally.frames and is_stdout_free:
        tally.show(Console(highlight=False))
    stderr.print(f"{detector.bundle.card.name} by {detector.runtime}: {tally.sentence()}", markup=False)
    if detector.dropped_not_finite:
        stderr.print(f"{detector.dropped_not_finite} boxes left out: a number in them was NaN or infinite")
    if not tally.frames:
        _end(stderr, "no picture could be read: give a photo, a folder, a video or a camera")


def _end(stderr: Console, sentence: str) -> NoReturn:
    stderr.print(sentence, markup=False)
    raise typer.Exit(BAD_INPUT)
