"""Pictures of an evaluation: curves of precision over recall, and where the model erred worst.

Needs matplotlib (extra `[train]` or `[dev]`). Reads the dataset's photographs again; writes only PNG files.
"""

from __future__ import annotations

import importlib.util
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from device.errors import ConfigError
from device.models.evaluation.matching import Matched
from device.models.evaluation.precision import RECALLS
from device.models.evaluation.run import Evaluation
from device.models.labels import CLASSES
from hardware.camera.stills import read_photo

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES_FILE = "precision-recall.png"
MISSES_FILE = "worst-misses.png"

_TILES = 12
_COLUMNS = 4
_DPI = 110
_MISSED, _FALSE, _RIGHT = "#e4002b", "#ff9e1b", "#2e9e5b"

Line = Literal["-", "--"]


def prepare(folder: Path) -> None:
    """Make the folder for drawings and look whether they can be made: known before hours of work, not after.

    Raises:
        ConfigError: matplotlib is missing, or the folder cannot be written.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError(
            None, None, "--pictures", "needs matplotlib: pip install 'pehra[train]', or leave it out"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _cannot_write(folder, error) from error


def draw(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write both pictures into a folder, which is made where it is not there, and return their paths.

    Raises:
        ConfigError: matplotlib is missing, or the folder cannot be written.
    """
    prepare(folder)
    from matplotlib.figure import Figure

    made = {CURVES_FILE: Figure(figsize=(8, 6)), MISSES_FILE: Figure(figsize=(14, 11))}
    _draw_curves(made[CURVES_FILE], evaluation)
    _draw_misses(made[MISSES_FILE], evaluation)
    try:
        for name, figure in made.items():
            figure.savefig(folder / name, dpi=_DPI)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    return [folder / name for name in made]


def _cannot_write(folder: Path, error: OSError) -> ConfigError:
    return ConfigError(folder, None, "", f"cannot be written ({error.strerror}): choose another")


def worst(matched: list[Matched], count: int = _TILES) -> list[Matched]:
    """The pictures with the worst errors, worst first; none without an error.

    A missed object weighs the more the larger it is (the root of its share of the picture), a false alarm the
    more the surer it was (its score).
    """
    weighed = [(one, _weight(one)) for one in matched]
    ranked = sorted((pair for pair in weighed if pair[1] > 0), key=lambda pair: -pair[1])
    return [one for one, _ in ranked[:count]]


def _weight(one: Matched) -> float:
    missed = one.truth_boxes[one.is_missed]
    size = np.maximum(missed[:, 2:] - missed[:, :2], 0)
    return float(np.sqrt(size.prod(axis=1)).sum() + one.scores[one.is_false_alarm].sum())


def _draw_curves(figure: Figure, evaluation: Evaluation) -> None:
    report = evaluation.report
    axes = figure.add_subplot()
    for number, curve in sorted(evaluation.curves.items()):
        name = CLASSES[number]
        score = report.per_class[name]
        (line,) = axes.plot(
            RECALLS, curve.precisions, label=f"{name}: AP50 {curve.ap50:.3f}, {curve.boxes} boxes"
        )
        if score.recall is not None and score.precision is not None:
            axes.plot(score.recall, score.precision, "o", color=line.get_color())
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision at IoU 0.5")
    axes.set_title(f"{report.model} on {report.images} pictures: mAP50 {report.map50:.3f}")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", title=f"dot: at a score of {report.conf:g}, as in use")
    figure.tight_layout()


def _draw_misses(figure: Figure, evaluation: Evaluation) -> None:
    from matplotlib.lines import Line2D

    tiles = worst(evaluation.matched)
    report = evaluation.report
    said = f"{report.model}: worst of {report.images} pictures at a score of {report.conf:g}"
    figure.suptitle(said if tiles else f"{said}: not one error")
    rows = max(1, math.ceil(len(tiles) / _COLUMNS))
    for place, tile in enumerate(tiles, start=1):
        _draw_tile(figure.add_subplot(rows, _COLUMNS, place), tile)
    kinds: tuple[tuple[str, str, Line], ...] = (
        (_MISSED, "missed", "-"),
        (_FALSE, "false alarm", "--"),
        (_RIGHT, "found", "-"),
    )
    lines = [Line2D([], [], color=colour, linestyle=style, label=name) for colour, name, style in kinds]
    figure.tight_layout(rect=(0, 0.03, 1, 0.98))
    figure.legend(handles=lines, loc="lower center", ncol=len(lines), frameon=False)


def _draw_tile(axes: Axes, tile: Matched) -> None:
    path = tile.seen.labelled.path
    axes.imshow(read_photo(path))
    axes.set_axis_off()
    axes.set_title(path.stem if len(path.stem) <= 30 else f"{path.stem[:28]}...", fontsize=8)
    size = np.array([tile.seen.width, tile.seen.height] * 2)
    for kind, box, is_missed in zip(tile.truth_classes, tile.truth_boxes, tile.is_missed, strict=True):
        name = CLASSES[int(kind)]
        _draw_box(axes, box * size, _MISSED if is_missed else _RIGHT, name if is_missed else "")
    for k in np.flatnonzero(tile.is_false_alarm):
        said = f"{CLASSES[int(tile.classes[k])]} {tile.scores[k]:.2f}"
        _draw_box(axes, tile.boxes[k] * size, _FALSE, said, "--")


def _draw_box(axes: Axes, box: np.ndarray, colour: str, said: str, line: Line = "-") -> None:
    from matplotlib.patches import Rectangle

    left, top, right, bottom = (float(edge) for edge in box)
    axes.add_patch(
        Rectangle(
            (left, top), right - left, bottom - top, fill=False, color=colour, linewidth=1.4, linestyle=line
        )
    )
    if said:
        axes.text(left, top, said, fontsize=7, color="white", va="bottom", clip_on=True).set_bbox(
            {"facecolor": colour, "edgecolor": "none", "pad": 0.8}
        )
