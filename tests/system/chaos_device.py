"""A device that may be killed hundreds of times: the real outbox, counts and link, and a cheap source.

`python -m tests.system.chaos_device PORT PASSWORD FOLDER` reads words from its standard input: each `go`
forks one life of the device (so that nobody waits for imports), `end` leaves. A life writes to standard
output, one line a write, so that nothing of it is lost when it is killed:

    pid N         it lives
    made N ...    the happenings of a group, before the disk has them
    kept N ...    the same, once the disk has them: these are promised
    idle          everything was acknowledged
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

from device.firmware.counts import Bucket, Counts
from device.firmware.link import Link
from device.firmware.link_client import LinkSettings
from device.firmware.outbox import Outbox, OutboxSettings
from device.firmware.remote import Answer
from ota.messages import BoxedObject, Channel, Count, Event, Topic, format_ts, new_id

DEVICE = "cam-01"
STATE = "counts/cam0"
STEP_S = 20.0
"""Simulated seconds between two groups, so that minutes and quarter hours close while it lives."""
BOX = (0.1, 0.1, 0.2, 0.2)


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Life:
    """One process of the device, from its start to its violent end."""

    def __init__(self, port: int, password: str, folder: Path) -> None:
        self.outbox = Outbox(folder / "outbox.db", OutboxSettings(group_s=0.02, retry_s=0.05))
        self.counts = Counts(("gate",), self.outbox.load(STATE))
        self.utc_s = float(self.outbox.load("time") or time.time() - 86_400)
        settings = LinkSettings(
            "127.0.0.1", port, DEVICE, password, resend_s=1.0, max_resend_s=4.0, replay_per_s=2000.0
        )
        self.link = Link(
            DEVICE,
            settings,
            self.outbox,
            on_birth=lambda: None,
            on_command=lambda name, command: Answer("none here"),
        )

    def run(self) -> None:
        writer = threading.Thread(target=self.outbox.run, args=(threading.Event(),), daemon=True)
        writer.start()
        self.link.start()
        quiet = os.environ.get("CHAOS_QUIET") == "1"
        while not quiet:
            self.group()
            time.sleep(random.uniform(0.0, 0.01))
        while self.outbox.depth:
            time.sleep(0.02)
        say("idle")
        threading.Event().wait()

    def group(self) -> None:
        """A few happenings, counted and told as the pipeline does it, then kept."""
        self.utc_s += STEP_S
        for bucket in self.counts.watch(self.utc_s):
            self.tell_bucket(bucket)
        happenings = [random.getrandbits(52) for _ in range(random.randint(1, 4))]
        say("made", *happenings)
        for happening in happenings:
            self.counts.add("gate", "car", "in", self.utc_s)
            self.tell(happening)
        self.outbox.save(STATE, self.counts.saved())
        self.outbox.save("time", str(self.utc_s).encode())
        if self.is_kept():
            say("kept", *happenings)

    def is_kept(self) -> bool:
        """Whether the disk has all that was told; False after half a second, then it is not promised."""
        until_s = time.monotonic() + 0.5
        while self.outbox.unwritten and time.monotonic() < until_s:
            time.sleep(0.001)
        return not self.outbox.unwritten and not self.outbox.fault

    def tell(self, happening: int) -> None:
        topic, sev = (
            Topic(DEVICE, Channel.EVENT, "cam0", "line-cross"),
            random.choice(["low", "medium", "high"]),
        )
        seen = BoxedObject(happening, "car", 0.9, BOX)
        ts = format_ts(self.utc_s)
        self.outbox.add(
            topic,
            lambda seq: Event(
                id=new_id(), ts=ts, seq=seq, cam="cam0", kind="line-cross", rule="gate", sev=sev, object=seen
            ),
        )

    def tell_bucket(self, bucket: Bucket) -> None:
        self.outbox.add(
            Topic(DEVICE, Channel.COUNT, "cam0", "gate"),
            lambda seq: Count(
                id=new_id(),
                ts=format_ts(bucket.to_s),
                seq=seq,
                cam="cam0",
                rule="gate",
                bucket_s=60 if bucket.bucket_s == 60 else 900,
                from_ts=format_ts(bucket.from_s),
                to_ts=format_ts(bucket.to_s),
                counts=bucket.counts,
            ),
        )


def main() -> None:
    port, password, folder = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        word = line.strip()
        if word == "end":
            return
        if os.fork() == 0:
            random.seed()
            os.environ["CHAOS_QUIET"] = "1" if word == "quiet" else ""
            say("pid", os.getpid())
            try:
                Life(port, password, folder).run()
            finally:
                os._exit(3)


if __name__ == "__main__":
    main()
