"""What a folder of official weights holds: every file read strictly, nothing run."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import nn

from engines.errors import ConfigError
from engines.model import CONDITIONALS_FILE, TOKENIZER_FILES, ModelConfig, find_model
from engines.nets.build import blank_nets, file_plans
from engines.nets.conditionals import load_conditionals
from engines.nets.weights import FilePlan, check, fill
from engines.voices.conditioning import Conditioning
from engines.voices.files import read_voice, shipped_voices
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
    yield from _voices(folder, model)
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


def _voices(folder: Path, model: ModelConfig) -> Iterator[Finding]:
    """That of the conditionals, and those that lie beside the model."""
    shipped = shipped_voices(folder)
    for name in shipped:
        yield _voice(name, partial(_conditioning, folder / name, model))
    if (folder / CONDITIONALS_FILE).is_file():
        yield _voice(CONDITIONALS_FILE, partial(load_conditionals, folder / CONDITIONALS_FILE, model))
    elif not shipped:
        yield Finding(CONDITIONALS_FILE, True, "not there: no built-in voice")


def _conditioning(path: Path, model: ModelConfig) -> Conditioning:
    conditioning: Conditioning = read_voice(path, model).conditioning
    return conditioning


def _voice(name: str, read: Callable[[], Conditioning]) -> Finding:
    try:
        voice = read()
    except ConfigError as error:
        return Finding(name, False, str(error))
    return Finding(name, True, f"a voice of {len(voice.t3_prompt)} and {len(voice.s3_prompt)} codes")


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
