"""Graphs are made of one set of nets, and each net is read when it is needed."""

from pathlib import Path

import pytest
import torch

from engines.backends import signature
from engines.errors import ConfigError
from engines.model import PUBLISHED, S3GEN_FILE, ModelConfig
from engines.nets.build import blank_nets, file_plans, graphs, load_nets
from engines.nets.voice_encoder import VoiceEncoder
from tests.fakes.tiny_model import TINY, tiny_checkpoint

ALL_GRAPHS = {
    signature.T3_STEP,
    signature.S3_CHUNK,
    signature.S3_PROMPT,
    signature.S3_CACHED_CHUNK,
    signature.VOICE_XVECTOR,
    signature.VOICE_CODES,
    signature.VOICE_SPEAKER,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


def test_there_is_a_module_for_every_graph(folder: Path) -> None:
    made = graphs(load_nets(folder))
    assert set(made) == ALL_GRAPHS
    assert len(made) == len(ALL_GRAPHS)
    assert all(isinstance(each, torch.nn.Module) and not each.training for each in made.values())


def test_a_graph_is_made_once_and_shares_its_nets(folder: Path) -> None:
    nets = load_nets(folder)
    made = graphs(nets)
    assert made[signature.S3_CHUNK] is made[signature.S3_CHUNK]
    for name in (signature.S3_CHUNK, signature.S3_CACHED_CHUNK, signature.S3_PROMPT):
        assert dict(made[name].named_children())["flow"] is nets.flow


def test_a_name_that_no_graph_has_is_a_key_error(folder: Path) -> None:
    with pytest.raises(KeyError, match="t4_step"):
        graphs(load_nets(folder))["t4_step"]


def test_speaking_reads_no_voice_net(folder: Path) -> None:
    nets = load_nets(folder)
    made = graphs(nets)
    for name in (signature.T3_STEP, signature.S3_CHUNK, signature.S3_PROMPT):
        assert made[name]
    read = {"t3", "flow", "vocoder", "xvector", "speech_tokenizer", "voice_encoder"} & vars(nets).keys()
    assert read == {"t3", "flow", "vocoder"}


def test_another_description_may_be_given_than_the_folders_own(folder: Path) -> None:
    with pytest.raises(ConfigError, match="t3_nano_v1"):
        load_nets(folder, PUBLISHED["nano"])


def test_the_graphs_speak(folder: Path) -> None:
    made = graphs(load_nets(folder))
    with torch.inference_mode():
        codes = made[signature.VOICE_CODES](torch.randn(1, TINY.speech_tokenizer.mels, 40))
        embedding = made[signature.VOICE_XVECTOR](torch.randn(1, 60, 80))
        speaker = made[signature.VOICE_SPEAKER](torch.rand(2, 160, 40))
        past = [torch.zeros(1, TINY.t3.heads, 0, TINY.t3.head_width)] * (2 * TINY.t3.layers)
        ids = torch.tensor([[TINY.t3.speaker_id, 3, 4]])
        length = torch.tensor([3])
        logits, _ = made[signature.T3_STEP](ids, length, speaker[:1], torch.tensor([0]), *past)
    assert codes.shape == (1, 10)
    assert embedding.shape == (1, TINY.xvector.width)
    assert logits.shape == (1, TINY.t3.speech_codes)
    assert logits.isfinite().all()


def test_a_recurrent_net_runs_on_what_was_read(folder: Path) -> None:
    """An LSTM keeps a second list of its weights."""
    read = load_nets(folder).voice_encoder
    copied = VoiceEncoder(TINY.voice_encoder)
    copied.load_state_dict(read.state_dict())
    partials = torch.rand(3, 160, 40)
    with torch.inference_mode():
        assert torch.equal(read(partials), copied(partials))


@pytest.mark.parametrize("model", [*PUBLISHED.values(), TINY], ids=lambda model: model.name)
def test_no_two_nets_take_the_same_key(model: ModelConfig) -> None:
    for plan in file_plans(model, blank_nets(model)):
        taken = [key for net in plan.nets.values() for recipe in net.values() for key in recipe.takes]
        assert len(taken) == len(set(taken)), plan.name
        assert not set(taken) & plan.unused.keys()


def test_all_files_are_compared_before_any_is_read(tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path)
    (tmp_path / S3GEN_FILE).write_bytes(b"")
    with pytest.raises(ConfigError, match=S3GEN_FILE):
        load_nets(tmp_path)
