"""Web and e-mail addresses and file names, spoken: "example.com/help" is "example dot com slash help"."""

import re

from engines.text.numbers import spell
from engines.text.rules import Rule

_SIGNS = {
    ".": "dot",
    "/": "slash",
    "-": "dash",
    "_": "underscore",
    "@": "at",
    ":": "colon",
    "?": "question mark",
    "=": "equals",
    "&": "and",
    "#": "hash",
    "%": "percent",
    "+": "plus",
    "~": "tilde",
}
_PART = re.compile(r"[^\W\d_]+|\d+|[./@:?=&#%+~_-]")
_SCHEME = re.compile(r"(?:https?|ftp|wss?)://|mailto:", re.IGNORECASE)
_LAST_LABELS = (
    "com|org|net|edu|gov|mil|int|info|biz|io|ai|app|dev|co|uk|ca|au|de|fr|nl|eu|tv"
    "|pdf|docx?|xlsx?|csv|txt|png|jpe?g|zip|html?"
)
_REST = r"(?:[/?#:][^\s<>\"]*)?"


def _say(match: re.Match[str]) -> str:
    address = match[0].rstrip(".,;:!?'*_)]}")
    after = match[0][len(address) :]
    parts = _PART.findall(_SCHEME.sub("", address).rstrip("/"))
    words = (_SIGNS.get(part) or (spell(part) if part.isdigit() else part) for part in parts)
    return f" {' '.join(words)}{after}"


WEB_RULES = (
    Rule(
        r"(?<![\w.+-])(?i:mailto:)?[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])",
        _say,
        "@",
    ),
    Rule(r"(?<![\w@])(?i:(?:https?|ftp|wss?)://|www\.)[^\s<>\"]+", _say, "/.w"),
    Rule(
        rf"(?<![\w@.-])(?:[\w-]{{1,63}}\.){{1,6}}(?i:{_LAST_LABELS})(?![\w-]|\.\w){_REST}",
        _say,
        ".",
    ),
)
"""An address with a scheme, www or an @ is always one; a bare one must end as addresses often do."""
