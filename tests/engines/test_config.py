"""Strict engine configuration: every range, every unknown name, and a digest that stays."""

import os
import re
import subprocess
import sys
from typing import Any

import pytest

from engines.config import DEFAULT_ENGINE, PROFILES, EngineConfig
from engines.errors import ConfigError

LEAST = {
    "max_utterances": 1,
    "max_text_chars": 1,
    "lead_ms": 1,
    "min_reserve_ms": 1,
    "max_segment_chars": 20,
    "max_segment_tokens": 1,
    "threads": 0,
    "left_context_tokens": 0,
    # the longest chunk, 25 tokens, and room for a lookahead of 10: 35 tokens of 40 ms
    "max_unspoken_ms": 1_400,
    "max_unread_ms": 1_400,
}


def config_with(**settings: Any) -> EngineConfig:
    return EngineConfig.resolve(**settings)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_resolves(profile: str) -> None:
    assert EngineConfig.resolve(profile).backend == DEFAULT_ENGINE


def test_profiles_differ_and_balanced_is_the_default() -> None:
    resolved = [EngineConfig.resolve(profile) for profile in PROFILES]
    assert len({each.digest for each in resolved}) == len(PROFILES)
    assert EngineConfig.resolve() == EngineConfig.resolve("balanced") == EngineConfig()


def test_first_audio_comes_soonest_with_latency_and_lanes_run_furthest_with_throughput() -> None:
    latency, balanced, throughput = (
        EngineConfig.resolve(profile) for profile in ("latency", "balanced", "throughput")
    )
    assert latency.chunk_tokens[0] < balanced.chunk_tokens[0] <= throughput.chunk_tokens[0]
    assert latency.lead_ms < balanced.lead_ms < throughput.lead_ms


def test_overrides_go_on_top_of_the_profile_and_none_is_not_given() -> None:
    config = EngineConfig.resolve("latency", max_utterances=7, lead_ms=None)
    assert (config.max_utterances, config.lead_ms) == (7, 800)


def test_lists_become_tuples_so_that_a_config_stays_hashable() -> None:
    config = EngineConfig.resolve(chunk_tokens=[10, 20])
    assert config.chunk_tokens == (10, 20)
    assert hash(config) == hash(EngineConfig.resolve(chunk_tokens=(10, 20)))


def test_an_unknown_profile_is_refused_and_the_known_are_named() -> None:
    with pytest.raises(
        ConfigError, match="'fastest' is unknown; use latency, balanced, throughput"
    ) as caught:
        EngineConfig.resolve("fastest")
    assert (caught.value.field, caught.value.value) == ("profile", "fastest")


def test_an_unknown_key_is_refused_and_the_known_are_named() -> None:
    with pytest.raises(ConfigError, match=r"max_uterances: 5 is not a setting; known are .*max_utterances"):
        EngineConfig.resolve(max_uterances=5)


@pytest.mark.parametrize(("field", "least"), LEAST.items())
def test_the_least_value_is_taken_and_one_below_is_refused(field: str, least: int) -> None:
    assert getattr(config_with(**{field: least}), field) == least
    with pytest.raises(ConfigError, match=f"{field}: {least - 1} must be a whole number of at least {least}"):
        config_with(**{field: least - 1})


@pytest.mark.parametrize("field", LEAST)
@pytest.mark.parametrize("value", ["200", 5_000.5, True])
def test_a_value_that_is_no_whole_number_is_a_config_error_too(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=field):
        EngineConfig.resolve(**{field: value})


@pytest.mark.parametrize("tokens", [(), (0,), (10, -1), (10, 2.5), ("10",)])
def test_chunks_are_whole_numbers_and_at_least_one(tokens: Any) -> None:
    with pytest.raises(ConfigError, match="chunk_tokens"):
        EngineConfig.resolve(chunk_tokens=tokens)


def test_lanes_have_room_for_the_longest_chunk_and_any_lookahead() -> None:
    config = EngineConfig.resolve(chunk_tokens=(90,))
    assert config.max_unspoken_ms == 4_000
    with pytest.raises(ConfigError, match="max_unspoken_ms: 4000 must be a whole number of at least 4040"):
        EngineConfig.resolve(chunk_tokens=(91,))


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan")])
def test_retry_after_is_positive(seconds: float) -> None:
    with pytest.raises(ConfigError, match="retry_after_s"):
        EngineConfig.resolve(retry_after_s=seconds)


def test_an_unknown_device_is_refused_and_the_known_are_named() -> None:
    assert EngineConfig.resolve(device="cuda").device == "cuda"
    with pytest.raises(ConfigError, match="device: 'abacus' is unknown; use cpu, cuda"):
        EngineConfig.resolve(device="abacus")


def test_digest_is_the_same_for_the_same_settings_in_any_process() -> None:
    ask = "from engines.config import EngineConfig; print(EngineConfig(max_utterances=200).digest, end='')"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    answer = subprocess.run(
        [sys.executable, "-c", ask], env=environment, capture_output=True, text=True, check=True
    )
    assert answer.stdout == EngineConfig().digest
    assert re.fullmatch("[0-9a-f]{12}", answer.stdout)


@pytest.mark.parametrize("field", LEAST)
def test_digest_changes_with_any_setting(field: str) -> None:
    config = EngineConfig()
    assert config_with(**{field: getattr(config, field) + 1}).digest != config.digest
