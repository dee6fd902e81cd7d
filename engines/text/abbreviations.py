"""Abbreviations and Roman numerals as words; the last family, on text that is otherwise final."""

import re

from engines.text.addresses import STREETS
from engines.text.numbers import cardinal, ordinal

_DAYS = {
    "Mon": "Monday",
    "Tue": "Tuesday",
    "Tues": "Tuesday",
    "Wed": "Wednesday",
    "Thu": "Thursday",
    "Thur": "Thursday",
    "Thurs": "Thursday",
    "Fri": "Friday",
    "Sat": "Saturday",
    "Sun": "Sunday",
}

_WORDS_BY_THEMSELVES = ("Sat", "Sun")
"""Before a full stop these end a sentence more often than they shorten a day."""

_TITLES = {
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Ms",
    "Messrs": "Messieurs",
    "Prof": "Professor",
    "Rev": "Reverend",
    "Hon": "Honorable",
    "Gov": "Governor",
    "Sen": "Senator",
    "Rep": "Representative",
    "Gen": "General",
    "Col": "Colonel",
    "Capt": "Captain",
    "Lt": "Lieutenant",
    "Sgt": "Sergeant",
    "Jr": "Junior",
    "Sr": "Senior",
    "Inc": "Incorporated",
    "Ltd": "Limited",
    "Co": "Company",
    "Corp": "Corporation",
    "Bros": "Brothers",
    "Mt": "Mount",
    "Ft": "Fort",
    **{short: day for short, day in _DAYS.items() if short not in _WORDS_BY_THEMSELVES},
}
"""With a full stop, written as here."""

_WORDS = {
    "e.g": "for example",
    "i.e": "that is",
    "etc": "et cetera",
    "vs": "versus",
    "approx": "approximately",
    "dept": "department",
    "appt": "appointment",
    "acct": "account",
    "apt": "apartment",
    "ste": "suite",
    "bldg": "building",
    "ext": "extension",
    "tel": "telephone",
    "govt": "government",
    "mgmt": "management",
    "max": "maximum",
    "misc": "miscellaneous",
    "incl": "including",
    "excl": "excluding",
    "attn": "attention",
    "hrs": "hours",
    "hr": "hour",
    "mins": "minutes",
    "secs": "seconds",
    "yrs": "years",
    "lbs": "pounds",
}
"""With a full stop, capitalised or not."""

_BARE = {
    "Dr": "Doctor",
    "Mr": "Mister",
    "Mrs": "Missus",
    "Jr": "Junior",
    "Sr": "Senior",
    "St": "Saint",
    "Ave": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "Apt": "Apartment",
    "Dept": "Department",
    "dept": "department",
    "appt": "appointment",
    "acct": "account",
    "vs": "versus",
    "etc": "et cetera",
    "ext": "extension",
    "approx": "approximately",
    "hrs": "hours",
    "mins": "minutes",
}
"""Without one."""

_REGNAL = (
    "Henry|Edward|Louis|Charles|George|James|William|Richard|Elizabeth|Philip|Napoleon|Nicholas|Frederick"
    "|Catherine|Alexander|Francis|Leo|Pius|Benedict|Gregory|Paul|Ferdinand|Leopold"
)
_NUMBERED = "War|Chapter|Part|Volume|Act|Scene|Phase|Section|Type|Class|Bowl|Title|Article|Appendix|Level"
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10}

_DOTTED = re.compile(r"(?<![\w.'-])([Ee]\.g|[Ii]\.e|[A-Za-z]{2,6})\.(?![\w.'-])")
_UNDOTTED = re.compile(rf"(?<![\w.'-])({'|'.join(_BARE)})(?![\w.'-])")
_DAY_RANGE = re.compile(rf"(?<![\w.'-])({'|'.join(_DAYS)})-({'|'.join(_DAYS)})(?![\w'-])")
_ROMAN_HINT = re.compile(r"[IVX]{2}| [VX](?!\w)")
_ROMAN = re.compile(
    rf"\b(?:(?P<name>{_REGNAL})|(?P<kind>{_NUMBERED})) "
    r"(?P<roman>X{0,3}(?:IX|IV|V?I{0,3}))(?![\w'.-]\w|\w)"
)
_NO_MARKS = str.maketrans(".,;:?!-", "       ")
_ABBREVIATIONS = frozenset((*_TITLES, *STREETS, *_BARE, *_DAYS, *_WORDS, *map(str.capitalize, _WORDS)))
_OFTEN_LAST = frozenset((*STREETS.values(), "et cetera", "Incorporated", "Limited", "Corporation"))
"""Before a capital letter their full stop is taken to end the sentence too."""
_NEAR_CHARS = 24


def expand_abbreviations(text: str) -> str:
    """Idempotent: no expansion is itself an abbreviation."""
    if not _ABBREVIATIONS.isdisjoint(text.translate(_NO_MARKS).split()) or ".g." in text or ".e." in text:
        text = _DAY_RANGE.sub(_say_day_range, text)
        text = _DOTTED.sub(_say_dotted, text)
        text = _UNDOTTED.sub(_say_bare, text)
    return _ROMAN.sub(_say_roman, text) if _ROMAN_HINT.search(text) else text


def _say_dotted(match: re.Match[str]) -> str:
    word = match[1]
    spoken = _in_context(match, word) or _TITLES.get(word) or _word(word)
    if spoken is None:
        return match[0]
    return spoken + ("." if match.end() == len(match.string) or _may_end(match, spoken) else "")


def _say_bare(match: re.Match[str]) -> str:
    return _in_context(match, match[1]) or _BARE[match[1]]


def _word(word: str) -> str | None:
    spoken = _WORDS.get(word.lower())
    return spoken.capitalize() if spoken and word[0].isupper() else spoken


def _may_end(match: re.Match[str], spoken: str) -> bool:
    """Whether the full stop is the sentence's too."""
    return spoken in _OFTEN_LAST and _next_char(match).isupper()


def _in_context(match: re.Match[str], word: str) -> str | None:
    """Saint or Street, Doctor or Drive: a name follows the first and precedes the second."""
    if word not in STREETS:
        return None
    following = _next_char(match)
    if word == "St":
        return "Saint" if following.isupper() else "Street"
    if word == "Dr":
        near = match.string[max(0, match.start() - _NEAR_CHARS) : match.start()].split()
        return "Drive" if near and near[-1][0].isupper() and not following.isupper() else "Doctor"
    return STREETS[word]


def _next_char(match: re.Match[str]) -> str:
    return match.string[match.end() : match.end() + 2].strip()


def _say_day_range(match: re.Match[str]) -> str:
    return f"{_DAYS[match[1]]} to {_DAYS[match[2]]}"


def _say_roman(match: re.Match[str]) -> str:
    roman = match["roman"]
    if roman in ("", "I"):  # "I" is a word
        return match[0]
    number = _roman_value(roman)
    if match["name"]:
        return f"{match['name']} the {ordinal(number)}"
    return f"{match['kind']} {cardinal(number)}"


def _roman_value(roman: str) -> int:
    values = [_ROMAN_VALUES[char] for char in roman]
    return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))
