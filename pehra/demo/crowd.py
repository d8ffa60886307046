"""Many devices in one process: the whole firmware of each, in a thread with what it starts.

`python -m pehra.demo.crowd CONFIG ...`. A camera of its own process is a better citizen; forty of them are
too many for one machine. What one device does to its process (a crash) would end all of them.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Final

from device.firmware.life import Life

APART_S: Final = 0.05
"""Between two starts, so that all of them do not load their models at once."""


def main() -> int:
    """Run until SIGTERM; return the greatest exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(threadName)s %(name)s %(message)s")
    stop, codes = threading.Event(), dict.fromkeys(map(Path, sys.argv[1:]), 0)
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())

    def live(config: Path) -> None:
        codes[config] = Life(config, stop).run()

    threads = [threading.Thread(target=live, args=(config,), name=config.stem) for config in codes]
    for thread in threads:
        thread.start()
        stop.wait(APART_S)
    while any(thread.is_alive() for thread in threads):
        time.sleep(APART_S)  # the handler of a signal needs this thread
    return max(codes.values(), default=0)


if __name__ == "__main__":
    sys.exit(main())
