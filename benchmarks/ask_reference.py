"""The reference implementation under the same load, run by its own Python: no import of ours.

Reads a job as JSON from standard input, writes one JSON line of timings. Its watermark is left out:
ours has none.
"""

import contextlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any


def open_reference(folder: Path) -> Any:
    """Its own loader's steps; 0.1.7 knows Turbo alone, so Nano's numbers are given to it."""
    import torch
    from chatterbox.models.s3gen import S3Gen
    from chatterbox.models.t3 import T3
    from chatterbox.models.t3.llama_configs import LLAMA_CONFIGS
    from chatterbox.models.t3.modules.t3_config import T3Config
    from chatterbox.tts_turbo import Conditionals
    from safetensors.torch import load_file
    from transformers import AutoTokenizer

    nano = (folder / "t3_nano_v1.safetensors").exists()
    small = {"hidden_size": 768, "n_embd": 768, "n_layer": 12, "n_head": 12}
    LLAMA_CONFIGS["GPT2_small"] = {**LLAMA_CONFIGS["GPT2_medium"], **small}
    hp = T3Config(text_tokens_dict_size=50276)
    hp.llama_config_name = "GPT2_small" if nano else "GPT2_medium"
    hp.speech_tokens_dict_size = 6563
    hp.input_pos_emb = None
    hp.speech_cond_prompt_len = 375
    hp.use_perceiver_resampler = False
    hp.emotion_adv = False
    t3 = T3(hp)
    t3.load_state_dict(load_file(folder / ("t3_nano_v1.safetensors" if nano else "t3_turbo_v1.safetensors")))
    del t3.tfmr.wte
    s3gen = S3Gen(meanflow=True)
    s3gen.load_state_dict(load_file(folder / "s3gen_meanflow.safetensors"), strict=True)
    voice = Conditionals.load(folder / "conds.pt", map_location="cpu")
    with torch.inference_mode():
        return t3.eval(), s3gen.eval(), AutoTokenizer.from_pretrained(folder), voice


def speak(parts: Any, text: str, tokens: int) -> dict[str, float]:
    """One utterance of ``tokens`` speech tokens and the three of silence that end it."""
    import torch

    t3, s3gen, tokenizer, voice = parts
    ids = tokenizer(text, return_tensors="pt").input_ids
    began = time.perf_counter()
    codes = t3.inference_turbo(t3_cond=voice.t3, text_tokens=ids, max_gen_len=tokens - 1)[0]
    spoken = time.perf_counter()
    assert len(codes) == tokens, (len(codes), tokens)
    codes = torch.cat([codes[codes < 6561], torch.tensor([4299] * 3)])
    audio, _ = s3gen.inference(speech_tokens=codes, ref_dict=dict(voice.gen), n_cfm_timesteps=2)
    ended = time.perf_counter()
    return {
        "t3_s": spoken - began,
        "s3gen_s": ended - spoken,
        "first_audio_s": ended - began,
        "total_s": ended - began,
        "audio_s": audio.shape[-1] / 24_000,
        "tokens": tokens,
    }


def main() -> None:
    import torch

    job = json.load(sys.stdin)
    torch.set_num_threads(job["threads"])
    torch.manual_seed(job["seed"])
    with contextlib.redirect_stdout(sys.stderr):
        parts = open_reference(Path(job["weights"]))
        speak(parts, job["utterances"][0]["text"], 10)  # warm
        done = [speak(parts, each["text"], each["tokens"]) for each in job["utterances"]]
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"utterances": done, "peak_mib": peak_mib}) + "\n")


if __name__ == "__main__":
    main()
