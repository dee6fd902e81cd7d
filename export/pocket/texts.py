"""What the pocket voice learns to say: sentences from Debian's packages, word lists, telephone texts.

WordNet's examples and definitions (package dict-wn), `fortunes`, and lists drawn from `wamerican`
so that rare words are heard too. None of it is shipped: the texts are read where they are installed.
"""

import gzip
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from engines.text.normalize import normalize
from engines.text.segment import Segmenter
from engines.text.tokenizer import prepare
from export.pocket.templates import telephone_text

DICTIONARY = Path("/usr/share/dictd/wn.dict.dz")
FORTUNES = Path("/usr/share/games/fortunes")
WORDS = Path("/usr/share/dict/american-english")

SHARES = {"dictionary": 0.50, "fortunes": 0.20, "words": 0.17, "telephone": 0.13}
"""Of texts. General sentences are what is hardest; lists of words are pronunciation and nothing else."""

MIN_CHARS, MAX_CHARS = 12, 240
_SPEAKABLE = re.compile(r"[A-Za-z][A-Za-z ,.!?'-]*")
_ACRONYM = re.compile(r"\b[A-Z]{2,}\b|\b(\w)\1\1|\b[bcdfghjklmnpqrstvwxz]{4,}\b")
_EXAMPLE = re.compile(r'"([^"]+)"')
_SENSE = re.compile(r"(?:^|\s)(?:n|v|adj|adv|r)?\s*\d+:\s")
_DROPPED = re.compile(r"\[[^\]]*\]|\([^)]*\)|[{}]")


class SourceMissing(Exception):
    """A package of texts is not installed."""


def texts(seed: int, banned: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
    """Endless (kind, text): each one segment as T3 is given it. None is of ``banned``, and few come twice.

    Raises SourceMissing naming the package.
    """
    draw = random.Random(seed)
    sources: dict[str, Callable[[], str]] = {
        "dictionary": _cycle(_dictionary(), draw),
        "fortunes": _cycle(_fortunes(), draw),
        "words": _word_lists(draw),
        "telephone": lambda: telephone_text(draw),
    }
    kinds, weights = list(SHARES), list(SHARES.values())
    while True:
        kind = draw.choices(kinds, weights)[0]
        for text in spoken_segments(sources[kind]()):
            if is_speakable(text) and bare(text) not in banned:
                yield kind, text


def spoken_segments(text: str) -> list[str]:
    """A text as the engine cuts, normalises and hands it to T3."""
    segmenter = Segmenter()
    segments = [*segmenter.push(text), *segmenter.flush()]
    return [prepare(normalize(segment.text)) for segment in segments]


def is_speakable(text: str) -> bool:
    """Plain words of English as far as can be told, and neither very short nor very long."""
    within = MIN_CHARS <= len(text) <= MAX_CHARS
    return within and bool(_SPEAKABLE.fullmatch(text)) and not _ACRONYM.search(text)


def bare(text: str) -> str:
    """The words alone, for comparing texts."""
    return " ".join(re.findall(r"[a-z']+", text.lower()))


def _cycle(found: list[str], draw: random.Random) -> Callable[[], str]:
    waiting: list[str] = []

    def following() -> str:
        if not waiting:
            waiting.extend(found)
            draw.shuffle(waiting)
        return waiting.pop()

    return following


def _dictionary() -> list[str]:
    """Examples in quotes, and definitions of more than four words."""
    raw = gzip.decompress(_read(DICTIONARY, "dict-wn")).decode("utf-8", "replace")
    entries = re.split(r"\n(?=\S)", raw)[30:]
    found: dict[str, None] = {}
    for entry in entries:
        text = " ".join(_DROPPED.sub(" ", entry.partition("\n")[2]).split())
        for sense in _SENSE.split(text):
            found.update(dict.fromkeys(_EXAMPLE.findall(sense)))
            definition = _EXAMPLE.split(sense)[0].strip(" ;:")
            parts = [part.strip() for part in definition.split(";")]
            found.update(dict.fromkeys(part for part in parts if part.count(" ") >= 4))
    return sorted(found)


def _fortunes() -> list[str]:
    """Sentences of the packaged fortunes, without who said them."""
    found: dict[str, None] = {}
    for path in sorted(FORTUNES.glob("*")):
        if path.suffix or path.is_symlink() or "ascii" in path.name:
            continue
        for fortune in path.read_text("utf-8", "replace").split("\n%\n"):
            said = fortune.split("\n\t\t--")[0]
            if "\n\n" not in said and "_" not in said and "|" not in said:
                found[" ".join(said.replace("--", ", ").split())] = None
    if not found:
        raise SourceMissing(f"{FORTUNES} holds none: install fortunes")
    return sorted(found)


def _word_lists(draw: random.Random) -> Callable[[], str]:
    words = [
        word for word in _read(WORDS, "wamerican").decode().split() if re.fullmatch(r"[A-Za-z]{2,}", word)
    ]
    following = _cycle(words, draw)

    def some() -> str:
        gap = draw.choice((" ", " ", " ", ", "))
        return gap.join(following() for _ in range(draw.randint(3, 9)))

    return some


def _read(path: Path, package: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise SourceMissing(f"{path} is missing: install {package}") from None
