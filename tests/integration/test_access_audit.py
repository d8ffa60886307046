"""The audit log on both databases: one chain whoever appends, and every tampering is found by its row."""

from __future__ import annotations

import csv
import threading
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlmodel import Session

from fleet.access import audit
from fleet.access.caller import LOCAL
from fleet.access.chain import Head, chained_hash
from fleet.access.export import csv_lines, safe_cell

AT_MS = 1_800_000_000_000


def append(engine: Engine, count: int, who: str = "noor") -> None:
    with Session(engine) as session:
        for n in range(count):
            audit.record(session, who, "test.do", f"thing-{n}", {"n": n}, at_ms=AT_MS + n)
            session.commit()


def findings(engine: Engine, *known: Head) -> list[str]:
    with Session(engine) as session:
        return [str(one) for one in audit.verify(session, known)]


def head(engine: Engine) -> Head:
    with Session(engine) as session:
        return audit.read_head(session)


def change(engine: Engine, *statements: str, **values: Any) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement), values)


def test_appends_of_many_threads_keep_one_chain(engine: Engine) -> None:
    threads = [threading.Thread(target=append, args=(engine, 15, f"t{n}")) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert findings(engine) == []
    assert head(engine).n == 90


def test_a_row_is_there_exactly_if_its_change_is(engine: Engine) -> None:
    append(engine, 2)
    with Session(engine) as session:
        audit.record(session, "noor", "test.do")
        session.rollback()
    append(engine, 1)
    assert (head(engine).n, findings(engine)) == (3, [])


@pytest.mark.parametrize("column", ["who", "action", "target", "detail"])
def test_a_changed_row_is_named(engine: Engine, column: str) -> None:
    append(engine, 5)
    change(engine, f"update audit_entry set {column} = 'x' where n = 3")
    assert findings(engine) == ["row 3: was changed: its hash does not fit what it says"]


def test_a_changed_row_whose_hash_was_made_anew_is_found_by_the_next(engine: Engine) -> None:
    append(engine, 5)
    with Session(engine) as session:
        row = [*audit.all_entries(session)][2]
        forged = chained_hash(row.previous, 3, row.at_ms, "x", row.action, row.target, row.detail)
    change(engine, "update audit_entry set who = 'x', hash = :hash where n = 3", hash=forged)
    assert findings(engine) == [
        "row 4: does not follow the row before it: one of the two was changed or moved"
    ]


def test_a_removed_row_is_named(engine: Engine) -> None:
    append(engine, 5)
    change(engine, "delete from audit_entry where n = 3")
    assert findings(engine)[0] == "row 3: missing"


def test_reordered_rows_are_named(engine: Engine) -> None:
    append(engine, 5)
    change(
        engine,
        "update audit_entry set n = 99 where n = 2",
        "update audit_entry set n = 2 where n = 3",
        "update audit_entry set n = 3 where n = 99",
    )
    assert findings(engine)[0].startswith("row 2: ")


def test_a_cut_tail_is_found_by_the_head_and_a_log_written_anew_by_a_known_one(
    engine: Engine,
) -> None:
    append(engine, 5)
    known = head(engine)
    change(engine, "delete from audit_entry where n > 3")
    assert findings(engine) == ["row 4: missing: the log ends at row 3, but a known head is row 5"]
    with Session(engine) as session:
        last = [one.hash for one in audit.all_entries(session)][-1]
    change(engine, "update audit_head set n = 3, hash = :hash", hash=last)
    assert findings(engine) == [], "whoever writes both is found only by a copy of the head"
    assert findings(engine, known) == ["row 4: missing: the log ends at row 3, but a known head is row 5"]
    append(engine, 2)
    assert findings(engine, known) == [
        "row 5: is not the row that a known head names: the log was written anew"
    ]


def test_texts_that_no_database_holds_are_kept_readable(engine: Engine) -> None:
    with Session(engine) as session:
        audit.record(session, "a\0b", "test.do", "\ud800'); drop table audit_entry; --", {"why": "\0"})
        session.commit()
        (row,) = audit.all_entries(session)
    assert (row.who, row.target[:2]) == ("a\ufffdb", "\ufffd'")
    assert findings(engine) == []


def test_the_same_look_within_a_minute_is_kept_once(engine: Engine) -> None:
    with Session(engine) as session:
        for at_ms in (0, 30_000, 59_000, 61_000):
            audit.look(session, LOCAL, "events.list", "", {"kind": "dwell"}, at_ms=AT_MS + at_ms)
        audit.look(session, LOCAL, "events.list", "", {"kind": "crowd"}, at_ms=AT_MS + 61_000)
    assert head(engine).n == 3


def test_a_secret_is_not_taken_into_the_log(engine: Engine) -> None:
    with Session(engine) as session, pytest.raises(ValueError, match="does not belong"):
        audit.record(session, "noor", "test.do", detail={"password": "x"})


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-1", "@sum(a1)", "\t=1", "  =1"])
def test_no_cell_of_the_export_is_a_formula(text: str) -> None:
    assert safe_cell(text).startswith("'")
    assert safe_cell("omar") == "omar"


def test_the_export_holds_every_row_as_a_spreadsheet_reads_it(engine: Engine) -> None:
    with Session(engine) as session:
        audit.record(session, "noor", "test.do", '=HYPERLINK("http://x","a,b")', at_ms=AT_MS)
        session.commit()
        header, row = csv.reader(csv_lines(session))
    assert header[:4] == ["n", "at", "who", "action"]
    assert row[:5] == ["1", "2027-01-15T08:00:00.000Z", "noor", "test.do", '\'=HYPERLINK("http://x","a,b")']
