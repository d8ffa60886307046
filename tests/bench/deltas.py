"""Bytes on the wire for a retrained model: in full, and as a delta, by the device's own client over HTTP.

A real repository is made and published; a device that has the old model refreshes its metadata and fetches
the new one both ways. By itself: `python -m tests.bench.deltas FOLDER ...`, each a bundle that was retrained
from the shipped `street-2`; without a folder the shipped `street-2-fast` is taken: the same weights.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import zstandard

from device.models.bundle import CARD_FILE, HOME, MODEL_FILE
from ota.images.adding import Wish, add
from ota.images.founding import found
from ota.images.home import Home
from ota.images.publishing import publish
from ota.images.signing import sign_staged
from ota.trust.delta import LEVEL, delta_path, patch_file
from ota.trust.download import download
from ota.trust.folder import TrustFolder
from ota.trust.http import HttpSource
from ota.trust.refresh import refresh
from tests.bench.table import Row, as_line

NAME: Final = "street-2"
SHIPPED: Final = HOME / NAME
_SECRET: Final = "a passphrase for a throw-away key"


def measure(data: Path) -> list[Row]:
    """Measure with what is shipped."""
    del data
    return [row_of("the same weights at another input side", HOME / f"{NAME}-fast")]


def row_of(what: str, retrained: Path) -> Row:
    """Return the bytes that a device takes for one retrained bundle."""
    with tempfile.TemporaryDirectory() as folder:
        full, delta, packed = _taken(Path(folder), retrained)
    return Row(
        f"update {NAME}, {what}: bytes to the device as a delta, with metadata",
        f"{delta:,}",
        f"in full {full:,} (packed by zstd -{LEVEL} {packed:,})",
        f"{delta / full:.2f}",
    )


def _taken(folder: Path, retrained: Path) -> tuple[int, int, int]:
    """Return bytes on the wire in full, as a delta, and what zstd would make of the full target."""
    home, now = Home(folder / "home"), datetime.now(UTC)
    settings = found(home, _ask, now)
    old, new = _release(home, folder, SHIPPED, "2.0.0"), _release(home, folder, retrained, "2.0.1")
    sign_staged(home, settings, _ask, now)
    publish(home, settings, folder / "www", _ask, now)
    short = delta_path(old.hashes["sha256"], new.hashes["sha256"])
    costs = []
    with _serving(folder / "www") as (url, tally):
        source = HttpSource(f"{url}/metadata", f"{url}/targets")
        for wanted in (new.path, short):
            before = tally[0]
            trust = TrustFolder(folder / f"trust-{len(costs)}")
            root = home.first_root.read_bytes()
            found_targets = refresh(trust, root, source, [old.path, new.path, short]).targets
            target = found_targets[wanted]
            if target is None:
                raise SystemExit(f"{retrained}: its delta is not smaller")
            download(source, target, folder / f"taken-{len(costs)}")
            costs.append(tally[0] - before)
    old_file = home.targets / f"models/{old.hashes['sha256']}.{Path(old.path).name}"
    patch_file(old_file, folder / "taken-1", new, folder / "made")
    content = (folder / "made").read_bytes()
    if content != (folder / "taken-0").read_bytes():
        raise SystemExit("the delta makes something else")
    return costs[0], costs[1], len(zstandard.ZstdCompressor(level=LEVEL).compress(content))


def _release(home: Home, folder: Path, bundle: Path, version: str) -> Any:
    own = folder / version
    own.mkdir()
    for name in (MODEL_FILE, CARD_FILE):
        shutil.copy(bundle / name, own / name)
    with home.locked():
        return add(home, own, Wish(hw=("any",), name=NAME, version=version))


def _ask(name: str, is_new: bool) -> str:
    del name, is_new
    return _SECRET


@contextmanager
def _serving(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Serve a folder; give its URL and a tally of the bytes that were sent."""
    tally = [0]

    class Counted(SimpleHTTPRequestHandler):
        def setup(self) -> None:
            super().setup()
            write = self.wfile.write
            self.wfile.write = lambda data: (tally.__setitem__(0, tally[0] + len(data)), write(data))[1]  # type: ignore[method-assign]

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Counted, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", tally
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def main() -> None:
    """Print a row for each folder that is named."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.deltas", description=__doc__.splitlines()[0])
    parser.add_argument("bundle", nargs="*", type=Path)
    for bundle in parser.parse_args().bundle or [HOME / f"{NAME}-fast"]:
        row = row_of(bundle.name if bundle.name != NAME else bundle.parent.name, bundle)
        sys.stdout.write(as_line(row) + "\n")


if __name__ == "__main__":
    main()
