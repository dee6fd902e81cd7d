"""The test tone: its frequency, its level, and no seam anywhere."""

import numpy as np
import pytest

from engines import EngineConfig, open_engine
from engines.backends.tone import LEVEL_DBOV, TONE_HZ
from engines.contract import Samples
from engines.rates import SAMPLE_RATE_HZ


async def spoken(text: str, chunk_tokens: tuple[int, ...] | None = None) -> Samples:
    engine = open_engine(EngineConfig.resolve(backend="tone", chunk_tokens=chunk_tokens))
    try:
        async with engine.speak(text) as speech:
            return np.concatenate([chunk.samples async for chunk in speech])
    finally:
        engine.close()


async def test_it_is_one_pure_tone_of_the_stated_level() -> None:
    audio = await spoken("A line is measured with a tone that everyone knows, as long as the text.")
    power = np.abs(np.fft.rfft(audio * np.hanning(len(audio)))) ** 2
    hz = np.fft.rfftfreq(len(audio), 1 / SAMPLE_RATE_HZ)
    near = np.abs(hz - TONE_HZ) < 10
    assert hz[power.argmax()] == pytest.approx(TONE_HZ, abs=1)
    assert 10 * np.log10(power[~near].sum() / power[near].sum()) < -80
    assert 20 * np.log10(np.sqrt((audio**2).mean())) == pytest.approx(LEVEL_DBOV, abs=0.05)


async def test_it_lasts_as_long_as_the_text_would_take_to_say() -> None:
    assert len(await spoken("x" * 150)) / SAMPLE_RATE_HZ == pytest.approx(10, abs=0.3)


async def test_chunks_of_any_size_join_to_the_same_tone() -> None:
    text = "However the windows are cut, the tone goes on as if they were one."
    assert (await spoken(text, chunk_tokens=(1,))).tobytes() == (await spoken(text)).tobytes()
