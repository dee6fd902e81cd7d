"""The nets of a folder of official weights, and the graphs made of them.

Opening compares every file's keys and shapes and reads no weight; a net is read when it is first asked
for, so that speaking never reads the 130 million numbers that only enrolling needs.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from torch import nn
from torch.overrides import TorchFunctionMode

from engines.backends import signature
from engines.model import S3GEN_FILE, VOICE_ENCODER_FILE, ModelConfig, find_model
from engines.nets.s3_flow import S3Flow
from engines.nets.s3_graphs import S3CachedChunk, S3Chunk, S3Prompt
from engines.nets.s3_vocoder import S3Vocoder
from engines.nets.speech_tokenizer import SpeechTokenizer
from engines.nets.t3 import T3Step
from engines.nets.voice_encoder import VoiceEncoder
from engines.nets.weights import (
    FilePlan,
    Unused,
    check,
    fill,
    like,
    merged_table,
    plain,
    weight_normed,
)
from engines.nets.xvector import XVector

Net = TypeVar("Net", bound=nn.Module)

_UNNORMED = ("m_source", "source_downs", "f0_predictor.classifier")
"""The vocoder's layers without weight norm."""

_TRAINING = "used in training alone"
_COMPUTED = "engines.voices.features computes it"


class Nets:
    """A model's nets, in evaluation and without gradients; each is read when first asked for."""

    def __init__(self, folder: Path, model: ModelConfig) -> None:
        self.folder = folder
        self.model = model
        self._blank = blank_nets(model)
        self._plans = file_plans(model, self._blank)
        self.reports = tuple(check(folder / plan.name, plan) for plan in self._plans)

    @cached_property
    def t3(self) -> T3Step:
        return self._read(T3Step)

    @cached_property
    def flow(self) -> S3Flow:
        return self._read(S3Flow)

    @cached_property
    def vocoder(self) -> S3Vocoder:
        return self._read(S3Vocoder)

    @cached_property
    def xvector(self) -> XVector:
        return self._read(XVector)

    @cached_property
    def speech_tokenizer(self) -> SpeechTokenizer:
        return self._read(SpeechTokenizer)

    @cached_property
    def voice_encoder(self) -> VoiceEncoder:
        return self._read(VoiceEncoder)

    def _read(self, kind: type[Net]) -> Net:
        net = self._blank[kind]
        assert isinstance(net, kind), "a blank net is kept by its own kind"
        plan = next(plan for plan in self._plans if kind in plan.nets)
        fill(net, self.folder / plan.name, plan.nets[kind])
        net.requires_grad_(False)
        return net.eval()


def load_nets(folder: Path, model: ModelConfig | None = None) -> Nets:
    """The nets in ``folder``, which says itself what model it holds unless ``model`` is given.

    Raises ConfigError (field `model`) for files that are missing, cut short, or hold another model.
    """
    return Nets(folder, model or find_model(folder))


class Graphs(Mapping[str, nn.Module]):
    """Every graph of engines.backends.signature by name, made when first asked for."""

    def __init__(self, nets: Nets) -> None:
        self._graphs: Mapping[str, Callable[[], nn.Module]] = {
            signature.T3_STEP: lambda: nets.t3,
            signature.S3_CHUNK: lambda: S3Chunk(nets.flow, nets.vocoder).eval(),
            signature.S3_PROMPT: lambda: S3Prompt(nets.flow).eval(),
            signature.S3_CACHED_CHUNK: lambda: S3CachedChunk(nets.flow, nets.vocoder).eval(),
            signature.VOICE_XVECTOR: lambda: nets.xvector,
            signature.VOICE_CODES: lambda: nets.speech_tokenizer,
            signature.VOICE_SPEAKER: lambda: nets.voice_encoder,
        }
        self._made: dict[str, nn.Module] = {}

    def __getitem__(self, name: str) -> nn.Module:
        if name not in self._made:
            self._made[name] = self._graphs[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._graphs)

    def __len__(self) -> int:
        return len(self._graphs)


def graphs(nets: Nets) -> Graphs:
    """The graphs of ``nets``, which share their weights."""
    return Graphs(nets)


def blank_nets(model: ModelConfig) -> dict[type[nn.Module], nn.Module]:
    """All nets of ``model`` with no values yet, and so with no memory touched."""
    with _Uninitialised():
        nets = (
            T3Step(model.t3),
            S3Flow(model),
            S3Vocoder(model),
            XVector(model.xvector),
            SpeechTokenizer(model.speech_tokenizer),
            VoiceEncoder(model.voice_encoder),
        )
    return {type(net): net for net in nets}


class _Uninitialised(TorchFunctionMode):
    """Skips torch.nn.init: drawing 600 million numbers to overwrite them takes seconds."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        if getattr(function, "__module__", None) == "torch.nn.init":
            return named["tensor"] if "tensor" in named else args[0]
        return function(*args, **named)


def file_plans(model: ModelConfig, nets: Mapping[type[nn.Module], nn.Module]) -> tuple[FilePlan, ...]:
    """What the files of ``model`` hold, told from its nets: T3's, S3Gen's, the voice encoder's."""
    text = like(model.t3.text_codes, model.t3.width)
    t3_unused = {
        "tfmr.wte.weight": Unused(text, "GPT-2's own table: T3 embeds by others"),
        "text_head.weight": Unused(text, _TRAINING),
    }
    s3gen = {
        S3Flow: plain(nets[S3Flow], "flow."),
        S3Vocoder: weight_normed(nets[S3Vocoder], "mel2wav.", _is_normed),
        XVector: plain(nets[XVector], "speaker_encoder."),
        SpeechTokenizer: plain(nets[SpeechTokenizer], "tokenizer."),
    }
    s3gen_unused = {
        "tokenizer._mel_filters": Unused(like(model.speech_tokenizer.mels, 201), _COMPUTED),
        "tokenizer.window": Unused(like(400), _COMPUTED),
    }
    voice_unused = {f"similarity_{leaf}": Unused(like(1), _TRAINING) for leaf in ("weight", "bias")}
    return (
        FilePlan(model.t3_file, {T3Step: merged_table(nets[T3Step], model.t3)}, t3_unused),
        FilePlan(S3GEN_FILE, s3gen, s3gen_unused),
        FilePlan(VOICE_ENCODER_FILE, {VoiceEncoder: plain(nets[VoiceEncoder])}, voice_unused),
    )


def _is_normed(layer: str) -> bool:
    return not layer.startswith(_UNNORMED)
