"""What a folder of official weights holds: every file read strictly, nothing run."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from engines.errors import ConfigError
from engines.model import CONDITIONALS_FILE, TOKENIZER_FILES, ModelConfig, find_model
from engines.nets.build import blank_nets, file_plans
from engines.nets.conditionals import load_conditionals
from engines.nets.weights import FilePlan, check, fill
from export.fetch import LOCK_FILE, FetchFailed, check_lock, read_lock


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    ok: bool
    detail: str


def examine(folder: Path) -> Iterator[Finding]:
    """Look at each file that speaking needs. Raises nothing: what is wrong is a finding."""
    try:
        model = find_model(folder)
    except ConfigError as error:
        yield Finding("model", False, str(error))
        return
    yield Finding("model", True, model.name)
    nets = blank_nets(model)
    for plan in file_plans(model, nets):
        yield _weights(folder, plan, nets)
    yield _voice(folder, model)
    for name in TOKENIZER_FILES:
        is_there = (folder / name).is_file()
        yield Finding(name, is_there, "there" if is_there else "missing")
    yield from _lock(folder)


def _weights(folder: Path, plan: FilePlan, nets: dict[type[nn.Module], nn.Module]) -> Finding:
    try:
        report = check(folder / plan.name, plan)
    except ConfigError as error:
        return Finding(plan.name, False, str(error))
    for kind, recipes in plan.nets.items():
        fill(nets[kind], report.path, recipes)
        for name, tensor in nets[kind].state_dict().items():
            if not tensor.isfinite().all():
                return Finding(plan.name, False, f"{kind.__name__}'s {name} is not finite")
    unused = "; ".join(f"{key} ({reason})" for key, reason in report.unused)
    return Finding(plan.name, True, f"{len(report.used)} keys used; of no use: {unused or 'none'}")


def _voice(folder: Path, model: ModelConfig) -> Finding:
    path = folder / CONDITIONALS_FILE
    if not path.is_file():
        return Finding(path.name, True, "not there: no built-in voice")
    try:
        voice = load_conditionals(path, model)
    except ConfigError as error:
        return Finding(path.name, False, str(error))
    return Finding(path.name, True, f"a voice of {len(voice.t3_prompt)} and {len(voice.s3_prompt)} codes")


def _lock(folder: Path) -> Iterator[Finding]:
    """Only where there is a lock: a folder copied by hand has none."""
    try:
        lock = read_lock(folder)
    except FetchFailed as error:
        yield Finding(LOCK_FILE, False, str(error))
        return
    if lock is not None:
        problems = check_lock(folder, lock)
        detail = "; ".join(problems) or f"{lock.repository} at {lock.revision}, as fetched"
        yield Finding(LOCK_FILE, not problems, detail)
