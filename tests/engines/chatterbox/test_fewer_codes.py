"""A model of 729 codes whose silence is code 0: every part speaks in its codes, the engine hears of STOP."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engines import EngineConfig, FinishReason, SpeechRequest, open_engine
from engines.backends import onnxrt, pytorch
from engines.backends.base import Backend, TokenModel, TokenRow, TokenStart, Voice
from engines.backends.runner import Runner, Tensors
from engines.backends.signature import T3_STEP, VOICE_CODES
from engines.chatterbox.open import open_enroller
from engines.chatterbox.runon import MAX_SILENCE_TOKENS
from engines.chatterbox.tokens import ChatterboxTokens
from engines.contract import Samples
from engines.engine import open_backend
from engines.errors import ConfigError, SpeechFailed
from engines.model import find_model
from engines.rates import STOP_TOKEN, TOKEN_SAMPLES
from engines.sampling import Sampling
from engines.text.tokenizer import TextTokenizer
from engines.voices.conditioning import Conditioning
from engines.voices.features import log_mel_128
from engines.voices.library import VoiceLibrary
from export.folder import ExportPlan, export_folder
from tests.engines.voices.speechlike import speechlike
from tests.fakes.tiny_model import FEWER_CODES, tiny_checkpoint

CODES = FEWER_CODES.codes
START, STOP = 729, 730  # the model's own
ENDING = [0, 0, 0, STOP_TOKEN]
TEXT = "Is there anything else?"


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("model"), FEWER_CODES)


@cache
def runner(folder: Path) -> pytorch.TorchRunner:
    return pytorch.open_runner(folder)


def config(folder: Path, **settings: Any) -> EngineConfig:
    settings = {"model": str(folder), "max_segment_tokens": 24, "threads": 1, **settings}
    return EngineConfig.resolve("latency", backend="pytorch", **settings)


@cache
def opened(folder: Path, **settings: Any) -> Backend:
    return open_backend(config(folder, **settings))


@pytest.fixture(scope="module")
def voice(folder: Path) -> Voice:
    return opened(folder).voices["default"]


def decode(tokens: TokenModel, voice: Voice, seed: int = 3, most: int = 200) -> list[int]:
    """What one row says, to its end."""
    (started,) = tokens.start([TokenStart(0, TEXT, voice, seed)])
    said = [started.token]
    while said[-1] != STOP_TOKEN and len(said) < most:
        said += tokens.step([TokenRow(0, started.state, said[-1], len(said), seed)])
    tokens.stop(0, started.state)
    return said


@dataclass
class Edited:
    """A runner whose logits a test changes, told how many codes the row has said."""

    runner: Runner
    edit: Callable[[NDArray[np.float32], int], None]
    said: int = -1  # the voice's prefix comes first

    compute_dtype: Any = np.float32

    def has(self, graph: str) -> bool:
        return self.runner.has(graph)

    def run(self, graph: str, inputs: Tensors) -> dict[str, NDArray[Any]]:
        outputs = self.runner.run(graph, inputs)
        outputs["logits"] = outputs["logits"].copy()
        self.edit(outputs["logits"], self.said)
        self.said += 1
        return outputs


def edited(folder: Path, edit: Callable[[NDArray[np.float32], int], None]) -> ChatterboxTokens:
    return ChatterboxTokens(Edited(runner(folder), edit), FEWER_CODES, TextTokenizer(folder))


def test_the_folder_says_what_it_holds(folder: Path) -> None:
    assert find_model(folder) == FEWER_CODES


def test_it_says_codes_of_its_own_and_ends_with_its_own_silence(folder: Path, voice: Voice) -> None:
    said = decode(opened(folder).tokens, voice)
    assert said[-4:] == ENDING
    assert len(said) == 25
    assert all(0 <= code < CODES for code in said[:-1])
    assert len(set(said)) > 10


def test_its_own_stop_ends_a_segment(folder: Path, voice: Voice) -> None:
    def stop(logits: NDArray[np.float32], said: int) -> None:
        logits[:] = -50
        logits[:, STOP if said == 2 else 5 + said] = 50

    tokens = edited(folder, stop)
    assert decode(tokens, voice) == [5, 6, *ENDING]
    assert tokens.endings == {"stop": 1}


def test_its_own_start_is_never_said(folder: Path, voice: Voice) -> None:
    def shout(logits: NDArray[np.float32], said: int) -> None:
        logits[:, START] = 1e4

    assert START not in decode(edited(folder, shout), voice, most=20)


def test_its_own_silence_runs_on(folder: Path, voice: Voice) -> None:
    def silence(logits: NDArray[np.float32], said: int) -> None:
        logits[:] = -50
        logits[:, 0] = 50

    tokens = edited(folder, silence)
    assert decode(tokens, voice) == [0] * (MAX_SILENCE_TOKENS + 1) + ENDING
    assert tokens.endings == {"silence": 1}


@pytest.mark.parametrize("code", [-1, START, STOP, 4_299])
def test_a_prompt_of_a_model_with_more_codes_is_refused(folder: Path, voice: Voice, code: int) -> None:
    conditioning: Conditioning = voice.conditioning
    prompt = conditioning.t3_prompt.copy()
    prompt[3] = code
    foreign = Voice("foreign", "", -27.0, replace(conditioning, t3_prompt=prompt))
    with pytest.raises(SpeechFailed, match="no speech codes"):
        decode(opened(folder).tokens, foreign)


# Sampling


def by(folder: Path, voice: Voice, sampling: Sampling) -> list[int]:
    tokens = ChatterboxTokens(runner(folder), FEWER_CODES, TextTokenizer(folder), sampling, max_tokens=24)
    return decode(tokens, voice)


def test_it_samples_as_the_model_says(folder: Path, voice: Voice) -> None:
    said = decode(opened(folder).tokens, voice)
    assert said == by(folder, voice, FEWER_CODES.sampling)
    assert said != by(folder, voice, Sampling())


@pytest.mark.parametrize(
    "told",
    [{"temperature": 1.5}, {"temperature": 0.0}, {"top_k": 3}, {"top_p": 0.3}, {"repetition_penalty": 5.0}],
)
def test_the_configuration_wins_and_the_rest_stays_the_models(
    folder: Path, voice: Voice, told: dict[str, Any]
) -> None:
    said = decode(opened(folder, **told).tokens, voice)
    assert said == by(folder, voice, replace(FEWER_CODES.sampling, **told))
    assert said != by(folder, voice, FEWER_CODES.sampling)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("temperature", 11.0), ("top_k", -1), ("top_p", 0.0), ("repetition_penalty", 0.0)],
)
def test_a_setting_out_of_range_is_told_by_its_name(folder: Path, setting: str, value: float) -> None:
    with pytest.raises(ConfigError) as told:
        open_backend(config(folder, **{setting: value}))
    assert (told.value.field, told.value.value) == (setting, value)


# The whole chain


async def heard(configured: EngineConfig, voices: Sequence[str]) -> list[Samples]:
    engine = open_engine(configured)
    audio = []
    try:
        for voice in voices:
            async with engine.speak(TEXT, SpeechRequest(voice, seed=7)) as speech:
                audio.append(np.concatenate([chunk.samples async for chunk in speech]))
            assert speech.finish_reason is FinishReason.COMPLETED
    finally:
        engine.close()
    return audio


def test_it_is_enrolled_with_and_spoken_by(folder: Path, tmp_path: Path) -> None:
    enrolled = open_enroller("pytorch", folder).enroll(speechlike(6.0))
    assert (len(enrolled.s3_prompt), len(enrolled.t3_prompt)) == (75, FEWER_CODES.t3.prompt_tokens)
    assert enrolled.s3_prompt_mel.shape == (150, 80)
    for codes in (enrolled.s3_prompt, enrolled.t3_prompt):
        assert len(set(codes.tolist())) > 1
        assert 0 <= codes.min() <= codes.max() < CODES
    VoiceLibrary(tmp_path, {}, FEWER_CODES).add("anna", enrolled, "")
    audio = asyncio.run(heard(config(folder, voices=str(tmp_path)), ["default", "anna"]))
    for samples in audio:
        assert len(samples) == 24 * TOKEN_SAMPLES
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() > 1e-3
    assert np.abs(audio[0] - audio[1]).max() > 1e-3


def test_exported_graphs_have_its_codes(folder: Path, voice: Voice, tmp_path: Path) -> None:
    manifest = export_folder(ExportPlan(folder, tmp_path / "graphs", graphs=(T3_STEP, VOICE_CODES)))
    assert manifest.model == FEWER_CODES
    onnx = onnxrt.open_runner(tmp_path / "graphs")
    log_mel = log_mel_128(speechlike(5.0)[::2][:40_000])[None]
    codes, wanted = (each.run(VOICE_CODES, {"log_mel": log_mel})["codes"] for each in (onnx, runner(folder)))
    np.testing.assert_array_equal(codes, wanted)
    said = [
        decode(ChatterboxTokens(each, FEWER_CODES, TextTokenizer(folder), max_tokens=24), voice)
        for each in (onnx, runner(folder))
    ]
    assert said[0] == said[1]
