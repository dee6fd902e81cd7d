"""The preview voice: true token rates, streaming equal to one-shot, one audio for one text."""

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from engines import EngineConfig, FinishReason, SpeechRequest, open_engine
from engines.backends import preview
from engines.backends.base import Backend, SynthWindow, TokenRow, TokenStart, Voice
from engines.backends.preview import Espeak, PreviewSynthesizer, PreviewTokens, open_backend
from engines.contract import DEFAULT_VOICE, Samples
from engines.errors import BackendUnavailable
from engines.rates import LOOKAHEAD_TOKENS, SAMPLE_RATE_HZ, STOP_TOKEN, TOKEN_SAMPLES
from engines.scheduler.chunking import ChunkSchedule, ready_window

TEXT = "The quick brown fox jumps over the lazy dog."
VOICE = Voice("ramp", "a known wave", -20.0, None)


def ramp(samples: int) -> Samples:
    return np.linspace(0, 1, samples, endpoint=False, dtype=np.float32)


def tokens_of(model: PreviewTokens) -> tuple[list[int], object]:
    """All tokens of one segment and its state."""
    (started,) = model.start([TokenStart(0, "text", VOICE, 0)])
    tokens = [started.token]
    while tokens[-1] != STOP_TOKEN:
        tokens += model.step([TokenRow(0, started.state, tokens[-1], len(tokens), 0)])
    return tokens[:-1], started.state


def windows_of(tokens: Sequence[int], state: object, schedule: ChunkSchedule) -> list[SynthWindow]:
    windows: list[SynthWindow] = []
    emitted = 0
    while plan := ready_window(schedule, len(tokens), emitted, len(windows), tokens_ended=True):
        tokens_in_it = tuple(tokens[plan.first_token : plan.end_token])
        windows.append(
            SynthWindow(
                VOICE,
                0,
                tokens_in_it,
                plan.first_token,
                plan.left_context_tokens,
                plan.new_tokens,
                plan.final,
                state,
                None,
            )
        )
        emitted += plan.new_tokens
    return windows


# The lanes, over a known wave


@pytest.mark.parametrize(
    ("samples", "tokens"),
    [(0, 0), (1, 1), (TOKEN_SAMPLES, 1), (TOKEN_SAMPLES + 1, 2), (25 * TOKEN_SAMPLES, 25)],
)
def test_a_second_of_audio_is_25_tokens_and_a_begun_token_counts(samples: int, tokens: int) -> None:
    model = PreviewTokens(lambda text, voice: ramp(samples))
    assert len(tokens_of(model)[0]) == tokens


@pytest.mark.parametrize("left_context", [0, 3])
@pytest.mark.parametrize("new_tokens", [(1,), (10, 12, 16, 25), (1_000,)])
@pytest.mark.parametrize("samples", [1, 7 * TOKEN_SAMPLES, 60 * TOKEN_SAMPLES + 123])
def test_windows_give_the_wave_whole_whatever_the_chunks(
    samples: int, new_tokens: tuple[int, ...], left_context: int
) -> None:
    wave = ramp(samples)
    tokens, state = tokens_of(PreviewTokens(lambda text, voice: wave))
    schedule = ChunkSchedule(new_tokens, left_context, LOOKAHEAD_TOKENS)
    windows = windows_of(tokens, state, schedule)
    batch = PreviewSynthesizer().synthesize(windows)
    assert np.array_equal(np.concatenate([result.samples for result in batch]), wave)
    alone = [PreviewSynthesizer().synthesize([window])[0] for window in windows]
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(alone, batch, strict=True))


def test_the_lead_in_is_cut_to_the_first_audible_sample() -> None:
    quiet, loud = np.full(500, 0.009, np.float32), np.full(3, -0.5, np.float32)
    assert np.array_equal(preview._without_lead_in(np.concatenate([quiet, loud, quiet])), [*loud, *quiet])
    assert len(preview._without_lead_in(quiet)) == 0


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 44_100])
@pytest.mark.parametrize("tone_hz", [100, 1_000, 3_400])
def test_resampling_keeps_a_tone_its_level_and_its_length(rate_hz: int, tone_hz: int) -> None:
    seconds = 0.5
    time_s = np.arange(int(rate_hz * seconds)) / rate_hz
    pcm = np.round(16_000 * np.sin(2 * np.pi * tone_hz * time_s)).astype(np.int16)
    resampled = preview._resample(pcm, rate_hz)
    assert resampled.dtype == np.float32
    assert len(resampled) == SAMPLE_RATE_HZ * seconds
    expected = 16_000 / 32_768 * np.sin(2 * np.pi * tone_hz * np.arange(len(resampled)) / SAMPLE_RATE_HZ)
    inner = slice(1_200, -1_200)  # the ends of a cut tone ring
    assert np.abs(resampled - expected)[inner].max() < 2e-3


def test_no_samples_resample_to_none() -> None:
    assert len(preview._resample(np.zeros(0, np.int16), 22_050)) == 0


# A missing runtime


def test_without_its_extra_the_backend_names_it() -> None:
    ask = """
import sys
sys.modules["espeakng_loader"] = None  # import fails
from engines import EngineConfig, open_engine
from engines.errors import BackendUnavailable
try:
    open_engine(EngineConfig(backend="preview"))
except BackendUnavailable as error:
    sys.stdout.write(str(error))
"""
    answer = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert answer.stdout == "backend 'preview' needs espeak-ng: install talkspurt[preview]"


# espeak-ng itself


@pytest.fixture(scope="module")
def espeak() -> Espeak:
    pytest.importorskip(
        "espeakng_loader", reason="espeak-ng is not installed: pip install talkspurt[preview]"
    )
    return Espeak()


@pytest.fixture(scope="module")
def backend(espeak: Espeak) -> Backend:
    return open_backend()


def test_speech_is_audible_at_once_sane_in_length_and_ends_in_silence(espeak: Espeak) -> None:
    wave = espeak.speak(TEXT, "en-us")
    assert wave.dtype == np.float32
    assert abs(wave[0]) > 0.01
    assert 2 < len(wave) / SAMPLE_RATE_HZ < 5
    assert not wave[-5 * TOKEN_SAMPLES :].any()


def test_no_sample_is_beyond_full_scale_and_the_level_is_the_voices(backend: Backend, espeak: Espeak) -> None:
    wave = espeak.speak(TEXT, "en-us")[: -5 * TOKEN_SAMPLES]
    assert np.abs(wave).max() <= 1
    level_dbov = 10 * np.log10(2 * np.mean(np.square(wave)))
    assert abs(level_dbov - backend.voices[DEFAULT_VOICE].nominal_dbov) < 4


def test_the_same_text_sounds_the_same_whatever_was_spoken_before(espeak: Espeak) -> None:
    first = espeak.speak(TEXT, "en-us")
    espeak.speak("Something else, and longer than before.", "en-us+f3")
    assert np.array_equal(espeak.speak(TEXT, "en-us"), first)


def test_every_voice_sounds_different(backend: Backend, espeak: Espeak) -> None:
    waves = [espeak.speak(TEXT, voice.conditioning) for voice in backend.voices.values()]
    assert len({wave.tobytes() for wave in waves}) == len(waves) == 5


def test_engines_that_speak_at_once_do_not_hear_each_other(espeak: Espeak) -> None:
    texts = [f"This is caller number {each}." for each in range(8)]
    alone = [espeak.speak(text, "en-us") for text in texts]
    others = [Espeak() for _ in texts]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda other, text: other.speak(text, "en-us"), others, texts))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize("text", ["", " ", "..."])
def test_nothing_to_say_is_no_sample(espeak: Espeak, text: str) -> None:
    assert len(espeak.speak(text, "en-us")) == 0


def test_a_voice_that_espeak_lacks_is_an_error_and_the_next_text_is_spoken(espeak: Espeak) -> None:
    with pytest.raises(RuntimeError, match="espeak_SetVoiceByName answered"):
        espeak.speak(TEXT, "no-such-voice")
    assert len(espeak.speak(TEXT, "en-us"))


def test_data_that_espeak_refuses_makes_the_backend_unavailable(
    espeak: Espeak, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("espeakng_loader.get_library_path", lambda: "/nowhere/libespeak-ng.so")
    with pytest.raises(BackendUnavailable, match=r"backend 'preview': .*libespeak-ng\.so"):
        Espeak()


async def test_the_engine_speaks_every_voice_through_every_lane(backend: Backend, espeak: Espeak) -> None:
    engine = open_engine(EngineConfig(backend="preview", max_utterances=8))
    try:
        for name, voice in backend.voices.items():
            speech = engine.speak("Hello there.", SpeechRequest(voice=name))
            chunks = [chunk async for chunk in speech]
            assert speech.finish_reason is FinishReason.COMPLETED
            heard = np.concatenate([chunk.samples for chunk in chunks])
            assert np.array_equal(heard, espeak.speak("Hello there.", voice.conditioning))
    finally:
        engine.close()
