"""One sentence as a stage gives it: a value."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """Audio and where its windows meet."""

    samples: Floats = field(repr=False)  # (n,) at 24 kHz
    seams: tuple[int, ...] = ()  # the samples at which windows meet inside a segment
    ended: str = ""  # how T3 came to its end: "stop", or what stopped it; empty where no T3 spoke
