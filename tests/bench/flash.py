"""An .xz image of 2 GiB onto a file: unpacked, hashed and written, beside `xz -dc | dd` in the same run.

By itself, `python -m tests.bench.flash [--sync-mib 64]` prints the table alone. The image is made
of pieces that are half repetition, a quarter noise and a quarter zeros; it packs to about 0.4 of its size.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from hardware.flash import card as cards
from hardware.flash.image import look_at
from hardware.flash.reading_back import read_back
from hardware.flash.writing import Written, write_image
from tests.bench.table import HEADER, Row, as_line

PIECE_BYTES: Final = 128 << 20
PIECES: Final = 16
ROUNDS: Final = 3
LIMIT: Final = 0.8


def measure(data: Path) -> list[Row]:
    """Write the image both ways in turns, then read it back."""
    del data
    what = "flash: an .xz image of 2 GiB, unpacked, hashed and written, best of three turns"
    if shutil.which("xz") is None:
        return [Row(what, "not measured", "xz is not installed")]
    with tempfile.TemporaryDirectory(prefix="pehra-bench-") as folder:
        return _rows(what, Path(folder))


def _rows(what: str, folder: Path) -> list[Row]:
    image, card = folder / "image.xz", folder / "card.img"
    make_image(image)
    ours, theirs, back_s = [], [], []
    for turn in range(ROUNDS):
        written = _written(image, card, ours) if turn % 2 else None  # who is first takes turns, too
        theirs.append(_peer(image, folder / "peer.img"))
        written = written or _written(image, card, ours)
        back_s.append(_read_back(card, written))
        card.unlink()
    total_mb = PIECE_BYTES * PIECES / 1e6
    ours_mb_s = total_mb / min(one.wall_s for one in ours)
    theirs_mb_s = total_mb / min(one.wall_s for one in theirs)
    ours_cpu_s, theirs_cpu_s = min(one.cpu_s for one in ours), min(one.cpu_s for one in theirs)
    return [
        Row(
            what,
            f"{ours_mb_s:.0f} MB/s",
            f"`xz -dc` into `dd bs=4M conv=fsync` {theirs_mb_s:.0f} MB/s; at least {LIMIT}",
            f"{ours_mb_s / theirs_mb_s:.2f}",
        ),
        Row(
            "flash: processor time of the same, both hashes with it",
            f"{ours_cpu_s:.1f} s",
            f"xz and dd {theirs_cpu_s:.1f} s",
            f"{ours_cpu_s / theirs_cpu_s:.2f}",
        ),
        Row("flash: the same read back from the disk and compared", f"{total_mb / min(back_s):.0f} MB/s"),
    ]


def make_image(path: Path) -> None:
    """Write an .xz file of 2 GiB: one piece packed once, as many streams as there are pieces."""
    made = np.random.default_rng(5)
    words = made.integers(0, 256, (4096, 32), np.uint8)
    quarter = PIECE_BYTES // 4
    repeated = words[made.integers(0, 4096, 2 * quarter // 32)].reshape(-1, 1 << 16)
    noise = made.integers(0, 256, (quarter >> 15, 1 << 15), np.uint8)
    piece = np.concatenate([repeated, noise, np.zeros_like(noise)], axis=1)
    packed = subprocess.run(
        ["xz", "-T0", "-3", "-c"], input=piece.tobytes(), capture_output=True, check=True
    ).stdout
    with path.open("wb") as opened:
        for _ in range(PIECES):
            opened.write(packed)


@dataclass(frozen=True, slots=True)
class _Cost:
    wall_s: float
    cpu_s: float


def _peer(image: Path, card: Path) -> _Cost:
    command = 'xz -dc "$1" | dd of="$2" bs=4M conv=fsync status=none'
    cost = _cost(lambda: subprocess.run(["sh", "-c", command, "sh", str(image), str(card)], check=True))
    card.unlink()
    return cost


def _written(image: Path, card: Path, costs: list[_Cost]) -> Written:
    opened, descriptor = cards.open_file(card)
    kept: list[Written] = []
    try:
        opened.unseal()
        costs.append(_cost(lambda: kept.append(write_image(look_at(image), opened))))
    finally:
        os.close(descriptor)
    return kept[0]


def _read_back(card: Path, written: Written) -> float:
    opened, descriptor = cards.open_file(card)
    try:
        return _cost(lambda: read_back(opened, written)).wall_s
    finally:
        os.close(descriptor)


def _cost(work: Callable[[], object]) -> _Cost:
    began_s, cpu_s = time.perf_counter(), _cpu_s()
    work()
    return _Cost(time.perf_counter() - began_s, _cpu_s() - cpu_s)


def _cpu_s() -> float:
    """Of this process and of the programs that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sync-mib", type=int, default=cards.SYNC_EVERY_BYTES >> 20)
    cards.SYNC_EVERY_BYTES = parser.parse_args().sync_mib << 20  # type: ignore[misc]
    sys.stdout.write("\n".join([HEADER, *map(as_line, measure(Path()))]) + "\n")


if __name__ == "__main__":
    main()
