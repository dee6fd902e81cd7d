"""Times of day: 4:30 pm is "four thirty p.m.", 16:45 "sixteen forty-five", 4:05 "four oh five"."""

import re

from engines.text.numbers import cardinal, two_digits
from engines.text.rules import Rule

_STARTS = r"(?<![\w.,:/$€£-])"
_ENDS = r"(?![\w])(?!:\d)"
_DOTTED_HALF = r"[AaPp]\.? ?[Mm]\b(?:\.(?!\.))?"


def _clock(name: str) -> str:
    return (
        rf"(?P<hour{name}>[01]?\d|2[0-4])(?::(?P<minute{name}>[0-5]\d))?(?: ?(?P<half{name}>{_DOTTED_HALF}))?"
    )


def say_time(hour: int, minute: int, half: str) -> str:
    """``half``: "a.m.", "p.m." or nothing, as it was written."""
    if half:
        return f"{cardinal(hour)} {two_digits(minute)} {half}" if minute else f"{cardinal(hour)} {half}"
    if minute:
        return f"{cardinal(hour)} {two_digits(minute)}"
    return f"{cardinal(hour)} o'clock" if 1 <= hour <= 12 else f"{cardinal(hour)} hundred"


def _half(text: str | None) -> str:
    return f"{text[0].lower()}.m." if text else ""


def _say_range(match: re.Match[str]) -> str:
    if not (match["minute1"] or match["minute2"] or match["half1"] or match["half2"]):
        return match[0]
    to_the_hour = match["half2"] and not match["minute1"] and not match["half1"]
    first = cardinal(int(match["hour1"])) if to_the_hour else _say_one(match, "1")
    return f"{first} to {_say_one(match, '2')}"


def _say_one(match: re.Match[str], name: str) -> str:
    minute = int(match[f"minute{name}"] or 0)
    return say_time(int(match[f"hour{name}"]), minute, _half(match[f"half{name}"]))


def _say_clock(match: re.Match[str]) -> str:
    spoken = say_time(int(match["hour"]), int(match["minute"]), _half(match["half"]))
    seconds = int(match["second"] or 0)
    if seconds:
        spoken += f" and {cardinal(seconds)} second{'s' if seconds > 1 else ''}"
    return f"{spoken} UTC" if match["zulu"] else spoken


def _say_hour(match: re.Match[str]) -> str:
    return say_time(int(match["hour"]), 0, _half(match["half"]))


CLOCK_RULES = (
    Rule(rf"{_STARTS}{_clock('1')} ?- ?{_clock('2')}{_ENDS}", _say_range, "-"),
    Rule(
        rf"{_STARTS}(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d)(?:\.\d{{1,6}})?)?"
        rf"(?: ?(?P<half>{_DOTTED_HALF})|(?P<zulu>Z))?{_ENDS}",
        _say_clock,
        ":",
    ),
    Rule(rf"{_STARTS}(?P<hour>0?\d|1[0-2]) ?(?P<half>{_DOTTED_HALF}){_ENDS}", _say_hour, "mM"),
)
