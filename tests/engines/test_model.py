"""Which model a folder holds: by its description, else by the published names; all else is told."""

from dataclasses import replace
from pathlib import Path

import pytest

from engines.errors import ConfigError
from engines.model import (
    MODEL_FILE,
    NANO,
    TURBO,
    EncoderConfig,
    ModelConfig,
    SpeechTokenizerConfig,
    T3Config,
    find_model,
    parse_model,
)
from engines.sampling import Sampling
from tests.fakes.tiny_model import FEWER_CODES


def test_a_description_survives_being_written_and_read() -> None:
    small = replace(
        TURBO, name="small", t3=T3Config(width=64, layers=2, heads=4), encoder=EncoderConfig(width=96)
    )
    assert parse_model(small.to_json()) == small
    assert parse_model(FEWER_CODES.to_json()) == FEWER_CODES


def test_what_a_description_leaves_out_is_as_published() -> None:
    told = parse_model('{"name": "x", "t3_file": "y"}')
    assert told == ModelConfig("x", "y") == replace(TURBO, name="x", t3_file="y")
    assert (told.codes, told.silence_code, told.s3_prompt_tokens) == (6_561, 4_299, 250)
    assert told.sampling == Sampling(temperature=0.8, top_k=1_000, top_p=0.95, repetition_penalty=1.2)


def test_start_and_stop_are_the_two_behind_the_codes() -> None:
    for model, codes in ((TURBO, 6_561), (NANO, 6_561), (FEWER_CODES, 729)):
        assert (model.t3.start_code, model.t3.stop_code) == (codes, codes + 1)


def test_the_published_models_are_known_by_their_files(tmp_path: Path) -> None:
    (tmp_path / "t3_nano_v1.safetensors").touch()
    assert find_model(tmp_path) == NANO
    (tmp_path / "t3_turbo_v1.safetensors").touch()
    assert find_model(tmp_path) == TURBO


def test_a_description_comes_before_file_names(tmp_path: Path) -> None:
    (tmp_path / "t3_turbo_v1.safetensors").touch()
    other = replace(TURBO, name="other", silence_code=100)
    (tmp_path / MODEL_FILE).write_text(other.to_json())
    assert find_model(tmp_path) == other


def test_ids_are_one_table_of_text_then_speech_then_the_speaker() -> None:
    assert TURBO.t3.first_speech_id == 50_276
    assert TURBO.t3.speaker_id == 50_276 + 6_563
    assert (TURBO.t3.head_width, NANO.t3.head_width) == (64, 64)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is not JSON"),
        ("[]", "must be an object"),
        ('{"name": "x", "t3_file": "y", "colour": 1}', "colour: 1 is not known"),
        ('{"name": "x"}', "t3_file"),
        ('{"name": "x", "t3_file": "y", "t3": {"width": "64"}}', "t3: width: '64' must be of type int"),
        ('{"name": "x", "t3_file": "y", "t3": {"width": 0}}', "t3: width: 0 must be at least 1"),
        ('{"name": "x", "t3_file": "y", "t3": {"width": true}}', "must be of type int"),
        ('{"name": "x", "t3_file": "y", "vocoder": {"up_kernels": 3}}', "must be a list of whole numbers"),
        (
            '{"name": "x", "t3_file": "y", "vocoder": {"up_kernels": [3, 0]}}',
            "must be a list of whole numbers",
        ),
        ('{"name": "x", "t3_file": "y", "codes": 729}', "talkspurt.json: codes: 729 must be 3**8"),
        ('{"name": "x", "t3_file": "y", "t3": {"speech_codes": 731}}', "t3: speech_codes: 731 must be 6563"),
        ('{"name": "x", "t3_file": "y", "silence_code": -1}', "silence_code: -1 must be at least 0"),
        ('{"name": "x", "t3_file": "y", "silence_code": 6561}', "silence_code: 6561 must be from 0 to 6560"),
        ('{"name": "x", "t3_file": "y", "s3_prompt_tokens": 251}', "s3_prompt_tokens: 251 must be from 1"),
        ('{"name": "x", "t3_file": "y", "sampling": {"top_p": "1"}}', "top_p: '1' must be a number"),
        ('{"name": "x", "t3_file": "y", "sampling": {"top_p": true}}', "top_p: True must be a number"),
        ('{"name": "x", "t3_file": "y", "sampling": {"top_k": 1.5}}', "top_k: 1.5 must be of type int"),
        (
            '{"name": "x", "t3_file": "y", "sampling": {"top_p": NaN}}',
            "talkspurt.json: sampling: top_p: nan must be over 0",
        ),
        ('{"name": "x", "t3_file": "y", "codes": ' + "9" * 5_000 + "}", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_wrong_description_is_told_by_key_and_value(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as told:
        parse_model(text)
    assert complaint in str(told.value)


def with_digits(digits: int, codes: int) -> ModelConfig:
    tokenizer, t3 = SpeechTokenizerConfig(digits=digits), T3Config(speech_codes=codes + 2)
    return ModelConfig("x", "y", t3, codes, silence_code=0, speech_tokenizer=tokenizer)


@pytest.mark.parametrize("digits", range(1, 9))
def test_codes_are_as_many_as_the_tokenizers_digits_make(digits: int) -> None:
    assert with_digits(digits, 3**digits).codes == 3**digits
    with pytest.raises(ConfigError, match=rf"codes: {3**digits - 1} must be 3\*\*{digits}"):
        with_digits(digits, 3**digits - 1)


def test_more_codes_than_the_engine_knows_are_refused_however_many_digits_are_told() -> None:
    with pytest.raises(ConfigError, match="codes: 19683 must be at most 6561"):
        with_digits(9, 3**9)
    with pytest.raises(ConfigError, match=r"codes: 729 must be 3\*\*1000000000,"):
        with_digits(10**9, 729)


def test_a_model_made_by_hand_is_checked_too() -> None:
    with pytest.raises(ConfigError, match="silence_code: 729 must be from 0 to 728"):
        replace(FEWER_CODES, silence_code=729)
    with pytest.raises(ConfigError, match="s3_prompt_tokens: 0 must be from 1 to 250"):
        replace(FEWER_CODES, s3_prompt_tokens=0)


def test_a_folder_without_a_model_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds none of talkspurt.json, t3_turbo_v1.safetensors, t3_nano"):
        find_model(tmp_path)


def test_no_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a folder"):
        find_model(tmp_path / "nowhere")
