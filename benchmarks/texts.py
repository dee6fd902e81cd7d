"""Pure, seeded texts of a telephone service: what callers hear all day, in three lengths.

Our own sentences. Names, amounts, dates and numbers are drawn anew for each, so that few texts come
twice and every normaliser has its work.
"""

import hashlib
import random
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TypeVar

TEXTS_VERSION = 1
"""Goes up when the same seed would give other texts; written into every result."""


Choice = TypeVar("Choice")


class TextSet(str, Enum):
    """Which lengths are drawn: about 3, 7 and 18 seconds of speech, or all of them mixed."""

    SHORT = "short"
    MEDIUM = "medium"
    LONG = "long"
    MIXED = "mixed"


_SHORT = (
    "Thanks for calling. How can I help you today?",
    "One moment please, {name}, I am looking that up.",
    "Your reference is {code}.",
    "You are number {small} in the queue.",
    "I am sorry, I did not catch that.",
    "That comes to {amount}, is that right?",
    "Please enter the last four digits of your card.",
    "Goodbye, {name}, and have a good {part_of_day}.",
)
_MEDIUM = (
    "Your appointment with {name} is on {day} at {time}. To change it, press one or stay on the line.",
    "We have received your payment of {amount}. It will show on your account by {day}, {name}.",
    "The engineer will arrive on {day} between {time} and the end of the {part_of_day}. Is that all right?",
    "Your parcel left our depot this {part_of_day}. Its tracking number is {code}; shall I send you that?",
    "I can see two bookings under that name. Is yours the one on {day} at {time}, or the one for {amount}?",
    "To speak to billing, say billing. For a new order, say order. For anything else, just tell me, {name}.",
)
_LONG = (
    "Thank you for holding, {name}. I have checked the meter readings for the last {small} months, and "
    "you are right: one of them was an estimate. I have corrected it, so {amount} goes back to your account "
    "by {day}. You will get a new bill, number {code}, and there is nothing else you need to do.",
    "Before we go on, I have to tell you that this call may be recorded for training. Your contract ends "
    "on {day}. If you renew today, the monthly price stays at {amount} for another {small} months; if you "
    "prefer to wait, we will call you again, in the {part_of_day}, at {phone}. Which of the two would suit "
    "you better, {name}?",
    "Here is what I have so far. The order, {code}, is for {small} chairs in dark green, to be delivered on "
    "{day} at about {time}. The total is {amount}, delivery included. The driver will ring {phone} half an "
    "hour before. If all of that is correct, please say yes, and I will send the confirmation.",
    "There is a fault in your area, and our engineers have been working on it since {time}. We expect the "
    "line to be back in the course of the {part_of_day}. You do not have to restart anything. If it is "
    "still down on {day}, call us on {phone} and give the code {code}: we will credit {amount} for the time "
    "you could not use it.",
)
_MIXED_WEIGHTS = {TextSet.SHORT: 3, TextSet.MEDIUM: 5, TextSet.LONG: 2}
_SENTENCES = {TextSet.SHORT: _SHORT, TextSet.MEDIUM: _MEDIUM, TextSet.LONG: _LONG}

_NAMES = ("Ms Alvarez", "Mr Okafor", "Dr Lindqvist", "Mrs Tanaka", "Mr Brennan", "Ms Haddad", "Mr Novak")
_DAYS = (
    "Monday",
    "Tuesday",
    "Wednesday, March 4th",
    "Thursday",
    "Friday the 13th",
    "May 21st",
    "December 30th",
)
_PARTS = ("morning", "afternoon", "evening")

_FILLERS: dict[str, Callable[[random.Random], str]] = {
    "name": lambda rng: _one_of(rng, _NAMES),
    "day": lambda rng: _one_of(rng, _DAYS),
    "part_of_day": lambda rng: _one_of(rng, _PARTS),
    "small": lambda rng: str(_below(rng, 11) + 2),
    "time": lambda rng: f"{_below(rng, 12) + 1}:{_below(rng, 4) * 15:02d} {_one_of(rng, ('a.m.', 'p.m.'))}",
    "amount": lambda rng: f"${_below(rng, 900) + 10}.{_below(rng, 100):02d}",
    "phone": lambda rng: f"555-01{_below(rng, 100):02d}",
    "code": lambda rng: (
        "".join(_one_of(rng, "ABCEFHKLMPRTX") for _ in range(2)) + f"-{_below(rng, 9000) + 1000}"
    ),
}


def make_texts(count: int, seed: int, text_set: TextSet = TextSet.MIXED) -> tuple[str, ...]:
    """`count` texts. The first n of them are the same whatever `count` is."""
    rng = random.Random(f"texts/{TEXTS_VERSION}/{seed}")
    return tuple(_make_text(rng, text_set) for _ in range(count))


def texts_digest(texts: Sequence[str]) -> str:
    """Short hash that two runs share when they spoke the same texts in the same order."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def _make_text(rng: random.Random, text_set: TextSet) -> str:
    if text_set is TextSet.MIXED:
        text_set = _one_of(rng, [each for each, weight in _MIXED_WEIGHTS.items() for _ in range(weight)])
    sentence = _one_of(rng, _SENTENCES[text_set])
    # Every filler is drawn for every text: editing one sentence leaves the other texts as they were.
    return sentence.format(**{name: fill(rng) for name, fill in _FILLERS.items()})


def _below(rng: random.Random, bound: int) -> int:
    """Like randrange, by the one method whose sequence is promised to stay."""
    return int(rng.random() * bound)


def _one_of(rng: random.Random, values: Sequence[Choice]) -> Choice:
    return values[_below(rng, len(values))]
