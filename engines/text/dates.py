"""Dates and years, as Americans say them: 03/05/2026 is "March fifth, twenty twenty-six"."""

import re

from engines.text.numbers import cardinal, ordinal, year
from engines.text.rules import Rule, words

_MONTHS = "January February March April May June July August September October November December"
_MONTH_NAMES = _MONTHS.split()
_BY_PREFIX = {name[:3]: name for name in _MONTH_NAMES}
_MONTH = (
    rf"(?:(?:{'|'.join(_MONTH_NAMES)})\b"
    r"|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b(?:\.(?! [A-Z]|\s*\Z))?)"
)
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_ORDINAL_DAY = rf"{_DAY}(?:st|nd|rd|th)?"
_YEAR = r"(?:1[1-9]|20)\d\d"
_ENDS = r"(?![\w%/])(?![.,:-]\d)"
_STARTS = r"(?<![\w.,/:-])"
_DECADE_NAMES = "zeros tens twenties thirties forties fifties sixties seventies eighties nineties"
_DECADES = _DECADE_NAMES.split()
_BEFORE_YEAR = words(
    "in since by year years until till during circa late early mid spring summer fall autumn winter fiscal"
    " of from before after through"
)
_BEFORE_DATE = words("on until till since before after due dated through thru")
_WEEKDAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6}[.,]?"
_FRACTION_PARTS = frozenset((2, 3, 4, 5, 6, 8, 16))


def day_of(month: int, day: int) -> str | None:
    """ "March fifth", or None where no such day can be."""
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return f"{_MONTH_NAMES[month - 1]} {ordinal(day)}"


def is_fraction(numerator: int, denominator: int) -> bool:
    """Whether 3/4 without more context is three quarters and not a date."""
    return 0 < numerator < denominator and denominator in _FRACTION_PARTS


def _day(text: str) -> str:
    return ordinal(int(text.rstrip("stndrh")))


def _full_year(text: str) -> int:
    """Two digits are the years 1970 to 2069."""
    number = int(text)
    if len(text) > 2:
        return number
    return number + (1900 if number >= 70 else 2000)


def _say_iso(match: re.Match[str]) -> str:
    spoken = day_of(int(match["month"]), int(match["day"]))
    if spoken is None:
        return match[0]
    after = ", " if match[0].endswith("T") else ""
    return f"{spoken}, {year(int(match['year']))}{after}"


def _say_numeric(match: re.Match[str]) -> str:
    first, second = int(match["first"]), int(match["second"])
    spoken = day_of(first, second) or day_of(second, first)
    return f"{spoken}, {year(_full_year(match['year']))}" if spoken else match[0]


def _say_month_day(match: re.Match[str]) -> str:
    month = _BY_PREFIX[match["month"][:3]]
    last = f" to {_day(match['last'])}" if match["last"] else ""
    after = f", {year(int(match['year']))}" if match["year"] else ""
    return f"{month} {_day(match['day'])}{last}{after}"


def _say_day_month(match: re.Match[str]) -> str:
    month, day = _BY_PREFIX[match["month"][:3]], _day(match["day"])
    as_ordinal = not match["day"].isdigit()
    after = f", {year(int(match['year']))}" if match["year"] else ""
    return (f"{day} of {month}" if as_ordinal else f"{month} {day}") + after


def _say_month_year(match: re.Match[str]) -> str:
    return f"{_BY_PREFIX[match['month'][:3]]} {year(int(match['year']))}"


def _say_slashed(match: re.Match[str]) -> str:
    month, day = int(match["month"]), int(match["day"])
    if (month, day) == (9, 11):
        return f"{match['lead'] or ''}nine eleven"
    spoken = day_of(month, day)
    if spoken is None or (not match["lead"] and (is_fraction(month, day) or month == day)):
        return match[0]
    return f"{match['lead'] or ''}{spoken}"


def _say_slashed_range(match: re.Match[str]) -> str:
    first = day_of(int(match["month1"]), int(match["day1"]))
    last = day_of(int(match["month2"]), int(match["day2"]))
    return f"{first} to {last}" if first and last else match[0]


def _say_years(match: re.Match[str]) -> str:
    last = f" to {year(_full_year(match['last']))}" if match["last"] else ""
    return f"{match['lead']}{year(int(match['year']))}{last}"


def _say_century_decade(match: re.Match[str]) -> str:
    century, decade = int(match["century"]), int(match["decade"])
    if decade == 0:
        return "two thousands" if century == 20 else f"{cardinal(century)} hundreds"
    return f"{cardinal(century)} {_DECADES[decade]}"


def _say_decade(match: re.Match[str]) -> str:
    return f"{match['lead'] or ''}{_DECADES[int(match['decade'])]}"


DATE_RULES = (
    Rule(rf"(?<=\d) ?- ?(?={_MONTH} \d)", " to ", "-"),
    Rule(
        rf"{_STARTS}(?P<month1>\d{{1,2}})/(?P<day1>\d{{1,2}}) ?- ?"
        rf"(?P<month2>\d{{1,2}})/(?P<day2>\d{{1,2}}){_ENDS}",
        _say_slashed_range,
        "/",
    ),
    Rule(
        rf"{_STARTS}(?P<year>{_YEAR})-(?P<month>\d{{1,2}})-(?P<day>\d{{1,2}})(?:T(?=\d\d:)|{_ENDS})",
        _say_iso,
        "-",
    ),
    Rule(
        rf"{_STARTS}(?P<first>\d{{1,2}})(?:/(?P<second>\d{{1,2}})/(?P<year>\d{{4}}|\d{{2}})){_ENDS}",
        _say_numeric,
        "/",
    ),
    Rule(
        rf"{_STARTS}(?P<first>\d{{1,2}})(?P<mark>[-.])(?P<second>\d{{1,2}})(?P=mark)(?P<year>{_YEAR}){_ENDS}",
        _say_numeric,
        "-.",
    ),
    Rule(
        rf"\b(?P<month>{_MONTH}) (?P<day>{_ORDINAL_DAY})(?: ?- ?(?P<last>{_ORDINAL_DAY}))?"
        rf"(?:,? (?P<year>{_YEAR}))?{_ENDS}",
        _say_month_day,
        "JFMASOND",
    ),
    Rule(
        rf"{_STARTS}(?P<day>{_ORDINAL_DAY})(?: of)? (?P<month>{_MONTH})(?:,? (?P<year>{_YEAR}){_ENDS})?",
        _say_day_month,
        "JFMASOND",
    ),
    Rule(rf"\b(?P<month>{_MONTH}),? (?P<year>{_YEAR}){_ENDS}", _say_month_year, "JFMASOND"),
    Rule(
        rf"(?P<lead>\b(?:{_BEFORE_DATE}|[Aa]s of|{_WEEKDAY}) )?"
        rf"(?<![\w.,/:$-])(?P<month>\d{{1,2}})/(?P<day>\d{{1,2}}){_ENDS}",
        _say_slashed,
        "/",
    ),
    Rule(
        rf"(?P<lead>\b(?:(?:{_BEFORE_YEAR}|Q[1-4])[ -]|FY ?))"
        rf"(?P<year>{_YEAR})(?: ?(?:-|to) ?(?P<last>{_YEAR}|\d\d))?{_ENDS}",
        _say_years,
    ),
    Rule(rf"(?P<lead>{_STARTS})(?P<year>(?:19|20)\d\d) ?- ?(?P<last>(?:19|20)\d\d){_ENDS}", _say_years, "-"),
    Rule(r"(?<!\w)(?P<century>1[1-9]|20)(?P<decade>\d)0'?s\b", _say_century_decade, "s"),
    Rule(
        r"(?:(?P<lead>\b(?:[Tt]he|[Ee]arly|[Mm]id|[Ll]ate|his|her|their|my|your)[ -])'?|(?<!\w)')"
        r"(?P<decade>[2-9])0'?s\b",
        _say_decade,
        "s",
    ),
)
