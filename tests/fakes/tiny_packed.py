"""The tiny model packed as the pocket one is, made once for all tests of a process."""

import atexit
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

from torch import nn

from engines.nets.build import Nets, load_nets
from export.pocket.pack import Speaker, Trained, pack_trained
from tests.engines.voices.speechlike import speechlike
from tests.fakes.tiny_model import FEWER_CODES, tiny_checkpoint

CREATED = "2026-11-21T12:00:00+00:00"
MODEL = replace(FEWER_CODES, name="tiny-packed", vocoder=replace(FEWER_CODES.vocoder, harmonics=0))
"""As the pocket model: few codes, and a source of one sine."""


def nets_of(nets: Nets) -> dict[type[nn.Module], nn.Module]:
    """Every net by its kind, as a checkpoint is written of them."""
    kinds = (nets.t3, nets.flow, nets.vocoder, nets.xvector, nets.speech_tokenizer, nets.voice_encoder)
    return {type(net): net for net in kinds}


@cache
def tiny_trained() -> Trained:
    """Random nets in float32, as if they had been trained; leave them as they are."""
    work = Path(tempfile.mkdtemp(prefix="talkspurt-trained-"))
    atexit.register(shutil.rmtree, work, ignore_errors=True)
    weights = tiny_checkpoint(work / "weights", MODEL)
    log = work / "log.jsonl"
    log.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "held_out_loss": 1.5}\n')
    return Trained(
        model=MODEL,
        nets=nets_of(load_nets(weights)),
        tokenizer=weights,
        speakers={
            "default": Speaker("One", speechlike(5.2, seed=1), -26.0),
            "other": Speaker("Another", speechlike(5.4, seed=2), -27.5),
        },
        logs={"flow": log, "t3": log},
        created=CREATED,
    )


@cache
def tiny_packed() -> Path:
    """Folder of the packed model; leave it as it is."""
    out = tiny_trained().tokenizer.with_name("packed")
    pack_trained(tiny_trained(), out)
    return out
