"""The reference's T3, given weights and a voice: logits, codes and what it would draw them from.

Runs in the reference's environment: ask_t3.py MODEL INPUTS.npz ANSWERS.npz. MODEL holds
`talkspurt.json`, its T3 file and a tokenizer, which reads the `texts` of INPUTS.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from chatterbox.models.t3 import t3 as reference
from chatterbox.models.t3.modules.cond_enc import T3Cond
from chatterbox.models.t3.modules.t3_config import T3Config
from chatterbox.tts_turbo import punc_norm
from safetensors.torch import load_file
from transformers import AutoTokenizer


def build(model: dict[str, Any]) -> Any:
    """Its T3 at the sizes of ``model``."""
    sizes = model["t3"]
    gpt2 = {
        **reference.LLAMA_CONFIGS["GPT2_medium"],
        "n_positions": sizes["positions"],
        "n_ctx": sizes["positions"],
        "n_embd": sizes["width"],
        "hidden_size": sizes["width"],
        "n_layer": sizes["layers"],
        "n_head": sizes["heads"],
        "vocab_size": sizes["text_codes"],
    }
    settings = T3Config(text_tokens_dict_size=sizes["text_codes"])
    settings.llama_config_name = "GPT2_medium"
    settings.speech_tokens_dict_size = sizes["speech_codes"]
    settings.input_pos_emb = None
    settings.speech_cond_prompt_len = sizes["prompt_tokens"]
    settings.use_perceiver_resampler = False
    settings.emotion_adv = False
    with patch.dict(reference.LLAMA_CONFIGS, {"GPT2_medium": gpt2}):
        return reference.T3(settings).eval()


class Decoder:
    """Runs its own generation and keeps what it computes, drawing what it is told to."""

    def __init__(self, t3: Any, given: dict[str, Any]) -> None:
        self.t3 = t3
        self.text = torch.from_numpy(given["text"])[None]
        self.voice = T3Cond(
            speaker_emb=torch.from_numpy(given["speaker"])[None],
            cond_prompt_speech_tokens=torch.from_numpy(given["prompt"])[None],
        )
        self.logits: list[torch.Tensor] = []
        self.shares: list[torch.Tensor] = []
        self.codes: list[int] = []
        t3.speech_head.register_forward_hook(lambda _, __, out: self.logits.append(out[0, -1].clone()))

    def run(self, steps: int, draws: Iterator[float] | None, **settings: Any) -> None:
        """``steps`` codes: the likeliest, or by inverse distribution those of ``draws``."""
        self.logits, self.shares, self.codes = [], [], []

        def draw(shares: torch.Tensor, num_samples: int) -> torch.Tensor:
            self.shares.append(shares[0].clone())
            if draws is None:
                code = int(shares[0].argmax())
            else:
                mass = shares[0].double().cumsum(0)
                code = int(torch.searchsorted(mass, next(draws) * float(mass[-1]), right=True))
            self.codes.append(code)
            return torch.tensor([[code]])

        with patch.object(torch, "multinomial", draw):
            self.t3.inference_turbo(self.voice, self.text, max_gen_len=steps - 1, **settings)


def main(folder: str, inputs: str, answers: str) -> None:
    torch.set_num_threads(1)
    model = json.loads((Path(folder) / "talkspurt.json").read_text())
    given = dict(np.load(inputs))
    t3 = build(model)
    t3.load_state_dict(load_file(Path(folder) / model["t3_file"]), strict=True)
    decoder = Decoder(t3, given)
    found: dict[str, Any] = {}
    # Unfiltered, so that the code drawn is the likeliest after the penalty alone.
    decoder.run(int(given["greedy_steps"]), None, temperature=1.0, top_k=0, top_p=1.0)
    found["greedy_logits"] = torch.stack(decoder.logits).numpy()
    found["greedy_codes"] = np.array(decoder.codes)
    decoder.run(len(given["draws"]), iter(given["draws"].tolist()))
    found["sampled_logits"] = torch.stack(decoder.logits).numpy()
    found["sampled_shares"] = torch.stack(decoder.shares).numpy()
    found["sampled_codes"] = np.array(decoder.codes)
    texts, tokenizer = given["texts"].tolist(), AutoTokenizer.from_pretrained(folder)
    found["prepared"] = np.array([punc_norm(text) for text in texts])
    for i, text in enumerate(texts):
        found[f"ids_{i}"] = np.array(tokenizer(text).input_ids, np.int64)
    np.savez(answers, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
