"""The official weight files, read strictly: a key is used, or known to be of no use, or an error.

Our nets name their parameters as the files do. What differs is written down once, as recipes: T3's
three tables are one, and the vocoder's weight norms are folded. A random checkpoint is written from
the same recipes (export/random_weights.py). Nothing is unpickled: weights are safetensors, mapped.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engines.errors import ConfigError
from engines.model import T3Config

SHOWN_PROBLEMS = 10
_FLOATS = {"F64", "F32", "F16", "BF16"}
_WHOLE = {"I64", "I32"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one parameter is made of a file's tensors, which are told by key and by a tensor like them."""

    takes: Mapping[str, Tensor]  # each of no memory: a shape and a kind of number
    make: Callable[..., Tensor]  # of these tensors, in order
    part: Callable[[Tensor], tuple[Tensor, ...]]  # the other way round, for who writes a file


Recipes = Mapping[str, Recipe]
"""By the parameter's name in the net."""


@dataclass(frozen=True, slots=True)
class Unused:
    """A key that the files have and speaking does not need; the file may be without it."""

    like: Tensor
    reason: str


@dataclass(frozen=True, slots=True)
class FilePlan:
    """All that a weight file may hold: the recipes of each net in it, and the keys of no use."""

    name: str
    nets: Mapping[type[nn.Module], Recipes]
    unused: Mapping[str, Unused]

    def takes(self) -> dict[str, Tensor]:
        """Every key that must be there, with a tensor like its own."""
        recipes = (recipe for net in self.nets.values() for recipe in net.values())
        return {key: like for recipe in recipes for key, like in recipe.takes.items()}

    def holds(self) -> dict[str, Tensor]:
        """Every key of the official file."""
        return {**self.takes(), **{key: each.like for key, each in self.unused.items()}}


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What became of each key of a file."""

    path: Path
    used: tuple[str, ...]
    unused: tuple[tuple[str, str], ...]  # key and reason


def like(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """A tensor of no memory."""
    return torch.empty(shape, dtype=dtype, device="meta")


def plain(net: nn.Module, prefix: str = "") -> dict[str, Recipe]:
    """Each parameter and buffer of ``net``, blank or filled, as it lies in the file behind ``prefix``."""
    return {
        name: Recipe({prefix + name: like(*each.shape, dtype=each.dtype)}, _itself, lambda tensor: (tensor,))
        for name, each in net.state_dict().items()
    }


def weight_normed(net: nn.Module, prefix: str, is_normed: Callable[[str], bool]) -> dict[str, Recipe]:
    """As `plain`, but each `NAME.weight` with ``is_normed(NAME)`` lies there as magnitude and direction."""
    recipes = plain(net, prefix)
    for name, each in net.state_dict().items():
        layer, _, leaf = name.rpartition(".")
        if leaf == "weight" and is_normed(layer):
            key = f"{prefix}{layer}.parametrizations.weight.original"
            magnitude, direction = like(len(each), *[1] * (each.dim() - 1)), like(*each.shape)
            takes = {f"{key}0": magnitude, f"{key}1": direction}
            recipes[name] = Recipe(takes, fold_weight_norm, part_weight_norm)
    return recipes


def fold_weight_norm(magnitude: Tensor, direction: Tensor) -> Tensor:
    """The weight of a normed convolution. The norm is over all axes but the first, transposed or not."""
    return weight_norm_scale(magnitude, direction) * direction


def weight_norm_scale(magnitude: Tensor, direction: Tensor) -> Tensor:
    """What each output channel of ``direction`` is multiplied by: (channels, 1, ...)."""
    norm: Tensor = direction.flatten(1).norm(dim=1)
    return magnitude / norm.reshape(magnitude.shape)


def part_weight_norm(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Magnitude and direction of a folded weight. A direction's values are about 1, as float16 likes them."""
    channel = weight.flatten(1)
    magnitude = channel.norm(dim=1).reshape(-1, *[1] * (weight.dim() - 1))
    alive = magnitude > 0
    direction = weight / torch.where(alive, magnitude, 1) * channel.shape[1] ** 0.5
    return magnitude, torch.where(alive, direction, 1)


def merged_table(net: nn.Module, config: T3Config) -> dict[str, Recipe]:
    """As `plain`, but for T3's one table: text codes, speech codes, and a row for the speaker's place."""
    takes = {
        "text_emb.weight": like(config.text_codes, config.width),
        "speech_emb.weight": like(config.speech_codes, config.width),
    }
    ends = (config.text_codes, config.text_codes + config.speech_codes)
    return {**plain(net), "table.weight": Recipe(takes, _table, lambda table: table.tensor_split(ends)[:2])}


def _itself(tensor: Tensor) -> Tensor:
    return tensor


def _table(text: Tensor, speech: Tensor) -> Tensor:
    return torch.cat((text, speech, speech.new_zeros(1, speech.shape[1])))


def check(path: Path, plan: FilePlan) -> LoadReport:
    """Compare a file's header with what it must hold; reads no weight.

    Raises ConfigError (field `model`) naming the file and the first of all its keys that are missing,
    misshapen or unknown.
    """
    takes = plan.takes()
    with _opened(path) as file:
        keys = set(file.keys())
        problems = [f"{key} {_shown(takes[key])} is missing" for key in takes if key not in keys]
        for key in sorted(keys & takes.keys()):
            problems += _misfit(key, file.get_slice(key), takes[key])
        for key in sorted(keys - takes.keys() - plan.unused.keys()):
            problems.append(f"{key} {_shape(file.get_slice(key))} is not known")
    if problems:
        raise ConfigError("model", str(path), f"does not fit: {_first(problems)}")
    unused = tuple((key, each.reason) for key, each in plan.unused.items() if key in keys)
    return LoadReport(path, tuple(takes), unused)


def fill(net: nn.Module, path: Path, recipes: Recipes) -> None:
    """Give ``net`` its weights from a checked file, as float32. What needs no recipe stays mapped."""
    with _opened(path) as file:
        state = {name: _made(file, recipe) for name, recipe in recipes.items()}
    net.load_state_dict(state, assign=True)


def _made(file: Any, recipe: Recipe) -> Tensor:
    taken = (file.get_tensor(key).to(each.dtype) for key, each in recipe.takes.items())
    return recipe.make(*taken)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The safetensors file. Raises ConfigError when it is missing, or not one, or cut short."""
    from safetensors import SafetensorError, safe_open

    try:
        file = safe_open(path, framework="pt")
    except (OSError, SafetensorError) as error:
        raise ConfigError("model", str(path), f"cannot be read as safetensors: {error}") from None
    with file:
        yield file


def _misfit(key: str, found: Any, wanted: Tensor) -> list[str]:
    shape, dtype = _shape(found), found.get_dtype()
    if shape != tuple(wanted.shape):
        return [f"{key} is {shape} and must be {_shown(wanted)}"]
    if dtype not in (_FLOATS if wanted.is_floating_point() else _WHOLE):
        kind = "floating" if wanted.is_floating_point() else "whole"
        return [f"{key} is of {dtype} and must be of {kind} numbers"]
    return []


def _shape(found: Any) -> tuple[int, ...]:
    return tuple(found.get_shape())


def _shown(wanted: Tensor) -> str:
    return str(tuple(wanted.shape))


def _first(problems: list[str]) -> str:
    more = len(problems) - SHOWN_PROBLEMS
    shown = "; ".join(problems[:SHOWN_PROBLEMS])
    return f"{shown}; and {more} more" if more > 0 else shown
