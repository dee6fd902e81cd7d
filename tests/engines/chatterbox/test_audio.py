"""The audio lane: what is heard of windows, streamed or whole, alone or in a batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engines import noise, seams
from engines.backends.base import SynthWindow
from engines.backends.signature import S3_CACHED_CHUNK, S3_PROMPT
from engines.chatterbox.audio import ChatterboxSynthesizer
from engines.contract import Samples
from engines.errors import SpeechFailed
from engines.nets.s3_graphs import S3Chunk
from engines.rates import HOP_SAMPLES, TOKEN_SAMPLES
from engines.scheduler.chunking import ChunkSchedule
from tests.engines.chatterbox.s3_runner import (
    SMALL,
    SPECS,
    PlaceRunner,
    S3Runner,
    cut,
    make_codes,
    make_voice,
    synthesize_alone,
    whole,
)

SCHEDULE = ChunkSchedule(new_tokens=(10, 12, 8), left_context_tokens=25)
CODES = make_codes(45)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def make(*, prompt_cache: bool = False, max_prompts: int = 8) -> tuple[S3Runner, ChatterboxSynthesizer]:
    runner = S3Runner()
    return runner, ChatterboxSynthesizer(runner, SMALL, prompt_cache=prompt_cache, max_prompts=max_prompts)


def relative(ours: Samples, theirs: Samples) -> float:
    assert ours.shape == theirs.shape
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def at_once(runner: S3Runner, window: SynthWindow, blocked_tokens: int = 0) -> Samples:
    """Flow and vocoder over prompt and segment in one go, with the reference's fade at the beginning."""
    chunk = runner.modules["s3_chunk"]
    assert isinstance(chunk, S3Chunk)
    voice, frames = window.voice.conditioning, 2 * len(window.tokens)
    prompt_frames = 2 * len(voice.s3_prompt)
    tokens = torch.tensor([[*voice.s3_prompt.tolist(), *window.tokens]])
    cond = torch.zeros(1, 80, prompt_frames + frames)
    cond[0, :, :prompt_frames] = torch.from_numpy(voice.s3_prompt_mel.T)
    draws = np.concatenate((noise.prompt_noise(prompt_frames), noise.mel_noise(window.seed, 0, frames)), 1)
    length, embedding = torch.tensor([tokens.shape[1]]), torch.from_numpy(voice.embedding)[None]
    with torch.inference_mode():
        mel = chunk.flow(tokens, length, embedding, cond, torch.from_numpy(draws)[None], (), blocked_tokens)
        audio, _, _ = chunk.vocoder(
            mel[..., prompt_frames:],
            torch.zeros(1, 0, HOP_SAMPLES),
            torch.zeros(1),
            torch.from_numpy(noise.harmonic_phase(window.seed, 9))[None],
            torch.from_numpy(noise.source_noise(window.seed, 0, frames))[None],
        )
    samples: Samples = audio.flatten().numpy().copy()
    ramp = (1 - np.cos(np.linspace(0, np.pi, 480))) / 2
    samples[:480] = 0
    samples[480:960] *= ramp
    samples[-480:] *= ramp[::-1]
    return samples


def test_one_final_window_is_the_reference_at_once() -> None:
    runner, synthesizer = make()
    window = whole(make_voice(), CODES)
    assert relative(synthesizer.synthesize([window])[0].samples, at_once(runner, window)) < 1e-6


def test_with_a_prompt_cache_it_is_the_reference_whose_prompt_sees_only_itself() -> None:
    runner, synthesizer = make(prompt_cache=True)
    window = whole(make_voice(), CODES)
    samples = synthesizer.synthesize([window])[0].samples
    assert relative(samples, at_once(runner, window, blocked_tokens=11 - 3)) < 1e-4
    assert relative(samples, at_once(runner, window)) > 1e-2


def test_streamed_is_the_same_as_at_once_where_frames_depend_on_their_place_alone() -> None:
    voice = make_voice()
    synthesizer = ChatterboxSynthesizer(PlaceRunner(), SMALL)
    windows, heard = cut(synthesizer, voice, CODES, SCHEDULE)
    assert len(windows) == 5
    whole_samples = synthesizer.synthesize([whole(voice, CODES)])[0].samples
    assert np.abs(np.concatenate(heard) - whole_samples).max() < 1e-6


def test_a_window_is_given_what_the_one_before_it_left() -> None:
    runner = PlaceRunner()
    windows, _ = cut(ChatterboxSynthesizer(runner, SMALL), make_voice(), CODES, SCHEDULE)
    first, second, third = runner.calls[:3]
    assert first["mel_cache"].shape == (1, 80, 0)
    assert first["phase"].tolist() == [0]
    assert first["fade_weight"].tolist() == [[0, 0, 0, 0]]
    # Heard by then: 20 mel frames, and the second time 44.
    for call, frame in ((second, 20), (third, 44)):
        assert np.array_equal(call["mel_cache"][0], noise.mel_noise(7, frame - 16, 16))
        assert np.array_equal(call["source_cache"][0], noise.source_noise(7, frame - 16, 16) / 10)
        assert call["phase"].tolist() == [frame / 16 % 1]
        assert np.array_equal(call["fade_mel"][0], noise.mel_noise(7, frame, 4))
        assert call["fade_weight"][0].tolist() == pytest.approx([0.8, 0.6, 0.4, 0.2])
        assert call["source_noise"].shape[1] == 2 * (12 + 3) if frame == 20 else 2 * (8 + 3)
    assert windows[1].left_context_tokens == 10
    assert second["first_frame"].tolist() == [2 * (11 + 10)]


@pytest.mark.parametrize("prompt_cache", [False, True])
@pytest.mark.parametrize("tokens", [1, 2, 12, 13, 14, 29, 45])
def test_streamed_is_as_long_as_its_codes(prompt_cache: bool, tokens: int) -> None:
    _, synthesizer = make(prompt_cache=prompt_cache)
    windows, heard = cut(synthesizer, make_voice(), CODES[:tokens], SCHEDULE)
    assert [len(each) for each in heard] == [window.new_tokens * TOKEN_SAMPLES for window in windows]
    assert sum(map(len, heard)) == tokens * TOKEN_SAMPLES
    assert synthesizer.synthesize(windows[-1:])[0].carry is None


@pytest.mark.parametrize("prompt_cache", [False, True])
def test_streamed_is_nearer_to_at_once_than_another_draw_is(prompt_cache: bool) -> None:
    runner, synthesizer = make(prompt_cache=prompt_cache)
    runner.vocoder.f0_predictor.classifier.weight.zero_()  # or a little pitch soon is a lot of phase
    voice = make_voice()
    _, heard = cut(synthesizer, voice, CODES, SCHEDULE)
    once, other = (synthesizer.synthesize([whole(voice, CODES, seed)])[0].samples for seed in (7, 8))
    assert relative(np.concatenate(heard), once) < 0.3 * relative(other, once)


def test_seams_jump_no_more_than_the_rest() -> None:
    _, synthesizer = make()
    _, heard = cut(synthesizer, make_voice(), make_codes(80), SCHEDULE)
    jumps = np.abs(np.diff(np.concatenate(heard)))
    borders = np.cumsum([len(each) for each in heard])[:-1]
    near = np.zeros(len(jumps), bool)
    for border in borders:
        near[border - 240 : border + 240] = True
    assert len(borders) > 5
    assert jumps[near].max() <= jumps[~near].max()


@pytest.mark.parametrize("prompt_cache", [False, True])
def test_who_shares_the_batch_changes_nothing(prompt_cache: bool) -> None:
    runner, synthesizer = make(prompt_cache=prompt_cache)
    voice = make_voice()
    windows = [
        window
        for index, each in enumerate((voice, make_voice(17, seed=1), voice))
        for window in cut(synthesizer, each, make_codes(45, seed=index), SCHEDULE, seed=index)[0]
    ]
    windows.insert(3, whole(voice, make_codes(13)))
    windows.insert(5, whole(voice, make_codes(15)))  # as many frames as a second window, and none before them
    alone = synthesize_alone(synthesizer, windows)
    before = len(runner.calls)
    together = synthesizer.synthesize(windows)
    assert len(runner.calls) - before < len(windows)
    for mine, ours in zip(alone, together, strict=True):
        assert np.abs(mine.samples - ours.samples).max() < 1e-4


def test_windows_of_one_kind_go_in_one_run() -> None:
    runner, synthesizer = make()
    windows = [whole(make_voice(8 + index, index), make_codes(5, index)) for index in range(4)]
    synthesizer.synthesize(windows)
    assert [inputs["tokens_length"].tolist() for _, inputs in runner.calls] == [[13, 14, 15, 16]]


def test_windows_of_one_voice_go_in_one_run_with_its_cache() -> None:
    runner, synthesizer = make(prompt_cache=True)
    voices = [make_voice(8, 0), make_voice(8, 1)]
    synthesizer.synthesize([whole(voices[index % 2], make_codes(5, index)) for index in range(4)])
    assert [graph for graph, _ in runner.calls] == [S3_PROMPT, S3_CACHED_CHUNK] * 2
    assert [len(inputs["tokens"]) for _, inputs in runner.calls] == [1, 2, 1, 2]


def test_no_window_is_no_result() -> None:
    assert make()[1].synthesize([]) == []


def test_an_empty_final_window_is_no_sample() -> None:
    runner, synthesizer = make()
    empty = SynthWindow(make_voice(), 7, CODES[:5], 0, 5, 0, True, None, None)
    results = synthesizer.synthesize([empty, whole(make_voice(), CODES[:2])])
    assert [len(result.samples) for result in results] == [0, 2 * TOKEN_SAMPLES]
    assert len(runner.calls) == 1


def test_a_segment_begins_with_20_ms_of_nothing_and_ends_at_nothing() -> None:
    _, synthesizer = make()
    _, heard = cut(synthesizer, make_voice(), CODES, SCHEDULE)
    samples = np.concatenate(heard)
    assert not samples[:480].any()
    assert samples[480] == samples[-1] == 0
    assert np.abs(samples[960:-960]).reshape(-1, 480).max(1).min() > 0


def test_a_carry_is_a_value_that_can_be_used_again() -> None:
    _, synthesizer = make()
    windows, heard = cut(synthesizer, make_voice(), CODES, SCHEDULE)
    for window, samples in zip(windows, heard, strict=True):
        assert np.array_equal(synthesizer.synthesize([window])[0].samples, samples)


@pytest.mark.parametrize("token", [-1, SMALL.codes, 6_562])
def test_a_code_that_is_none_is_named(token: int) -> None:
    runner, synthesizer = make()
    with pytest.raises(SpeechFailed, match=f"{token} is not one of the {SMALL.codes} speech codes"):
        synthesizer.synthesize([whole(make_voice(), (3, token, 4))])
    assert runner.calls == []


@pytest.mark.parametrize("name", ["audio", "mel", "source", "phases"])
def test_what_is_not_finite_is_neither_heard_nor_kept(name: str) -> None:
    runner, synthesizer = make()
    runner.spoil = name
    with pytest.raises(SpeechFailed, match="not finite"):
        synthesizer.synthesize([whole(make_voice(), CODES)])


def test_a_voice_of_another_shape_is_refused() -> None:
    _, synthesizer = make()
    voice = make_voice()
    for wrong in (
        replace(voice.conditioning, s3_prompt_mel=voice.conditioning.s3_prompt_mel[:-1]),
        replace(voice.conditioning, s3_prompt=voice.conditioning.s3_prompt + SMALL.codes),
        make_voice(251).conditioning,
    ):
        with pytest.raises(SpeechFailed, match="the voice has"):
            synthesizer.synthesize([whole(replace(voice, conditioning=wrong), CODES)])


def test_a_prompt_too_short_for_a_cache_is_refused() -> None:
    _, synthesizer = make(prompt_cache=True)
    with pytest.raises(SpeechFailed, match="3 codes is too short"):
        synthesizer.synthesize([whole(make_voice(3), CODES)])


def test_a_prompt_that_is_not_finite_is_not_kept() -> None:
    runner, synthesizer = make(prompt_cache=True)
    runner.spoil = SPECS[S3_PROMPT].outputs[-1].name
    with pytest.raises(SpeechFailed, match="prompt is not finite"):
        synthesizer.synthesize([whole(make_voice(), CODES)])
    assert synthesizer.prompts is not None
    assert len(synthesizer.prompts) == 0


def test_a_prompt_is_computed_once_and_the_least_lately_used_forgotten() -> None:
    runner, synthesizer = make(prompt_cache=True, max_prompts=2)
    voices = [make_voice(8, seed) for seed in range(3)]
    for index in (0, 1, 0, 2, 0, 1):
        synthesizer.synthesize([whole(voices[index], CODES[:3])])
    embeddings = [inputs["embedding"][0] for graph, inputs in runner.calls if graph == S3_PROMPT]
    asked = [
        next(i for i in range(3) if np.array_equal(voices[i].conditioning.embedding, e)) for e in embeddings
    ]
    assert asked == [0, 1, 2, 1]
    assert synthesizer.prompts is not None
    assert len(synthesizer.prompts) == 2


def test_a_first_window_shorter_than_the_cache_goes_on_from_silence() -> None:
    _, synthesizer = make()
    windows, heard = cut(synthesizer, make_voice(), CODES, ChunkSchedule((2,), 25))
    assert len(windows) > 20
    assert sum(map(len, heard)) == len(CODES) * TOKEN_SAMPLES
    carry = windows[1].carry
    assert (carry.mel_cache[:, :12] == np.float32(seams.SILENT_MEL)).all()
    assert not carry.source_cache[:12].any()
    assert carry.source_cache[12:].any()
