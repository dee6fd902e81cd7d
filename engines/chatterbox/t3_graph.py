"""T3's graph called by numpy arrays, whichever runtime runs it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engines.backends.runner import Runner
from engines.backends.signature import T3_STEP, t3_step
from engines.model import ModelConfig

Ids = NDArray[np.int64]


class T3Result(NamedTuple):
    logits: NDArray[np.float32]  # (B, codes)
    new_kv: NDArray[Any]  # (layers, 2, B, heads, S, head width)

    def is_finite(self, row: int, ids: int) -> bool:
        """Whether all that ``row`` gave for its ``ids`` ids is numbers."""
        new_kv = self.new_kv[:, :, row, :, :ids]
        return bool(np.isfinite(self.logits[row]).all() and np.isfinite(new_kv).all())


class T3Graph:
    """signature.t3_step on a runner."""

    def __init__(self, runner: Runner, model: ModelConfig) -> None:
        self._runner = runner
        self._names = tuple(spec.name for spec in t3_step(model).inputs)
        t3 = model.t3
        self._no_speaker = np.zeros(t3.speaker_width, np.float32)
        self._nothing = np.zeros((1, t3.heads, 0, t3.head_width), runner.compute_dtype)

    def prefix(self, ids: Ids, speaker: NDArray[np.float32]) -> T3Result:
        """One row of ids (S,) after nothing, ``speaker`` in its place."""
        past = [self._nothing] * (len(self._names) - 4)
        return self._run(ids[None], np.array([len(ids)]), speaker, np.zeros(1, np.int64), past)

    def step(self, ids: Ids, ids_length: Ids, past_length: Ids, past: Sequence[NDArray[Any]]) -> T3Result:
        """Rows of ids (B, S) after their pasts; no speaker is among the ids."""
        return self._run(ids, ids_length, self._no_speaker, past_length, past)

    def _run(
        self,
        ids: Ids,
        ids_length: Ids,
        speaker: NDArray[np.float32],
        past_length: Ids,
        past: Sequence[NDArray[Any]],
    ) -> T3Result:
        speakers = np.repeat(speaker[None], len(ids), 0)
        given: tuple[NDArray[Any], ...] = (ids, ids_length, speakers, past_length, *past)
        outputs = self._runner.run(T3_STEP, dict(zip(self._names, given, strict=True)))
        return T3Result(outputs["logits"], outputs["new_kv"])
