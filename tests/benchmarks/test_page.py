from collections.abc import Callable

import pytest

from benchmarks.page import card, facts, figure, notice, page, shown, table, tile

HOSTILE = "<i>\"'&"


@pytest.mark.parametrize(
    "made",
    [
        lambda: page(HOSTILE, HOSTILE, HOSTILE, []),
        lambda: tile(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE),
        lambda: card(HOSTILE, HOSTILE, ""),
        lambda: figure("", [(HOSTILE, HOSTILE)]),
        lambda: table([HOSTILE], [[HOSTILE, HOSTILE]]),
        lambda: facts([(HOSTILE, HOSTILE)]),
        lambda: notice(HOSTILE, [HOSTILE]),
    ],
)
def test_every_part_escapes_every_text(made: Callable[[], str]) -> None:
    html = made()
    assert "<i>" not in html
    assert "&lt;i&gt;&quot;&#x27;&amp;" in html


def test_a_notice_of_nothing_is_nothing() -> None:
    assert notice("Mind", []) == ""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"),
        (0.01234, "0.0123"),
        (0.5, "0.5"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (123.4, "123"),
        (12_345.6, "12,346"),
        (-3.2, "-3.20"),
        (42, "42"),
    ],
)
def test_numbers_have_the_digits_that_matter(value: float, said: str) -> None:
    assert shown(value) == said
