"""Which model a folder holds: by its description, else by the published names; all else is told."""

from dataclasses import replace
from pathlib import Path

import pytest

from engines.errors import ConfigError
from engines.model import MODEL_FILE, NANO, TURBO, EncoderConfig, T3Config, find_model, parse_model


def test_a_description_survives_being_written_and_read() -> None:
    small = replace(
        TURBO, name="small", t3=T3Config(width=64, layers=2, heads=4), encoder=EncoderConfig(width=96)
    )
    assert parse_model(small.to_json()) == small


def test_the_published_models_are_known_by_their_files(tmp_path: Path) -> None:
    (tmp_path / "t3_nano_v1.safetensors").touch()
    assert find_model(tmp_path) == NANO
    (tmp_path / "t3_turbo_v1.safetensors").touch()
    assert find_model(tmp_path) == TURBO


def test_a_description_comes_before_file_names(tmp_path: Path) -> None:
    (tmp_path / "t3_turbo_v1.safetensors").touch()
    other = replace(TURBO, name="other", codes=100)
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
    ],
)
def test_a_wrong_description_is_told_by_key_and_value(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as told:
        parse_model(text)
    assert complaint in str(told.value)


def test_a_folder_without_a_model_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds none of talkspurt.json, t3_turbo_v1.safetensors, t3_nano"):
        find_model(tmp_path)


def test_no_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a folder"):
        find_model(tmp_path / "nowhere")
