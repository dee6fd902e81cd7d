"""What every sentence of a voice begins with, computed once: keys and values of [speaker | prompt codes].

T3 is causal, so a prefix knows nothing of what follows it and serves every text exactly.
"""

from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.chatterbox.t3_graph import T3Graph
from engines.errors import SpeechFailed
from engines.model import T3Config
from engines.voices.conditioning import Conditioning

MAX_PREFIXES = 32
"""Voices kept; each takes 28 MB (Nano) or 74 MB (Turbo) in float32. The least lately used goes."""


class VoicePrefixes:
    """Prefixes by conditioning, which is held as long as its prefix is."""

    def __init__(self, graph: T3Graph, t3: T3Config, max_prefixes: int = MAX_PREFIXES) -> None:
        self._graph, self._t3, self._max_prefixes = graph, t3, max_prefixes
        self._kept: OrderedDict[Conditioning, NDArray[Any]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, conditioning: Conditioning) -> NDArray[Any]:
        """(layers, 2, heads, 1 + prompt codes, head width).

        Raises SpeechFailed for a voice that will not do.
        """
        prefix = self._kept.get(conditioning)
        if prefix is None:
            prefix = self._kept[conditioning] = self._compute(conditioning)
            if len(self._kept) > self._max_prefixes:
                self._kept.popitem(last=False)
        self._kept.move_to_end(conditioning)
        return prefix

    def _compute(self, conditioning: Conditioning) -> NDArray[Any]:
        t3, codes = self._t3, conditioning.t3_prompt[: self._t3.prompt_tokens]
        if len(codes) and not 0 <= codes.min() <= codes.max() < t3.start_code:
            raise SpeechFailed("the voice has prompt codes that are no speech codes")
        if conditioning.speaker.shape != (t3.speaker_width,):
            raise SpeechFailed(f"the voice has a speaker of shape {conditioning.speaker.shape}")
        ids = np.concatenate(([t3.speaker_id], codes + t3.first_speech_id)).astype(np.int64)
        result = self._graph.prefix(ids, conditioning.speaker)
        if not result.is_finite(0, len(ids)):
            raise SpeechFailed("the voice's prefix is not finite")
        return result.new_kv[:, :, 0].copy()  # a runner may write over what it gave
