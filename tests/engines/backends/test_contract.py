"""What every backend keeps to: one file, run for each. A new backend is a new line in BACKENDS."""

from collections.abc import Callable, Sequence
from itertools import count

import numpy as np
import pytest

from engines.backends import preview, tone
from engines.backends.base import Backend, SynthResult, SynthWindow, TokenRow, TokenStart, TokenStarted
from engines.config import EngineConfig
from engines.contract import DEFAULT_VOICE, Samples
from engines.engine import open_backend
from engines.errors import BackendUnavailable
from engines.rates import MAX_LOOKAHEAD_TOKENS, STOP_TOKEN, TOKEN_SAMPLES
from engines.scheduler.chunking import ChunkSchedule, ready_window
from tests.fakes.backend import fake_backend
from tests.fakes.tiny_export import tiny_export, tiny_weights


def open_onnx() -> Backend:
    return open_backend(EngineConfig(backend="onnx", model=str(tiny_export()), threads=1))


def open_pytorch() -> Backend:
    return open_backend(EngineConfig(backend="pytorch", model=str(tiny_weights()), threads=1))


BACKENDS: dict[str, Callable[[], Backend]] = {
    "fake": fake_backend,
    "onnx": open_onnx,
    "preview": preview.open_backend,
    "pytorch": open_pytorch,
    "tone": tone.open_backend,
}

ROUNDING = {"onnx": 1e-3, "pytorch": 1e-3}
"""Of audio: sums are taken in another order when a batch is larger. The others are exact."""

TEXTS = ("Good morning.", "Your parcel is on its way to you.", "No.", "Is there anything else I can do?")


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    try:
        return BACKENDS[request.param]()
    except BackendUnavailable as error:
        pytest.skip(str(error))


def is_same(backend: Backend, ours: Samples, theirs: Samples) -> bool:
    return ours.shape == theirs.shape and bool(np.abs(ours - theirs).max() <= ROUNDING.get(backend.name, 0))


def start_rows(backend: Backend, texts: Sequence[str], seed: int = 5) -> list[TokenStart]:
    voice = backend.voices[DEFAULT_VOICE]
    return [TokenStart(slot, text, voice, seed) for slot, text in enumerate(texts)]


def start(backend: Backend, rows: Sequence[TokenStart]) -> list[TokenStarted]:
    batches = (
        rows[first : first + backend.max_prefill_rows]
        for first in range(0, len(rows), backend.max_prefill_rows)
    )
    return [started for batch in batches for started in backend.tokens.start(batch)]


def decode(backend: Backend, texts: Sequence[str], seed: int = 5) -> list[tuple[TokenStarted, list[int]]]:
    """The speech tokens of all texts, decoded in one batch from which rows drop out as they stop."""
    model = backend.tokens
    rows = start_rows(backend, texts, seed)
    started = start(backend, rows)
    tokens = [[each.token] for each in started]
    for position in count(1):
        live = [slot for slot in range(len(rows)) if tokens[slot][-1] != STOP_TOKEN]
        if not live:
            break
        assert position < backend.max_segment_tokens, "a segment does not stop"
        batch = [TokenRow(slot, started[slot].state, tokens[slot][-1], position, seed) for slot in live]
        for slot, token in zip(live, model.step(batch), strict=True):
            tokens[slot].append(token)
    for slot, each in enumerate(started):
        model.stop(slot, each.state)
    return [(each, spoken[:-1]) for each, spoken in zip(started, tokens, strict=True)]


def window_at(
    backend: Backend, started: TokenStarted, tokens: Sequence[int], emitted: int, index: int, carry: object
) -> SynthWindow | None:
    schedule = ChunkSchedule((10, 12), backend.left_context_tokens, backend.lookahead_tokens)
    plan = ready_window(schedule, len(tokens), emitted, index, tokens_ended=True)
    if plan is None:
        return None
    return SynthWindow(
        voice=backend.voices[DEFAULT_VOICE],
        seed=5,
        tokens=tuple(tokens[plan.first_token : plan.end_token]),
        first_token=plan.first_token,
        left_context_tokens=plan.left_context_tokens,
        new_tokens=plan.new_tokens,
        final=plan.final,
        token_state=started.state,
        carry=carry,
    )


def speak(
    backend: Backend, started: TokenStarted, tokens: Sequence[int]
) -> list[tuple[SynthWindow, SynthResult]]:
    """One segment, window by window."""
    spoken: list[tuple[SynthWindow, SynthResult]] = []
    emitted, carry = 0, None
    while window := window_at(backend, started, tokens, emitted, len(spoken), carry):
        (result,) = backend.synthesizer.synthesize([window])
        spoken.append((window, result))
        emitted, carry = emitted + window.new_tokens, result.carry
    return spoken


def audio(backend: Backend, text: str, seed: int = 5) -> Samples:
    ((started, tokens),) = decode(backend, [text], seed)
    return np.concatenate([result.samples for _, result in speak(backend, started, tokens)])


def test_it_has_the_default_voice_and_limits_that_make_sense(backend: Backend) -> None:
    assert backend.voices[DEFAULT_VOICE].name == DEFAULT_VOICE
    assert all(name == voice.name for name, voice in backend.voices.items())
    limits = (backend.max_token_rows, backend.max_prefill_rows, backend.max_window_rows)
    assert min(limits) >= 1
    assert backend.left_context_tokens >= 0
    assert 1 <= backend.lookahead_tokens <= MAX_LOOKAHEAD_TOKENS


def test_every_text_stops_and_its_tokens_are_in_range(backend: Backend) -> None:
    for _, tokens in decode(backend, TEXTS):
        assert tokens
        assert all(0 <= token < STOP_TOKEN for token in tokens)


def test_tokens_of_a_batch_are_those_of_each_text_alone(backend: Backend) -> None:
    together = [tokens for _, tokens in decode(backend, TEXTS)]
    assert together == [decode(backend, [text])[0][1] for text in TEXTS]


def test_audio_is_mono_float_and_as_long_as_its_tokens(backend: Backend) -> None:
    for started, tokens in decode(backend, TEXTS):
        for window, result in speak(backend, started, tokens):
            most = window.new_tokens * TOKEN_SAMPLES
            assert result.samples.dtype == np.float32
            assert result.samples.ndim == 1
            assert len(result.samples) == most or (window.final and 0 < len(result.samples) < most)
            assert np.abs(result.samples).max() <= 1


def test_a_batch_of_windows_gives_what_each_gives_alone(backend: Backend) -> None:
    firsts = [
        window
        for started, tokens in decode(backend, TEXTS)
        if (window := window_at(backend, started, tokens, emitted=0, index=0, carry=None))
    ]
    together = backend.synthesizer.synthesize(firsts)
    for window, result in zip(firsts, together, strict=True):
        (alone,) = backend.synthesizer.synthesize([window])
        assert is_same(backend, alone.samples, result.samples)


def test_the_same_request_gives_the_same_audio_though_others_spoke_between(backend: Backend) -> None:
    first = audio(backend, TEXTS[1])
    decode(backend, TEXTS)
    assert is_same(backend, audio(backend, TEXTS[1]), first)


def test_rows_can_be_started_again_in_their_slots_after_a_batch_went_wrong(backend: Backend) -> None:
    rows = start_rows(backend, TEXTS)
    first = [each.token for each in start(backend, rows)]
    again = [backend.tokens.start([row])[0] for row in rows]
    assert [each.token for each in again] == first
    for row, each in zip(rows, again, strict=True):
        backend.tokens.stop(row.slot, each.state)


def test_a_slot_whose_prefill_failed_can_be_stopped_without_a_state(backend: Backend) -> None:
    backend.tokens.stop(0, None)
    decode(backend, TEXTS[:1])
