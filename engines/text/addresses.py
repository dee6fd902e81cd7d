"""Street addresses, rooms and flights: 221 Baker St. is "two twenty-one Baker Street"."""

import re

from engines.text.numbers import cardinal, pairs, spell
from engines.text.rules import Rule, words

STREETS = {
    "St": "Street",
    "Ave": "Avenue",
    "Rd": "Road",
    "Blvd": "Boulevard",
    "Dr": "Drive",
    "Ln": "Lane",
    "Ct": "Court",
    "Pl": "Place",
    "Sq": "Square",
    "Pkwy": "Parkway",
    "Hwy": "Highway",
}
_SIDES = {"N": "North", "S": "South", "E": "East", "W": "West"}
_STREET = "|".join((*STREETS, *STREETS.values()))
_ROOMS = words(
    "room suite ste apt apartment unit flight form gate route highway hwy interstate building bldg"
)


def house_number(digits: str) -> str:
    """In pairs up to four digits; digit by digit when it is longer or begins with 0."""
    if len(digits) > 4 or digits[0] == "0":
        return spell(digits)
    return cardinal(int(digits)) if len(digits) < 3 else pairs(int(digits))


def _say_street(match: re.Match[str]) -> str:
    street = STREETS.get(match["street"], match["street"])
    letter = f" {match['letter']}" if match["letter"] else ""
    stop = "," if match["unit"] is not None else match["dot"] or ""
    side = f"{_SIDES.get(match['side'], match['side'])} " if match["side"] else ""
    return f"{house_number(match['number'])}{letter} {side}{match['name']}{street}{stop}"


def _say_room(match: re.Match[str]) -> str:
    letter = f" {match['letter']}" if match["letter"] else ""
    return f"{match['lead']}{house_number(match['number'])}{letter}"


ADDRESS_RULES = (
    Rule(
        r"(?<![\w.,#$€£-])(?P<number>\d{1,5})(?P<letter>[A-Za-z])? "
        r"(?:(?P<side>[NSEW]{1,2})\.? )?(?P<name>(?:(?:[A-Z][\w'-]{0,20}|\d{1,3}(?:st|nd|rd|th)) ){1,3})"
        rf"(?P<street>{_STREET})\b(?P<dot>\.)?(?P<unit>(?= (?:Apt|Suite|Ste|Unit|Floor|[NSEW]{{1,2}})\b))?",
        _say_street,
        "SARBDLCPH",
    ),
    Rule(
        rf"(?P<lead>\b(?:{_ROOMS})\.? )#?(?P<number>\d{{1,5}})-?(?P<letter>[A-Z])?(?!\w)(?![.,:%/-]\d)",
        _say_room,
    ),
)
