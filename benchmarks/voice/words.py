"""Pure: what was said against what was heard, word by word."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[a-z']+")

SAME: dict[tuple[str, ...], tuple[str, ...]] = {
    ("ok",): ("okay",),
    ("mr",): ("mister",),
    ("mrs",): ("missus",),
    ("dr",): ("doctor",),
    ("grey",): ("gray",),
    ("theatre",): ("theater",),
    ("a", "m"): ("am",),
    ("p", "m"): ("pm",),
    ("all", "right"): ("alright",),
    ("any", "more"): ("anymore",),
    ("for", "ever"): ("forever",),
}
"""Spellings of one thing: the left is compared as the right. Words that merely sound alike stay apart."""


@dataclass(frozen=True, slots=True)
class Errors:
    """What it takes to make the words said of those heard; `words` were said."""

    substitutions: int
    deletions: int
    insertions: int
    words: int

    @property
    def total(self) -> int:
        return self.substitutions + self.deletions + self.insertions


def compared(text: str) -> tuple[str, ...]:
    """The words of a text as they are compared: small letters, no punctuation, one spelling.

    A hyphen parts words, an apostrophe and the stops of an abbreviation do not: `p.m.` is `pm`.
    """
    bare = re.sub(r"(?<=\b[a-z])\.(?=[a-z]\b)", "", text.lower())
    found = [word.replace("'", "") for word in _WORD.findall(bare)]
    words: list[str] = []
    for word in filter(None, found):
        words.append(word)
        for length in (1, 2):
            ending = tuple(words[-length:])
            if ending in SAME:
                words[-length:] = SAME[ending]
    return tuple(words)


def errors(said: Sequence[str], heard: Sequence[str]) -> Errors:
    """The fewest edits from ``said`` to ``heard`` (Levenshtein); of equals, fewest insertions first."""
    # A cell is (edits, insertions, deletions, substitutions), compared in that order.
    row = [(count, count, 0, 0) for count in range(len(heard) + 1)]
    for line, word in enumerate(said, 1):
        above, row = row, [(line, 0, line, 0)]
        for column, other in enumerate(heard, 1):
            edits, inserted, deleted, substituted = above[column - 1]
            wrong = word != other
            met = (edits + wrong, inserted, deleted, substituted + wrong)
            edits, inserted, deleted, substituted = above[column]
            dropped = (edits + 1, inserted, deleted + 1, substituted)
            edits, inserted, deleted, substituted = row[column - 1]
            row.append(min(met, dropped, (edits + 1, inserted + 1, deleted, substituted)))
    _, inserted, deleted, substituted = row[-1]
    return Errors(substituted, deleted, inserted, len(said))


def word_error_rate(found: Iterable[Errors]) -> float:
    """(S + D + I) / N over all of them; 0 where nothing was said."""
    counted = list(found)
    said = sum(each.words for each in counted)
    return sum(each.total for each in counted) / said if said else 0.0
