"""What `pehra detect` makes of its findings: JSON Lines, drawn pictures, a summary for people."""

from __future__ import annotations

import statistics
from collections import Counter
from pathlib import Path
from typing import IO

import cv2
import msgspec
import numpy as np
from rich.console import Console
from rich.table import Column, Table

from device.models.detections import Detections
from device.models.detector import StageTimes
from device.models.labels import CLASSES
from hardware.camera.frame import Pixels
from hardware.camera.stills import SUFFIXES
from pehra.commands.detect_looks import Look

_COLOURS_BGR = ((80, 175, 76), (0, 193, 255), (176, 39, 156), (243, 150, 33), (54, 67, 244), (0, 87, 255))
_MOST_ROWS = 40


class Found(msgspec.Struct, frozen=True):
    """One object of a line."""

    class_: str = msgspec.field(name="class")
    conf: float
    box: list[float]


class Line(msgspec.Struct, frozen=True):
    """One line of JSON: a frame and its objects; boxes are left, top, right, bottom in 0..1."""

    source: str
    frame: int
    ts_s: float
    width: int
    height: int
    detections: list[Found]


def line_of(look: Look, detections: Detections) -> Line:
    """A frame's findings as a line."""
    rows = zip(
        detections.classes.tolist(), detections.scores.tolist(), detections.boxes.tolist(), strict=True
    )
    return Line(
        source=look.source,
        frame=look.number,
        ts_s=round(look.ts_s, 6),
        width=look.frame.width,
        height=look.frame.height,
        detections=[
            Found(CLASSES[number], round(score, 5), [round(side, 6) for side in box])
            for number, score, box in rows
        ],
    )


class JsonLines:
    """Writes one JSON object a line and flushes it, so that a reader of a pipe sees it at once."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._encoder = msgspec.json.Encoder()

    def add(self, look: Look, detections: Detections) -> None:
        """Write one frame."""
        self._stream.write(self._encoder.encode(line_of(look, detections)) + b"\n")
        self._stream.flush()


class Drawings:
    """Writes each frame with its boxes into a folder, as JPEG; never the same name twice."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._names: Counter[str] = Counter()

    def add(self, look: Look, detections: Detections) -> Path:
        """Draw one frame; returns the file.

        Raises:
            OSError: It could not be written.
        """
        path = self._folder / f"{self._name(look)}.jpg"
        if not cv2.imwrite(str(path), drawn(look, detections)):
            raise OSError(f"{path} could not be written")
        return path

    def _name(self, look: Look) -> str:
        stem = Path(look.source).stem.replace(":", "-").replace("=", "-").replace(",", "-") or "camera"
        is_photo = Path(look.source).suffix.lower() in SUFFIXES
        name = stem if is_photo else f"{stem}-{look.number:06d}"
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name}.{self._names[name]}"


def drawn(look: Look, detections: Detections) -> Pixels:
    """A copy of the picture with its boxes, (H, W, 3) BGR."""
    picture: Pixels = cv2.cvtColor(look.frame.to_rgb(), cv2.COLOR_RGB2BGR)
    height, width = picture.shape[:2]
    thickness = max(1, round(min(height, width) / 300))
    corners = (detections.boxes * np.array([width, height, width, height])).round().astype(int)
    for number, score, box in zip(detections.classes, detections.scores, corners, strict=True):
        left, top, right, bottom = (int(side) for side in box)
        colour = _COLOURS_BGR[int(number)]
        cv2.rectangle(picture, (left, top), (right, bottom), colour, thickness)
        text, at = f"{CLASSES[int(number)]} {score:.2f}", (left + 2, max(12, top - 4))
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
    return picture


class Tally:
    """Counts what was seen, for the summary."""

    def __init__(self) -> None:
        self.frames = 0
        self.skipped = 0
        self._by_source: dict[str, Counter[str]] = {}
        self._frames_of: Counter[str] = Counter()
        self._invoke_ms: list[float] = []
        self._beyond_ms: list[float] = []

    def add(self, look: Look, detections: Detections, times: StageTimes) -> None:
        """Count one frame."""
        self.frames += 1
        self._frames_of[look.source] += 1
        counts = self._by_source.setdefault(look.source, Counter())
        counts.update(CLASSES[number] for number in detections.classes.tolist())
        self._invoke_ms.append(times.invoke_ms)
        self._beyond_ms.append(times.beyond_invoke_ms)

    def show(self, console: Console) -> None:
        """Print a table of what was found, a row a source."""
        table = Table(Column("source", overflow="fold"), "frames", *CLASSES, box=None)
        rows = [*self._by_source.items()]
        for source, counts in rows[:_MOST_ROWS]:
            table.add_row(
                source, str(self._frames_of[source]), *(str(counts[name] or "") for name in CLASSES)
            )
        console.print(table)
        if len(rows) > _MOST_ROWS:
            console.print(f"... and {len(rows) - _MOST_ROWS} more sources (all of them with --json)")
            total = sum((counts for _, counts in rows), Counter[str]())
            console.print("in all: " + ", ".join(f"{total[name]} {name}" for name in CLASSES if total[name]))

    def sentence(self) -> str:
        """Frames, times and what was left out, in one line."""
        if not self.frames:
            return f"0 frames, {self.skipped} skipped"
        invoke_ms, beyond_ms = statistics.median(self._invoke_ms), statistics.median(self._beyond_ms)
        return (
            f"{self.frames} frames, {self.skipped} skipped; median {invoke_ms:.1f} ms in the model, "
            f"{beyond_ms:.2f} ms around it"
        )
