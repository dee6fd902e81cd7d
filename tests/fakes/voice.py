"""Voices of random numbers, an enroller that makes them, and a backend that keeps them in a folder.

Install it by :func:`install`, then run a server or an engine with the backend named ``enrolling``.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from engines.backends.base import Backend, Voice
from engines.config import EngineConfig
from engines.contract import Samples
from engines.engine import BACKENDS
from engines.errors import InvalidRequest
from engines.rates import SAMPLE_RATE_HZ
from engines.voices.conditioning import Conditioning
from engines.voices.library import VoiceLibrary
from tests.fakes import slow_backend


def conditioning(seed: int = 0, t3_tokens: int = 375, s3_tokens: int = 250) -> Conditioning:
    """Of the published models' shapes."""
    random = np.random.default_rng(seed)
    return Conditioning(
        speaker=random.standard_normal(256, np.float32),
        t3_prompt=random.integers(0, 6_561, t3_tokens),
        s3_prompt=random.integers(0, 6_561, s3_tokens),
        s3_prompt_mel=random.standard_normal((2 * s3_tokens, 80), np.float32),
        embedding=random.standard_normal(192, np.float32),
        origin={"seconds": 12.5, "seed": seed},
    )


def voice(name: str, seed: int = 0) -> Voice:
    return Voice(name, f"The voice {name}", -27.5, conditioning(seed, 20, 10))


def same(one: Conditioning, other: Conditioning) -> bool:
    """Every number of them."""
    return one.origin == other.origin and all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("speaker", "t3_prompt", "s3_prompt", "s3_prompt_mel", "embedding")
    )


@dataclass
class FakeEnroller:
    """Makes a voice of any recording of 5 s; counts who is inside, and waits at the gate."""

    recordings: list[Samples] = field(default_factory=list)
    inside: int = 0
    most_inside: int = 0
    threads: set[int] = field(default_factory=set)
    gate: threading.Event = field(default_factory=threading.Event)
    make: Callable[[Samples], Conditioning] = lambda samples: conditioning(len(samples), 20, 10)

    def warm_up(self) -> None:
        """Nothing to open."""

    def enroll(self, samples: Samples, /) -> Conditioning:
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        self.threads.add(threading.get_ident())
        try:
            assert self.gate.wait(30), "the test left its gate shut"
            seconds = len(samples) / SAMPLE_RATE_HZ
            if seconds < 5:
                raise InvalidRequest("recording", f"{seconds:.1f} s", "is too short")
            self.recordings.append(samples)
            return self.make(samples)
        finally:
            self.inside -= 1


_enroller = FakeEnroller()


def install(patch: pytest.MonkeyPatch) -> FakeEnroller:
    """Register the backend; its gate is open."""
    enroller = FakeEnroller()
    enroller.gate.set()
    patch.setitem(BACKENDS, "enrolling", f"{__name__}:open_backend")
    patch.setattr(f"{__name__}._enroller", enroller)
    return enroller


def open_backend(config: EngineConfig) -> Backend:
    """The opener that the engine calls: it speaks as the slow backend does."""
    backend = slow_backend.open_backend(config)
    folder = Path(config.voices) if config.voices else None
    return replace(backend, voices=VoiceLibrary(folder, backend.voices), enroller=_enroller)
