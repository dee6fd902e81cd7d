from benchmarks.voice.table import HEAD, TIME_HEAD, format_verdict, rows, time_rows
from tests.benchmarks.voice.made import timed, utterance, verdict

HEARD = [
    utterance(0, 0, "the cat sat"),
    utterance(0, 1, "press five now"),
    utterance(1, 0, "the hat sat", length_ratio=1.0, ended="stop", mel_l1=0.1234),
    utterance(1, 1, "press five", length_ratio=1.3, ended="budget", seam_jump=0.456, like_xvector=True),
]


def test_a_row_tells_its_rates_by_set_and_leaves_open_what_was_not_measured() -> None:
    source, speech = rows(verdict(), HEARD)
    assert source == ["source, default", "0.0", "0.0", "0.0", "2", "", "", "", "0", "", "", "", ""]
    measured = ["50.0", "50.0", "1.15", "0", "0.46", "0.123", "", "100.0"]
    assert speech == ["text to speech, onnx, streamed, default", "33.3", "33.3", "33.3", "2", *measured]


def test_a_set_that_was_not_judged_has_no_rate() -> None:
    assert rows(verdict(), HEARD[:1])[0][1:4] == ["0.0", "", "0.0"]


def test_times_are_percentiles_of_each_way() -> None:
    made = verdict(timed=(timed("a", 0.1, 0.2), timed("a", 0.3, 0.6), timed("b", 1, 4)))
    assert time_rows(made) == [
        ["a", "2", "100", "300", "0.100", "0.300", "0.050", "0.100"],
        ["b", "1", "1000", "1000", "2.000", "2.000", "0.050", "0.100"],
    ]


def test_all_lines_of_a_table_have_as_many_cells() -> None:
    made = verdict(timed=(timed("a", 0.1, 0.2),))
    lines = format_verdict(made, HEARD).splitlines()
    assert {line.count("|") for line in lines[:4]} == {len(HEAD) + 1}
    assert {line.count("|") for line in lines[5:]} == {len(TIME_HEAD) + 1}
