"""Amounts of money: $1,234.50 is "one thousand two hundred thirty-four dollars and fifty cents"."""

import re
from dataclasses import dataclass

from engines.text.numbers import NUMBER, amount, cardinal, integer
from engines.text.rules import Rule


@dataclass(frozen=True, slots=True)
class Currency:
    one: str
    many: str
    cent: str = ""
    cents: str = ""


_DOLLAR = Currency("dollar", "dollars", "cent", "cents")
_CURRENCIES = {
    "$": _DOLLAR,
    "€": Currency("euro", "euros", "cent", "cents"),
    "£": Currency("pound", "pounds", "penny", "pence"),
    "¥": Currency("yen", "yen"),
    "₹": Currency("rupee", "rupees", "paisa", "paise"),
    "USD": _DOLLAR,
    "EUR": Currency("euro", "euros", "cent", "cents"),
    "GBP": Currency("pound", "pounds", "penny", "pence"),
    "JPY": Currency("yen", "yen"),
    "INR": Currency("rupee", "rupees", "paisa", "paise"),
    "CAD": Currency("Canadian dollar", "Canadian dollars", "cent", "cents"),
    "AUD": Currency("Australian dollar", "Australian dollars", "cent", "cents"),
    "CHF": Currency("Swiss franc", "Swiss francs"),
}
_LANDS = {"US": "USD", "CA": "CAD", "C": "CAD", "AU": "AUD", "A": "AUD"}
_SCALES = {"k": "thousand", "m": "million", "b": "billion", "t": "trillion"}
_PERIODS = {"mo": "month", "hr": "hour", "h": "hour", "yr": "year", "wk": "week", "min": "minute"}

_SIGN = r"[$€£¥₹]"
_CODE = "USD|EUR|GBP|JPY|INR|CAD|AUD|CHF"
_SCALE = r"(?:(?P<letter>bn|mn|[kKmMbBtT])(?!\w)| ?(?P<scale>hundred|thousand|million|billion|trillion)\b)?"
_PER = r"(?: ?/ ?(?P<per>[a-z]{1,8})\b)?"
_ENDS = r"(?!\d)(?![.,]\d)"


def _say(match: re.Match[str]) -> str:
    groups = match.groupdict()
    currency = _CURRENCIES[_LANDS.get(groups.get("land") or "") or match["sign"]]
    spoken = _sum(currency, match["number"], _scale(match))
    if groups.get("minus") or groups.get("below"):
        spoken = f"minus {spoken}"
    return f"{spoken} {_per(match)}"


def _per(match: re.Match[str]) -> str:
    period = match.groupdict().get("per")
    return f"per {_PERIODS.get(period, period)} " if period else ""


def _say_range(match: re.Match[str]) -> str:
    currency = _CURRENCIES[match["sign"]]
    return f"{amount(match['low'])} to {_sum(currency, match['number'], _scale(match))} {_per(match)}"


def _say_price_of(match: re.Match[str]) -> str:
    """Before what it is the price of, an amount stands in the singular: a five dollar fee."""
    currency, scale = _CURRENCIES[match["sign"]], match["scale"] or ""
    change = f" and {cardinal(int(match['cents']))} {currency.cent}" if match["cents"] else ""
    return f"{match['lead']}{amount(match['number'])} {scale}{currency.one}{change} "


def _say_cents(match: re.Match[str]) -> str:
    number = match["number"]
    return f"{amount(number)} {'cent' if number == '1' else 'cents'} "


def _scale(match: re.Match[str]) -> str:
    return _SCALES[match["letter"][0].lower()] if match["letter"] else match["scale"] or ""


def _sum(currency: Currency, number: str, scale: str) -> str:
    whole, _, fraction = number.partition(".")
    if scale:
        return f"{amount(number)} {scale} {currency.many}"
    if len(fraction) > 2 or (fraction and not currency.cent):
        return f"{amount(number)} {currency.many}"
    cents = int(fraction.ljust(2, "0")) if fraction else 0
    units = f"{integer(whole or '0')} {currency.one if whole == '1' else currency.many}"
    if not cents:
        return units
    change = f"{cardinal(cents)} {currency.cent if cents == 1 else currency.cents}"
    return change if not whole.strip("0") else f"{units} and {change}"


MONEY_RULES = (
    Rule(
        rf"(?P<sign>{_SIGN})(?P<low>{NUMBER}) ?(?:-|to) ?(?P=sign)?"
        rf"(?P<number>{NUMBER}){_SCALE}{_PER}{_ENDS}",
        _say_range,
        "$€£¥₹",
    ),
    Rule(
        rf"(?P<lead>\b(?i:an?|another|each|per) )(?P<sign>{_SIGN})"
        r"(?P<number>\d{1,6})(?:\.(?P<cents>\d\d))? "
        r"(?P<scale>(?:hundred|thousand|million|billion|trillion) )?(?=[a-z]{3})(?!(?:per|for|and|off|or)\b)",
        _say_price_of,
        "$€£¥₹",
    ),
    Rule(
        rf"(?P<minus>(?<!\w)- ?)?(?:(?<!\w)(?P<land>US|CA|AU|C|A))?(?P<sign>{_SIGN}) ?(?P<below>-)?"
        rf"(?P<number>{NUMBER}|\.\d{{1,4}}){_SCALE}{_PER}{_ENDS}",
        _say,
        "$€£¥₹",
    ),
    Rule(rf"(?<!\w)(?P<sign>{_CODE}) ?(?P<number>{NUMBER}){_SCALE}{_PER}{_ENDS}", _say, "UEGJICA"),
    Rule(
        rf"(?<![\w.,])(?P<number>{NUMBER}){_SCALE} ?(?P<sign>[€£¥₹]|(?:{_CODE})(?!\w))",
        _say,
        "€£¥₹UEGJICA",
    ),
    Rule(rf"(?<![\w.,])(?P<number>{NUMBER}) ?¢", _say_cents, "¢"),
)
