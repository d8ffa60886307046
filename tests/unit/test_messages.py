"""Topics and messages: what is pinned, and what cannot get in."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ota.errors import BadMessage, BadTopic
from ota.messages import (
    MAX_MESSAGE_BYTES,
    Channel,
    Topic,
    decode,
    decode_signed,
    encode,
    format_ts,
    parse_ts,
)
from ota.messages.asyncapi import asyncapi_yaml
from ota.messages.codec import STRUCTS
from tests.golden.samples import SAMPLES, SIGNED

GOLDEN = Path(__file__).parent.parent / "golden"
ROOT = GOLDEN.parent.parent


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_message_is_written_as_its_golden_file_and_read_back(name):
    topic, message = SAMPLES[name]
    golden = json.loads((GOLDEN / f"{name}.json").read_text())
    assert golden["topic"] == str(topic)
    assert json.loads(encode(message)) == golden["payload"]
    parsed = Topic.parse(golden["topic"])
    assert parsed == topic
    assert decode(parsed.channel, json.dumps(golden["payload"]).encode()) == message


def test_a_signed_document_is_written_as_its_golden_file_and_read_back():
    topic, message = SIGNED
    golden = json.loads((GOLDEN / "desired-signed.json").read_text())
    assert golden["topic"] == str(topic)
    assert json.loads(encode(message)) == golden["payload"]
    assert decode_signed(json.dumps(golden["payload"]).encode()) == message


def test_every_channel_has_a_golden_message():
    assert {topic.channel for topic, _ in SAMPLES.values()} == set(Channel) == set(STRUCTS)


def test_an_event_is_at_most_350_bytes_and_health_400():
    for name, limit in {"event": 350, "event-dwell": 350, "health": 400}.items():
        assert len(encode(SAMPLES[name][1])) <= limit


def test_no_message_has_a_field_that_could_carry_a_picture():
    """Every text of every message is bounded, by a pattern, a list of words or 200 characters."""
    schemas = yaml.safe_load(asyncapi_yaml())["components"]["schemas"]
    texts = list(_texts(schemas))
    assert len(texts) > 50
    for text in texts:
        assert "enum" in text or "pattern" in text or text.get("maxLength", 10**9) <= 200, text


def _texts(schema):
    if isinstance(schema, dict):
        if schema.get("type") == "string":
            yield schema
        for inner in schema.values():
            yield from _texts(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _texts(inner)


def test_the_published_asyncapi_document_is_the_one_that_the_structs_make():
    assert (ROOT / "docs" / "asyncapi.yaml").read_text() == asyncapi_yaml(), "run: make docs"


@pytest.mark.parametrize(
    "text",
    [
        "pehra/v1/../status",
        "pehra/v1/#",
        "pehra/v1/+/status",
        "pehra/v1/cam-1/cam0/event/+",
        "pehra/v1/cam-1/cam0/event/../../x",
        "pehra/v1/CAM-1/status",
        "pehra/v1/cam-1\n/status",
        "pehra/v1/cam-1/cam0/event/zone-enter\n",
        "pehra/v1/cam-1/status/more",
        "pehra/v2/cam-1/status",
        "pehra/v1/cam-1",
        "pehra/v1//status",
        "",
        "pehra/v1/" + "a" * 500 + "/status",
    ],
)
def test_a_hostile_topic_cannot_be_constructed(text):
    with pytest.raises(BadTopic):
        Topic.parse(text)


@given(st.text(max_size=60))
def test_any_text_is_a_topic_or_a_bad_topic(text):
    try:
        topic = Topic.parse(f"pehra/v1/{text}")
    except BadTopic:
        return
    assert str(topic) == f"pehra/v1/{text}"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_bad_message(payload):
    for channel in Channel:
        try:
            decode(channel, payload)
        except BadMessage:
            continue
        raise AssertionError(f"{payload!r} was taken as {channel}")


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"seq": 0},
        {"seq": 2**60},
        {"seq": "7"},
        {"ts": "yesterday"},
        {"ts": "2026-11-23T09:30:00Z"},
        {"cam": "../cam0"},
        {"cam": "cam0\n"},
        {"kind": "x" * 41},
        {"object": {"track": 1, "class": "car", "conf": 1.5, "box": [0, 0, 1, 1]}},
        {"object": {"track": 1, "class": "car", "conf": 0.5, "box": [0, 0, 1]}},
        {"object": {"track": -1, "class": "car", "conf": 0.5, "box": [0, 0, 1, 1]}},
        {"id": "short"},
    ],
)
def test_a_field_that_breaks_its_limits_is_refused(change):
    payload = json.loads(encode(SAMPLES["event"][1])) | change
    with pytest.raises(BadMessage):
        decode(Channel.EVENT, json.dumps(payload).encode())


def test_not_a_number_is_refused():
    payload = encode(SAMPLES["event"][1]).replace(b"0.91", b"NaN")
    with pytest.raises(BadMessage):
        decode(Channel.EVENT, payload)


def test_a_message_of_ten_megabytes_is_refused_before_it_is_read():
    with pytest.raises(BadMessage, match=f"more than {MAX_MESSAGE_BYTES}"):
        decode(Channel.EVENT, b"[" * 10_000_000)


def test_an_unknown_field_of_a_newer_writer_is_ignored():
    payload = json.loads(encode(SAMPLES["event"][1])) | {"colour": "red"}
    assert decode(Channel.EVENT, json.dumps(payload).encode()) == SAMPLES["event"][1]


@given(st.floats(0, 4e9))
def test_a_stamp_keeps_its_milliseconds(utc_s):
    assert abs(parse_ts(format_ts(utc_s)) - utc_s) <= 0.000_501


def test_a_stamp_of_no_moment_is_refused():
    with pytest.raises(BadMessage):
        parse_ts("2026-13-40T25:61:61.000Z")


def test_filters_match_their_own_channel():
    assert Topic.filter(Channel.EVENT) == "pehra/v1/+/+/event/+"
    assert Topic.filter(Channel.ACK, "cam-1") == "pehra/v1/cam-1/ack"
    with pytest.raises(BadTopic):
        Topic.filter(Channel.ACK, "#")
