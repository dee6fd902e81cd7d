"""The loop that every stage's training shares."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from export.pocket.training import LOG_FILE, Losses, Plan, Run

PLAN = Plan(steps=40, learning_rate=0.05, warmup_steps=10, log_every=10, judge_every=20, save_every=15)


def make(folder: Path, plan: Plan = PLAN) -> tuple[nn.Linear, Run]:
    torch.manual_seed(3)
    net = nn.Linear(4, 1)
    return net, Run(folder, {"net": net}, plan)


def step_of(net: nn.Linear, seen: list[int]) -> Callable[[int, np.random.Generator], Losses]:
    def losses(step: int, draw: np.random.Generator) -> Losses:
        seen.append(step)
        x = torch.from_numpy(draw.standard_normal((32, 4), np.float32))
        loss = (net(x)[:, 0] - x.sum(1)).square().mean()
        return {"loss": loss}

    return losses


def records(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / LOG_FILE).read_text().splitlines()]


def test_the_rate_climbs_in_warm_up_and_falls_along_half_a_cosine() -> None:
    rates = [PLAN.rate_at(step) for step in range(40)]
    assert rates[:10] == pytest.approx([0.005 * (i + 1) for i in range(10)])
    assert rates[10] == pytest.approx(0.05)
    assert rates[25] == pytest.approx(0.05 * (0.02 + 0.98 / 2))
    assert PLAN.rate_at(40) == pytest.approx(0.05 * 0.02)
    assert all(a > b for a, b in pairwise(rates[10:]))


def test_training_lowers_the_loss_and_logs_its_means(tmp_path: Path) -> None:
    net, run = make(tmp_path)
    run.train(step_of(net, []))
    logged = [each for each in records(tmp_path) if "loss" in each]
    assert [each["step"] for each in logged] == [10, 20, 30, 40]
    assert logged[-1]["loss"] < 0.2 * logged[0]["loss"]


def test_a_run_that_was_stopped_ends_with_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    whole, run = make(tmp_path / "whole")
    run.train(step_of(whole, []))
    run.use_average()
    net, run = make(tmp_path / "parts")

    class Stopped(Exception):
        pass

    def stopping(step: int, draw: np.random.Generator) -> Losses:
        if step == 33:
            raise Stopped
        return step_of(net, [])(step, draw)

    with pytest.raises(Stopped):
        run.train(stopping)
    seen: list[int] = []
    net, run = make(tmp_path / "parts")
    run.train(step_of(net, seen))
    run.use_average()
    assert seen == list(range(30, 40)), "it goes on where it was last saved"
    for mine, other in zip(net.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def test_judging_hears_averaged_weights_and_training_goes_on_with_its_own(tmp_path: Path) -> None:
    net, run = make(tmp_path, replace(PLAN, average=0.9))
    heard: list[torch.Tensor] = []

    def judge() -> dict[str, float]:
        assert not net.training
        heard.append(net.weight.detach().clone())
        return {"error": 1.5}

    run.train(step_of(net, []), judge)
    last = net.weight.detach().clone()
    run.use_average()
    assert len(heard) == 2
    assert not torch.equal(heard[-1], last), "what was judged is the average"
    assert torch.equal(net.weight, heard[-1])
    assert [each["held_out_error"] for each in records(tmp_path) if "held_out_error" in each] == [1.5, 1.5]


def test_a_step_whose_gradient_is_not_finite_changes_nothing(tmp_path: Path) -> None:
    net, run = make(tmp_path, replace(PLAN, steps=1, warmup_steps=0))
    before = net.weight.detach().clone()
    run.train(lambda step, draw: {"loss": net.weight.sum() * float("inf")})
    assert torch.equal(net.weight, before)


def test_optimizers_of_ones_own_take_the_schedule_in_their_groups_scale(tmp_path: Path) -> None:
    net = nn.Linear(4, 1)
    groups: list[dict[str, Any]] = [{"params": [net.weight], "scale": 0.5}, {"params": [net.bias]}]
    optimizer = torch.optim.SGD(groups, lr=9.0)
    run = Run(tmp_path, {"net": net}, replace(PLAN, steps=5), optimizers=[optimizer])
    run.train(step_of(net, []))
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.0125, 0.025])
