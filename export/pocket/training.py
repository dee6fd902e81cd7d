"""What every stage's training has in common: steps with a schedule, a log, a place to go on from.

A run is a folder: `log.jsonl` (one line a record), `state.pt` (nets, optimiser, step). The data of step
n is told by (seed, n), so that a run that was stopped and one that was not see the same.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

STATE_FILE = "state.pt"
LOG_FILE = "log.jsonl"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a stage is trained."""

    steps: int
    learning_rate: float
    seed: int = 0
    warmup_steps: int = 100
    final_share: float = 0.02  # of the learning rate, where the cosine ends
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    average: float = 0.999  # of weights, exponential; what is kept in the end
    log_every: int = 20
    judge_every: int = 500
    save_every: int = 250

    def rate_at(self, step: int) -> float:
        """Linear up, then half a cosine down."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(self.steps - self.warmup_steps, 1)
        low = self.final_share
        return self.learning_rate * (low + (1 - low) * (1 + math.cos(math.pi * min(done, 1))) / 2)


Losses = dict[str, Tensor]
"""By name; `loss` is what is minimised, the rest is told."""


class Run:
    """One stage's training in a folder of its own; made again, it goes on where it was saved."""

    def __init__(
        self,
        folder: Path,
        nets: dict[str, nn.Module],
        plan: Plan,
        device: str = "cpu",
        optimizers: Sequence[torch.optim.Optimizer] = (),
    ) -> None:
        """``optimizers`` stand in for AdamW over all parameters; a group's `scale` is of the rate."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.nets, self.plan, self.device = folder, nets, plan, device
        torch.manual_seed(plan.seed)
        for net in nets.values():
            net.to(device)
        self._parameters = [each for net in nets.values() for each in net.parameters() if each.requires_grad]
        adam = torch.optim.AdamW(_decay_groups(nets.values(), plan.weight_decay), betas=(0.9, 0.98))
        self._optimizers = tuple(optimizers) or (adam,)
        self._average = [each.detach().clone() for each in self._parameters]
        self.step = 0
        self.seconds = 0.0
        if (folder / STATE_FILE).is_file():
            self._load()

    def train(
        self,
        losses: Callable[[int, np.random.Generator], Losses],
        judge: Callable[[], dict[str, float]] | None = None,
    ) -> None:
        """Call ``losses(step, draw)`` until the plan's steps are done. ``judge`` runs on averaged weights."""
        plan, told = self.plan, _Means()
        bar = tqdm(total=plan.steps, initial=self.step, desc=self.folder.name, unit=" steps")
        while self.step < plan.steps:
            began = time.monotonic()
            told.add(self._one(losses))
            self.seconds += time.monotonic() - began
            bar.update()
            if self.step % plan.log_every == 0 or self.step == plan.steps:
                means = told.take()
                bar.set_postfix({name: f"{value:.3f}" for name, value in means.items()})
                self._log({"rate": plan.rate_at(self.step), **means})
            if judge is not None and (self.step % plan.judge_every == 0 or self.step == plan.steps):
                self._log({f"held_out_{name}": value for name, value in self._judged(judge).items()})
            if self.step % plan.save_every == 0 or self.step == plan.steps:
                self._save()
        bar.close()

    def use_average(self) -> None:
        """Give the nets their averaged weights, for good."""
        for parameter, average in zip(self._parameters, self._average, strict=True):
            parameter.data.copy_(average)

    def _one(self, losses: Callable[[int, np.random.Generator], Losses]) -> Losses:
        plan = self.plan
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = plan.rate_at(self.step) * group.get("scale", 1)
        for net in self.nets.values():
            net.train()
        found = losses(self.step, np.random.default_rng([plan.seed, self.step]))
        for net in self.nets.values():
            net.zero_grad(set_to_none=True)
        found["loss"].backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self._parameters, plan.clip_norm)
        if bool(torch.isfinite(norm)):
            for optimizer in self._optimizers:
                optimizer.step()
        self.step += 1
        keep = min(plan.average, self.step / (self.step + 10))
        with torch.no_grad():
            for average, parameter in zip(self._average, self._parameters, strict=True):
                average.lerp_(parameter, 1 - keep)
        return {**{name: value.detach() for name, value in found.items()}, "norm": norm.detach()}

    def _judged(self, judge: Callable[[], dict[str, float]]) -> dict[str, float]:
        trained = [each.detach().clone() for each in self._parameters]
        self.use_average()
        for net in self.nets.values():
            net.eval()
        with torch.no_grad():
            found = judge()
        for parameter, kept in zip(self._parameters, trained, strict=True):
            parameter.data.copy_(kept)
        return found

    def _log(self, values: dict[str, float]) -> None:
        line = {"step": self.step, "seconds": round(self.seconds, 1)}
        rounded = {name: float(f"{value:.5g}") for name, value in values.items()}
        with (self.folder / LOG_FILE).open("a") as log:
            log.write(json.dumps({**line, **rounded}) + "\n")

    def _save(self) -> None:
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "nets": {name: net.state_dict() for name, net in self.nets.items()},
            "optimizers": [each.state_dict() for each in self._optimizers],
            "average": self._average,
        }
        written = self.folder / f".{STATE_FILE}"
        torch.save(state, written)
        os.replace(written, self.folder / STATE_FILE)

    def _load(self) -> None:
        state: dict[str, Any] = torch.load(self.folder / STATE_FILE, map_location=self.device)
        self.step, self.seconds = state["step"], state["seconds"]
        for name, net in self.nets.items():
            net.load_state_dict(state["nets"][name])
        kept = state["optimizers"] if "optimizers" in state else [state["optimizer"]]
        for optimizer, each in zip(self._optimizers, kept, strict=True):
            optimizer.load_state_dict(each)
        self._average = state["average"]


class _Means:
    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, values: Losses) -> None:
        self._count += 1
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value)

    def take(self) -> dict[str, float]:
        means = {name: total / self._count for name, total in self._sums.items()}
        self._sums, self._count = {}, 0
        return means


def _decay_groups(nets: Iterable[nn.Module], weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; biases, norms and periods do not."""
    parameters = [each for net in nets for each in net.parameters() if each.requires_grad]
    return [
        {"params": [each for each in parameters if each.dim() > 1], "weight_decay": weight_decay},
        {"params": [each for each in parameters if each.dim() <= 1], "weight_decay": 0.0},
    ]
