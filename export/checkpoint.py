"""Trained nets to a checkpoint: the official files, by the recipes that read them, the other way round."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from engines.model import MODEL_FILE, ModelConfig
from engines.nets.build import file_plans
from engines.nets.weights import FilePlan
from export.random_weights import DTYPES, file_header


def write_checkpoint(
    folder: Path, model: ModelConfig, nets: Mapping[type[nn.Module], nn.Module], dtype: str = "float16"
) -> None:
    """Write ``nets`` into ``folder``, which is there: what speaking needs, and no key of no use.

    Raises ValueError for weights that ``dtype`` does not hold.
    """
    (folder / MODEL_FILE).write_text(model.to_json())
    for plan in file_plans(model, nets):
        write_tensors(folder / plan.name, file_tensors(plan, nets), dtype)


def file_tensors(plan: FilePlan, nets: Mapping[type[nn.Module], nn.Module]) -> dict[str, Tensor]:
    """Every key of one file with its value, taken from the nets."""
    tensors: dict[str, Tensor] = {}
    for kind, recipes in plan.nets.items():
        state = nets[kind].state_dict()
        for name, recipe in recipes.items():
            tensors |= zip(recipe.takes, recipe.part(state[name]), strict=True)
    return tensors


def write_tensors(path: Path, tensors: Mapping[str, Tensor], dtype: str) -> None:
    """A safetensors file: its header's length, its header, and one tensor after the other."""
    kind = DTYPES[dtype][1]
    # 8-byte numbers first: a reader maps them where they lie, aligned.
    keys = sorted(tensors, key=lambda key: (tensors[key].is_floating_point(), key))
    header = file_header({key: tensors[key] for key in keys}, dtype)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for key in keys:
            values = tensors[key].detach().cpu().numpy()
            with np.errstate(over="ignore"):
                kept = values.astype(kind if values.dtype == np.float32 else np.int64)
            if not np.isfinite(kept).all():
                raise ValueError(f"{path.name}: {key} holds values that {dtype} does not")
            file.write(np.ascontiguousarray(kept).data)
