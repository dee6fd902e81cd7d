"""Whether a gap between two words ends a segment. Pure, English; reads at most one word ahead."""

import re
from enum import Enum

FOREIGN_STOPS = frozenset("。！？｡।؟۔")
"""Stops of scripts that need no space after them."""

STOPS = frozenset(".?!…") | FOREIGN_STOPS
CLOSERS = frozenset("\"'”’»)]}*_`」』）】")
"""What may stand between a stop and the gap: quotes, brackets, Markdown marks."""

TAIL_CHARS = 24
"""How much text before a gap is looked at; longer than any abbreviation with its closers."""


def _listed(names: str) -> frozenset[str]:
    return frozenset(names.split())


_NEVER_LAST = _listed(
    "mr mrs ms mx messrs dr prof rev hon pres gov sen rep gen col maj capt cmdr lt sgt cpl fr"
    " e.g eg i.e ie viz vs v cf approx ca incl esp min max avg est attn"
)
_BEFORE_DIGIT = _listed("no nos nr pp p pg vol fig eq ch sec art ext rm apt ste unit tel ph para")
_SOMETIMES_LAST = _listed(
    "st ave blvd rd ln ct hwy pkwy sq jr sr esq inc ltd co corp llc bros etc al dept appt acct apt ste ext"
    " ft mt jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun"
    " am pm"
)
_OPENING_WORDS = _listed(
    "A After All Also An And Any Are As At Before But Can Could Did Do Does Don For From Had Has Have He Her"
    " Here His How However I If In Is It Its Just Let My No Not Now On Once One Or Our Please She Should So"
    " Some Sorry Thank Thanks That The Their Then There These They This Those To Was We Were What When Where"
    " Which While Why Will With Would Yes You Your"
)
"""Words that open a sentence far more often than they follow an abbreviation inside one."""

_OPENINGS = frozenset(word[:end] for word in _OPENING_WORDS for end in range(1, len(word) + 1))

_CLOSERS = "".join(CLOSERS)
_BULLET = re.compile(r"[•‣◦]|[-*+–—]\s|#{1,6}\s|[0-9]{1,3}[.)]\s")
_BULLET_BEGUN = re.compile(r"[-*+–—]|#{1,6}|[0-9]{1,3}[.)]?")
_LAST_WORD = re.compile(r"[^\s\"'“”‘’()\[\]{}*_`/-]*\Z")
_LIST_NUMBER = re.compile(r"[0-9]{1,3}\.\Z")
_DOTTED = re.compile(r"(?:[A-Za-z]{1,2}\.)+[A-Za-z]{1,2}\Z")  # U.S, p.m, Ph.D
_NO_VOWEL = re.compile(r"[b-df-hj-np-tv-xz]{2,5}\Z", re.IGNORECASE)


class Verdict(Enum):
    BREAK = "the segment ends before the gap"
    JOIN = "the segment goes on"
    WAIT = "more text decides"


def judge_gap(head: str, tail: str, newlines: int, ahead: str, ended: bool) -> Verdict:
    """Judge a gap by the text on both sides.

    ``head`` is the first few and ``tail`` the last TAIL_CHARS characters of the segment before it,
    ``newlines`` how many the gap holds, ``ahead`` what is known after it. ``ended``: no more follows.
    The verdict on some ``ahead`` other than WAIT stands for every longer one.
    """
    if newlines and (newlines > 1 or head.startswith("#")):
        return Verdict.BREAK
    if not ahead:
        return Verdict.JOIN if ended else Verdict.WAIT
    if newlines and (verdict := _bullet(ahead, ended)) is not Verdict.JOIN:
        return verdict
    return _after_stop(head, tail, ahead, ended)


def ends_in_stop(tail: str) -> bool:
    """Whether the text's last character, but for quotes and brackets, is a stop."""
    return tail.rstrip(_CLOSERS)[-1:] in STOPS


def _bullet(ahead: str, ended: bool) -> Verdict:
    if _BULLET.match(ahead):
        return Verdict.BREAK
    return Verdict.WAIT if _BULLET_BEGUN.fullmatch(ahead) and not ended else Verdict.JOIN


def _after_stop(head: str, tail: str, ahead: str, ended: bool) -> Verdict:
    core = tail.rstrip(_CLOSERS)
    if core[-1:] not in STOPS or core.endswith(("..", "…")):
        return Verdict.JOIN
    if len(core) < len(tail) and ahead[0].islower():
        return Verdict.JOIN  # a quotation ends, its sentence does not
    if core[-1] != ".":
        return Verdict.BREAK
    if core == head and _LIST_NUMBER.match(core):
        return Verdict.JOIN
    return _after_full_stop(_LAST_WORD.findall(core[:-1])[0], ahead, ended)


def _after_full_stop(word: str, ahead: str, ended: bool) -> Verdict:
    lowered = word.lower()
    if lowered in _NEVER_LAST or (lowered in _BEFORE_DIGIT and ahead[0].isdigit()):
        return Verdict.JOIN
    initial = len(word) == 1 and word.isupper()
    if initial or _DOTTED.match(word) or lowered in _SOMETIMES_LAST:
        return _opens_sentence(ahead, ended)
    if _NO_VOWEL.match(word) and (ahead[0].islower() or ahead[0].isdigit()):
        return Verdict.JOIN
    return Verdict.BREAK


def _opens_sentence(ahead: str, ended: bool) -> Verdict:
    """After an abbreviation that may also close a sentence, the next word decides."""
    for index, char in enumerate(ahead):
        if not char.isalpha():
            return Verdict.BREAK if ahead[:index] in _OPENING_WORDS else Verdict.JOIN
    if ahead not in _OPENINGS:
        return Verdict.JOIN
    if ended:
        return Verdict.BREAK if ahead in _OPENING_WORDS else Verdict.JOIN
    return Verdict.WAIT
