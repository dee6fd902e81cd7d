"""Markdown marks taken out: what they mark stays, and a line that stands alone ends in a stop."""

import re

from engines.text.rules import Rule, rewrite

_MARKS = re.compile(r"[*_`#>~|\[\n]")
_BULLET = r"(?:[-*+][ \t]|\d{1,3}[.)][ \t]|#{1,6}[ \t]|>)"

_BLOCKS = (
    Rule(r"(?m)^[ \t]*(?:```|~~~)[\w+-]*[ \t]*$", "", "`~"),
    Rule(r"(?m)^[-=*_|: \t]{3,}$", "", "-=*_|"),
    Rule(r"\n[ \t]*\n\s*", ".\n\n", "\n"),
    Rule(rf"(?<!\n)\n(?=[ \t]*{_BULLET})", ".\n", "\n"),
    Rule(r"(?m)^([ \t]*#{1,6}[ \t][^\n]*)\n", r"\1.\n", "#"),
    Rule(r"(?m)^[ \t]*(?:(?:#{1,6}[ \t]|>[ \t]?|[-*+][ \t])[ \t]*)+", "", "#>-*+"),
    Rule(r"!?\[([^\[\]\n]{0,300})\]\([^()\s]{0,500}(?: \"[^\"\n]{0,200}\")?\)", r"\1", "]"),
)

_EMPHASIS = (
    Rule(r"(?<=\d)[ \t]?\*[ \t]?(?=\d)", " times ", "*"),
    Rule(r"[*`]|~~", "", "*`~"),
    Rule(r"(?<![^\W_])_|_(?![^\W_])", "", "_"),
)


def drop_blocks(text: str) -> str:
    """Without fences, rules, headings, bullets, quotes and link targets."""
    marked = _MARKS.search(text) or text.lstrip().startswith(("-", "+"))
    return rewrite(text, _BLOCKS) if marked else text


def drop_emphasis(text: str) -> str:
    """Without the marks of bold, italic, struck and code; a mark inside a word_like_this stays."""
    return rewrite(text, _EMPHASIS)
