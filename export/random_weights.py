"""Random checkpoints: noise in the files, under the keys and in the shapes of the published ones.

For tests and for measuring speed, which does not depend on what is said. Every value is addressed by
(seed, key), and scaled so that activations stay where a trained net's are: layers keep the size of
what they are given, mel lies at log-mel's level, f0 at a voice's, audio at a fraction of full scale.
"""

import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from engines.model import (
    CONDITIONALS_FILE,
    MEL_BANDS,
    MODEL_FILE,
    PUBLISHED,
    ModelConfig,
)
from engines.nets.build import blank_nets, file_plans
from engines.rates import MEL_FRAMES_PER_TOKEN
from export.random_tokenizer import write_tokenizer

DTYPES: Mapping[str, tuple[str, Any]] = {"float32": ("F32", np.float32), "float16": ("F16", np.float16)}

LOG_MEL = -5.0
F0_HZ = 150.0
"""Where speech lies: the mean of log-mel, the middle of a voice."""

_NEVER = -1e4  # as a logit; float16 holds it

_SCALES = {
    "tfmr.wpe.weight": 0.1,
    "mel2wav.conv_post.parametrizations.weight.original0": 0.2,
    "mel2wav.f0_predictor.classifier.weight": 30.0,
}
_BIASES = {
    "flow.decoder.estimator.final_proj.bias": LOG_MEL,
    "mel2wav.f0_predictor.classifier.bias": F0_HZ,
    "mel2wav.conv_post.bias": -3.0,
}


def write_random(
    folder: Path,
    model: ModelConfig,
    seed: int = 0,
    *,
    dtype: str = "float32",
    never_stops: bool = False,
    progress: bool = False,
) -> None:
    """Write a random ``model`` into ``folder``, which is made: weights, default voice and tokenizer.

    ``never_stops``: T3 gives the stop token no chance, so that every utterance runs to its budget.
    Weights are written tensor by tensor: no file is ever whole in memory.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if model not in PUBLISHED.values():
        (folder / MODEL_FILE).write_text(model.to_json())
    write_tokenizer(folder, model.t3.text_codes)
    torch.save(random_conditionals(model, seed), folder / CONDITIONALS_FILE)
    for plan in file_plans(model, blank_nets(model)):
        never_said = model.t3.stop_code if never_stops else None
        _write_tensors(folder / plan.name, plan.holds(), seed, dtype, never_said, progress)


def random_conditionals(model: ModelConfig, seed: int) -> dict[str, dict[str, Tensor | None]]:
    """A voice that nobody has, as `conds.pt` holds one."""
    draw = _generator(seed, CONDITIONALS_FILE)
    tokens = min(model.s3_prompt_tokens, model.t3.prompt_tokens)
    speaker = draw.standard_normal((1, model.t3.speaker_width), np.float32)
    mel = LOG_MEL + 2 * draw.standard_normal((1, MEL_FRAMES_PER_TOKEN * tokens, MEL_BANDS), np.float32)
    return {
        "t3": {
            "speaker_emb": torch.from_numpy(speaker / np.linalg.norm(speaker)),
            "clap_emb": None,
            "cond_prompt_speech_tokens": _codes(draw, model, model.t3.prompt_tokens),
            "cond_prompt_speech_emb": None,
            "emotion_adv": torch.full((1, 1, 1), 0.5),
        },
        "gen": {
            "prompt_token": _codes(draw, model, tokens),
            "prompt_token_len": torch.tensor([tokens]),
            "prompt_feat": torch.from_numpy(mel),
            "prompt_feat_len": None,
            "embedding": torch.from_numpy(draw.standard_normal((1, model.xvector.width), np.float32)),
        },
    }


def random_tensor(key: str, like: Tensor, seed: int) -> NDArray[Any]:
    """The value of one key: float32, or int64 where the file has whole numbers."""
    shape = tuple(like.shape)
    if not like.is_floating_point():
        return np.zeros(shape, np.int64)
    values: NDArray[np.float32] = _generator(seed, key).standard_normal(shape, np.float32)
    if _is_unit(key, like):
        values *= 0.1
        values += 1
    elif like.dim() < 2 or "bias" in key.rpartition(".")[2] or key.endswith("running_mean"):
        values *= 0.1
    else:
        values *= 1 / math.sqrt(_fan_in(key, like))
    values *= _SCALES.get(key, 1)
    values += _BIASES.get(key, 0)
    return np.abs(values) if key.endswith("running_var") else values


def _is_unit(key: str, like: Tensor) -> bool:
    """Norms' scales and magnitudes, variances, and the periods of Snake: about 1."""
    leaf = key.rpartition(".")[2]
    return leaf in ("alpha", "running_var", "original0") or (leaf == "weight" and like.dim() == 1)


def _fan_in(key: str, like: Tensor) -> int:
    """How many terms a layer sums for each of its outputs."""
    if "_emb.weight" in key or key.endswith(("embedding.weight", "wpe.weight", "wte.weight")):
        return 1  # a table sums nothing
    if key.startswith("tfmr.h."):
        return like.shape[0]  # GPT-2 keeps its matrices the other way round
    return math.prod(like.shape[1:])


def _codes(draw: np.random.Generator, model: ModelConfig, tokens: int) -> Tensor:
    return torch.from_numpy(draw.integers(0, model.codes, (1, tokens)))


def _generator(seed: int, key: str) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64([seed, zlib.crc32(key.encode())]))


def _write_tensors(
    path: Path, likes: Mapping[str, Tensor], seed: int, dtype: str, never_said: int | None, progress: bool
) -> None:
    """A safetensors file, in order: its header's length, its header, and one tensor after the other.

    ``never_said``: a speech code that gets no chance.
    """
    kind = DTYPES[dtype][1]
    # 8-byte numbers first: a reader maps them where they lie, aligned.
    keys = sorted(likes, key=lambda key: (likes[key].is_floating_point(), key))
    header = file_header({key: likes[key] for key in keys}, dtype)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for key in tqdm(keys, path.name, unit=" tensors", disable=not progress):
            values = random_tensor(key, likes[key], seed)
            if never_said is not None and key == "speech_head.bias":
                values[never_said] = _NEVER
            file.write(values.astype(kind if values.dtype == np.float32 else np.int64, copy=False).data)


def file_header(likes: Mapping[str, Tensor], dtype: str) -> bytes:
    """Safetensors' JSON: what lies where, from the header's end on. Padded to 8 bytes with blanks."""
    float_name, kind = DTYPES[dtype]
    described = {}
    end = 0
    for key, like in likes.items():
        name, item_bytes = (float_name, np.dtype(kind).itemsize) if like.is_floating_point() else ("I64", 8)
        start, end = end, end + like.numel() * item_bytes
        described[key] = {"dtype": name, "shape": list(like.shape), "data_offsets": [start, end]}
    text = json.dumps(described, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)
