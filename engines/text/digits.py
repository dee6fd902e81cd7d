"""Digit by digit: telephone, account, card and order numbers, codes and PINs, keys of the dial pad.

Groups are parted by commas, so that the voice pauses where the writer did.
"""

import re

from engines.text.numbers import integer, spell
from engines.text.rules import Rule, words

_DIGITS = re.compile(r"\d+")
_GROUPS = re.compile(r"[A-Za-z]+|\d+")
_CODE_GROUPS = re.compile(r"[A-Za-z\d]+")
_ENDS = r"(?![\w])(?![-.]\d)"
_STARTS = r"(?<![\w.,/-])"


def _say_keys(match: re.Match[str]) -> str:
    key = "star" if match["key"] == "*" else "pound"
    return f"{match['lead']}{key} {spell(match['digits'])}".rstrip()


def _say_phone(match: re.Match[str]) -> str:
    plus = "plus " if match[0].startswith("+") else ""
    groups = [group for run in _DIGITS.findall(match[0]) for group in _phone_groups(run)]
    return plus + ", ".join(map(spell, groups))


def _phone_groups(run: str) -> list[str]:
    """A run as long as a national number in the groups of one: 3, 3 and 4 digits (NANP)."""
    if len(run) == 11 and run[0] == "1":
        return [run[0], *_phone_groups(run[1:])]
    if len(run) == 10:
        return [run[:3], *_phone_groups(run[3:])]
    return [run[:3], run[3:]] if len(run) == 7 else [run]


def _say_vanity(match: re.Match[str]) -> str:
    groups = _GROUPS.findall(match[0])
    return ", ".join(group if group.isalpha() else spell(group) for group in groups)


def _say_groups(match: re.Match[str]) -> str:
    groups = _DIGITS.findall(match[0])
    if sum(map(len, groups)) < 7:
        return match[0]
    return ", ".join(map(spell, groups))


def _say_short_number(match: re.Match[str]) -> str:
    return match["lead"] + spell(match["digits"])


def _say_pension_plan(match: re.Match[str]) -> str:
    return f"four oh {'one' if match[1] else 'three'} {match[2]}"


def _say_extension(match: re.Match[str]) -> str:
    return f"extension {spell(match['digits'])}"


def _say_code(match: re.Match[str]) -> str:
    lead, code = match["lead"], match["code"]
    named = match["hash"] or match["filler"] or lead[:3].lower() in _ALWAYS_CODES
    if not named and len(code) < 4 and code[0] != "0":
        return match[0]  # "card 500" counts, it does not name
    number = "number " if match["hash"] and "number" not in lead.lower() else ""
    return lead + number + ", ".join(map(spell, _CODE_GROUPS.findall(code)))


def _say_hash(match: re.Match[str]) -> str:
    code = match["code"]
    if code.isdigit() and len(code) < 4:
        return f"number {integer(code)}"
    return f"number {', '.join(map(spell, _CODE_GROUPS.findall(code)))}"


def _say_mixed(match: re.Match[str]) -> str:
    return spell(match[0])


_NAMES = words(
    "account acct card order invoice case ticket reference ref confirmation tracking member membership policy"
    " routing serial pin PIN code passcode password OTP ID SSN extension zip ZIP claim customer booking"
    " reservation verification authorization authentication conference meeting"
)
_ALWAYS_CODES = frozenset(("pin", "cod", "pas", "otp", "ext", "end", "las"))
_FILLER = r"(?: (?:number|num|no\.?|id|code|pin|is|was|of)\b\.?){1,3}"
_LAST_DIGITS = (
    r"(?:[Ee]nd(?:ing|s|ed) (?:in|with)|(?:card|account|number) ending"
    r"|[Ll]ast (?:four|4)(?: digits)?(?: of| are| is)?) "
)
_CODE = r"(?=[A-Z-]{0,6}\d)[A-Z\d]{3,20}(?:-[A-Z\d]{2,12}){0,4}(?: \d{3,6}){0,5}"

KEYPAD_RULES = (
    Rule(
        r"(?P<lead>\b(?i:press|dial|hit|push|enter|type|the|or|then|and|by) )(?P<key>[*#])"
        r"(?P<digits>\d{0,4})(?![\w*#])(?! [\w*]{1,30}\*)",
        _say_keys,
        "*#",
    ),
)
"""Star and pound where a key is meant and no *emphasis* begins; before Markdown is taken out."""

DIGIT_RULES = (
    # National (NANP) and international telephone numbers.
    Rule(
        rf"{_STARTS}(?:\+?1[ .-]?)?(?:\(\d{{3}}\) ?-?\d{{3}}[ .-]?|\d{{3}}[ .-]\d{{3}}[ .-])\d{{4}}{_ENDS}",
        _say_phone,
        "-. )",
    ),
    Rule(rf"{_STARTS}\+\d{{1,3}}(?:[ .-]\(?\d{{1,5}}\)?|\(\d{{1,5}}\)){{1,6}}{_ENDS}", _say_phone, "+"),
    Rule(rf"{_STARTS}(?:\+\d{{7,15}}|1?[2-9]\d{{9}}){_ENDS}", _say_phone),
    Rule(
        rf"{_STARTS}(?:1[- ])?\d{{3}}-(?=[\dA-Z-]{{0,12}}[A-Z]{{3}})"
        rf"[\dA-Z]{{2,8}}(?:-[\dA-Z]{{2,8}}){{0,2}}{_ENDS}",
        _say_vanity,
        "-",
    ),
    Rule(
        rf"(?P<lead>\b(?:(?:{_NAMES})\b(?P<filler>{_FILLER})?:? ?|{_LAST_DIGITS}))"
        rf"(?P<hash># ?)?(?P<code>{_CODE}){_ENDS}",
        _say_code,
    ),
    Rule(rf"\b(?:[Ee]xt\.?|[Ee]xtension|x) ?(?P<digits>\d{{2,6}}){_ENDS}", _say_extension, "xX"),
    Rule(
        rf"(?P<lead>\b[Tt]ext(?:ing)?(?: [A-Z]{{1,12}})?(?: to)? )(?P<digits>\d{{5,6}}){_ENDS}",
        _say_short_number,
        "xX",
    ),
    Rule(
        r"(?P<lead>\b(?:[Cc]all|[Dd]ial|[Tt]ext)(?:ing)? )(?P<digits>[2-9]11|112|988|999)(?!\w)",
        _say_short_number,
    ),
    Rule(r"(?<![\w.,:$-])911(?![\w%])(?![.,:-]\d)", "nine one one", "9"),
    Rule(r"(?<![\w.,$-])40(?:(1)|3) ?\(?([bkBK])\)?(?!\w)", _say_pension_plan, "4"),
    Rule(rf"{_STARTS}\d{{3}}[- ]\d{{4}}{_ENDS}", _say_phone, "- "),
    Rule(rf"{_STARTS}\d{{2,5}}(?:[ -]\d{{2,6}}){{2,6}}{_ENDS}", _say_groups, "- "),
    Rule(
        r"(?i:\bnumber |\bno\. )?#(?P<code>(?=[A-Z-]{0,12}\d)[A-Z\d]{1,20}(?:-[A-Z\d]{1,12}){0,4})(?!\w)",
        _say_hash,
        "#",
    ),
    Rule(
        r"(?<![\w-])(?:[A-Z]{1,3}\d{1,6}[A-Z]{1,3}[A-Z\d]{0,14}|\d{1,4}[A-Z]{1,3}\d{1,6}[A-Z\d]{0,14})(?![\w-])",
        _say_mixed,
    ),
    Rule(r"(?<![\w.,:/-])0\d{1,18}(?!\w)(?![.,:/]\d)", _say_mixed, "0"),
)
