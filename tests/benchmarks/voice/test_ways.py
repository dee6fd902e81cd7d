from pathlib import Path

import pytest

from benchmarks.voice.errors import JudgeFailed
from benchmarks.voice.ways import ONE_SHOT, STREAMED, WAYS, Setup

WEIGHTS, GRAPHS, HALF = Path("weights"), Path("graphs"), Path("half")


def test_all_ways_that_have_a_model_are_judged_and_onnx_in_full() -> None:
    assert set(Setup(WEIGHTS, GRAPHS, HALF).chosen_ways()) == set(WAYS)
    assert Setup(WEIGHTS, GRAPHS, HALF).chosen_ways()[0] == "onnx"
    assert Setup(WEIGHTS, None, None).chosen_ways() == ("pytorch",)
    assert Setup(None, None, None).chosen_ways() == ()


def test_ways_that_are_chosen_keep_their_order() -> None:
    ways = ("pytorch", "onnx")
    assert Setup(WEIGHTS, GRAPHS, None, ways).chosen_ways() == ways


def test_a_way_without_its_model_is_refused() -> None:
    with pytest.raises(JudgeFailed, match="'onnx float16' needs"):
        Setup(WEIGHTS, GRAPHS, None, ("onnx float16",)).chosen_ways()


@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_a_setting_of_the_engine(way: str) -> None:
    config = Setup(WEIGHTS, GRAPHS, HALF).config(way, STREAMED)
    assert config.backend == way.split()[0].strip(",")
    assert config.model == {"pytorch": "weights", "onnx float16": "half"}.get(way, "graphs")
    assert config.t3_int8 is ("int8" in way)
    assert config.prompt_cache is ("prompt cache" in way)


def test_a_result_tells_the_files_and_no_path_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.onnx").write_bytes(b"a")
    setup = Setup(None, tmp_path / "model", None, voices_folder=tmp_path / "voices")
    told = setup.told("onnx")
    assert (told["model"], told["voices"], told["backend"]) == ("model", "voices", "onnx")
    (tmp_path / "model" / "a.onnx").write_bytes(b"b")
    other = setup.told("onnx")
    assert other["model_digest"] != told["model_digest"]
    (tmp_path / "model" / "a.onnx").rename(tmp_path / "model" / "b.onnx")
    assert setup.told("onnx")["model_digest"] not in (told["model_digest"], other["model_digest"])


def test_one_shot_is_one_window_and_streamed_is_as_the_engine_has_it() -> None:
    setup = Setup(WEIGHTS, None, None)
    assert setup.config("pytorch", ONE_SHOT).chunk_tokens[0] > 1_000
    assert setup.config("pytorch", STREAMED).chunk_tokens == (10, 12, 16, 25)


def test_threads_and_voices_are_told_to_the_engine() -> None:
    setup = Setup(WEIGHTS, None, None, voices_folder=Path("voices"), threads=3, temperature=0.5)
    config = setup.config("pytorch", STREAMED)
    assert (config.threads, config.voices, config.temperature) == (3, "voices", 0.5)
    assert setup.config("pytorch", STREAMED, threads=1).threads == 1
    assert setup.config("pytorch", STREAMED, threads=0).threads == 0
