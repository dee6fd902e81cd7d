"""The numbers of the nets: which Chatterbox a folder of weights holds. No runtime is imported here.

Turbo and Nano are the published models. Any other set of numbers is a model of the same
architecture, described by a `talkspurt.json` beside its weights.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from engines.errors import ConfigError
from engines.rates import MEL_FRAMES_PER_TOKEN, SPEECH_CODES
from engines.sampling import Sampling

MODEL_FILE = "talkspurt.json"

MEL_BANDS = 80
SILENCE_TOKEN = 4_299
"""S3's code of silence: three of them end every segment, as the reference has it."""

ENDING_SILENCE_TOKENS = 3

MAX_S3_PROMPT_TOKENS = 250
"""S3Gen listens to at most 10 s of the reference."""

MAX_S3_PROMPT_MEL_FRAMES = MAX_S3_PROMPT_TOKENS * MEL_FRAMES_PER_TOKEN

CODE_LEVELS = 3
"""A speech code is a number of ternary digits."""


@dataclass(frozen=True, slots=True)
class T3Config:
    """T3, a GPT-2 over one sequence: [speaker | prompt codes | text | start | speech codes]."""

    width: int = 1_024
    layers: int = 24
    heads: int = 16
    text_codes: int = 50_276
    speech_codes: int = SPEECH_CODES + 2
    positions: int = 8_196
    prompt_tokens: int = 375
    speaker_width: int = 256

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def start_code(self) -> int:
        """What stands before the first speech code; the two after the codes are no sound."""
        return self.speech_codes - 2

    @property
    def stop_code(self) -> int:
        return self.speech_codes - 1

    @property
    def first_speech_id(self) -> int:
        """Ids are one table: text codes, then speech codes, then the speaker's place."""
        return self.text_codes

    @property
    def speaker_id(self) -> int:
        return self.text_codes + self.speech_codes


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """S3Gen's up-sampling conformer without convolutions (ESPnet relative positions)."""

    width: int = 512
    heads: int = 8
    feed_forward: int = 2_048
    layers: int = 6
    up_layers: int = 4
    lookahead_tokens: int = 3


@dataclass(frozen=True, slots=True)
class EstimatorConfig:
    """The mean-flow U-Net: a down block, `mid_blocks` middle ones and an up block, each causal."""

    channels: int = 256
    heads: int = 8
    head_width: int = 64
    transformers: int = 4  # in each block
    mid_blocks: int = 12
    euler_steps: int = 2


@dataclass(frozen=True, slots=True)
class VocoderConfig:
    """HiFT: harmonic source, transposed convolutions, ISTFT. Strides are in engines.rates."""

    channels: int = 512
    harmonics: int = 8  # above the fundamental
    up_kernels: tuple[int, ...] = (16, 11, 7)
    resblock_kernels: tuple[int, ...] = (3, 7, 11)
    resblock_dilations: tuple[int, ...] = (1, 3, 5)
    source_kernels: tuple[int, ...] = (7, 7, 11)
    f0_channels: int = 512
    n_fft: int = 16


@dataclass(frozen=True, slots=True)
class XVectorConfig:
    """CAMPPlus, S3Gen's speaker encoder."""

    channels: int = 32
    growth: int = 32
    bottleneck: int = 4  # times growth
    first_channels: int = 128
    layers: tuple[int, ...] = (12, 24, 16)
    width: int = 192


@dataclass(frozen=True, slots=True)
class SpeechTokenizerConfig:
    """S3 tokenizer v2, 25 Hz: log-mel to codes."""

    width: int = 1_280
    heads: int = 20
    layers: int = 6
    mels: int = 128
    fsmn_kernel: int = 31
    digits: int = 8  # ternary, of a code


@dataclass(frozen=True, slots=True)
class VoiceEncoderConfig:
    """T3's speaker encoder, an LSTM over partial utterances."""

    hidden: int = 256
    layers: int = 3
    mels: int = 40
    partial_frames: int = 160
    width: int = 256


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A whole model."""

    name: str
    t3_file: str
    t3: T3Config = field(default_factory=T3Config)
    codes: int = SPEECH_CODES
    silence_code: int = SILENCE_TOKEN
    s3_prompt_tokens: int = MAX_S3_PROMPT_TOKENS  # of a recording, which S3Gen's prompt is made of
    sampling: Sampling = field(default_factory=Sampling)  # unless told otherwise
    prompt_cache: bool = False  # S3Gen's prompt once a voice, unless told otherwise: not exact
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    estimator: EstimatorConfig = field(default_factory=EstimatorConfig)
    vocoder: VocoderConfig = field(default_factory=VocoderConfig)
    xvector: XVectorConfig = field(default_factory=XVectorConfig)
    speech_tokenizer: SpeechTokenizerConfig = field(default_factory=SpeechTokenizerConfig)
    voice_encoder: VoiceEncoderConfig = field(default_factory=VoiceEncoderConfig)

    def __post_init__(self) -> None:
        """Raises ConfigError naming the key that does not go with the others."""
        digits = self.speech_tokenizer.digits
        # The engine's own START and STOP lie behind as many codes (engines.rates).
        self._require("codes", self.codes <= SPEECH_CODES, f"must be at most {SPEECH_CODES}")
        is_coded = digits <= self.codes == CODE_LEVELS**digits  # no power of a number beyond reason
        self._require("codes", is_coded, f"must be {CODE_LEVELS}**{digits}, as the speech tokenizer has it")
        if self.t3.speech_codes != self.codes + 2:
            reason = f"must be {self.codes + 2}: the codes, start and stop"
            raise ConfigError("t3: speech_codes", self.t3.speech_codes, reason)
        is_code = 0 <= self.silence_code < self.codes
        self._require("silence_code", is_code, f"must be from 0 to {self.codes - 1}")
        is_heard = 1 <= self.s3_prompt_tokens <= MAX_S3_PROMPT_TOKENS
        self._require("s3_prompt_tokens", is_heard, f"must be from 1 to {MAX_S3_PROMPT_TOKENS}")

    def _require(self, key: str, holds: bool, reason: str) -> None:
        if not holds:
            raise ConfigError(key, getattr(self, key), reason)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"


S3GEN_FILE = "s3gen_meanflow.safetensors"
VOICE_ENCODER_FILE = "ve.safetensors"
CONDITIONALS_FILE = "conds.pt"
TOKENIZER_FILES = ("vocab.json", "merges.txt", "added_tokens.json")

TURBO = ModelConfig("turbo", "t3_turbo_v1.safetensors")
NANO = ModelConfig("nano", "t3_nano_v1.safetensors", T3Config(width=768, layers=12, heads=12))
PUBLISHED: Mapping[str, ModelConfig] = {each.name: each for each in (TURBO, NANO)}


def find_model(folder: Path) -> ModelConfig:
    """Which model lies in ``folder``: its `talkspurt.json`, else the published file names.

    Raises ConfigError (field `model`) when the folder holds neither, or the description is wrong.
    """
    if not folder.is_dir():
        raise ConfigError("model", str(folder), "is not a folder")
    described = folder / MODEL_FILE
    if described.is_file():
        return parse_model(described.read_text())
    for model in PUBLISHED.values():
        if (folder / model.t3_file).is_file():
            return model
    wanted = ", ".join(model.t3_file for model in PUBLISHED.values())
    raise ConfigError("model", str(folder), f"holds none of {MODEL_FILE}, {wanted}")


def parse_model(text: str) -> ModelConfig:
    """A `talkspurt.json`. Raises ConfigError naming the key that is unknown, missing or of a wrong type."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:  # of JSON, or of a number of thousands of digits
        raise ConfigError(MODEL_FILE, text[:40], f"is not JSON: {error}") from None
    return _parse(ModelConfig, values, MODEL_FILE)


Config = TypeVar("Config")


def _parse(kind: type[Config], values: Any, where: str) -> Config:
    if not isinstance(values, dict):
        raise ConfigError(where, values, "must be an object")
    known = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise ConfigError(
                f"{where}: {name}", values[name], f"is not known; known are {', '.join(sorted(known))}"
            )
    hints = get_type_hints(kind)
    given = {
        name: _value(hints[name], value, f"{where}: {name}", least=0 if name in _MAY_BE_0 else 1)
        for name, value in values.items()
    }
    try:
        return kind(**given)
    except TypeError as error:
        raise ConfigError(where, sorted(values), str(error)) from None
    except ConfigError as error:
        reason = str(error).removeprefix(f"{error.field}: {error.value!r} ")
        raise ConfigError(f"{where}: {error.field}", error.value, reason) from None


_MAY_BE_0 = ("harmonics", "silence_code", "top_k")


def _value(hint: Any, value: Any, where: str, least: int) -> Any:
    if is_dataclass(hint):
        return _parse(hint, value, where)  # type: ignore[arg-type]
    if hint in (bool, int, str):
        if type(value) is not hint:
            raise ConfigError(where, value, f"must be of type {hint.__name__}")
        if hint is int and value < least:
            raise ConfigError(where, value, f"must be at least {least}")
        return value
    if hint is float:  # its range is for its owner to tell
        if type(value) not in (int, float):
            raise ConfigError(where, value, "must be a number")
        return value
    if not isinstance(value, list) or not all(type(each) is int and each >= 1 for each in value):
        raise ConfigError(where, value, "must be a list of whole numbers of at least 1")
    return tuple(value)
