"""Where ingest writes: one batch, one short transaction, and what may be acknowledged after it.

Statements are SQLAlchemy Core, the same for SQLite and PostgreSQL. A repeat costs nothing, because
(device, seq) is the key. Never commits on its own behalf: the caller's transaction does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, bindparam, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from fleet.reading import Received, to_ms
from fleet.rollouts.answers import concerned, note_reported, note_update
from fleet.standing import Standing, after_message
from fleet.store import tables
from fleet.store.tables_identity import Identity
from ota.messages import Alarm, Channel, Count, Event, Health, Info, Message, Reported, Update

IDENTITY = cast(Table, Identity.__table__)  # type: ignore[attr-defined]
DEVICE = cast(Table, tables.Device.__table__)  # type: ignore[attr-defined]
EVENT = cast(Table, tables.Event.__table__)  # type: ignore[attr-defined]
COUNT = cast(Table, tables.Count.__table__)  # type: ignore[attr-defined]
ALARM = cast(Table, tables.Alarm.__table__)  # type: ignore[attr-defined]

Row = dict[str, Any]
Key = tuple[str, int]


@dataclass(slots=True)
class Stored:
    """What one batch came to; true only once its transaction is committed.

    Attributes:
        acks: device -> every `seq` that is now durable (new, repeated or superseded).
        events: rows of the events that are new.
        fresh: durable messages stored now for the first time.
        duplicates: durable messages that came again, or whose bucket has a newer count.
        clashes: (device, seq) that came under another id than the one stored; that one is in no table.
    """

    acks: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    events: list[Row] = field(default_factory=list)
    fresh: int = 0
    duplicates: int = 0
    clashes: list[Key] = field(default_factory=list)


def write_batch(connection: Connection, batch: Sequence[Received], now_ms: int) -> Stored:
    """Write a batch inside the caller's transaction.

    Args:
        connection: in a transaction.
        batch: in the order the broker gave them.
        now_ms: Unix milliseconds that become `stored_ms`.
    """
    stored = Stored()
    _write_events(connection, batch, now_ms, stored)
    _write_counts(connection, batch, now_ms, stored)
    _write_alarms(connection, batch, now_ms)
    _write_devices(connection, batch, Counter(row["device"] for row in stored.events), now_ms)
    return stored


def _write_events(connection: Connection, batch: Sequence[Received], now_ms: int, stored: Stored) -> None:
    rows: dict[Key, Row] = {}
    for item in batch:
        if isinstance(item.message, Event):
            row = _event_row(item, item.message, now_ms)
            _keep_first(rows, (row["device"], row["seq"]), row, stored)
    if not rows:
        return
    fresh = _insert_new(connection, list(rows.values()))
    _amend(connection, [rows[key] for key in fresh if rows[key]["amends"] is not None])
    known = _known_ids(connection, [key for key in rows if key not in fresh])
    for key, row in rows.items():
        if key in fresh:
            stored.events.append(row)
        elif known.get(key) == row["id"]:
            stored.duplicates += 1
        else:
            stored.clashes.append(key)
            continue
        stored.acks[key[0]].append(key[1])
    stored.fresh += len(stored.events)


def _amend(connection: Connection, amendments: list[Row]) -> None:
    """Bring the amended events up to date; an amendment whose event is not here stands for itself."""
    for row in sorted(amendments, key=lambda row: row["seq"]):
        first = (EVENT.c.device == row["device"]) & (EVENT.c.seq == row["amends"])
        newer = {name: row[name] for name in ("n", "until_ms", "duration_s", "speed_mps", "number")}
        if not connection.execute(update(EVENT).where(first).values(newer)).rowcount:
            own = (EVENT.c.device == row["device"]) & (EVENT.c.seq == row["seq"])
            connection.execute(update(EVENT).where(own).values(amends=None))
            row["amends"] = None


def _insert_new(connection: Connection, rows: list[Row]) -> set[Key]:
    """Insert what is not there yet; return the keys that were new."""
    insert = _insert(connection, EVENT).on_conflict_do_nothing()
    found = connection.execute(insert.returning(EVENT.c.device, EVENT.c.seq), rows)
    return {(device, seq) for device, seq in found}


def _keep_first(rows: dict[Key, Row], key: Key, row: Row, stored: Stored) -> None:
    """Fold repeats inside one batch: the first wins, another id under its seq is a clash."""
    first = rows.setdefault(key, row)
    if first is row:
        return
    if first["id"] == row["id"]:
        stored.duplicates += 1
    else:
        stored.clashes.append(key)


def _known_ids(connection: Connection, keys: Iterable[Key]) -> dict[Key, str]:
    """Return the stored ids; one look-up a device, because SQLite scans the table for row values."""
    seqs: defaultdict[str, list[int]] = defaultdict(list)
    for device, seq in keys:
        seqs[device].append(seq)
    known: dict[Key, str] = {}
    for device, wanted in seqs.items():
        query = select(EVENT.c.seq, EVENT.c.id).where(EVENT.c.device == device, EVENT.c.seq.in_(wanted))
        known |= {(device, seq): message_id for seq, message_id in connection.execute(query)}
    return known


def _write_counts(connection: Connection, batch: Sequence[Received], now_ms: int, stored: Stored) -> None:
    rows = [_count_row(item, item.message, now_ms) for item in batch if isinstance(item.message, Count)]
    if not rows:
        return
    seen = _seen_buckets(connection, rows)
    newest: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        before = newest.get(_bucket(row)) or seen.get(_bucket(row))
        if before and before["seq"] == row["seq"] and before["id"] != row["id"]:
            stored.clashes.append((row["device"], row["seq"]))
            continue
        stored.acks[row["device"]].append(row["seq"])
        if before is None or row["seq"] > before["seq"]:
            newest[_bucket(row)] = row
        else:
            stored.duplicates += 1
            continue
        stored.fresh += 1
    if newest:
        _upsert_counts(connection, list(newest.values()))


def _seen_buckets(connection: Connection, rows: list[Row]) -> dict[tuple[Any, ...], Row]:
    """Return `seq` and `id` of the buckets that are stored; one look-up a bucket by its key."""
    seen: dict[tuple[Any, ...], Row] = {}
    for key in {_bucket(row) for row in rows}:
        where = [COUNT.c[name] == value for name, value in zip(_BUCKET, key, strict=True)]
        found = connection.execute(select(COUNT.c.seq, COUNT.c.id).where(*where)).mappings().first()
        if found:
            seen[key] = dict(found)
    return seen


def _upsert_counts(connection: Connection, rows: list[Row]) -> None:
    insert = _insert(connection, COUNT)
    changed = {c.name: insert.excluded[c.name] for c in COUNT.columns if c.name not in _BUCKET}
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=list(_BUCKET), set_=changed, where=insert.excluded.seq > COUNT.c.seq
        ),
        rows,
    )


def _write_alarms(connection: Connection, batch: Sequence[Received], now_ms: int) -> None:
    """Apply raises and clears in order; the lasting trace of a clear (its event) clears as well."""
    for item in batch:
        topic, message = item.topic, item.message
        if topic.channel is Channel.ALARM:
            _drop_alarm(connection, item.topic.device, topic.camera, topic.name, None)
            if isinstance(message, Alarm):
                connection.execute(ALARM.insert(), [_alarm_row(item, message, now_ms)])
        elif isinstance(message, Event) and message.kind == "alarm-cleared":
            _drop_alarm(connection, topic.device, message.cam, message.rule, item.at_ms)


def _drop_alarm(connection: Connection, device: str, cam: str, kind: str, until_ms: int | None) -> None:
    where = [ALARM.c.device == device, ALARM.c.cam == cam, ALARM.c.kind == kind]
    if until_ms is not None:
        where.append(ALARM.c.raised_ms <= until_ms)
    connection.execute(delete(ALARM).where(*where))


def _write_devices(
    connection: Connection, batch: Sequence[Received], new_events: Counter[str], now_ms: int
) -> None:
    by_device: dict[str, list[Received]] = defaultdict(list)
    for item in sorted(batch, key=_device_of):  # in one order in all writers, so that none waits for another
        by_device[item.topic.device].append(item)
    before = _load_devices(connection, by_device.keys())
    missing = [
        _new_device(name, items[0].received_ms) for name, items in by_device.items() if name not in before
    ]
    if missing:
        connection.execute(_insert(connection, DEVICE).on_conflict_do_nothing(), missing)
        before |= {row["id"]: row for row in missing}
    rows = [_device_row(before[name], items, new_events[name]) for name, items in by_device.items()]
    connection.execute(_UPDATE_STANDING, rows)
    words = [item for item in batch if _write_description(connection, item)]
    _tell_rollouts(connection, words, now_ms)


def _tell_rollouts(connection: Connection, words: Sequence[Received], now_ms: int) -> None:
    """Let rollouts know what devices run and how far they are; costs one look-up where none is concerned."""
    said = [item for item in words if isinstance(item.message, Reported | Update)]
    among = concerned(connection, {item.topic.device for item in said})
    if not among:
        return
    with Session(connection) as session:
        for item in sorted(said, key=_device_of):  # as engines do
            if item.topic.device in among:
                _tell_rollout(session, item.topic.device, item.message, now_ms)
        session.commit()  # of the session alone: the transaction is the caller's


def _device_of(item: Received) -> str:
    return item.topic.device


def _tell_rollout(session: Session, device: str, message: Message | None, now_ms: int) -> None:
    match message:
        case Reported():
            note_reported(session, device, message.model.sha256, message.firmware, now_ms=now_ms)
        case Update():
            note_update(session, device, message.state, message.reason, action=message.action, now_ms=now_ms)


def _load_devices(connection: Connection, names: Iterable[str]) -> dict[str, Row]:
    found = connection.execute(select(*(DEVICE.c[n] for n in _FOLDED)).where(DEVICE.c.id.in_(names)))
    return {row["id"]: dict(row) for row in found.mappings()}


def _device_row(before: Row, items: list[Received], new_events: int) -> Row:
    standing = Standing(**{key: before[key] for key in _STANDING})
    last_seen_ms, offline_ms = before["last_seen_ms"], before["offline_ms"]
    for item in items:
        standing = after_message(standing, item.message, item.at_ms, is_retained=item.is_retained)
        if not item.is_retained:
            last_seen_ms = max(last_seen_ms, item.received_ms)
    if standing.is_online:
        offline_ms = None
    elif before["is_online"]:
        offline_ms = items[-1].received_ms
    row = {key: getattr(standing, key) for key in _STANDING} | {
        "id": before["id"],
        "last_seen_ms": last_seen_ms,
        "offline_ms": offline_ms,
        "events_stored": before["events_stored"] + new_events,
    }
    return {f"p_{key}": value for key, value in row.items()}


def _write_description(connection: Connection, item: Received) -> bool:
    """Keep the newest birth certificate, health, report and update; a remembered one only if it is not older.

    Returns:
        Whether it was one of them, and was kept.
    """
    message = item.message
    if isinstance(message, Info):
        stamp, values = "info_ms", {"info": msgspec.to_builtins(message), "site": _site(item, message)}
    elif isinstance(message, Health):
        stamp, values = "health_ms", {"health": msgspec.to_builtins(message)}
    elif isinstance(message, Reported):
        stamp, values = "reported_ms", {"reported": msgspec.to_builtins(message)}
    elif isinstance(message, Update):
        stamp, values = "update_ms", {"update": msgspec.to_builtins(message)}
    else:
        return False
    where = [DEVICE.c.id == item.topic.device]
    if item.is_retained:
        where.append(DEVICE.c[stamp] <= item.at_ms)
    done = connection.execute(update(DEVICE).where(*where).values(values | {stamp: item.at_ms}))
    return done.rowcount > 0


def _site(item: Received, message: Info) -> ColumnElement[str]:
    """Return where a device hangs: as it was told when it enrolled, else as it says.

    Rights hang on the site, so a captured camera must not be able to move itself.
    """
    told = select(IDENTITY.c.site).where(IDENTITY.c.device == item.topic.device).scalar_subquery()
    return func.coalesce(told, message.site)


def _new_device(name: str, received_ms: int) -> Row:
    return tables.Device(id=name, first_seen_ms=received_ms).model_dump()


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an `insert` that knows `on conflict`: each database has its own."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def _event_row(item: Received, event: Event, now_ms: int) -> Row:
    seen = event.object
    left, top, right, bottom = seen.box if seen else (None, None, None, None)
    return {
        "device": item.topic.device,
        "seq": event.seq,
        "id": event.id,
        "cam": event.cam,
        "kind": event.kind,
        "rule": event.rule,
        "sev": event.sev,
        "track": seen.track if seen else None,
        "object_class": seen.cls if seen else None,
        "conf": seen.conf if seen else None,
        "box_left": left,
        "box_top": top,
        "box_right": right,
        "box_bottom": bottom,
        "direction": event.direction,
        "duration_s": event.duration_s,
        "speed_mps": event.speed_mps,
        "number": event.number,
        "amends": event.amends,
        "n": event.n,
        "until_ms": to_ms(event.until) if event.until else None,
        "is_hist": event.hist,
        "is_clock_synced": event.clock == "synced",
        "ts_ms": item.ts_ms,
        "at_ms": item.at_ms,
        "stored_ms": now_ms,
    }


def _count_row(item: Received, count: Count, now_ms: int) -> Row:
    return {
        "device": item.topic.device,
        "cam": count.cam,
        "rule": count.rule,
        "bucket_s": count.bucket_s,
        "from_ms": to_ms(count.from_ts),
        "to_ms": to_ms(count.to_ts),
        "seq": count.seq,
        "id": count.id,
        "counts": count.counts,
        "heat": count.heat,
        "is_partial": count.partial,
        "ts_ms": item.ts_ms,
        "stored_ms": now_ms,
    }


def _alarm_row(item: Received, alarm: Alarm, now_ms: int) -> Row:
    return {
        "device": item.topic.device,
        "cam": item.topic.camera,
        "kind": alarm.kind,
        "id": alarm.id,
        "detail": alarm.detail,
        "raised_ms": item.at_ms,
        "stored_ms": now_ms,
    }


_BUCKET = ("device", "cam", "rule", "bucket_s", "from_ms")
_STANDING = tuple(Standing.__dataclass_fields__)
_SEEN = ("last_seen_ms", "offline_ms", "events_stored")
_FOLDED = ("id", *_STANDING, *_SEEN)
_UPDATE_STANDING = (
    update(DEVICE)
    .where(DEVICE.c.id == bindparam("p_id"))
    .values({name: bindparam(f"p_{name}", type_=DEVICE.c[name].type) for name in (*_STANDING, *_SEEN)})
)


def _bucket(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in _BUCKET)
