"""Reading is total: bytes become a message of ours or a counted reason, never anything else."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import Refused
from fleet.ingest import as_ranges
from fleet.reading import REASONS, believed_ms, read_message
from fleet.tally import percentile
from ota.messages import encode
from tests.fake_device import count, event, info

TOPIC = "pehra/v1/cam-01/cam0/event/line-cross"


@given(st.text(), st.binary(max_size=300))
def test_whatever_comes_is_read_or_refused_by_a_known_reason(topic: str, payload: bytes) -> None:
    for one in (topic, f"pehra/v1/{topic}", f"pehra/v1/cam-01/{topic}", TOPIC):
        try:
            read_message(one, payload, is_retained=False, received_ms=0)
        except Refused as refused:
            assert refused.reason in REASONS


def test_a_good_event_passes() -> None:
    said = event(1, ts="2026-11-23T09:30:00.125Z")
    item = read_message(TOPIC, encode(said), is_retained=False, received_ms=5)
    assert (item.message, item.ts_ms, item.topic.device) == (said, 1795426200125, "cam-01")


def test_a_count_that_ends_before_it_begins_is_refused() -> None:
    said = count(1, 1_800_000_000, to_ts="2020-01-01T00:00:00.000Z")
    with pytest.raises(Refused, match="bad-message"):
        read_message("pehra/v1/cam-01/cam0/count/gate", encode(said), is_retained=False, received_ms=0)


@pytest.mark.parametrize(
    ("written", "is_kept"),
    [(rb"a\u0000", False), (rb"\\\u0000", False), (rb"a\\u0000", True), (rb"\u0001", True)],
)
def test_a_text_with_a_nul_is_refused_because_postgresql_could_not_read_it_again(
    written: bytes, is_kept: bool
) -> None:
    payload = encode(info()).replace(b"raspberry-pi-5", written)
    assert written in payload
    if is_kept:
        read_message("pehra/v1/cam-01/info", payload, is_retained=False, received_ms=0)
        return
    with pytest.raises(Refused, match="bad-message"):
        read_message("pehra/v1/cam-01/info", payload, is_retained=False, received_ms=0)


def test_a_stamp_in_the_future_is_not_believed_and_one_in_the_past_is() -> None:
    assert believed_ms(10**15, 1_000_000) == 1_000_000
    assert believed_ms(1_000_500, 1_000_000) == 1_000_500
    assert believed_ms(-5, 1_000_000) == -5


def test_the_stamp_of_a_clock_that_was_never_set_is_not_believed() -> None:
    said = event(1, ts="1970-01-01T00:01:00.000Z", clock="unsynced")
    item = read_message(TOPIC, encode(said), is_retained=False, received_ms=1_795_426_200_125)
    assert (item.ts_ms, item.at_ms) == (60_000, 1_795_426_200_125)


@given(st.lists(st.integers(1, 60)))
def test_ranges_cover_exactly_the_given_numbers(seqs: list[int]) -> None:
    ranges = as_ranges(seqs)
    covered = [seq for first, last in ranges for seq in range(first, last + 1)]
    assert covered == sorted(set(seqs))
    assert all(after[0] > before[1] + 1 for before, after in itertools.pairwise(ranges))


def test_a_percentile_of_nothing_is_nothing() -> None:
    assert percentile([], 50) is None
    assert percentile([1, 2, 3, 4], 50) == 3
    assert percentile([7], 95) == 7
