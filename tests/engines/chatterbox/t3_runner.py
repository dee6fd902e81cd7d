"""A small T3 behind a Runner, whose logits a test may edit, and what a row of it needs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engines.backends.base import Voice
from engines.backends.runner import Tensors
from engines.backends.signature import T3_STEP, t3_step
from engines.model import ModelConfig, T3Config
from engines.nets.t3 import T3Step
from engines.voices.conditioning import Conditioning

SMALL = ModelConfig(
    "small", "none", T3Config(width=32, layers=2, heads=2, text_codes=300, positions=700, prompt_tokens=20)
)

Arrays = dict[str, NDArray[Any]]


def random_net(seed: int = 0) -> T3Step:
    torch.manual_seed(seed)
    net = T3Step(SMALL.t3).eval().requires_grad_(False)
    net.speech_head.weight.mul_(12)  # so that codes differ in how likely they are
    return net


@dataclass
class T3Runner:
    """Runs T3 in torch; ``edit`` sees each call's inputs and may change its outputs."""

    net: T3Step = field(default_factory=random_net)
    edit: Callable[[Arrays, Arrays], None] = lambda inputs, outputs: None
    calls: list[Arrays] = field(default_factory=list)

    compute_dtype: Any = np.float32

    def has(self, graph: str) -> bool:
        return graph == T3_STEP

    def run(self, graph: str, inputs: Tensors) -> Arrays:
        spec = t3_step(SMALL)
        assert graph == T3_STEP
        given = {each.name: inputs[each.name] for each in spec.inputs}
        assert given.keys() == inputs.keys()
        assert all(array.flags.c_contiguous and array.flags.writeable for array in given.values())
        assert [array.dtype for array in given.values()] == [_DTYPES[each.dtype] for each in spec.inputs]
        self.calls.append({name: given[name].copy() for name in ("ids", "ids_length", "past_length")})
        with torch.inference_mode():
            logits, new_kv = self.net(*(torch.from_numpy(array) for array in given.values()))
        outputs = {"logits": logits.numpy(), "new_kv": new_kv.numpy()}
        self.edit(given, outputs)
        return outputs


_DTYPES = {"int64": np.dtype(np.int64), "float32": np.dtype(np.float32), "compute": np.dtype(np.float32)}


class Bytes:
    """A tokenizer of bytes; `~` is a tag."""

    tags = frozenset({ord("~")})

    def encode(self, text: str) -> list[int]:
        return list(text.encode())


def voice(seed: int = 0, prompt_tokens: int = 20) -> Voice:
    random = np.random.default_rng(seed)
    conditioning = Conditioning(
        speaker=random.standard_normal(SMALL.t3.speaker_width, np.float32),
        t3_prompt=random.integers(0, 6_561, prompt_tokens),
        s3_prompt=np.zeros(0, np.int64),
        s3_prompt_mel=np.zeros((0, 80), np.float32),
        embedding=np.zeros(192, np.float32),
    )
    return Voice(f"voice {seed}", "", -27.0, conditioning)
