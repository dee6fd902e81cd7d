"""From the same weights our flow is the reference's: encoder, a step of the estimator, the whole mel."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engines.model import MEL_BANDS, MODEL_FILE, TURBO, ModelConfig
from engines.nets.s3_flow import S3Flow
from engines.nets.s3_past import Past, key_bias
from tests.engines.nets.flows import SMALL, FlowInputs, in_one_batch, random_flow, random_inputs
from tests.parity.oracle import ask, relative_error

PROMPT_TOKENS = 11
TOLERANCE = 1e-5
START, END = 0.5, 1.0

Answers = Mapping[str, NDArray[Any]]


def step_inputs(frames: int) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(7)
    x, mean = torch.randn(2, 1, MEL_BANDS, frames, generator=draw)
    return {"x": x, "mean": mean, "speaker": torch.randn(1, MEL_BANDS, generator=draw)}


def reference_answers(flow: S3Flow, model: ModelConfig, inputs: FlowInputs, folder: Path) -> Answers:
    (folder / MODEL_FILE).write_text(model.to_json())
    weights, state = folder / "flow.npz", flow.state_dict()
    np.savez(weights, **{name: tensor.numpy() for name, tensor in state.items()})
    given = {
        "tokens": inputs.tokens,
        "prompt_tokens": torch.tensor(PROMPT_TOKENS),
        "embedding": inputs.embedding,
        "cond": inputs.cond,
        "noise": inputs.noise,
        "start": torch.tensor([START]),
        "end": torch.tensor([END]),
        **step_inputs(inputs.noise.shape[2]),
    }
    answers = ask("s3_flow", folder, {name: tensor.numpy() for name, tensor in given.items()}, folder)
    weights.unlink()  # 460 MB at the real size
    return answers


def our_answers(flow: S3Flow, inputs: FlowInputs) -> Answers:
    hidden = flow.encoder(flow.input_embedding(inputs.tokens), inputs.tokens_length, Past())
    given = step_inputs(inputs.noise.shape[2])
    frames = given["x"].shape[2]
    speaker = given["speaker"][..., None].expand(-1, -1, frames)
    x = torch.cat((given["x"], given["mean"], speaker, inputs.cond), 1)
    time = flow.estimator.embed_times(START, END)
    velocity = flow.estimator(x, time, key_bias(torch.tensor([frames]), frames), Past())
    mel = flow(*inputs.args())[..., 2 * PROMPT_TOKENS :]
    return {"hidden": hidden.numpy(), "velocity": velocity.numpy(), "mel": mel.numpy()}


@pytest.fixture(scope="module")
def flow() -> S3Flow:
    return random_flow()


@pytest.fixture(scope="module")
def inputs() -> FlowInputs:
    return random_inputs(PROMPT_TOKENS, PROMPT_TOKENS + 13)


@pytest.fixture(scope="module")
def theirs(flow: S3Flow, inputs: FlowInputs, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    return reference_answers(flow, SMALL, inputs, tmp_path_factory.mktemp("small"))


@pytest.mark.parametrize("part", ["hidden", "velocity", "mel"])
def test_each_part_is_the_references(flow: S3Flow, inputs: FlowInputs, theirs: Answers, part: str) -> None:
    assert relative_error(our_answers(flow, inputs)[part], theirs[part]) < TOLERANCE


def test_a_row_padded_in_a_batch_is_the_references_alone(
    flow: S3Flow, inputs: FlowInputs, theirs: Answers
) -> None:
    frames = inputs.noise.shape[2]
    batch = in_one_batch([inputs, random_inputs(20, 41, seed=3)])
    mel = flow(*batch.args())[:1, :, 2 * PROMPT_TOKENS : frames]
    assert relative_error(mel.numpy(), theirs["mel"]) < TOLERANCE


def test_at_the_real_size_too(tmp_path: Path) -> None:
    flow, inputs = random_flow(TURBO), random_inputs(PROMPT_TOKENS, PROMPT_TOKENS + 13, TURBO)
    theirs = reference_answers(flow, TURBO, inputs, tmp_path)
    ours = our_answers(flow, inputs)
    for part in theirs:
        assert relative_error(ours[part], theirs[part]) < TOLERANCE, part
