"""The sentences that are judged: two files, and how each is spoken."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

SETS_VERSION = 1
"""Goes up when a sentence changes; written into every result."""

GENERAL, TELEPHONE = "general", "telephone"
SETS = {GENERAL: "sentences.txt", TELEPHONE: "telephone.txt"}


@dataclass(frozen=True, slots=True)
class Sentence:
    """One text as people type it, and the words that the engine makes of it."""

    set: str
    text: str
    spoken: str


def sentences(quick: int | None = None) -> list[Sentence]:
    """All of both sets in order; with ``quick``, so many of each, spread over the set."""
    found = []
    for name in SETS:
        texts = typed(name)
        if quick is not None and quick < len(texts):
            texts = [texts[index * len(texts) // quick] for index in range(quick)]
        found += [Sentence(name, text, spoken(text)) for text in texts]
    return found


def typed(name: str) -> list[str]:
    """The texts of a set."""
    return (files("benchmarks.voice") / SETS[name]).read_text("utf-8").splitlines()


def spoken(text: str) -> str:
    """What the engine hands to T3 for a text: its segments, normalised."""
    from export.pocket.texts import spoken_segments

    return " ".join(spoken_segments(text))


def digest(judged: Sequence[Sentence]) -> str:
    """Of the texts, so that two runs are seen to have judged the same."""
    return hashlib.sha256("\n".join(each.text for each in judged).encode()).hexdigest()[:12]
