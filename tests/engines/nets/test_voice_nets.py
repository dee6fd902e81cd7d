"""The three nets of the voice path: official keys, shapes, what each must and must not depend on, export."""

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from engines.model import TURBO
from engines.nets.speech_tokenizer import SpeechTokenizer
from engines.nets.voice_encoder import VoiceEncoder
from engines.nets.xvector import XVector
from tests.engines.voices.voice_nets import VoiceNets
from tests.fakes.tiny_model import TINY


@pytest.fixture(scope="module")
def nets() -> VoiceNets:
    return VoiceNets(TINY, seed=1)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def sizes(net: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in net.state_dict().items()}


def test_x_vector_has_the_official_keys_and_shapes() -> None:
    with torch.device("meta"):
        found = sizes(XVector(TURBO.xvector))
    assert len(found) == 937
    assert found["head.layer2.0.shortcut.0.weight"] == (32, 32, 1, 1)
    assert found["xvector.tdnn.linear.weight"] == (128, 320, 5)
    assert found["xvector.block2.tdnnd24.cam_layer.linear_local.weight"] == (32, 128, 3)
    assert found["xvector.block3.tdnnd1.nonlinear1.batchnorm.running_var"] == (512,)
    assert found["xvector.transit3.linear.weight"] == (512, 1024, 1)
    assert found["xvector.out_nonlinear.batchnorm.num_batches_tracked"] == ()
    assert found["xvector.dense.linear.weight"] == (192, 1024, 1)
    assert "xvector.dense.nonlinear.batchnorm.weight" not in found


def test_speech_tokenizer_has_the_official_keys_and_shapes() -> None:
    with torch.device("meta"):
        found = sizes(SpeechTokenizer(TURBO.speech_tokenizer))
    assert len(found) == 4 + 6 * 16 + 2
    assert found["encoder.conv1.weight"] == (1280, 128, 3)
    assert found["encoder.blocks.5.attn.fsmn_block.weight"] == (1280, 1, 31)
    assert "encoder.blocks.0.attn.key.bias" not in found
    assert found["encoder.blocks.0.mlp.2.weight"] == (1280, 5120)
    assert found["quantizer._codebook.project_down.weight"] == (8, 1280)


def test_voice_encoder_has_the_official_keys_and_shapes() -> None:
    with torch.device("meta"):
        found = sizes(VoiceEncoder(TURBO.voice_encoder))
    assert len(found) == 3 * 4 + 2
    assert found["lstm.weight_ih_l0"] == (1024, 40)
    assert found["lstm.weight_hh_l2"] == (1024, 256)
    assert found["proj.weight"] == (256, 256)


@pytest.mark.parametrize(("frames", "codes"), [(96, 24), (97, 25), (100, 25), (101, 26), (1_500, 375)])
def test_four_mel_frames_make_a_code(nets: VoiceNets, frames: int, codes: int) -> None:
    assert nets.tokenizer(noise(1, 128, frames)).shape == (1, codes)


def test_codes_fill_their_range_and_stay_in_it() -> None:
    nets = VoiceNets(TINY)
    project = nets.tokenizer.quantizer._codebook["project_down"]
    assert isinstance(project, nn.Linear)
    project.weight.zero_()
    for bias, code in ((-9.0, 0), (0.0, 3_280), (9.0, 6_560)):
        project.bias.fill_(bias)
        assert nets.tokenizer(noise(1, 128, 8)).tolist() == [[code, code]]
    project.bias.copy_(torch.tensor([9.0, *[-9.0] * 7]))  # the first digit counts ones
    assert nets.tokenizer(noise(1, 128, 4)).tolist() == [[2]]


def test_codes_depend_on_their_places() -> None:
    """Without rotary positions and memory, equal frames would all get equal codes."""
    encoder = VoiceNets(TINY, seed=2).tokenizer.encoder
    hidden = encoder(noise(1, 128, 1).expand(1, 128, 400))[0]
    memory, positions = hidden[5] - hidden[50], hidden[40] - hidden[60]
    assert memory.abs().max() > 1e-3  # 5 is nearer to the edge than the memory reaches
    assert positions.abs().max() > 1e-6


def test_the_nets_give_what_they_gave_when_they_agreed_with_the_reference(nets: VoiceNets) -> None:
    """tests/parity asks the reference itself; this stands where it is not installed."""
    embedding = nets.xvector(noise(1, 530, 80))[0, :6]
    expected = [-0.464037, 0.175884, -0.065509, 0.025182, 0.427159, 0.231837]
    np.testing.assert_allclose(embedding.numpy(), expected, atol=2e-4)
    codes = nets.tokenizer(noise(1, 128, 600))[0, ::15]
    assert codes.tolist() == [4419, 3343, 4920, 674, 4559, 4879, 4554, 4562, 5770, 4722]
    speaker = nets.speaker(noise(2, 160, 40).abs())[1, :4]
    np.testing.assert_allclose(speaker.numpy(), [0.178477, 0.032615, 0, 0.003936], atol=1e-5)


def test_an_x_vector_hears_the_whole_recording(nets: VoiceNets) -> None:
    fbank = noise(1, 950, 80)
    whole = nets.xvector(fbank)
    for frame in (0, 400, 949):
        changed = fbank.clone()
        changed[:, frame] += 3
        assert not torch.allclose(nets.xvector(changed), whole, atol=1e-5)


def test_speakers_are_of_length_one_and_alone_in_their_batch(nets: VoiceNets) -> None:
    partials = noise(5, 160, 40).abs()
    speakers = nets.speaker(partials)
    torch.testing.assert_close(speakers.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(nets.speaker(partials[2:3])[0], speakers[2])
    assert (speakers >= 0).all()
    assert not torch.allclose(speakers[0], speakers[1], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "axis", "shapes"),
    [
        ("xvector", 1, [(1, 530, 80), (1, 199, 80), (1, 1_000, 80)]),
        ("tokenizer", 2, [(1, 128, 530), (1, 128, 97), (1, 128, 1_500)]),
        ("speaker", 0, [(3, 160, 40), (1, 160, 40), (38, 160, 40)]),
    ],
)
def test_exports_for_any_length(
    nets: VoiceNets, tmp_path: Path, name: str, axis: int, shapes: list[tuple[int, ...]]
) -> None:
    net, path = getattr(VoiceNets(TINY, seed=3), name), tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is the older one, and 20 times faster
        torch.onnx.export(
            net,
            (noise(*shapes[0]),),
            str(path),
            input_names=["x"],
            dynamic_axes={"x": {axis: "n"}},
            dynamo=False,
        )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for shape in shapes:
        x = noise(*shape, seed=9)
        (answer,) = session.run(None, {"x": x.numpy()})
        np.testing.assert_allclose(answer, net(x).numpy(), atol=2e-5)
