"""What the demo tells at its end: numbers of the cameras and of the fleet, side by side.

Pure: from what the devices wrote and what the fleet's API answered to one value, JSON or text.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from pehra.demo.truth import Agreement

VIDEO_BIT_PER_S: Final = 1_000_000
"""The peer for bytes sent: a modest 1 Mbit/s video stream (WIRE.md)."""

CROSSINGS: Final = ("true", "counted", "missed", "false", "counted_share", "false_share")
"""What the report takes from the `Agreement`, as `crossings_...`."""

SHORT: Final = 12
"""Digits of a SHA-256 that are enough to tell models apart."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """How the cameras came into their fleet.

    Attributes:
        broker: `Mosquitto`, or `embedded`.
        enrolled: cameras that enrolled by themselves with a ticket.
        claim_to_online_s: from its ticket to online, of the camera that took longest; None without any.
    """

    broker: str
    enrolled: int = 0
    claim_to_online_s: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The demo in numbers.

    Attributes:
        model: name and version of the detector, as the cameras told the fleet; empty when none did.
        model_sha256: the first 12 digits of its file's SHA-256.
        cameras: how many ran.
        duration_s: from the first camera's start to its stop.
        frames: that reached the pipeline.
        inferences: frames the detector looked at.
        skipped: frames that the motion gate kept from it.
        dropped: frames replaced by newer ones in capture.
        tracks: objects tracked.
        events_made: events written to the cameras' outboxes.
        events_stored: events in the fleet's database.
        events_acked: events whose acknowledgement reached their camera.
        counts_made: count buckets made.
        counts_acked: count buckets acknowledged.
        outbox_left: messages still waiting in the outboxes.
        bytes_per_camera_hour: MQTT PUBLISH bytes (TCP/IP aside) of one camera in one hour.
        video_ratio: how many times more 1 Mbit/s video would send.
        latency_ms_p50: from frame to commit in the database, median; None without events.
        latency_ms_p95: its 95th percentile.
        invoke_ms_p50: median of the detector's invoke, over the cameras.
        crossings_true: how often the simulated street's line was crossed while its cameras watched (see
            `pehra.demo.truth`); None, as what follows, when no camera looks at a simulated street.
        crossings_counted: of these, how many the fleet has an event of.
        crossings_missed: of these, how many it has none of.
        crossings_false: events of crossings that did not happen.
        crossings_counted_share: counted / true, 0..1; None without crossings.
        crossings_false_share: false / true, from 0; None without crossings.
        broker: `Mosquitto`, or `embedded`.
        enrolled: cameras that enrolled by themselves with a ticket; 0 in a demo without locks.
        claim_to_online_s: from its ticket to online, of the camera that took longest; None without any.
        trouble: what went wrong, in words; empty when nothing did.
    """

    model: str
    model_sha256: str
    cameras: int
    duration_s: float
    frames: int
    inferences: int
    skipped: int
    dropped: int
    tracks: int
    events_made: int
    events_stored: int
    events_acked: int
    counts_made: int
    counts_acked: int
    outbox_left: int
    bytes_per_camera_hour: int
    video_ratio: float
    latency_ms_p50: float | None
    latency_ms_p95: float | None
    invoke_ms_p50: float | None
    crossings_true: int | None
    crossings_counted: int | None
    crossings_missed: int | None
    crossings_false: int | None
    crossings_counted_share: float | None
    crossings_false_share: float | None
    broker: str
    enrolled: int
    claim_to_online_s: float | None
    trouble: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Whether all that was made is stored and acknowledged, and nobody failed."""
        return not self.trouble

    def as_json(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return asdict(self)


def model_of(known: list[dict[str, Any]]) -> tuple[str, str]:
    """Return name with version, and short SHA-256, of the model that made the events.

    Args:
        known: devices as `/api/v1/devices` answered. What they run is in their birth certificates.
    """
    models = [device["info"]["model"] for device in known if device.get("info")]
    names = dict.fromkeys(f"{model['name']} {model['version']}".strip() for model in models)
    sums = dict.fromkeys(model["sha256"][:SHORT] for model in models)
    return ", ".join(names), ", ".join(sums)


def make_report(
    devices: list[dict[str, Any]],
    stats: dict[str, Any],
    model: tuple[str, str],
    trouble: list[str],
    crossings: Agreement | None = None,
    arrivals: Arrivals | None = None,
) -> Report:
    """Fold the devices' summaries and the fleet's stats into one report.

    Args:
        devices: the `summary.json` of each device.
        stats: what `/api/v1/stats` answered.
        model: see `model_of`.
        trouble: what went wrong so far.
        crossings: events beside the truth of all simulated streets; None without one.
        arrivals: how the cameras came in; None for a demo without locks.
    """

    def total(name: str) -> int:
        return sum(int(device[name]) for device in devices)

    made, stored, acked = total("events_made"), int(stats.get("events_stored", 0)), total("events_acked")
    found = list(trouble)
    if not made == stored == acked:
        found.append(f"events made {made}, stored {stored}, acknowledged {acked} are not equal")
    hours = sum(float(device["uptime_s"]) for device in devices) / 3600.0
    per_hour = total("bytes_sent") / hours if hours else 0.0
    medians = sorted(device["invoke_ms_p50"] for device in devices if device["invoke_ms_p50"] is not None)
    compared: dict[str, Any] = {
        f"crossings_{name}": None if crossings is None else getattr(crossings, name) for name in CROSSINGS
    }
    return Report(
        model=model[0],
        model_sha256=model[1],
        cameras=len(devices),
        duration_s=round(max((float(device["uptime_s"]) for device in devices), default=0.0), 1),
        frames=total("frames"),
        inferences=total("inferences"),
        skipped=total("skipped"),
        dropped=total("dropped"),
        tracks=total("tracks"),
        events_made=made,
        events_stored=stored,
        events_acked=acked,
        counts_made=total("counts_made"),
        counts_acked=total("counts_acked"),
        outbox_left=total("outbox_left"),
        bytes_per_camera_hour=round(per_hour),
        video_ratio=round(VIDEO_BIT_PER_S / 8 * 3600 / per_hour, 1) if per_hour else 0.0,
        latency_ms_p50=stats.get("latency_ms_p50"),
        latency_ms_p95=stats.get("latency_ms_p95"),
        invoke_ms_p50=medians[len(medians) // 2] if medians else None,
        **compared,
        **asdict(arrivals or Arrivals("embedded")),
        trouble=tuple(found),
    )


def lines(report: Report) -> list[str]:
    """Return the report as lines for a person."""
    share = 100.0 * report.skipped / report.frames if report.frames else 0.0
    latency = (
        "no events"
        if report.latency_ms_p50 is None
        else f"p50 {report.latency_ms_p50:.0f} ms, p95 {report.latency_ms_p95:.0f} ms"
    )
    return [
        f"{report.cameras} camera(s) watched for {report.duration_s:.0f} s",
        *_arrival_lines(report),
        f"model        {report.model} (sha256 {report.model_sha256}...)"
        if report.model
        else "model        none",
        f"frames       {report.frames}, of which {report.inferences} were looked at and {report.skipped} "
        f"skipped by the motion gate ({share:.0f} %); {report.dropped} replaced by newer ones",
        f"tracks       {report.tracks}",
        f"events       {report.events_made} made, {report.events_stored} stored, "
        f"{report.events_acked} acknowledged",
        *_crossing_lines(report),
        f"counts       {report.counts_made} buckets made, {report.counts_acked} acknowledged",
        f"sent         {report.bytes_per_camera_hour / 1e6:.2f} MB per camera and hour; 1 Mbit/s video sends "
        f"450 MB, {report.video_ratio:.0f} times as much",
        f"frame->store {latency}",
        *(f"TROUBLE      {line}" for line in report.trouble),
    ]


def _arrival_lines(report: Report) -> list[str]:
    if not report.enrolled:
        return []
    took = (
        ""
        if report.claim_to_online_s is None
        else f"; from ticket to online {report.claim_to_online_s:.1f} s at most"
    )
    return [
        f"identity     {report.enrolled} of {report.cameras} enrolled by themselves over mutual TLS, broker "
        f"{report.broker}{took}"
    ]


def _crossing_lines(report: Report) -> list[str]:
    if report.crossings_counted_share is None or report.crossings_false_share is None:
        return []
    return [
        f"crossings    {report.crossings_counted} of {report.crossings_true} on the street were counted "
        f"({report.crossings_counted_share:.1%}); {report.crossings_false} were counted that did not happen "
        f"({report.crossings_false_share:.1%})"
    ]
