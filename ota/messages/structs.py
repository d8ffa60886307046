"""What a device and its fleet say to each other, one struct a message.

Unknown fields are ignored, so that an older reader survives a newer writer; a field that breaks its
limits is refused. Units are in the names. No struct can carry a picture: the longest text is 200
characters, and there is no field of bytes. (The envelope of `signed.py` goes to devices, never from them.)
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ota.messages.fields import (
    MAX_SEQ,
    Box,
    MessageId,
    Name,
    Percent,
    Point,
    Seq,
    ShortText,
    Timestamp,
    Unit,
)

Severity = Literal["low", "medium", "high"]
DeviceState = Literal["starting", "online", "degraded", "safe", "stopped", "lost"]
CameraState = Literal["ok", "lost", "ended"]
AlarmKind = Literal["covered", "dark", "bright", "blurred", "moved", "frozen", "lost"]
ClockState = Literal["synced", "unsynced"]
MAX_OBJECTS = 300
HEAT_CELLS = 16 * 9
MAX_REPLY_LINES = 100
Number = Annotated[int, Meta(ge=0, le=MAX_SEQ)]
ArgName = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,39}$")]
ArgValue = Annotated[str, Meta(max_length=200)] | int | float | bool


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="v", tag=1):
    """The envelope that every message shares; `v` is the schema's version.

    Attributes:
        id: UUIDv7 of this message; a repeat carries the same.
        ts: the moment it speaks of (of the frame, where there is one), not of publishing.
        clock: `unsynced` while the device's clock has not been set; absent otherwise.
    """

    id: MessageId
    ts: Timestamp
    clock: ClockState = "synced"


class Durable(Message, frozen=True, kw_only=True):
    """A message that is kept until the fleet has stored it.

    Attributes:
        seq: number per device, rising across reboots.
        cam: the camera it is about.
        hist: true when it was sent late, after the link had been away.
    """

    seq: Seq
    cam: Name
    hist: bool = False


class BoxedObject(msgspec.Struct, frozen=True, omit_defaults=True, rename={"cls": "class"}):
    """One tracked object: where and what, never who.

    Attributes:
        track: number of the track, unique on its camera since the device started.
        cls: `class` on the wire, one of the model's labels.
        conf: score of the detection in 0..1, two decimals.
        box: left, top, right, bottom in 0..1, four decimals; the position is its bottom centre.
    """

    track: Number
    cls: Name
    conf: Unit
    box: Box


class Event(Durable, frozen=True, kw_only=True):
    """A rule that came true for a track, or an alarm's lasting trace.

    Attributes:
        kind: `zone-enter zone-exit line-cross dwell loitering crowd wrong-way stopped object-left
            object-removed speeding alarm-raised alarm-cleared`.
        rule: name of the rule; the kind of the alarm for the two alarm kinds.
        object: the object that made it true, absent for alarms; for `crowd` the box around all of them and
            their most frequent class, for a thing that the model has no class for the class `thing`, both
            with the track number 0.
        direction: for `line-cross`: `in` or `out`, as the line is drawn (`in` is from its left to its right).
        duration_s: how long it had lasted: the object was inside, stood, was alone; they were a crowd.
        speed_mps: for `speeding`: on the ground.
        number: for `crowd`: how many were there.
        amends: `seq` of an event of this device that this one replaces with what happened meanwhile: it is
            the same event, not a new one. Its `ts` is that event's, its object the latest.
        n: how many happenings it stands for, the first one among them.
        until: when the latest of them was.
        sev: how soon a person should look.
    """

    kind: Name
    rule: Name
    sev: Severity = "low"
    object: BoxedObject | None = None
    direction: Literal["in", "out"] | None = None
    duration_s: Annotated[float, Meta(ge=0)] | None = None
    speed_mps: Annotated[float, Meta(ge=0, le=1000)] | None = None
    number: Number | None = None
    amends: Seq | None = None
    n: Annotated[int, Meta(ge=1, le=MAX_SEQ)] = 1
    until: Timestamp | None = None


class Count(Durable, frozen=True, kw_only=True, rename={"from_ts": "from", "to_ts": "to"}):
    """A time bucket of a rule; a later one with the same (rule, bucket_s, from) replaces it.

    Attributes:
        bucket_s: 60 or 900; 3600 for a heat map.
        from_ts: `from` on the wire, start of the bucket.
        to_ts: `to` on the wire, end of what was counted; earlier than from + bucket_s while partial.
        counts: class -> word -> how many; words are `in out enter exit`, the kinds of the other events, and
            `<from>--<to>` for the ways between two lines. Empty for a heat map.
        heat: a heat map: for how many seconds objects stood in each of 16 x 9 cells of the picture, row by
            row from the top left; two objects for a second are two.
        partial: true when the camera watched only part of the bucket: it stopped, was lost, or came late.
    """

    rule: Name
    bucket_s: Literal[60, 900, 3600]
    from_ts: Timestamp
    to_ts: Timestamp
    counts: dict[Name, dict[Name, Number]]
    heat: Annotated[list[Number], Meta(min_length=HEAT_CELLS, max_length=HEAT_CELLS)] | None = None
    partial: bool = False


class Status(Message, frozen=True, kw_only=True):
    """Whether the device lives; `lost` is its will.

    Attributes:
        state: where it stands.
        session: id that pairs the birth and the death of one connection.
        reason: why it is degraded or safe.
    """

    state: DeviceState
    session: MessageId
    reason: ShortText = ""


class ModelInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """The detector that runs."""

    name: ShortText
    version: ShortText
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    labels: list[Name] = []


class RuleInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rule as the console draws it: a zone's polygon or a line's two points."""

    name: Name
    kind: Literal["zone", "line"]
    points: Annotated[list[Point], Meta(max_length=64)]


class CameraInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One camera and what it was told to notice.

    Attributes:
        id: `cam0`, `cam1`, ...
        driver: kind of the source (`street`, `file`, `rtsp`, ...); never its address or password.
        width: of the looked-at frame, pixels.
        height: of the looked-at frame, pixels.
    """

    id: Name
    driver: Name
    width: Annotated[int, Meta(ge=1, le=100_000)]
    height: Annotated[int, Meta(ge=1, le=100_000)]
    rules: Annotated[list[RuleInfo], Meta(max_length=64)] = []


class CardInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the first boot made of what `pehra flash` wrote onto the card.

    Attributes:
        sha256: of what was applied; the flasher told the same when it wrote the card.
        failed: the step that failed, empty where all was applied.
    """

    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    failed: Annotated[str, Meta(max_length=100)] = ""


class Info(Message, frozen=True, kw_only=True):
    """Birth certificate, retained.

    Attributes:
        board: its model, as it calls itself: `Raspberry Pi 4 Model B Rev 1.4`.
        profile: the word for its kind, which releases and filters mean: `raspberry-pi-4` (docs/boards.md).
        card: of a board that was set up by `pehra flash`.
    """

    firmware: ShortText
    board: ShortText
    model: ModelInfo
    cameras: Annotated[list[CameraInfo], Meta(max_length=8)]
    site: ShortText = ""
    timezone: ShortText = "UTC"
    config_sha256: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""
    schema: Annotated[int, Meta(ge=1, le=100_000)] = 1
    profile: ShortText = ""
    card: CardInfo | None = None


class Health(Message, frozen=True, kw_only=True):
    """How the device is; every 20 s and on change, at most 400 bytes.

    Attributes:
        fps: frames looked at (inferred or skipped by the motion gate) per second, all cameras together.
        skipped_pct: share of the frames that the motion gate skipped.
        infer_ms_p50: median of the interpreter's `invoke` over the last window.
        throttled: whether the board has slowed itself down; absent where that is not known.
        under_voltage: whether its power supply is too weak; absent where that is not known.
        thermal_step: how many steps the frame rate is down because the board is hot; 0 is full rate.
        sd_wear_pct: how much of the storage's life is used, where it tells.
        power_mw: what the board draws, where it tells.
        outbox: durable messages not yet acknowledged.
        outbox_dropped: durable messages that had to go unacknowledged since the outbox was made.
        dropped: frames that capture replaced by newer ones, since start.
        cameras: camera -> state, of those that are not `ok`.
    """

    uptime_s: Annotated[float, Meta(ge=0)]
    cpu_pct: Percent
    mem_pct: Percent
    disk_pct: Percent
    fps: Annotated[float, Meta(ge=0)]
    skipped_pct: Percent = 0.0
    infer_ms_p50: Annotated[float, Meta(ge=0)] | None = None
    infer_ms_p95: Annotated[float, Meta(ge=0)] | None = None
    temp_c: Annotated[float, Meta(ge=-60, le=200)] | None = None
    throttled: bool | None = None
    under_voltage: bool | None = None
    thermal_step: Annotated[int, Meta(ge=0, le=8)] = 0
    sd_wear_pct: Percent | None = None
    power_mw: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    outbox: Number = 0
    outbox_dropped: Number = 0
    dropped: Number = 0
    cameras: Annotated[dict[Name, CameraState], Meta(max_length=8)] = {}


class Alarm(Message, frozen=True, kw_only=True):
    """A condition that stands; zero bytes on its topic clear it."""

    kind: AlarmKind
    detail: ShortText = ""


class Occupancy(Message, frozen=True, kw_only=True):
    """How many are in a zone now: class -> count."""

    rule: Name
    counts: dict[Name, Number]


class LiveFrame(Message, frozen=True, kw_only=True):
    """Boxes of one frame while somebody looks: the live view without pixels; never stored."""

    cam: Name
    objects: Annotated[list[BoxedObject], Meta(max_length=MAX_OBJECTS)]


class Ack(Message, frozen=True, kw_only=True):
    """What the fleet has stored: inclusive ranges of `seq`."""

    ranges: Annotated[list[tuple[Seq, Seq]], Meta(max_length=1000)]


class Command(Message, frozen=True, kw_only=True):
    """A request to a device; its name is in the topic, `id` makes it idempotent.

    Attributes:
        deadline: after this moment it must not be carried out; at most a day after `ts`.
        args: such as `cam` and `lease_s` (at most 30) of `live`; docs/remote.md lists those of all commands.
    """

    deadline: Timestamp
    args: Annotated[dict[ArgName, ArgValue], Meta(max_length=16)] = {}


class Reply(Message, frozen=True, kw_only=True):
    """The answer to a command; `request` is the command's id.

    Attributes:
        is_done: whether it was carried out; if not, `reason` says why.
        lines: what there is to read: of the log, of a self-test.
    """

    request: MessageId
    is_done: bool
    reason: ShortText = ""
    lines: Annotated[list[ShortText], Meta(max_length=MAX_REPLY_LINES)] = []


class ReportedError(msgspec.Struct, frozen=True):
    """What was refused, and where."""

    path: ShortText
    message: ShortText


class Reported(Message, frozen=True, kw_only=True):
    """What a device really runs.

    Attributes:
        config_sha256: digest of the whole configuration in force, as in `Info`.
        errors: what was refused, or what is wrong with the device's memory, and where.
        action: of the last desired document that was read.
        seq: its number.
        outcome: what became of it: `trial` runs but is not confirmed, `applied` stays; after `refused` and
            `rolled-back` the configuration before it is in force.
        overlay_sha256: digest of the overlay in force; empty where only the device's own file is.
        dropped: durable messages that had to go unacknowledged, by kind of event (`count` for counts).
        merged: counts of a minute that went because their quarter hour tells their sum.
    """

    config_sha256: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")]
    firmware: ShortText
    model: ModelInfo
    errors: Annotated[list[ReportedError], Meta(max_length=20)] = []
    action: MessageId | None = None
    seq: Seq | None = None
    outcome: Literal["none", "trial", "applied", "refused", "rolled-back"] = "none"
    overlay_sha256: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""
    dropped: Annotated[dict[Name, Number], Meta(max_length=64)] = {}
    merged: Number = 0


class Update(Message, frozen=True, kw_only=True):
    """Progress and outcome of the current action (states of UPDATES.md).

    Attributes:
        state: of the updater, such as `downloading`, `switched` or `rolled-back`.
        progress_pct: of the download.
        reason: why it was refused or went back, or what it waits for.
        target: path of the release in the image repository.
    """

    action: MessageId
    state: Name
    progress_pct: Percent = 0.0
    reason: ShortText = ""
    target: ShortText = ""
