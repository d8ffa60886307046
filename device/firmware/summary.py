"""What a run of the device did, as one value that is written when it ends."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from ota.whole import write_whole

SUMMARY_FILE: Final = "summary.json"


@dataclass(frozen=True, slots=True)
class Watch:
    """When a camera watched.

    Attributes:
        camera: its id.
        from_s: moment of the first frame, Unix seconds.
        from_seq: number of that frame since the driver was opened, from 0.
        to_s: moment of the last frame.
    """

    camera: str
    from_s: float
    from_seq: int
    to_s: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did; written to the state folder when it ends.

    Attributes:
        frames: that were looked at or skipped.
        inferences: frames that went to the detector.
        skipped: frames that the motion gate kept from it.
        dropped: frames that capture replaced by newer ones.
        tracks: objects tracked.
        events_made: events written to the outbox, over all runs with this state folder.
        events_acked: of these, acknowledged by the fleet.
        events_dropped: of these, dropped by the outbox's limit.
        counts_made: count buckets written.
        counts_acked: of these, acknowledged.
        outbox_left: messages not acknowledged yet.
        bytes_sent: MQTT PUBLISH packets of this run.
        uptime_s: of this run.
        cameras: how many.
        invoke_ms_p50: median of the interpreter's `invoke`.
        invoke_ms_p95: its 95th percentile.
        watches: of the cameras that gave a picture.
    """

    frames: int
    inferences: int
    skipped: int
    dropped: int
    tracks: int
    events_made: int
    events_acked: int
    events_dropped: int
    counts_made: int
    counts_acked: int
    outbox_left: int
    bytes_sent: int
    uptime_s: float
    cameras: int
    invoke_ms_p50: float | None
    invoke_ms_p95: float | None
    watches: tuple[Watch, ...] = ()


def write_summary(path: Path, summary: Summary) -> None:
    """Write the summary as JSON, whole or not at all."""
    write_whole(path, (json.dumps(asdict(summary), indent=1) + "\n").encode(), mode=0o644)
