"""What a backend is: two narrow Protocols and the numbers the scheduler plans by.

State belongs to the utterance: whatever a model needs next time goes out as a value and comes
back as one, so that halves mix (one runtime's tokens, another's audio) and a dropped utterance
leaves nothing behind but its slot, which `stop` gives back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from engines.contract import Samples
from engines.rates import LOOKAHEAD_TOKENS


@dataclass(frozen=True, slots=True)
class Voice:
    """A named voice: what makes the speaker, opaque to everything but its backend."""

    name: str
    description: str
    nominal_dbov: float  # active speech level of this voice's raw audio (ITU-T P.56)
    conditioning: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenStart:
    """One row of a prefill: a segment's text takes KV place ``slot``."""

    slot: int
    text: str
    voice: Voice
    seed: int


@dataclass(frozen=True, slots=True)
class TokenStarted:
    """A prefill's result for one row: the model's state for it and the first speech token."""

    state: Any
    token: int


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One row of a decode: continue ``state`` after ``token``, its ``position``-th."""

    slot: int
    state: Any
    token: int
    position: int  # speech tokens decoded so far, counting ``token``
    seed: int


class TokenModel(Protocol):
    """T3: text to speech tokens. One call is one GPU step.

    A call that raises is made again row by row, in the same slots, to find the row that spoils it.
    """

    def start(self, rows: Sequence[TokenStart]) -> list[TokenStarted]:
        """Prefill: one result a row, in order."""
        ...

    def step(self, rows: Sequence[TokenRow]) -> list[int]:
        """Decode: one token a row, in order; STOP_TOKEN ends that row."""
        ...

    def stop(self, slot: int, state: Any) -> None:
        """The row in ``slot`` ended or was cancelled: its place may be reused. Must not raise.

        ``state`` is None when the row's prefill failed.
        """
        ...


@dataclass(frozen=True, slots=True)
class SynthWindow:
    """Tokens to turn into audio: [left context | new | lookahead] of one segment."""

    voice: Voice
    seed: int
    tokens: tuple[int, ...]
    first_token: int  # index in the segment of tokens[0]
    left_context_tokens: int
    new_tokens: int
    final: bool  # no later window of this segment follows
    token_state: Any  # what the token model returned; only a synthesizer paired with it may read it
    carry: Any  # what this segment's previous window returned; None at its first


@dataclass(frozen=True, slots=True)
class SynthResult:
    """Audio of a window's new tokens and the state its next window needs."""

    samples: Samples  # (new_tokens * TOKEN_SAMPLES,), fewer only in a final window
    carry: Any


class Synthesizer(Protocol):
    """S3Gen: speech tokens to 24 kHz audio. One call is one GPU step."""

    def synthesize(self, windows: Sequence[SynthWindow]) -> list[SynthResult]:
        """One result a window, in order; a batch gives what each window gives alone."""
        ...


class Enroller(Protocol):
    """Voice encoders: a recording to what makes a voice. Called from one thread at a time, beside speech."""

    def warm_up(self) -> None:
        """Open what enrolling needs, before there are calls to hold up."""
        ...

    def enroll(self, samples: Samples, /) -> Any:
        """The conditioning of a Voice. Raises InvalidRequest for a recording that will not do."""
        ...


@dataclass(frozen=True, slots=True)
class Backend:
    """An opened runtime: the two models, the voices it speaks with, and its batch limits."""

    name: str
    tokens: TokenModel
    synthesizer: Synthesizer
    voices: Mapping[str, Voice]
    max_token_rows: int  # KV places: rows decoding at once
    max_prefill_rows: int
    max_window_rows: int
    left_context_tokens: int = 0
    lookahead_tokens: int = LOOKAHEAD_TOKENS  # 1 to MAX_LOOKAHEAD_TOKENS
    max_segment_tokens: int = 1_000  # a segment that does not stop is ended here (40 s)
    details: Mapping[str, str] = field(default_factory=dict)  # what runs, for logs and people
    enroller: Enroller | None = None  # None: its voices are those it has
