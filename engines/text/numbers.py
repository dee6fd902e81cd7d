"""Numbers as American English words: 1234 is "one thousand two hundred thirty-four"."""

NUMBER = r"(?:\d{1,3}(?:,\d{3}){1,5}|\d{1,18})(?:\.\d{1,12})?"
"""Pattern of a cardinal or decimal as people write it; whether it stops there is the caller's to check."""

WHOLE = r"(?<![\w.,])"
"""Pattern of the place before a number that is not the rest of a longer one."""

ENDS = r"(?![\w])(?![.,]\d)"
"""Pattern of the place after such a number."""

_LOW_NAMES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    " seventeen eighteen nineteen"
)
_TENS_NAMES = "zero ten twenty thirty forty fifty sixty seventy eighty ninety"
_LOW = _LOW_NAMES.split()
_TENS = _TENS_NAMES.split()
_SCALES = ("", " thousand", " million", " billion", " trillion", " quadrillion")
_CARDINAL_DIGITS = 15
_IRREGULAR_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def cardinal(number: int) -> str:
    """Words of 0 <= number < 10**18."""
    if number < 1000:
        return _below_thousand(number)
    words: list[str] = []
    for scale in _SCALES:
        number, group = divmod(number, 1000)
        if group:
            words.append(_below_thousand(group) + scale)
        if not number:
            break
    return " ".join(reversed(words))


def ordinal(number: int) -> str:
    """Words of 0 <= number < 10**18: 21 is "twenty-first"."""
    words = cardinal(number)
    cut = max(words.rfind(" "), words.rfind("-")) + 1
    last = words[cut:]
    if last in _IRREGULAR_ORDINALS:
        return words[:cut] + _IRREGULAR_ORDINALS[last]
    return words[:cut] + (last[:-1] + "ieth" if last.endswith("y") else last + "th")


def year(number: int) -> str:
    """Words of a year 0..9999: 1905 is "nineteen oh five", 2026 "twenty twenty-six"."""
    if number < 1000 or number % 1000 < 10:
        return cardinal(number)
    return pairs(number)


def pairs(number: int) -> str:
    """Words of a house, room or flight number 0..9999: 221 is "two twenty-one", 1204 "twelve oh four"."""
    high, low = divmod(number, 100)
    if high == 0:
        return cardinal(low)
    if low == 0:
        return cardinal(number) if high % 10 == 0 else f"{cardinal(high)} hundred"
    return f"{cardinal(high)} {two_digits(low)}"


def two_digits(number: int) -> str:
    """Words of the last two digits of a year or time: 5 is "oh five"."""
    return f"oh {_LOW[number]}" if number < 10 else cardinal(number)


def integer(digits: str) -> str:
    """Words of a run of digits with or without separators.

    Digit by digit where it looks like an identifier: a leading zero, or seven digits and more that
    are not round.
    """
    plain = digits.replace(",", "")
    written_out = "," in digits or len(plain) < 7 or plain.endswith("000")
    if len(plain) > _CARDINAL_DIGITS or (plain[0] == "0" and len(plain) > 1) or not written_out:
        return spell(plain)
    return cardinal(int(plain))


def amount(number: str) -> str:
    """Words of a NUMBER: "1,234.5" is "one thousand two hundred thirty-four point five"."""
    whole, point, fraction = number.partition(".")
    if not point:
        return integer(whole)
    return f"{integer(whole)} point {spell(fraction)}" if whole else f"point {spell(fraction)}"


def spell(code: str) -> str:
    """Characters one by one, digits as words: "4B" is "four B"."""
    return " ".join(_LOW[int(char)] if char.isdigit() else char for char in code)


def _below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    if not hundreds:
        return _below_hundred(rest)
    return f"{_LOW[hundreds]} hundred {_below_hundred(rest)}" if rest else f"{_LOW[hundreds]} hundred"


def _below_hundred(number: int) -> str:
    if number < 20:
        return _LOW[number]
    tens, ones = divmod(number, 10)
    return f"{_TENS[tens]}-{_LOW[ones]}" if ones else _TENS[tens]
