"""Values that cross layers: frozen, with derived numbers only."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from engines.contract import AudioChunk, FinishReason, SpeechRequest, TextSpan


def chunk(samples: int) -> AudioChunk:
    return AudioChunk(np.zeros(samples, np.float32), 0, 0, TextSpan(0, 5), True)


@pytest.mark.parametrize(("samples", "seconds"), [(0, 0.0), (480, 0.02), (24_000, 1.0)])
def test_chunk_knows_how_long_it_sounds(samples: int, seconds: float) -> None:
    assert chunk(samples).duration_s == seconds


def test_samples_stay_out_of_a_chunks_repr() -> None:
    assert "samples=" not in repr(chunk(24_000))


def test_requests_are_frozen_and_equal_by_value() -> None:
    request = SpeechRequest()
    assert request == SpeechRequest(voice="default", seed=0)
    with pytest.raises(FrozenInstanceError):
        request.seed = 1  # type: ignore[misc]


def test_finish_reasons_are_the_words_of_the_wire() -> None:
    assert [reason.value for reason in FinishReason] == ["completed", "cancelled", "failed"]
