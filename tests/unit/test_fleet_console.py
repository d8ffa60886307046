"""The console's parts that need no browser."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from fleet.console import events as console_events
from fleet.console.counts_chart import chart_options
from fleet.console.device import tiles_html
from fleet.console.devices import PAGES_MAX, DevicesView
from fleet.console.events import EventsTable
from fleet.console.frame import ask, spared
from fleet.queries.events import EventFilter
from fleet.queries.paging import Page
from fleet.services import Services, build_services
from fleet.settings import Settings
from fleet.store.tables import Event


def services_of(folder: Path) -> Services:
    return build_services(Settings(database_url=f"sqlite:///{folder}/fleet.db"))


class Shown(EventsTable):
    """The table without its widget."""

    def __init__(self, services: Services, wanted: EventFilter) -> None:
        super().__init__(services, wanted)
        self._table: Any = type("Rows", (), {"rows": []})()

    def _show(self, lines: list[dict[str, Any]]) -> None:
        self._table.rows = lines

    @property
    def keys(self) -> list[str]:
        return [line["key"] for line in self._table.rows]


def row(seq: int, kind: str = "line-cross") -> dict[str, Any]:
    names = {"id": "x", "cam": "cam0", "kind": kind, "rule": "gate", "sev": "low"}
    return {"device": "cam-01", "seq": seq, "ts_ms": seq, "at_ms": seq, "stored_ms": seq} | names


def test_an_event_that_comes_while_a_page_is_read_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = services_of(tmp_path)
    table = Shown(services, EventFilter())

    async def answer_late(*_: object) -> Page[Event]:
        services.feed.tell([row(2)], has_other=False)
        table.follow()
        return Page([Event(**row(1))], None)

    monkeypatch.setattr(console_events, "ask", answer_late)
    asyncio.run(table.load())
    table.follow()
    assert table.keys == ["cam-01/2", "cam-01/1"]
    services.close()


def test_an_answer_to_an_earlier_filter_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    services = services_of(tmp_path)
    table = Shown(services, EventFilter(kind="dwell"))

    async def answer_late(*_: object) -> Page[Event]:
        table.wanted = EventFilter(kind="line-cross")
        return Page([Event(**row(1, "dwell"))], None)

    monkeypatch.setattr(console_events, "ask", answer_late)
    assert asyncio.run(table.load()) is None
    assert table.keys == []
    services.close()


def test_a_page_number_out_of_all_bounds_is_clamped(tmp_path: Path) -> None:
    services = services_of(tmp_path)
    for page, clamped in ((10**27, PAGES_MAX), (-5, 1), (2, 2)):
        assert DevicesView(services, q="a\0b", state="", page=page)._page == clamped
    services.close()


def test_a_database_that_does_not_answer_is_logged_once_and_leaves_the_page(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    services = services_of(tmp_path)
    shown: list[str] = []

    @spared
    async def refresh(table: str) -> None:
        found = await ask(services, lambda session: [*session.execute(text(f"select * from {table}"))])
        shown.append(f"{table} {len(found)}")

    async def look() -> None:
        for table in ("gone", "gone", "gone", "device"):
            await refresh(table)

    asyncio.run(look())
    said = [record.getMessage() for record in caplog.records if record.name == "fleet.console.frame"]
    assert [line.split(" reason")[0] for line in said] == [
        "database does not answer the console",
        "database answers the console again",
    ]
    assert shown == ["device 0"]
    services.close()


def test_what_a_device_had_to_drop_is_shown_only_when_there_is_something() -> None:
    assert "Dropped" not in tiles_html({"outbox": 3})
    assert "Dropped" not in tiles_html({"outbox": 3, "outbox_dropped": 0})
    assert '<div class="v">7</div>' in tiles_html({"outbox_dropped": 7})


def test_every_class_has_a_bar_in_every_reported_minute_so_that_stacks_do_not_overlap() -> None:
    options = chart_options({"car": {60_000: 3, 120_000: 1}, "truck": {120_000: 2}}, bucket_s=60)
    assert {one["name"]: one["data"] for one in options["series"]} == {
        "car": [[60_000, 3], [120_000, 1]],
        "truck": [[60_000, 0], [120_000, 2]],
    }
    assert (options["xAxis"]["min"], options["xAxis"]["max"]) == (30_000, 150_000)
    assert chart_options({})["series"] == []
