"""One sample of every message; `python -m tests.golden.samples` writes the golden files anew."""

import json
from base64 import b64encode
from pathlib import Path

from ota.messages import (
    Ack,
    Alarm,
    BoxedObject,
    CameraInfo,
    CardInfo,
    Channel,
    Command,
    Count,
    Desired,
    Event,
    Health,
    Info,
    LiveFrame,
    ModelInfo,
    Occupancy,
    Reply,
    Reported,
    ReportedError,
    RuleInfo,
    SignedDesired,
    Status,
    Target,
    Topic,
    Update,
    encode,
)
from ota.messages.signed import DocumentSignature

DEVICE = "gulberg-01"
ID = "01939f2e-7c00-7abc-8def-0123456789ab"
TS = "2026-11-23T09:30:00.125Z"
CAR = BoxedObject(track=17, cls="car", conf=0.91, box=(0.1204, 0.44, 0.3312, 0.71))
MODEL = ModelInfo(name="street-2", version="1.0.0", sha256="ab" * 32, labels=["person", "car"])


def _on(channel, camera="", name=""):
    return Topic(DEVICE, channel, camera, name)


SAMPLES = {
    "status": (_on(Channel.STATUS), Status(id=ID, ts=TS, state="online", session=ID)),
    "info": (
        _on(Channel.INFO),
        Info(
            id=ID,
            ts=TS,
            firmware="0.1.0",
            board="Raspberry Pi 4 Model B Rev 1.4",
            profile="raspberry-pi-4",
            model=MODEL,
            cameras=[
                CameraInfo(
                    "cam0", "picamera2", 640, 480, [RuleInfo("gate", "line", [(0.1, 0.5), (0.9, 0.5)])]
                )
            ],
            site="lahore/gulberg/liberty-chowk",
            timezone="Asia/Karachi",
            config_sha256="cd" * 32,
            card=CardInfo("ef" * 32),
        ),
    ),
    "health": (
        _on(Channel.HEALTH),
        Health(
            id=ID,
            ts=TS,
            uptime_s=86_400.5,
            cpu_pct=41.5,
            mem_pct=38.2,
            disk_pct=12.0,
            fps=9.98,
            skipped_pct=81.5,
            infer_ms_p50=21.53,
            infer_ms_p95=24.81,
            temp_c=61.4,
            throttled=True,
            under_voltage=True,
            thermal_step=2,
            sd_wear_pct=30.0,
            outbox=12,
            dropped=1042,
            cameras={"cam0": "ok", "cam1": "lost"},
        ),
    ),
    "event": (
        _on(Channel.EVENT, "cam0", "line-cross"),
        Event(
            id=ID,
            ts=TS,
            seq=7_331_840_000_001,
            cam="cam0",
            kind="line-cross",
            rule="gate",
            object=CAR,
            direction="in",
        ),
    ),
    "event-dwell": (
        _on(Channel.EVENT, "cam0", "dwell"),
        Event(
            id=ID,
            ts=TS,
            clock="unsynced",
            seq=7_331_840_000_002,
            cam="cam0",
            kind="dwell",
            rule="closed-market",
            sev="high",
            object=CAR,
            duration_s=31.5,
            hist=True,
        ),
    ),
    "event-amending": (
        _on(Channel.EVENT, "cam0", "speeding"),
        Event(
            id=ID,
            ts=TS,
            seq=7_331_840_000_009,
            cam="cam0",
            kind="speeding",
            rule="school-road",
            sev="medium",
            object=CAR,
            speed_mps=14.7,
            amends=7_331_840_000_004,
            n=3,
            until="2026-11-23T09:30:41.500Z",
        ),
    ),
    "count-heat": (
        _on(Channel.COUNT, "cam0", "map"),
        Count(
            id=ID,
            ts="2026-11-23T10:00:00.000Z",
            seq=7_331_840_000_010,
            cam="cam0",
            rule="map",
            bucket_s=3600,
            from_ts="2026-11-23T09:00:00.000Z",
            to_ts="2026-11-23T10:00:00.000Z",
            counts={},
            heat=[(7 * cell) % 60 for cell in range(144)],
        ),
    ),
    "count": (
        _on(Channel.COUNT, "cam0", "gate"),
        Count(
            id=ID,
            ts="2026-11-23T09:31:00.000Z",
            seq=7_331_840_000_003,
            cam="cam0",
            rule="gate",
            bucket_s=60,
            from_ts="2026-11-23T09:30:00.000Z",
            to_ts="2026-11-23T09:31:00.000Z",
            counts={"car": {"in": 3, "out": 1}, "person": {"in": 2}},
        ),
    ),
    "alarm": (
        _on(Channel.ALARM, "cam0", "lost"),
        Alarm(id=ID, ts=TS, kind="lost", detail="no frame for 10 s"),
    ),
    "occupancy": (
        _on(Channel.OCCUPANCY, "cam0", "yard"),
        Occupancy(id=ID, ts=TS, rule="yard", counts={"person": 4}),
    ),
    "frame": (_on(Channel.FRAME, "cam0"), LiveFrame(id=ID, ts=TS, cam="cam0", objects=[CAR])),
    "update": (
        _on(Channel.UPDATE),
        Update(id=ID, ts=TS, action=ID, state="downloading", progress_pct=41.5),
    ),
    "ack": (_on(Channel.ACK), Ack(id=ID, ts=TS, ranges=[(7_331_840_000_001, 7_331_840_000_003)])),
    "desired": (
        _on(Channel.DESIRED),
        Desired(
            id=ID,
            ts=TS,
            device=DEVICE,
            action=ID,
            seq=4,
            expires="2026-11-30T09:30:00.000Z",
            targets=[Target("models/street-2.tflite", 1_470_000, {"sha256": "ef" * 32}, {"kind": "model"})],
        ),
    ),
    "reported": (
        _on(Channel.REPORTED),
        Reported(
            id=ID,
            ts=TS,
            config_sha256="cd" * 32,
            firmware="0.1.0",
            model=MODEL,
            errors=[ReportedError("camera[0].rule[1].points", "edge 1 crosses edge 3")],
        ),
    ),
    "command": (
        _on(Channel.COMMAND, name="live"),
        Command(id=ID, ts=TS, deadline="2026-11-23T09:30:30.125Z", args={"cam": "cam0", "lease_s": 30}),
    ),
    "reply": (_on(Channel.REPLY, name="live"), Reply(id=ID, ts=TS, request=ID, is_done=True)),
}


SIGNED = (
    _on(Channel.DESIRED),
    SignedDesired(
        payload=b64encode(encode(SAMPLES["desired"][1])).decode(),
        payload_type="application/vnd.pehra.desired+json",
        signatures=[DocumentSignature("ab" * 32, "c2lnbmF0dXJl")],
        roots=[{"signatures": [], "signed": {"_type": "root", "version": 2}}],
    ),
)
"""How a document travels to a device that a fleet has let in; the channel's other message."""


def write() -> None:
    """Write every golden file."""
    for name, (topic, message) in {**SAMPLES, "desired-signed": SIGNED}.items():
        golden = {"topic": str(topic), "payload": json.loads(encode(message))}
        (Path(__file__).parent / f"{name}.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    write()
