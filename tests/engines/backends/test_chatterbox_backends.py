"""Chatterbox on either runtime, at the tiniest width: the same speech, whoever shares the batch."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engines import EngineConfig, FinishReason, SpeechRequest, open_engine
from engines.backends import onnxrt, pytorch
from engines.backends.base import Backend, TokenRow, TokenStart
from engines.backends.manifest import MANIFEST_FILE, read_manifest
from engines.chatterbox.open import import_conditionals, open_enroller
from engines.chatterbox.tokens import ChatterboxTokens
from engines.contract import Samples
from engines.engine import open_backend
from engines.errors import BackendUnavailable, ConfigError
from engines.model import ENDING_SILENCE_TOKENS, SILENCE_TOKEN
from engines.rates import SAMPLE_RATE_HZ, STOP_TOKEN, TOKEN_SAMPLES
from engines.voices.library import VoiceLibrary
from export.folder import ExportPlan, export_folder
from tests.engines.voices.speechlike import speechlike
from tests.fakes.tiny_export import tiny_export, tiny_weights
from tests.fakes.tiny_model import TINY, tiny_checkpoint

BACKENDS = ("onnx", "pytorch")
TEXTS = ("Good morning.", "Is there anything else that I can do for you?", "No.")
MAX_TOKENS = 24


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(params=BACKENDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def config(name: str, **settings: Any) -> EngineConfig:
    model = tiny_weights() if name == "pytorch" else tiny_export()
    settings = {"model": str(model), "max_segment_tokens": MAX_TOKENS, "threads": 1, **settings}
    return EngineConfig.resolve("latency", backend=name, **settings)


@cache
def opened(name: str, **settings: Any) -> Backend:
    """Kept for all tests: every one must leave it empty."""
    return open_backend(config(name, **settings))


def decode(backend: Backend, texts: Sequence[str], seed: int = 3) -> list[list[int]]:
    """The speech tokens of ``texts``, decoded in one batch."""
    rows = [TokenStart(slot, text, backend.voices["default"], seed) for slot, text in enumerate(texts)]
    started = backend.tokens.start(rows)
    tokens = [[each.token] for each in started]
    for position in range(1, MAX_TOKENS + 1):
        live = [slot for slot, each in enumerate(tokens) if each[-1] != STOP_TOKEN]
        batch = [TokenRow(slot, started[slot].state, tokens[slot][-1], position, seed) for slot in live]
        for slot, token in zip(live, backend.tokens.step(batch), strict=True):
            tokens[slot].append(token)
    for slot, each in enumerate(started):
        backend.tokens.stop(slot, each.state)
    return tokens


def rows_held(backend: Backend) -> int:
    assert isinstance(backend.tokens, ChatterboxTokens)
    return backend.tokens.arena.rows


async def heard(configured: EngineConfig, texts: Sequence[str]) -> list[list[Samples]]:
    """The chunks of ``texts``, all spoken at once."""
    engine = open_engine(configured)

    async def chunks(text: str) -> list[Samples]:
        async with engine.speak(text, SpeechRequest(seed=7)) as speech:
            found = [chunk.samples async for chunk in speech]
        assert speech.finish_reason is FinishReason.COMPLETED
        return found

    try:
        return list(await asyncio.gather(*map(chunks, texts)))
    finally:
        engine.close()


def speak(configured: EngineConfig, *texts: str) -> list[list[Samples]]:
    return asyncio.run(heard(configured, texts))


def joined(chunks: Sequence[Samples]) -> Samples:
    audio = np.concatenate(chunks)
    assert np.isfinite(audio).all()
    assert np.abs(audio).max() > 1e-3, "silence proves nothing"
    return audio


@pytest.mark.parametrize("temperature", [0.0, 0.8], ids=["greedy", "sampled"])
def test_both_runtimes_speak_the_same_tokens(temperature: float) -> None:
    said = {name: decode(opened(name, temperature=temperature), TEXTS) for name in BACKENDS}
    assert said["onnx"] == said["pytorch"]
    assert len({tuple(tokens) for tokens in said["onnx"]}) == len(TEXTS)


def test_settings_reach_the_lanes(name: str) -> None:
    assert decode(opened(name, temperature=0.0), TEXTS) != decode(opened(name), TEXTS)
    backend = opened(name, left_context_tokens=7)
    assert (backend.left_context_tokens, backend.max_segment_tokens) == (7, MAX_TOKENS)


def test_a_segment_ends_in_silence_within_its_bound(name: str) -> None:
    for tokens in decode(opened(name), TEXTS):
        assert tokens[-4:] == [SILENCE_TOKEN] * ENDING_SILENCE_TOKENS + [STOP_TOKEN]
        assert len(tokens) <= MAX_TOKENS + 1


def test_another_seed_speaks_other_tokens(name: str) -> None:
    assert decode(opened(name), TEXTS[:1], seed=3) != decode(opened(name), TEXTS[:1], seed=4)


def test_both_runtimes_make_the_same_audio() -> None:
    onnx, torch_ = (joined(speak(config(name), TEXTS[0])[0]) for name in BACKENDS)
    assert onnx.shape == torch_.shape
    assert np.abs(onnx - torch_).max() < 1e-3


def test_speech_comes_in_chunks_of_whole_tokens(name: str) -> None:
    (chunks,) = speak(config(name), TEXTS[1])
    assert len(chunks) > 1
    assert all(len(chunk) % TOKEN_SAMPLES == 0 for chunk in chunks)
    assert len(joined(chunks)) <= MAX_TOKENS * TOKEN_SAMPLES


def test_tokens_in_a_batch_are_those_alone(name: str) -> None:
    backend = opened(name)
    assert decode(backend, TEXTS) == [decode(backend, [text])[0] for text in TEXTS]


@pytest.mark.parametrize("prompt_cache", [False, True])
def test_audio_in_a_batch_is_that_alone(name: str, prompt_cache: bool) -> None:
    configured = config(name, prompt_cache=prompt_cache)
    together = speak(configured, *TEXTS)
    for text, chunks in zip(TEXTS, together, strict=True):
        alone = joined(speak(configured, text)[0])
        assert alone.shape == joined(chunks).shape
        assert np.abs(alone - joined(chunks)).max() < 1e-3


def test_a_cached_prompt_speaks_near_what_the_whole_prompt_speaks(name: str) -> None:
    exact, cached = (
        joined(speak(config(name, prompt_cache=prompt_cache), TEXTS[0])[0]) for prompt_cache in (False, True)
    )
    assert exact.shape == cached.shape
    assert not np.array_equal(exact, cached)


def test_8_bit_t3_speaks() -> None:
    (chunks,) = speak(config("onnx", t3_int8=True), TEXTS[0])
    joined(chunks)
    assert opened("onnx", t3_int8=True).details["t3"] == "int8"


def test_8_bit_tokens_in_a_batch_are_those_alone() -> None:
    """Its scales are those of all that a run multiplies at once, so each row has a run of its own."""
    backend = opened("onnx", t3_int8=True)
    assert decode(backend, TEXTS) == [decode(backend, [text])[0] for text in TEXTS]


def test_8_bit_t3_is_another_graph_than_t3() -> None:
    """The same texts, until an error of 8 bits tips a choice."""
    assert decode(opened("onnx", t3_int8=True), TEXTS) != decode(opened("onnx"), TEXTS)


def test_float16_graphs_speak(caplog: pytest.LogCaptureFixture) -> None:
    half = str(tiny_export(half=True))
    for prompt_cache in (False, True):
        joined(speak(config("onnx", model=half, prompt_cache=prompt_cache), TEXTS[0])[0])
    assert opened("onnx", model=half).details["precision"] == "float16"
    assert "float16 graphs are slow on a CPU" in caplog.text


def test_a_cancelled_utterance_leaves_no_place(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = opened(name)
    monkeypatch.setattr("engines.engine.open_backend", lambda _: backend)

    async def cancel_some() -> None:
        engine = open_engine(config(name))
        try:
            kept = engine.speak(TEXTS[1])
            for text in TEXTS:
                async with engine.speak(text) as speech:
                    await anext(speech)
            async with kept:
                assert [chunk async for chunk in kept]
        finally:
            engine.close()

    asyncio.run(cancel_some())
    assert rows_held(backend) == 0


def test_what_runs_is_told(name: str) -> None:
    details = opened(name).details
    told = {"model": "tiny", "precision": "float32", "device": "cpu", "threads": "1", "prompt_cache": "off"}
    assert told.items() <= details.items()
    if name == "onnx":
        assert details["graphs"] == read_manifest(tiny_export()).digest


@pytest.mark.parametrize(("told", "found"), [(None, "on"), (False, "off"), (True, "on")])
def test_a_model_says_whether_its_prompt_is_cached_and_the_configuration_goes_before(
    told: bool | None, found: str, tmp_path: Path
) -> None:
    folder = tiny_checkpoint(tmp_path, replace(TINY, prompt_cache=True))
    backend = open_backend(config("pytorch", model=str(folder), prompt_cache=told))
    assert backend.details["prompt_cache"] == found


def test_voices_that_lie_beside_the_weights_come_with_the_model(tmp_path: Path) -> None:
    """The default one of them goes before the conditionals'."""
    folder = tmp_path / "weights"
    shutil.copytree(tiny_weights(), folder)
    voice = opened("pytorch").voices["default"]
    for name, nominal_dbov in (("default", -20.0), ("robin", -21.0)):
        VoiceLibrary(folder / "voices", {}).add(name, voice.conditioning, "Shipped", nominal_dbov, True)
    found = open_backend(config("pytorch", model=str(folder))).voices
    assert {name: found[name].nominal_dbov for name in found} == {"default": -20.0, "robin": -21.0}
    (folder / "voices" / "default.safetensors").unlink()
    found = open_backend(config("pytorch", model=str(folder))).voices
    assert {name: found[name].nominal_dbov for name in found} == {"default": -27.0, "robin": -21.0}


def test_both_runtimes_make_the_same_voice() -> None:
    recording = speechlike(6.0)
    models = {"onnx": tiny_export(), "pytorch": tiny_weights()}
    onnx, torch_ = (open_enroller(name, models[name]).enroll(recording) for name in BACKENDS)
    assert np.mean(onnx.s3_prompt == torch_.s3_prompt) > 0.98
    assert np.mean(onnx.t3_prompt == torch_.t3_prompt) > 0.98
    for part in ("speaker", "s3_prompt_mel", "embedding"):
        np.testing.assert_allclose(getattr(onnx, part), getattr(torch_, part), atol=1e-4)
    enroller = opened("onnx").enroller
    assert enroller is not None
    np.testing.assert_array_equal(enroller.enroll(recording).speaker, onnx.speaker)
    assert len(recording) == 6 * SAMPLE_RATE_HZ


def test_an_enrolled_voice_is_spoken_with(name: str, tmp_path: Path) -> None:
    configured = config(name, voices=str(tmp_path))
    engine = open_engine(configured)
    try:
        engine.voices.add("robin", engine.enroll(speechlike(6.0)), "Robin", -27.0)
        before = joined(speak(config(name), TEXTS[0])[0])

        async def with_robin() -> list[Samples]:
            async with engine.speak(TEXTS[0], SpeechRequest("robin", seed=7)) as speech:
                return [chunk.samples async for chunk in speech]

        after = joined(asyncio.run(with_robin()))
    finally:
        engine.close()
    assert after.shape != before.shape or not np.allclose(after, before, atol=1e-3)


def test_conditionals_are_imported() -> None:
    imported = import_conditionals(tiny_weights() / "conds.pt")
    default = opened("pytorch").voices["default"].conditioning
    np.testing.assert_array_equal(imported.s3_prompt, default.s3_prompt)


def test_a_voice_that_is_missing_is_told_with_what_makes_one(name: str, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(tiny_weights(), weights)
    (weights / "conds.pt").unlink()
    model = weights
    if name == "onnx":
        model = tmp_path / "graphs"
        export_folder(ExportPlan(weights, model, graphs=("t3_step", "s3_chunk")))
    with pytest.raises(ConfigError, match="voices add"):
        open_backend(config(name, model=str(model)))
    backend = open_backend(config(name, model=str(model), voices=str(tmp_path / "voices")))
    assert list(backend.voices) == []
    assert (backend.enroller is None) == (name == "onnx")  # the graphs for it were not exported


def test_graphs_that_were_not_exported_are_named(tmp_path: Path) -> None:
    export_folder(ExportPlan(tiny_weights(), tmp_path / "graphs", graphs=("t3_step",)))
    graphs = str(tmp_path / "graphs")
    with pytest.raises(ConfigError, match="exported without s3_chunk"):
        open_backend(config("onnx", model=graphs))
    with pytest.raises(ConfigError, match="exported without s3_prompt, s3_cached_chunk"):
        open_backend(config("onnx", model=graphs, prompt_cache=True))
    with pytest.raises(ConfigError, match="--int8"):
        open_backend(config("onnx", model=graphs, t3_int8=True))
    with pytest.raises(ConfigError, match="exported without voice_xvector"):
        open_enroller("onnx", tmp_path / "graphs")
    with pytest.raises(ConfigError, match="exported without s3_chunk; it has t3_step"):
        onnxrt.OnnxRunner(tmp_path / "graphs").run("s3_chunk", {})


def test_8_bits_are_for_onnx_alone() -> None:
    with pytest.raises(ConfigError, match="backend onnx"):
        open_backend(config("pytorch", t3_int8=True))


def test_a_folder_of_the_other_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match=MANIFEST_FILE):
        open_backend(config("onnx", model=str(tiny_weights())))
    with pytest.raises(ConfigError, match="holds none of"):
        open_backend(config("pytorch", model=str(tiny_export())))
    with pytest.raises(ConfigError, match="engine: 'preview' enrolls no voices; onnx, pytorch do"):
        open_enroller("preview", tiny_weights())


def test_an_export_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    shutil.copytree(tiny_export(), tmp_path / "graphs")
    vocabulary = tmp_path / "graphs" / "vocab.json"
    vocabulary.write_text(vocabulary.read_text().replace("a", "b", 1))
    with pytest.raises(ConfigError, match=r"vocab\.json' is not the file"):
        open_backend(config("onnx", model=str(tmp_path / "graphs")))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_a_missing_device_is_told(name: str) -> None:
    with pytest.raises(BackendUnavailable, match="device cuda"):
        open_backend(config(name, device="cuda"))


@pytest.mark.parametrize(
    ("name", "module", "extra"), [("onnx", "onnxruntime", "onnx"), ("pytorch", "torch", "pytorch")]
)
def test_a_missing_runtime_names_what_to_install(
    name: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BackendUnavailable, match=rf"talkspurt\[{extra}\]"):
        open_backend(config(name))


def test_a_runner_converts_what_it_is_given() -> None:
    onnx, torch_ = (
        runner.run("voice_speaker", {"partials": np.ones((1, 160, 40), np.float64)})["speakers"]
        for runner in (onnxrt.open_runner(tiny_export()), pytorch.open_runner(tiny_weights()))
    )
    assert onnx.dtype == torch_.dtype == np.float32
    np.testing.assert_allclose(onnx, torch_, atol=1e-5)


SERVE = """
import asyncio, sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        assert name.partition(".")[0] not in ("torch", "onnx", "export"), name

sys.meta_path.insert(0, NoTorch())
from engines import EngineConfig, SpeechRequest, open_engine
engine = open_engine(EngineConfig.resolve("latency", backend="onnx", model=sys.argv[1], threads=1,
                                          max_segment_tokens=16))

async def speak():
    async with engine.speak("Good morning.") as speech:
        return sum([len(chunk.samples) async for chunk in speech])

samples = asyncio.run(speak())
engine.close()
sys.stdout.write(str(samples))
"""


def test_exported_graphs_are_spoken_without_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SERVE, tiny_export()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= TOKEN_SAMPLES
