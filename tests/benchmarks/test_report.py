import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from benchmarks.compare import render_comparison
from benchmarks.line import LineRun
from benchmarks.line_report import LINE_SCHEMA, LINE_VERSION, render_line
from benchmarks.record import Outcome, Reception, RequestRecord
from benchmarks.report import render_report
from tests.benchmarks.made import MACHINE, MS, ended, record, run
from tests.benchmarks.test_line import point

HOSTILE = '"><script>alert(1)</script><img src="http://x.example/" onerror=\'x\'>&amp;'
_VOID = {"meta", "link", "img", "br", "hr", "input"}


class Strict(HTMLParser):
    """Balances tags and remembers what a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def check(html: str) -> Strict:
    """Valid, self-contained, and without anything that runs."""
    page = Strict()
    page.feed(html)
    page.close()
    assert page.open == []
    assert html.startswith("<!doctype html>")
    assert not page.seen & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert not {name for name in page.attributes if name.startswith("on")}
    assert not page.attributes & {"src", "href", "srcset", "xlink:href", "style", "action"}
    assert not re.search(r"url\(|@import", html)
    return page


def records() -> list[RequestRecord]:
    return [
        record(index=0, measured=False),
        *(record(index=k, scheduled_ns=k * 50 * MS, first_byte_ns=(20 + k) * MS) for k in range(1, 30)),
        ended(Outcome.REFUSED, "503 full", index=30, scheduled_ns=1500 * MS),
        ended(Outcome.FAILED, "cut", index=31, scheduled_ns=1600 * MS),
    ]


def test_a_report_is_one_valid_page_that_fetches_nothing() -> None:
    page = check(render_report(run(records()), records()))
    assert {"svg", "table", "circle", "polyline", "rect"} <= page.seen


def test_a_report_says_what_was_not_completed() -> None:
    said = " ".join(check(render_report(run(records()), records())).text)
    assert "1 × 503 full" in said
    assert "1 × cut" in said
    assert "1 refused, 1 failed" in said


def test_a_report_follows_light_and_dark() -> None:
    assert "prefers-color-scheme: dark" in render_report(run(records()), records())


@pytest.mark.parametrize(
    "changed",
    [
        {"target": HOSTILE},
        {"protocol": HOSTILE},
        {"began": HOSTILE},
        {"encoding": HOSTILE},
        {"options": {HOSTILE: HOSTILE}},
        {"server": {HOSTILE: [HOSTILE]}},
        {"machine": replace(MACHINE, cpu=HOSTILE, commit=HOSTILE, gpus=(HOSTILE,))},
    ],
)
def test_hostile_text_of_a_run_is_shown_and_not_obeyed(changed: dict[str, object]) -> None:
    page = check(render_report(run(records(), **changed), records()))
    assert "alert(1)" in " ".join(page.text)


def test_hostile_reasons_are_shown_and_not_obeyed() -> None:
    failed = [ended(Outcome.FAILED, HOSTILE, index=0), record(index=1)]
    page = check(render_report(run(failed), failed))
    assert HOSTILE in " ".join(page.text)


def test_a_run_that_brought_nothing_has_a_report() -> None:
    check(render_report(run([]), []))
    nothing = [ended(Outcome.FAILED, "cut")]
    check(render_report(run(nothing), nothing))


def test_packets_have_a_table_on_rtp_alone() -> None:
    heard = [record(reception=Reception(5, 1, 2, 3, 4, 0.5))]
    assert "RTP packets" in render_report(run(heard), heard)
    assert "RTP packets" not in render_report(run([record()]), [record()])


def test_many_requests_do_not_make_an_endless_page() -> None:
    many = [record(index=k, scheduled_ns=k * MS) for k in range(20_000)]
    assert render_report(run(many), many).count("<circle") <= 3_001


def test_a_comparison_is_one_valid_page() -> None:
    page = check(render_comparison(run(records()), run(records(), target=HOSTILE, began=HOSTILE)))
    assert "table" in page.seen


def test_a_line_report_is_one_valid_page() -> None:
    points = (point(calls=100), point(calls=1000, late_p99_ms=12.0))
    page = check(render_line(LineRun(LINE_SCHEMA, LINE_VERSION, HOSTILE, MACHINE, 0.5, points)))
    assert {"svg", "table"} <= page.seen
    check(render_line(LineRun(LINE_SCHEMA, LINE_VERSION, "", MACHINE, 0.5, ())))
