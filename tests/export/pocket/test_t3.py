"""T3's training: that it learns, and that what it learnt speaks through the engine's own net."""

import numpy as np
import pytest
import torch

from export.pocket import t3 as room
from export.pocket.flite import VOICES
from export.pocket.model import CODES, DIGITS, POCKET
from export.pocket.pieces import Pieces
from export.pocket.sequences import Batches, Example
from export.pocket.t3 import Sequences, digits_of_codes, fit_speakers, losses
from tests.export.pocket.made_sequences import make_examples, make_pieces_for


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Pieces:
    return make_pieces_for(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return make_examples()


def test_whole_sequences_say_what_the_engines_step_says(pieces: Pieces, examples: list[Example]) -> None:
    torch.manual_seed(1)
    net = Sequences().eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    batch = Batches(examples, pieces, seed=0).rows(examples[:2])
    length = int((batch["targets"][0] != -100).nonzero().max()) + 1
    with torch.no_grad():
        hidden, _ = net(batch["ids"][:1, :length], batch["voice"][:1])
        wanted = net.logits(hidden[0, -1])
        t3 = net.fold()
        projection = t3.cond_enc["spkr_enc"]
        assert isinstance(projection, torch.nn.Linear)
        projection.weight.zero_()
        projection.bias.copy_(net.voices.weight[batch["voice"][0]])
        no_past = [
            torch.zeros(1, POCKET.t3.heads, 0, POCKET.t3.head_width) for _ in range(2 * POCKET.t3.layers)
        ]
        logits, _ = t3(
            batch["ids"][:1, :length],
            torch.tensor([length]),
            torch.zeros(1, POCKET.t3.speaker_width),
            torch.tensor([0]),
            *no_past,
        )
    torch.testing.assert_close(logits[0], wanted, rtol=1e-3, atol=1e-3)


def test_it_learns(pieces: Pieces, examples: list[Example]) -> None:
    torch.manual_seed(0)
    net = Sequences()
    batch = Batches(examples, pieces, seed=0).rows(examples[:4])
    optimizers = room.optimizers(net, room.PLAN)
    found = []
    for _ in range(8):
        loss = losses(net, batch, guided_weight=1.0)
        net.zero_grad()
        loss["loss"].backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
        found.append({name: float(value.detach()) for name, value in loss.items()})
    assert found[-1]["code"] < found[0]["code"] - 0.3
    assert found[-1]["phone"] < found[0]["phone"] - 0.2
    assert found[-1]["away"] < found[0]["away"] - 0.1
    assert set(losses(net, batch, 0)) == {"loss", "code", "hit", "phone", "next_phone"}


def test_a_codes_digits_are_those_of_the_tokenizer() -> None:
    digits = digits_of_codes().reshape(CODES, DIGITS, 3).argmax(2)
    assert ((digits * 3 ** torch.arange(DIGITS)).sum(1) == torch.arange(CODES)).all()


def test_the_projection_of_speakers_gives_each_voice_its_own_vector() -> None:
    torch.manual_seed(2)
    net, draw = Sequences(), np.random.default_rng(0)
    centres = draw.standard_normal((len(VOICES), POCKET.t3.speaker_width))
    heard = [
        (centre + 0.1 * draw.standard_normal((60, len(centre)))).astype(np.float32) for centre in centres
    ]
    fit_speakers(net, heard)
    wanted = net.voices.weight.detach()
    for voice, centre in enumerate(centres):
        with torch.no_grad():
            given = net.t3.cond_enc["spkr_enc"](torch.from_numpy(centre).float())
        off = (given - wanted[voice]).norm() / (wanted[0] - wanted[1]).norm()
        assert off < 0.1
