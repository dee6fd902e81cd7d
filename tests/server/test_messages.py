"""Messages of the WebSocket: whatever a client sends is a value of the protocol or one MessageError."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.messages import Clear, Close, Error, Flush, Mark, MessageError, Start, Text, parse_message

KEYS = [
    "type",
    "text",
    "name",
    "utterance",
    "played_ms",
    "voice",
    "encoding",
    "sample_rate",
    "pacing",
    "seed",
]
TYPES = ["start", "text", "flush", "mark", "clear", "close"]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(TYPES)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def parses_or_is_refused(raw: str) -> None:
    """And what a refusal says can be sent."""
    try:
        message = parse_message(raw)
    except MessageError as error:
        sent = Error(code="malformed", message=str(error), field=error.field or None).model_dump_json()
        assert len(sent.encode()) < 1_000, "a client's own words come back short"
    else:
        assert isinstance(message, Start | Text | Flush | Mark | Clear | Close)


@given(st.text())
@settings(max_examples=200)
def test_any_text_is_a_message_or_a_message_error(raw: str) -> None:
    parses_or_is_refused(raw)


@given(
    st.dictionaries(st.sampled_from(KEYS) | st.text(), VALUES, max_size=4), st.sampled_from([*TYPES, None])
)
@settings(max_examples=400)
def test_any_object_is_a_message_or_a_message_error(value: dict[str, Any], kind: str | None) -> None:
    parses_or_is_refused(json.dumps({"type": kind, **value} if kind else value))


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "{",
        "null",
        "5",
        "[]",
        '"text"',
        "NaN",
        "[" * 100_000,
        '{"type": "start", "seed": ' + "9" * 5_000 + "}",
        '{"a": ' * 50_000,
        '{"type": "text", "text": "\\ud800"}',
        '{"type": "flush", "\\ud800": 1}',
        '{"type": "flush", "' + "k" * 100_000 + '": 1}',
        '{"type": "' + "k" * 100_000 + '"}',
        '{"type": ["text"]}',
        '{"type": {}}',
        '{"type": null}',
        "{}",
        '{"type": "mark", "name": "\\ude00"}',
        "\ud800",
        '{"type": "flush"} {"type": "flush"}',
    ],
)
def test_the_odd_and_the_huge_are_refused_and_shown_short(raw: str) -> None:
    parses_or_is_refused(raw)
    with pytest.raises(MessageError):
        parse_message(raw)


WRONG = [
    ({"type": "say"}, "type"),
    ({"type": "START"}, "type"),
    ({"type": "text"}, "text"),
    ({"type": "text", "text": None}, "text"),
    ({"type": "text", "text": 5}, "text"),
    ({"type": "text", "text": "a", "flush": True}, "flush"),
    ({"type": "flush", "text": "a"}, "text"),
    ({"type": "mark"}, "name"),
    ({"type": "mark", "name": ""}, "name"),
    ({"type": "mark", "name": "a" * 201}, "name"),
    ({"type": "clear", "utterance": 0}, "utterance"),
    ({"type": "clear", "utterance": 1.5}, "utterance"),
    ({"type": "clear", "utterance": True}, "utterance"),
    ({"type": "clear", "utterance": 10**400}, "utterance"),
    ({"type": "clear", "played_ms": -1}, "played_ms"),
    ({"type": "clear", "played_ms": float("nan")}, "played_ms"),
    ({"type": "clear", "played_ms": float("inf")}, "played_ms"),
    ({"type": "clear", "played_ms": 1e300}, "played_ms"),
    ({"type": "clear", "played_ms": "5"}, "played_ms"),
    ({"type": "start", "pacing": "slow"}, "pacing"),
    ({"type": "start", "transport": "udp"}, "transport"),
    ({"type": "start", "silence": 1}, "silence"),
    ({"type": "start", "sample_rate": "8000"}, "sample_rate"),
    ({"type": "start", "sample_rate": 8000.0}, "sample_rate"),
    ({"type": "start", "seed": -1}, "seed"),
    ({"type": "start", "seed": 2**32}, "seed"),
    ({"type": "start", "voice": "a" * 201}, "voice"),
    ({"type": "start", "voise": "default"}, "voise"),
]


@pytest.mark.parametrize(("value", "field"), WRONG)
def test_what_is_wrong_with_a_message_is_named(value: dict[str, Any], field: str) -> None:
    with pytest.raises(MessageError) as refused:
        parse_message(json.dumps(value))
    assert refused.value.field == field
    assert str(refused.value).startswith(f"{field}: ")


def test_each_message_reads_as_its_value() -> None:
    assert parse_message('{"type": "start"}') == Start()
    assert parse_message('{"type": "text", "text": "Hello, \\ud83d\\ude00"}') == Text(text="Hello, 😀")
    assert parse_message('{"type": "flush"}') == Flush()
    assert parse_message('{"type": "mark", "name": "told"}') == Mark(name="told")
    assert parse_message('{"type": "clear"}') == Clear()
    assert parse_message('{"type": "clear", "utterance": 2, "played_ms": 40}') == Clear(
        utterance=2, played_ms=40
    )
    assert parse_message('{"type": "close"}') == Close()


def test_start_is_by_default_what_a_telephone_wants() -> None:
    start = Start()
    assert (start.voice, start.encoding, start.sample_rate) == ("default", "mulaw", None)
    assert (start.pacing, start.transport, start.silence, start.seed) == ("realtime", "binary", False, 0)
