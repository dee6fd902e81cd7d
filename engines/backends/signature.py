"""Names, types and axes of every graph's inputs and outputs: the one truth that nets are written to,
exporters name by, manifests record and runners are called with.

Axes are named: B rows of the batch, S ids of a step, C places of the key/value store, N tokens,
F = 2 N mel frames of the flow, W mel frames vocoded, K cached mel frames (0 or CACHED_MEL_FRAMES),
P prompt tokens less the lookahead, T feature frames. `compute` is the graph's precision: float32, or float16.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engines.model import MEL_BANDS, ModelConfig
from engines.rates import HOP_SAMPLES

T3_STEP = "t3_step"
S3_CHUNK = "s3_chunk"
S3_PROMPT = "s3_prompt"
S3_CACHED_CHUNK = "s3_cached_chunk"
VOICE_XVECTOR = "voice_xvector"
VOICE_CODES = "voice_codes"
VOICE_SPEAKER = "voice_speaker"

CACHED_MEL_FRAMES = 16
"""Mel frames kept before a window: HiFT's receptive field is 13.13 frames, its source's 14.26."""

FADE_MEL_FRAMES = 4
"""Mel frames over which a window takes over from the provisional ones of the window before."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a graph."""

    name: str
    dtype: str  # "int64", "float32" or "compute"
    axes: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """A graph's signature, inputs and outputs in the order of its module's `forward`."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def t3_step(model: ModelConfig) -> GraphSpec:
    """Prefill and decode alike: ids after a stored past; logits of each row's last id.

    Row b reads places [0, past_length[b]) of its past; ids beyond ids_length[b] are padding on the
    right. Ids are one table (T3Config.first_speech_id, speaker_id); at a speaker_id the row's
    `speaker` vector, projected, stands in the table's place. Positions count from past_length.
    `new_kv` is what the caller stores at places past_length.. (its padding is meaningless).
    """
    t3 = model.t3
    place = ("B", t3.heads, "C", t3.head_width)
    past = tuple(TensorSpec(f"past_{half}.{i}", "compute", place) for i in range(t3.layers) for half in "kv")
    return GraphSpec(
        T3_STEP,
        (
            TensorSpec("ids", "int64", ("B", "S")),
            TensorSpec("ids_length", "int64", ("B",)),
            TensorSpec("speaker", "float32", ("B", t3.speaker_width)),
            TensorSpec("past_length", "int64", ("B",)),
            *past,
        ),
        (
            TensorSpec("logits", "float32", ("B", t3.speech_codes)),
            TensorSpec("new_kv", "compute", (t3.layers, 2, "B", t3.heads, "S", t3.head_width)),
        ),
    )


def _flow_inputs(model: ModelConfig) -> tuple[TensorSpec, ...]:
    return (
        TensorSpec("tokens", "int64", ("B", "N")),
        TensorSpec("tokens_length", "int64", ("B",)),  # the rest is padding on the right
        TensorSpec("embedding", "float32", ("B", model.xvector.width)),  # as enrolled, not normalised
        TensorSpec("cond", "float32", ("B", MEL_BANDS, "F")),  # prompt mel where there is any, else 0
        TensorSpec("noise", "float32", ("B", MEL_BANDS, "F")),
    )


def _vocoder_inputs(model: ModelConfig) -> tuple[TensorSpec, ...]:
    return (
        TensorSpec("first_frame", "int64", ("B",)),  # of the flow's output: the first mel frame vocoded
        TensorSpec(
            "fade_mel", "float32", ("B", MEL_BANDS, FADE_MEL_FRAMES)
        ),  # provisional, of the window before
        TensorSpec(
            "fade_weight", "float32", ("B", FADE_MEL_FRAMES)
        ),  # its share in the first frames; 0: none
        TensorSpec("mel_cache", "float32", ("B", MEL_BANDS, "K")),  # the K mel frames before, as vocoded
        TensorSpec("source_cache", "float32", ("B", "K", HOP_SAMPLES)),  # their source samples
        TensorSpec("phase", "float32", ("B",)),  # of the fundamental, in cycles, where the first frame begins
        TensorSpec("harmonic_phase", "float32", ("B", model.vocoder.harmonics + 1)),  # radians; [0] is 0
        TensorSpec("source_noise", "float32", ("B", "W", HOP_SAMPLES)),  # standard normal, one a sample
    )


def _vocoder_outputs() -> tuple[TensorSpec, ...]:
    return (
        TensorSpec("mel", "float32", ("B", MEL_BANDS, "W")),  # as vocoded: faded, without the cached frames
        TensorSpec("audio", "float32", ("B", "W", HOP_SAMPLES)),
        TensorSpec("source", "float32", ("B", "W", HOP_SAMPLES)),
        TensorSpec("phases", "float32", ("B", "W")),  # of the fundamental, in cycles, where each frame ends
    )


def s3_chunk(model: ModelConfig) -> GraphSpec:
    """Tokens [prompt | window] to mel, and W mel frames of it to audio."""
    return GraphSpec(S3_CHUNK, (*_flow_inputs(model), *_vocoder_inputs(model)), _vocoder_outputs())


def s3_cached_chunk(model: ModelConfig, cache: Sequence[TensorSpec]) -> GraphSpec:
    """As s3_chunk, for one voice: the flow sees the prompt by ``cache``, and only the window as tokens."""
    return GraphSpec(
        S3_CACHED_CHUNK, (*_flow_inputs(model), *_vocoder_inputs(model), *cache), _vocoder_outputs()
    )


def s3_prompt(model: ModelConfig, cache: Sequence[TensorSpec]) -> GraphSpec:
    """A prompt (B = 1) under the prompt-block mask: what its own tokens leave for windows to see.

    The last EncoderConfig.lookahead_tokens of ``tokens`` serve as lookahead alone: the cache is of
    the tokens before them, and windows begin with them again, so that their lookahead is right.
    """
    return GraphSpec(S3_PROMPT, _flow_inputs(model), tuple(cache))


def voice_xvector(model: ModelConfig) -> GraphSpec:
    return GraphSpec(
        VOICE_XVECTOR,
        (TensorSpec("fbank", "float32", (1, "T", 80)),),
        (TensorSpec("embedding", "float32", (1, model.xvector.width)),),
    )


def voice_codes(model: ModelConfig) -> GraphSpec:
    return GraphSpec(
        VOICE_CODES,
        (TensorSpec("log_mel", "float32", (1, model.speech_tokenizer.mels, "T")),),
        (TensorSpec("codes", "int64", (1, "P")),),
    )


def voice_speaker(model: ModelConfig) -> GraphSpec:
    voice = model.voice_encoder
    return GraphSpec(
        VOICE_SPEAKER,
        (TensorSpec("partials", "float32", ("B", voice.partial_frames, voice.mels)),),
        (TensorSpec("speakers", "float32", ("B", voice.width)),),  # each of length 1
    )
