"""Log lines: one JSON object each, or text for a person, with the same fields."""

import json
import logging
import sys
from datetime import datetime

from server.logs import JsonFormatter, TextFormatter


def record(message: str = "call started", **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("talkspurt.call", logging.INFO, "call.py", 1, message, (), None)
    made.__dict__.update(fields)
    return made


def failure() -> logging.LogRecord:
    try:
        raise ValueError("no such luck")
    except ValueError:
        made = record("call failed", call_id="a1")
        made.exc_info = sys.exc_info()
        return made


def test_json_is_one_object_a_line_with_time_level_logger_event_and_fields() -> None:
    line = JsonFormatter().format(record(call_id="a1", played_ms=20))
    assert "\n" not in line
    value = json.loads(line)
    assert datetime.fromisoformat(value.pop("time")).tzinfo is not None
    assert value == {
        "level": "info",
        "logger": "talkspurt.call",
        "event": "call started",
        "call_id": "a1",
        "played_ms": 20,
    }


def test_json_keeps_a_trace_and_any_value_on_its_one_line() -> None:
    line = JsonFormatter().format(failure())
    assert "\n" not in line
    assert "ValueError: no such luck" in json.loads(line)["error"]
    odd = JsonFormatter().format(record("two\nlines", error=ValueError("\n"), lone="\ud800"))
    assert "\n" not in odd
    assert json.loads(odd)["event"] == "two\nlines"


def test_a_field_cannot_take_the_place_of_the_lines_own() -> None:
    value = json.loads(JsonFormatter().format(record(level="loud", event="other", time="never")))
    assert (value["level"], value["event"]) == ("info", "call started")
    assert value["time"] != "never"


def test_text_shows_the_event_then_its_fields() -> None:
    line = TextFormatter().format(record(call_id="a1", played_ms=20))
    assert line.endswith(" info    call started call_id=a1 played_ms=20")
    assert TextFormatter().format(record()).endswith(" info    call started")


def test_text_shows_a_trace_below_the_line() -> None:
    first, *rest = TextFormatter().format(failure()).splitlines()
    assert first.endswith("call failed call_id=a1")
    assert rest[-1] == "ValueError: no such luck"
