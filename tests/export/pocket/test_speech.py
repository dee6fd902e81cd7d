"""The pocket model's speech tokenizer: its features, its training's targets, its codes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engines.nets.speech_tokenizer import SpeechTokenizer
from engines.rates import MEL_FRAMES_PER_TOKEN
from engines.voices.features import log_mel_128, prompt_mel
from export.pocket import speech as room
from export.pocket.corpus import Shard, Utterance, to_24k
from export.pocket.model import CODES, POCKET
from export.pocket.speech import (
    CODE_SAMPLES,
    PHONES,
    Reader,
    add_features,
    bounded,
    codes_of,
    crop_targets,
    losses,
    make_features,
)
from tests.export.pocket.made_corpus import buzz, make_audio


@pytest.fixture(scope="module")
def net() -> SpeechTokenizer:
    torch.manual_seed(0)
    return SpeechTokenizer(POCKET.speech_tokenizer).eval()


def wave(codes: int, seed: int = 0) -> NDArray[np.float32]:
    return (buzz("rms", codes * CODE_SAMPLES, seed) / 32_768).astype(np.float32)


def test_features_of_a_batch_are_those_that_enrolling_computes() -> None:
    samples = np.stack([wave(25), wave(25, seed=3)])
    made = add_features({"samples": torch.from_numpy(samples)})
    for row, each in enumerate(samples):
        np.testing.assert_allclose(made["log_mel"][row].numpy(), log_mel_128(each)[:, :100], atol=2e-3)
        # From 16 kHz in place of 24: what lies at the upper edge of the bands differs.
        off = np.abs(made["mel"][row].numpy() - prompt_mel(to_24k(each))[:50])
        assert off[2:-2, :70].mean() < 0.05


def test_targets_are_the_phone_and_the_pitch_at_each_mel_frames_middle(tmp_path: Path) -> None:
    make_audio(tmp_path / "corpus", 1)
    shard = Shard.open(tmp_path / "corpus", 0)
    utterance = Utterance(
        "awb", "words", "no", 0, 4 * CODE_SAMPLES, ("pau", "n", "ow1"), (0.06, 0.08, 0.16), (-1, 0, 0)
    )
    made = crop_targets(shard, utterance, np.zeros(2 * CODE_SAMPLES, np.float32), CODE_SAMPLES)
    assert [PHONES[i] for i in made["phone"]] == ["pau", "n", "ow", "ow"]
    assert made["voice"] == 1
    assert len(made["pitch_hz"]) == 4


def test_what_is_quantised_gives_the_nets_own_codes(net: SpeechTokenizer) -> None:
    log_mel = torch.from_numpy(log_mel_128(wave(30)))[None]
    with torch.no_grad():
        digits = bounded(net, log_mel).round() + 1
        codes = (digits * 3 ** torch.arange(POCKET.speech_tokenizer.digits)).sum(-1).long()
        assert torch.equal(codes, net(log_mel))
    assert 0 <= codes.min() <= codes.max() < CODES == POCKET.codes


def test_a_reader_hears_of_a_phone_in_its_own_code_alone() -> None:
    torch.manual_seed(0)
    reader = Reader(POCKET.speech_tokenizer.digits).eval()
    digits = torch.zeros(1, 9, POCKET.speech_tokenizer.digits)
    other = digits.clone()
    other[0, 4] = 1
    voice = torch.tensor([0])
    with torch.no_grad():
        (phones, sound), (phones_2, sound_2) = reader(digits, voice), reader(other, voice)
        _, sound_3 = reader(digits, torch.tensor([1]))
    told = MEL_FRAMES_PER_TOKEN * 4
    changed = (phones != phones_2).any(-1)[0]
    assert changed.nonzero()[:, 0].tolist() == [told, told + 1]
    assert (sound != sound_2).any(-1)[0].sum() == MEL_FRAMES_PER_TOKEN * 5, "its sound in two neighbours more"
    assert not torch.equal(sound, sound_3), "a voice sounds its own way"


def test_training_lowers_its_losses_and_brings_silence_to_its_code(net: SpeechTokenizer) -> None:
    torch.manual_seed(0)
    trained, reader = SpeechTokenizer(POCKET.speech_tokenizer), Reader(POCKET.speech_tokenizer.digits)
    samples = torch.from_numpy(np.stack([np.concatenate((wave(8), np.zeros(8 * CODE_SAMPLES, np.float32)))]))
    frames = 16 * MEL_FRAMES_PER_TOKEN
    batch = add_features(
        {
            "samples": samples + 1e-4 * torch.randn_like(samples),
            "phone": torch.tensor([[5] * (frames // 2) + [PHONES.index("pau")] * (frames // 2)]),
            "pitch_hz": torch.tensor([[110.0] * (frames // 2) + [0.0] * (frames // 2)]),
            "voice": torch.tensor([0]),
        }
    )
    optimizer = torch.optim.AdamW([*trained.parameters(), *reader.parameters()], 3e-3)
    found = []
    for _ in range(60):
        loss = losses(trained, reader, batch)
        optimizer.zero_grad()
        loss["loss"].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        found.append(float(loss["loss"].detach()))
    assert found[-1] < 0.3 * found[0]
    with torch.no_grad():
        codes = trained(batch["log_mel"])[0]
    assert (codes[9:] == POCKET.silence_code).all()
    assert (codes[:7] != POCKET.silence_code).all()


def test_features_lie_utterance_behind_utterance_two_mel_frames_a_code(
    net: SpeechTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_audio(tmp_path / "corpus", 2)
    monkeypatch.setattr(room, "load_tokenizer", lambda work: net)
    make_features(tmp_path)
    shard = Shard.open(tmp_path / "corpus", 1)
    codes = np.fromfile(tmp_path / "features/001.codes", np.int16)
    mel = np.fromfile(tmp_path / "features/001.mel", np.float16).reshape(-1, 80)
    places = json.loads((tmp_path / "features/001.frames.json").read_text())
    assert len(mel) == MEL_FRAMES_PER_TOKEN * len(codes)
    for utterance, (first, count) in zip(shard.utterances, places, strict=True):
        samples = shard.samples(utterance)
        assert count == utterance.samples // CODE_SAMPLES
        assert (codes[first : first + count] == codes_of(net, samples)[:count]).all()
        np.testing.assert_allclose(
            mel[2 * first : 2 * (first + count)], prompt_mel(to_24k(samples))[: 2 * count], atol=0.02
        )


def test_features_that_are_there_are_left_alone(
    net: SpeechTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_audio(tmp_path / "corpus", 1)
    monkeypatch.setattr(room, "load_tokenizer", lambda work: net)
    make_features(tmp_path)
    (tmp_path / "features/000.codes").write_bytes(b"kept")
    make_features(tmp_path)
    assert (tmp_path / "features/000.codes").read_bytes() == b"kept"
