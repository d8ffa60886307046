"""`pehra track`: detections in a MOTChallenge file become tracks in a MOTChallenge file.

The standard output holds the result and nothing else; everything for people goes to the standard error. A
file with a line that cannot be read gives no result at all.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from pehra.commands.track_files import Boxes

BAD_INPUT = 2

File = Annotated[
    Path,
    typer.Argument(
        help="Detections, one a line: frame,id,left,top,width,height,confidence in pixels, frames from 1, in "
        "any order; the id is not used, nor what follows the confidence. - is the standard input."
    ),
]
Fps = Annotated[float, typer.Option(min=0.1, max=1000.0, help="Frames a second of the sequence.")]
Out = Annotated[Path | None, typer.Option(help="Where the result goes; else to the standard output.")]
Online = Annotated[
    bool,
    typer.Option(
        "--online",
        help="Say of each frame only what a camera can say at that moment: no row is made, moved or dropped "
        "by what comes later.",
    ),
]
MinConf = Annotated[
    float | None, typer.Option(help="Leave out detections with less confidence, as the file counts it.")
]
Size = Annotated[
    str | None,
    typer.Option(
        metavar="WxH", help="Cut boxes at the edges of such a picture (1920x1080). Tracking needs no size."
    ),
]
MostGap = Annotated[
    float, typer.Option(min=0.0, max=60.0, help="Longest time out of sight that is filled, in seconds.")
]


def track(
    file: File,
    *,
    fps: Fps,
    out: Out = None,
    online: Online = False,
    min_conf: MinConf = None,
    size: Size = None,
    most_gap: MostGap = 1.2,
) -> None:
    """Follow the objects of a MOTChallenge detection file.

    Writes frame,id,left,top,width,height,1,-1,-1,-1, by frame: what motmetrics and TrackEval read.

        pehra track MOT15/train/TUD-Campus/det/det.txt --fps 25 > TUD-Campus.txt

    The tracker is the one of the cameras. Because a file may be read to its end before anything is said,
    its answers are then completed: a track begins where its object was first detected, short times out of
    sight are filled with a straight line, boxes are smoothed, and what was detected for less than half a
    second in all, or in less than a third of its frames, is left out. --online does none of this.

    Confidences from 0 to 1 are used as they are (from .35 a detection may start a track, from .15
    continue one). Of any other range only their order counts.
    """
    from pehra.commands.track_files import result_lines
    from pehra.commands.track_paths import PathSettings
    from pehra.commands.track_run import Sequence, follow

    if min_conf is not None and not math.isfinite(min_conf):
        _end(f"--min-conf {min_conf}: give a number")
    frame_size = _size(size)
    boxes = _read(file)
    if boxes.empty:
        _say(f"{boxes.empty} lines left out: their boxes have no width or no height")
    if not len(boxes):
        _say("no detections in it: is this a det/det.txt?")
    began_s = time.perf_counter()
    done = follow(Sequence(boxes, fps, min_conf, frame_size), None if online else PathSettings(most_gap))
    took_s = time.perf_counter() - began_s
    _write(out, "".join(result_lines(done.rows)))
    _say(
        f"{len(boxes)} detections in {done.frames} frames: {done.objects} objects, {len(done.rows)} rows; "
        f"{1000.0 * took_s / max(1, done.frames):.2f} ms a frame"
    )


def _read(file: Path) -> Boxes:
    from pehra.commands.track_files import BadRow, read_boxes

    name = "standard input" if str(file) == "-" else str(file)
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return read_boxes(raw.decode("utf-8-sig").splitlines())
    except OSError as error:
        _end(f"{name}: cannot be read ({error.strerror or error})")
    except UnicodeDecodeError:
        _end(f"{name}: is not a text file; give MOTChallenge detections such as det/det.txt")
    except BadRow as error:
        _end(f"{name}, {error}")


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        _end(f"--size {text}: give width and height in pixels, such as 1920x1080")
    return int(width), int(height)


def _write(out: Path | None, text: str) -> None:
    try:
        if out is None:
            sys.stdout.write(text)
            sys.stdout.flush()
        else:
            out.write_text(text, encoding="utf-8")
    except OSError as error:
        _end(f"{out or 'standard output'}: cannot be written ({error.strerror or error})")


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _end(sentence: str) -> NoReturn:
    _say(sentence)
    raise typer.Exit(BAD_INPUT)
