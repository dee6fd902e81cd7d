"""Natural speech, as far as this judge goes: flite, whose speech the voices were trained on."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.voice.errors import SourceMissing
from benchmarks.voice.rendered import Rendered


def say(spoken: str, flite_voice: str) -> Rendered:
    """``spoken`` by flite at 24 kHz, with the level and the ends that training had. Raises SourceMissing."""
    from export.pocket import corpus
    from export.pocket.flite import FliteMissing

    try:
        samples: NDArray[np.float32] = corpus.to_24k(corpus.say(spoken, flite_voice))
    except FliteMissing as error:
        raise SourceMissing(str(error)) from None
    return Rendered(samples)
