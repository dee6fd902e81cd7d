"""A rule says what is found in a text and how it is spoken; rules run in order, one pass each.

Every pattern must match in linear time: repeats are bounded, or single character classes anchored
on the left, so that no text makes a pass slow.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

Spoken = Callable[[re.Match[str]], str]

_compiled = cache(re.compile)  # at a rule's first use: nobody waits for all of them at once


@dataclass(frozen=True, slots=True)
class Rule:
    """``needs``: characters of which the text must hold at least one; empty: always tried."""

    pattern: str
    spoken: Spoken | str
    needs: str = ""


def words(names: str) -> str:
    """Pattern of any of the words, capitalised or not; faster to fail than a case-blind one."""
    return "|".join(
        f"[{name[0].upper()}{name[0]}]{name[1:]}" if name[0].islower() else name for name in names.split()
    )


def rewrite(text: str, rules: Iterable[Rule]) -> str:
    """Apply each rule to the whole text, in order."""
    for rule in rules:
        if not rule.needs or _holds_any(text, rule.needs):
            text = _compiled(rule.pattern).sub(rule.spoken, text)
    return text


def _holds_any(text: str, chars: str) -> bool:
    for char in chars:  # noqa: SIM110 - a generator costs more than the search
        if char in text:
            return True
    return False
