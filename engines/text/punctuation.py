"""The last signs become words or pauses, and punctuation is brought into one form.

Output holds letters, spaces, ``, . ; : ? !``, apostrophes and hyphens inside words, and the tags of
the sounds the model knows, as ``[laugh]``.
"""

import re
import unicodedata

_SOUNDS = "clear throat|sigh|shush|cough|groan|sniff|gasp|chuckle|laugh"
"""Chatterbox Turbo's event tags that are heard; its tags of mood are not, and go."""

_SIGNS = {
    "&": " and ",
    "@": " at ",
    "%": " percent ",
    "+": " plus ",
    "°": " degrees ",
    "(": ", ",
    ")": ", ",
    "{": ", ",
    "}": ", ",
    "|": ", ",
}

_SIGN = re.compile(rf"\[(?i:{_SOUNDS})\]|[^\w\s',.;:?!-]|_")
_ALTERNATIVES = re.compile(r"(?<=[a-z][a-z])/(?=[a-z]{2})")
_PLURAL_OPTION = re.compile(r"(?<=[a-z])\(s\)")
_WITH = re.compile(r"\b([Ww])/(o\b)? ?")
_LOOSE_APOSTROPHE = re.compile(r"(?<![^\W_])'|'(?![^\W_])")
_DASH = re.compile(r"\s-+\s|-{2,}")
_LOOSE_HYPHEN = re.compile(r"(?<![^\W_])-|-(?![^\W_])")
_SPACELESS_STOP = re.compile(r"\.(?=\w\w)|(?<=\w\w\w)\.(?=\w)")  # but not in "U.S." and "Ph.D."
_ROUGH = re.compile(r" [,;:.!?]|[,;:.!?] ?[,;:.!?]|[,;:!?][^ ]")
_RUN = re.compile(r" ?[,;:.!?][ ,;:.!?]*")
_MARKS = " ,;:.!?"


def speak_signs(text: str) -> str:
    """Every sign that is neither letter nor punctuation as a word, a comma, or nothing."""
    if "/" in text:
        text = _WITH.sub(lambda match: f"{match[1]}ith{'out' if match[2] else ''} ", text)
        text = _ALTERNATIVES.sub(" or ", text.replace("and/or", "and or"))
    if "(" in text:
        text = _PLURAL_OPTION.sub("s", text)
    return _SIGN.sub(_say_sign, text)


def _say_sign(match: re.Match[str]) -> str:
    sign = match[0]
    if len(sign) > 1:
        return f" {sign.lower()} "
    if not sign.isascii() and unicodedata.category(sign) in ("Mn", "Mc"):
        return sign  # a mark of the letter before it
    return _SIGNS.get(sign, " ")


def tidy(text: str) -> str:
    """One form of punctuation, ending in a stop; empty if there is nothing to say. Idempotent."""
    if "'" in text:
        text = _LOOSE_APOSTROPHE.sub(" ", text)
    if "-" in text:
        text = _LOOSE_HYPHEN.sub(" ", _DASH.sub(", ", text))
    text = " ".join(text.split()).lstrip(_MARKS).replace(" , ", ", ")
    text = _SPACELESS_STOP.sub(". ", text)
    if _ROUGH.search(text):
        text = _RUN.sub(_canonical, text)
    text = text.rstrip(" ,;:")
    if not any(map(str.isalnum, text)):
        return ""
    return text if text[-1] in ".?!" else text + "."


def _canonical(match: re.Match[str]) -> str:
    run = match[0]
    marks = run.replace(" ", "")
    ending = _ending(marks)
    # The full stop of an abbreviation stays before another mark: "p.m., then".
    lead = "." if len(marks) > 1 and marks[0] == "." and ending[0] != "." else ""
    tight = marks == "." and " " not in run
    return lead + ending + ("" if tight else " ")


def _ending(marks: str) -> str:
    """The strongest of several marks."""
    if "?" in marks:
        return "?!" if "!" in marks else "?"
    if "!" in marks:
        return "!"
    if ".." in marks:
        return "..."
    if "." in marks.lstrip(".") or marks == ".":
        return "."
    return marks.lstrip(".")[0]
