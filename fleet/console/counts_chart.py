"""The counts of one device as a stacked chart: how many of each class, bucket by bucket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from nicegui import events, ui

from fleet.console.frame import ask, empty_state, now_ms, spared
from fleet.queries.counts import CountFilter, sum_by_class
from fleet.services import Services

SPANS_MS: Final = {60: 3 * 3_600_000, 900: 48 * 3_600_000}
"""How far back each bucket size is shown."""
NAMES: Final = {60: "Minutes (3 h)", 900: "Quarters (48 h)"}
COLOURS: Final = {
    "person": "#e8b04a",
    "bicycle": "#6fbf73",
    "motorcycle": "#d9773f",
    "car": "#4f9fd9",
    "bus": "#a983d6",
    "truck": "#c65f7c",
}
REFRESH_S: Final = 5.0


def chart_options(sums: dict[str, dict[int, int]], *, bucket_s: int = 60) -> dict[str, Any]:
    """Return ECharts' options for the answer of `sum_by_class`.

    Bars that are stacked need a point of every class in every bucket; a bucket that nobody reported stays
    a gap. The axis begins and ends half a bucket beside the bars.
    """
    moments = sorted({moment for buckets in sums.values() for moment in buckets})
    half_ms = bucket_s * 500
    ends = {"min": moments[0] - half_ms, "max": moments[-1] + half_ms} if moments else {}
    return {
        "animation": False,
        "tooltip": {"trigger": "axis"},
        "legend": {"textStyle": {"color": "#8495a0"}, "top": 0},
        "grid": {"left": 44, "right": 12, "top": 40, "bottom": 28},
        "xAxis": {"type": "time", "axisLabel": {"color": "#8495a0"}, "splitLine": {"show": False}} | ends,
        "yAxis": {
            "type": "value",
            "minInterval": 1,
            "axisLabel": {"color": "#8495a0"},
            "splitLine": {"lineStyle": {"color": "rgba(130,150,160,.18)"}},
        },
        "series": [
            {
                "name": cls,
                "type": "bar",
                "stack": "all",
                "barMaxWidth": 14,
                "itemStyle": {"color": COLOURS.get(cls, "#8495a0")},
                "data": [[moment, buckets.get(moment, 0)] for moment in moments],
            }
            for cls, buckets in sorted(sums.items())
        ],
    }


class CountsChart:
    """The chart of one open page."""

    def __init__(
        self, services: Services, device: str, *, bucket_s: int, on_bucket: Callable[[], None]
    ) -> None:
        self._services = services
        self._device = device
        self.bucket_s = bucket_s if bucket_s in SPANS_MS else 60
        self._on_bucket = on_bucket

    async def draw(self) -> None:
        """Put the chart on the page and keep it fresh."""
        with ui.element("div").classes("row-line"):
            ui.label("Counted by lines and zones, all directions together").classes("quiet grow")
            toggle = ui.toggle(NAMES, value=self.bucket_s, on_change=self._on_toggle)
            toggle.props("no-caps dense unelevated")
        self._chart = ui.echart(chart_options({})).style("width: 100%; height: 340px").classes("card pad")
        self._empty = ui.element("div").style("width: 100%")
        with self._empty:
            empty_state("No counts yet.", "A line or zone reports them when its first minute is over.")
        await self._refresh()
        ui.timer(REFRESH_S, self._refresh)

    @spared
    async def _refresh(self) -> None:
        wanted = CountFilter(
            device=self._device, bucket_s=self.bucket_s, since_ms=now_ms() - SPANS_MS[self.bucket_s]
        )
        sums = await ask(self._services, lambda session: sum_by_class(session, wanted))
        if wanted.bucket_s != self.bucket_s:
            return
        self._chart.set_visibility(bool(sums))
        self._empty.set_visibility(not sums)
        options = chart_options(sums, bucket_s=self.bucket_s)
        if options != self._chart.options:
            self._chart.options.update(options)
            self._chart.update()

    async def _on_toggle(self, event: events.ValueChangeEventArguments[Any]) -> None:
        self.bucket_s = int(event.value)
        self._on_bucket()
        await self._refresh()
