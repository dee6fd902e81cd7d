"""Numbers that count and measure: units, percentages, ranges, fractions, ordinals, and all the rest.

The last rule takes whatever digits are left: after this family a text holds none.
"""

import re

from engines.text.dates import is_fraction
from engines.text.numbers import ENDS, NUMBER, WHOLE, amount, cardinal, integer, ordinal, spell
from engines.text.rules import Rule
from engines.text.units import UNIT, unit_name

_PARTS = {2: ("half", "halves"), 4: ("quarter", "quarters")}
_RANGE = r" ?- ?"


def _say_range(match: re.Match[str]) -> str:
    unit = match.groupdict().get("unit")
    low, high = amount(match["low"]), amount(match["high"])
    if not unit:
        return f"{low} to {high}"
    return f"{low} to {high} {unit_name(unit, match['power'], singular=False)} "


def _say_measure(match: re.Match[str]) -> str:
    number = match["number"]
    joined = "-" in match["gap"]  # a 10-km run
    name = unit_name(match["unit"], match["power"], singular=joined or number == "1")
    return f"{amount(number)} {name} "


def _say_height(match: re.Match[str]) -> str:
    feet = cardinal(int(match["feet"]))
    return f"{feet} foot {cardinal(int(match['inches']))} " if match["inches"] else f"{feet} feet "


def _say_inches(match: re.Match[str]) -> str:
    number = match["number"]
    return f"{amount(number)} inch{'' if number == '1' else 'es'} "


def _say_fraction(match: re.Match[str]) -> str:
    whole, part, parts = match["whole"], int(match["part"]), int(match["parts"])
    if whole is None and not is_fraction(part, parts):
        return f"{cardinal(part)} {_between(part, parts)}{cardinal(parts)}"
    spoken = _fraction(part, parts)
    unit = match["unit"]
    after = f" {unit_name(unit, match['power'], singular=whole is None)} " if unit else ""
    if whole is None:
        return spoken + after
    return f"{integer(whole)} and {'a half' if (part, parts) == (1, 2) else spoken}{after}"


def _between(part: int, parts: int) -> str:
    if (part, parts) in ((24, 7), (50, 50)):
        return ""
    return "out of " if part == parts else "over "


def _fraction(part: int, parts: int) -> str:
    one, many = _PARTS.get(parts) or (ordinal(parts), ordinal(parts) + "s")
    return f"{cardinal(part)} {one if part == 1 else many}"


def _say_ordinal(match: re.Match[str]) -> str:
    digits = match["digits"].replace(",", "")
    return f"{ordinal(int(digits))} "


def _say_version(match: re.Match[str]) -> str:
    parts = match[0].split(".")
    return (" point " if len(parts) == 3 else " dot ").join(map(integer, parts))


def _say_by(match: re.Match[str]) -> str:
    return f"{amount(match['number'])} by "


def _say_times(match: re.Match[str]) -> str:
    return f"{amount(match['number'])} times"


def _say_ratio(match: re.Match[str]) -> str:
    return f"{integer(match['left'])} to {integer(match['right'])}"


def _say_compared(match: re.Match[str]) -> str:
    return f" {_COMPARED[match[1]]} "


def _say_number(match: re.Match[str]) -> str:
    before = match.string[match.start() - 1 : match.start()] if match.start() else ""
    after = match.string[match.end() : match.end() + 1]
    spoken = _in_word_or_alone(match[0], before, after)
    return f"{' ' if before.isalpha() else ''}{spoken}{' ' if after.isalpha() else ''}"


def _in_word_or_alone(number: str, before: str, after: str) -> str:
    if (before.isalpha() or after.isalpha()) and number.isdigit() and len(number) > 2:
        return spell(number)
    return amount(number)


_COMPARED = {
    "<": "less than",
    ">": "more than",
    "<=": "at most",
    ">=": "at least",
    "~": "about",
    "=": "equals",
}

QUANTITY_RULES = (
    Rule(r"\b(?:No|no)(?:\. ?| )(?=\d)|\bNos\. ?(?=\d)", "number ", "Nn"),
    Rule(r"(<=|>=|<|>|~|=) ?(?=[-+]?[.$€£]?\d)", _say_compared, "<>~="),
    Rule(rf"{WHOLE}(?P<number>{NUMBER}) ?x ?(?=\d)", _say_by, "x"),
    Rule(rf"{WHOLE}(?P<number>{NUMBER})x\b", _say_times, "x"),
    Rule(
        rf"(?<![\w.,-])(?P<low>{NUMBER})(?: ?[%°])?{_RANGE}(?P<high>{NUMBER})[ -]?{UNIT}",
        _say_range,
        "-",
    ),
    Rule(rf"(?<![\w.,-])(?P<low>{NUMBER}){_RANGE}(?P<high>{NUMBER}){ENDS}(?!-\d)", _say_range, "-"),
    Rule(r"(?<![\w)\].-])-(?=\.?\d)", "minus ", "-"),
    Rule(r"(?<![\w)\].+])\+(?=\.?\d)", "plus ", "+"),
    Rule(
        r"(?<![\w.,/])(?:(?P<whole>\d{1,4})[ -])?(?P<part>\d{1,3})/(?P<parts>[1-9]\d{0,2})(?![\d/])"
        rf"(?:[ -]{UNIT})?",
        _say_fraction,
        "/",
    ),
    Rule(r"(?<![\w.,])(?P<feet>\d{1,2})'(?: ?(?P<inches>\d{1,2})(?:\"|''))?(?!\w)", _say_height, "'"),
    Rule(rf"{WHOLE}(?P<number>{NUMBER})(?:\"|'')(?=[ ,.;x)]|\Z)", _say_inches, "\"'"),
    Rule(
        rf"{WHOLE}(?P<number>{NUMBER})(?P<gap>[ -]?){UNIT}",
        _say_measure,
    ),
    Rule(
        rf"{WHOLE}(?P<digits>\d{{1,3}}(?:,\d{{3}}){{1,3}}|\d{{1,12}})(?:st|nd|rd|th)(?![^\W_])",
        _say_ordinal,
        "tnrd",
    ),
    Rule(rf"{WHOLE}(?P<left>\d{{1,4}}):(?P<right>\d{{1,4}})(?![\d:])", _say_ratio, ":"),
    Rule(r"(?<![\w.])\d{1,5}(?:\.\d{1,5}){2,5}(?![\w])(?!\.\d)", _say_version, "."),
    Rule(
        r"(?:\d{1,3}(?:,\d{3}(?!\d))+|\d+)(?:\.\d+)?|(?<![\w.])\.\d+",
        _say_number,
    ),
)
