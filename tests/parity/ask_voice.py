"""Run by the reference's Python: its features, its three voice nets and its conditioning.

MODEL holds talkspurt.json (sizes) and official weights. Inputs: `recording_0`.. at 24 kHz, and
`fbank`, `log_mel`, `partials` for the nets alone.
"""

import builtins
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyloudnorm
import s3tokenizer.model_v2
import torch
import torchaudio
from chatterbox import tts_turbo
from chatterbox.models.s3gen import s3gen, xvector
from chatterbox.models.s3tokenizer import S3Tokenizer
from chatterbox.models.voice_encoder import VoiceEncoder, melspec, voice_encoder
from chatterbox.models.voice_encoder.config import VoiceEncConfig
from safetensors.torch import load_file

Sizes = dict[str, Any]
State = dict[str, torch.Tensor]


def weights(folder: Path, prefix: str) -> State:
    """Every key under a prefix, of whichever file holds it, without the prefix."""
    found = {}
    for path in folder.glob("*.safetensors"):
        for key, value in load_file(path).items():
            if key.startswith(prefix):
                found[key[len(prefix) :]] = value
    return found


def make_tokenizer(config: Sizes, state: State) -> Any:
    sizes = s3tokenizer.model_v2.S3TokenizerV2.__init__.__defaults__[0]
    sizes.n_audio_state = config["width"]
    sizes.n_audio_head = config["heads"]
    sizes.n_audio_layer = config["layers"]
    exact = s3tokenizer.model_v2.precompute_freqs_cis
    head_width = config["width"] // config["heads"]
    s3tokenizer.model_v2.precompute_freqs_cis = lambda dim, end: exact(head_width, end)
    tokenizer = S3Tokenizer("speech_tokenizer_v2_25hz")
    missing, unexpected = tokenizer.load_state_dict(state, strict=False)
    assert not unexpected, unexpected
    assert set(missing) <= {"_mel_filters", "window"}, missing
    return tokenizer.eval()


def make_xvector(config: Sizes, state: State) -> Any:
    layers = tuple(config["layers"])
    xvector.zip = lambda *_: builtins.zip(layers, (3, 3, 3), (1, 2, 2), strict=True)
    block, blocks, _, bands = xvector.FCM.__init__.__defaults__
    xvector.FCM.__init__.__defaults__ = (block, blocks, config["channels"], bands)
    net = xvector.CAMPPlus(
        embedding_size=config["width"],
        growth_rate=config["growth"],
        bn_size=config["bottleneck"],
        init_channels=config["first_channels"],
        memory_efficient=False,
    )
    net.load_state_dict(state, strict=True)
    return net.eval()


def make_voice_encoder(config: Sizes, state: State) -> Any:
    hp = VoiceEncConfig()
    hp.ve_hidden_size, hp.speaker_embed_size = config["hidden"], config["width"]
    net = VoiceEncoder(hp)
    net.lstm = torch.nn.LSTM(hp.num_mels, config["hidden"], config["layers"], batch_first=True)
    state = {key: value for key, value in state.items() if key.startswith(("lstm.", "proj."))}
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert not unexpected, unexpected
    assert set(missing) == {"similarity_weight", "similarity_bias"}, missing
    return net.eval()


class Front(s3gen.S3Token2Mel):  # type: ignore[misc]
    """S3Gen without its flow: embed_ref needs no more."""

    dtype = torch.float32

    def __init__(self, tokenizer: Any, speaker_encoder: Any) -> None:
        torch.nn.Module.__init__(self)
        self.tokenizer = tokenizer
        self.speaker_encoder = speaker_encoder
        self.mel_extractor = s3gen.mel_spectrogram


def features(recording: Any, tokenizer: Any) -> dict[str, Any]:
    """Of one recording at 24 kHz; those at 16 kHz are of its resampling by sinc."""
    audio = torch.from_numpy(recording)
    at_16k = torchaudio.transforms.Resample(24_000, 16_000)(audio)
    fbank, _, _ = xvector.extract_feature([at_16k])
    trimmed, _ = tts_turbo.librosa.effects.trim(at_16k.numpy(), top_db=20)
    mel = melspec.melspectrogram(trimmed, VoiceEncConfig()).T
    return {
        "sinc": at_16k.numpy(),
        "soxr": tts_turbo.librosa.resample(recording, orig_sr=24_000, target_sr=16_000),
        "prompt_mel": s3gen.mel_spectrogram(audio)[0].T.numpy(),
        "fbank": fbank[0].numpy(),
        "log_mel": tokenizer.log_mel_spectrogram(at_16k).numpy(),
        "partials": np.array(voice_encoder.stride_as_partials(mel, VoiceEncConfig(), rate=1.3)),
        "loudness": pyloudnorm.Meter(24_000).integrated_loudness(recording.astype(np.float64)),
        "normalised": tts_turbo.ChatterboxTurboTTS.norm_loudness(None, recording, 24_000),
    }


def conditioning(recording: Any, front: Front, speaker: Any, prompt_tokens: int) -> dict[str, Any]:
    tts_turbo.librosa.load = lambda path, sr: (recording, sr)
    tts = object.__new__(tts_turbo.ChatterboxTurboTTS)
    tts.s3gen, tts.ve, tts.device = front, speaker, "cpu"
    tts.t3 = SimpleNamespace(hp=SimpleNamespace(speech_cond_prompt_len=prompt_tokens))
    tts.prepare_conditionals("recording")
    t3, gen = tts.conds.t3, tts.conds.gen
    return {
        "speaker": t3.speaker_emb[0],
        "t3_prompt": t3.cond_prompt_speech_tokens[0],
        "s3_prompt": gen["prompt_token"][0],
        "s3_prompt_mel": gen["prompt_feat"][0],
        "embedding": gen["embedding"][0],
    }


@torch.inference_mode()
def main(model: str, inputs: str, answers: str) -> None:
    torch.set_num_threads(1)
    folder = Path(model)
    config = json.loads((folder / "talkspurt.json").read_text())
    given = np.load(inputs)
    tokenizer = make_tokenizer(config["speech_tokenizer"], weights(folder, "tokenizer."))
    embedder = make_xvector(config["xvector"], weights(folder, "speaker_encoder."))
    speaker = make_voice_encoder(config["voice_encoder"], load_file(folder / "ve.safetensors"))
    found: dict[str, Any] = {"mel_filters": tokenizer._mel_filters}
    found["shipped_mel_filters"] = shipped_mel_filters()
    log_mel = torch.from_numpy(given["log_mel"])
    found["net.codes"] = tokenizer.quantize(log_mel, torch.tensor([log_mel.shape[-1]]))[0]
    found["net.embedding"] = embedder(torch.from_numpy(given["fbank"]))
    found["net.speakers"] = speaker(torch.from_numpy(given["partials"]))
    front = Front(tokenizer, embedder)
    for name in given.files:
        if name.startswith("recording_"):
            found |= {f"{name}.{key}": value for key, value in features(given[name], tokenizer).items()}
            made = conditioning(given[name], front, speaker, config["t3"]["prompt_tokens"])
            found |= {f"{name}.whole.{key}": value for key, value in made.items()}
    arrays: dict[str, Any] = {key: np.asarray(value) for key, value in found.items()}
    np.savez(answers, **arrays)


def shipped_mel_filters() -> Any:
    """The bank that the tokenizer's own package ships."""
    assets = Path(s3tokenizer.model_v2.__file__).parent / "assets"
    return np.load(assets / "mel_filters.npz")["mel_128"]


if __name__ == "__main__":
    main(*sys.argv[1:])
