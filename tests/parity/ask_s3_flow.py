"""The reference's flow, given weights, tokens and noise: its encoder, one step, and the whole mel.

Runs in the reference's environment: ask_s3_flow.py MODEL INPUTS.npz ANSWERS.npz. MODEL holds
`talkspurt.json` and `flow.npz`, whose names are those of the checkpoint under `flow.`.
"""

import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from chatterbox.models.s3gen.configs import CFM_PARAMS
from chatterbox.models.s3gen.decoder import ConditionalDecoder
from chatterbox.models.s3gen.flow import CausalMaskedDiffWithXvec
from chatterbox.models.s3gen.flow_matching import CausalConditionalCFM
from chatterbox.models.s3gen.transformer import upsample_encoder


def build(model: dict[str, Any]) -> Any:
    """Its flow at the sizes of ``model``."""
    encoder, estimator = model["encoder"], model["estimator"]
    width = encoder["width"]
    reference = upsample_encoder.UpsampleConformerEncoder(
        input_size=width,
        output_size=width,
        attention_heads=encoder["heads"],
        linear_units=encoder["feed_forward"],
        num_blocks=encoder["layers"],
        macaron_style=False,
        use_cnn_module=False,
    )
    # These two are of width 512 there, whatever is asked for; and there are always four up layers.
    reference.pre_lookahead_layer = upsample_encoder.PreLookaheadLayer(width, encoder["lookahead_tokens"])
    reference.up_layer = upsample_encoder.Upsample1D(width, width, 2)
    reference.up_encoders = reference.up_encoders[: encoder["up_layers"]]
    decoder = ConditionalDecoder(
        in_channels=320,
        out_channels=80,
        causal=True,
        channels=[estimator["channels"]],
        dropout=0.0,
        attention_head_dim=estimator["head_width"],
        n_blocks=estimator["transformers"],
        num_mid_blocks=estimator["mid_blocks"],
        num_heads=estimator["heads"],
        act_fn="gelu",
        meanflow=True,
    )
    return CausalMaskedDiffWithXvec(
        input_size=width,
        spk_embed_dim=model["xvector"]["width"],
        vocab_size=model["codes"],
        encoder=reference,
        decoder=CausalConditionalCFM(spk_emb_dim=80, cfm_params=CFM_PARAMS, estimator=decoder),
    ).eval()


@torch.inference_mode()
def answer(flow: Any, given: dict[str, torch.Tensor], steps: int) -> dict[str, torch.Tensor]:
    tokens, prompt_tokens = given["tokens"], int(given["prompt_tokens"])
    length = torch.tensor([tokens.shape[1]])
    hidden, _ = flow.encoder(flow.input_embedding(tokens), length)
    velocity = flow.decoder.estimator(
        given["x"],
        mask=torch.ones(1, 1, given["x"].shape[2]),
        mu=given["mean"],
        t=given["start"],
        spks=given["speaker"],
        cond=given["cond"],
        r=given["end"],
    )
    # It draws the prompt's noise itself: let it draw what we give.
    with patch.object(torch, "randn_like", lambda _: given["noise"].clone()):
        mel, _ = flow.inference(
            token=tokens[:, prompt_tokens:],
            token_len=length - prompt_tokens,
            prompt_token=tokens[:, :prompt_tokens],
            prompt_token_len=torch.tensor([prompt_tokens]),
            prompt_feat=given["cond"][..., : 2 * prompt_tokens].transpose(1, 2),
            prompt_feat_len=None,
            embedding=given["embedding"],
            finalize=True,
            n_timesteps=steps,
            noised_mels=given["noise"][..., 2 * prompt_tokens :],
            meanflow=True,
        )
    return {"hidden": hidden, "velocity": velocity, "mel": mel}


def main(folder: str, inputs: str, answers: str) -> None:
    torch.set_num_threads(1)
    model = json.loads((Path(folder) / "talkspurt.json").read_text())
    flow = build(model)
    weights = np.load(Path(folder) / "flow.npz")
    flow.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files}, strict=True)
    given = {name: torch.from_numpy(array) for name, array in np.load(inputs).items()}
    found = answer(flow, given, model["estimator"]["euler_steps"])
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in found.items()}
    np.savez(answers, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
