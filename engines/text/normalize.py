"""What people send to a telephone line becomes words. Pure, English (American); linear in the text.

Dates are read month first. What a voice reads well by itself, such as acronyms, is left to it.
"""

from engines.text.abbreviations import expand_abbreviations
from engines.text.addresses import ADDRESS_RULES
from engines.text.clean import clean
from engines.text.clock import CLOCK_RULES
from engines.text.dates import DATE_RULES
from engines.text.digits import DIGIT_RULES, KEYPAD_RULES
from engines.text.markdown import drop_blocks, drop_emphasis
from engines.text.money import MONEY_RULES
from engines.text.punctuation import speak_signs, tidy
from engines.text.quantities import QUANTITY_RULES
from engines.text.rules import rewrite
from engines.text.web import WEB_RULES

NUMBER_RULES = (
    *DATE_RULES,
    *CLOCK_RULES,
    *MONEY_RULES,
    *DIGIT_RULES,
    *ADDRESS_RULES,
    *QUANTITY_RULES,
)
"""In order: what is written in a form of its own before what any digits fit."""


def normalize(text: str) -> str:
    """The words to speak for any text: no digits, one space between words, ending in a stop.

    Idempotent. Empty if the text holds nothing to say.
    """
    text = drop_blocks(rewrite(clean(text), KEYPAD_RULES))
    text = drop_emphasis(rewrite(text, WEB_RULES))
    if any(map(str.isdigit, text)):
        text = rewrite(text, NUMBER_RULES)
    return expand_abbreviations(tidy(speak_signs(text)))
