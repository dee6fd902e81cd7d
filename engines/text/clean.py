"""Text as people and programs write it, made plain: entities, tags, typography, controls, emoji.

After this, what is not ASCII is a letter with its marks, a numeral without digits, or a sign that
a later rule speaks.
"""

import html
import re
import unicodedata

_TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9-]{0,30}(?:\s[^<>]{0,300})?/?>")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SPOKEN_SIGNS = frozenset("€£¥₹¢°")

_TYPOGRAPHY = {
    **dict.fromkeys(map(ord, "‘’‚‛′´ʼ＇"), "'"),
    **dict.fromkeys(map(ord, "“”„‟″«»「」『』"), '"'),
    **dict.fromkeys(map(ord, "‐‑‒–−﹣－"), "-"),
    **dict.fromkeys(map(ord, "—―"), " - "),
    **dict.fromkeys(map(ord, "•‣◦·∙●▪"), "- "),
    **dict.fromkeys(map(ord, "。｡।۔"), ". "),
    **dict.fromkeys(map(ord, "、،"), ", "),
    **dict.fromkeys(map(ord, "©®™"), " "),
    **{ord(each): " " + unicodedata.normalize("NFKC", each).replace("⁄", "/") for each in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"},
    ord("…"): "...",
    ord("؟"): "? ",
    ord("⁄"): "/",
    ord("№"): "No. ",
    ord("²"): " squared",
    ord("³"): " cubed",
    ord("×"): " x ",
    ord("÷"): " divided by ",
    ord("±"): " plus or minus ",
    ord("≈"): "~",
    ord("≤"): "<=",
    ord("≥"): ">=",
    ord("≠"): " is not ",
    ord("→"): " to ",
}
_LINE_SEPARATORS = {0x85: "\n", 0x2028: "\n", 0x2029: "\n"}
_INVISIBLE = {
    **dict.fromkeys(range(0xFE00, 0xFE10)),  # variation selectors
    **dict.fromkeys((0xAD, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF)),
    **dict.fromkeys(range(0x202A, 0x202F)),
}


def clean(text: str) -> str:
    """Plain text with its line breaks as ``\\n``; nothing is spoken yet."""
    if "&" in text:
        text = html.unescape(text)
    if not text.isascii():
        text = _plain(text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROL.sub("", text)
    return _TAG.sub(" ", text) if "<" in text else text


def _plain(text: str) -> str:
    text = text.translate(_LINE_SEPARATORS | _INVISIBLE).translate(_TYPOGRAPHY)
    kept: list[str] = []
    marks_belong = False  # to the letter before them; NFKC has joined those of Latin letters
    for char in unicodedata.normalize("NFKC", text):
        if char.isascii():
            kept.append(char)
            marks_belong = False
        elif unicodedata.category(char) in ("Mn", "Mc"):
            kept.append(char if marks_belong else "")
        else:
            marks_belong = char.isalpha()
            kept.append(_plain_char(char))
    return "".join(kept)


def _plain_char(char: str) -> str:
    digit = unicodedata.digit(char, None)
    if digit is not None:
        return str(digit)
    return char if char.isalnum() or char in _SPOKEN_SIGNS else " "
