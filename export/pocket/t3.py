"""T3's training: text pieces to speech codes, as one causal sequence.

Speech is aligned with its text, because the synthesiser told which word each phone is of; so one head
is shown where to look while it cannot find it by itself (guided attention, Tachibana et al.,
arXiv:1710.08969, with the true path in place of the diagonal). Matrices are trained by Muon (Jordan, 2024).
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from engines.nets.t3 import HIDDEN, T3Step
from engines.voices.features import voice_encoder_partials
from export.pocket.corpus import Shard
from export.pocket.flite import FLITE_HZ, VOICES
from export.pocket.model import CODES, DIGITS, POCKET
from export.pocket.pieces import Pieces, make_pieces
from export.pocket.sequences import IGNORED, Batches, read_examples
from export.pocket.speakers import load_speakers
from export.pocket.speech import PHONES
from export.pocket.training import Losses, Plan, Run

PLAN = Plan(steps=2_800, learning_rate=1.5e-3, weight_decay=0.05, average=0.998)

PHONES_WEIGHT = 0.25
"""Of telling which phone is being said, and which comes next: a help in training that T3 forgets."""

GUIDED_LAYERS = (2, 3)
GUIDED_WEIGHT, GUIDED_SHARE = 0.3, 0.5
"""Of the loss at first, going down to nothing over that share of the steps."""

_HELD_OUT = 256
_HEARD_S = 2.5


class Sequences(nn.Module):
    """T3 over whole sequences: the net's own parameters, none of its stores."""

    def __init__(self) -> None:
        super().__init__()
        self.t3 = T3Step(POCKET.t3)
        # In the end the projection of speakers gives these.
        self.voices = nn.Embedding(len(VOICES), POCKET.t3.width)
        _initialise(self.t3)
        nn.init.normal_(self.voices.weight, std=0.5)
        # A code's row is its own and its digits': codes that differ in one digit are neighbours.
        self.digits_in = nn.Parameter(torch.zeros(3 * DIGITS, POCKET.t3.width))
        self.digits_out = nn.Parameter(torch.zeros(3 * DIGITS, POCKET.t3.width))
        self.phones = nn.Linear(POCKET.t3.width, 2 * len(PHONES))
        self.digits: Tensor
        self.register_buffer("digits", digits_of_codes(), persistent=False)

    def forward(self, ids: Tensor, voice: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Hidden (B, S, width) of ids (B, S), and the guided heads' log shares (B, S, S) each."""
        t3 = self.t3
        rows = F.embedding(ids, self.table())
        hidden = torch.where((ids == t3.speaker_id)[..., None], self.voices(voice)[:, None], rows)
        positions: Any = t3.tfmr.wpe
        hidden = hidden + positions.weight[: ids.shape[1]]
        shares: list[Tensor] = []
        blocks: Any = t3.tfmr.h
        for index, layer in enumerate(blocks):
            heard, share = _attend(layer.attn, layer.ln_1(hidden), guided=index in GUIDED_LAYERS)
            hidden = hidden + heard
            hidden = hidden + layer.mlp(layer.ln_2(hidden))
            shares += share
        last: Any = t3.tfmr.ln_f
        return last(hidden), shares

    def table(self) -> Tensor:
        """T3's table of ids as it will be."""
        return self.t3.table.weight + F.pad(
            self.digits @ self.digits_in,
            (0, 0, POCKET.t3.first_speech_id, len(self.t3.table.weight) - POCKET.t3.first_speech_id - CODES),
        )

    def head(self) -> Tensor:
        """The weight of T3's head as it will be."""
        return self.t3.speech_head.weight + F.pad(self.digits @ self.digits_out, (0, 0, 0, 2))

    def logits(self, hidden: Tensor) -> Tensor:
        """(N, codes + 2) of hidden (N, width)."""
        return F.linear(hidden, self.head(), self.t3.speech_head.bias)

    def fold(self) -> T3Step:
        """T3 with its digits' parts in its own table and head."""
        with torch.no_grad():
            table, head = self.table().clone(), self.head().clone()
            self.t3.table.weight.copy_(table)
            self.t3.speech_head.weight.copy_(head)
            self.digits_in.zero_()
            self.digits_out.zero_()
        return self.t3


def digits_of_codes() -> Tensor:
    """(codes, 3 * digits): which value each digit of a code has."""
    code = torch.arange(CODES)[:, None] // 3 ** torch.arange(DIGITS) % 3
    return F.one_hot(code, 3).flatten(1).float()


def _attend(attention: Any, x: Tensor, guided: bool) -> tuple[Tensor, list[Tensor]]:
    batch, ids, width = x.shape
    split = attention.c_attn(x).reshape(batch, ids, 3, attention.heads, attention.head_width)
    q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)
    # Written out: on a CPU the backward pass of the fused kernel takes 2.5 times as long in bfloat16.
    later = torch.full((ids, ids), HIDDEN, dtype=q.dtype, device=x.device).triu(1)
    scores = (q * attention.head_width**-0.5) @ k.transpose(2, 3) + later
    heard = scores.softmax(-1) @ v
    shares = [scores[:, 0].float().log_softmax(-1)] if guided else []
    out: Tensor = attention.c_proj(heard.transpose(1, 2).reshape(batch, ids, width))
    return out, shares


def _initialise(net: T3Step) -> None:
    """GPT-2's, but for positions, which begin as sinusoids."""
    config = POCKET.t3
    for name, parameter in net.named_parameters():
        if name.endswith("c_proj.weight"):
            nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * config.layers))
        elif parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.02)
    place = torch.arange(config.positions)[:, None].float()
    rate = torch.exp(torch.arange(0, config.width, 2) * (-math.log(1_000.0) / config.width))
    with torch.no_grad():
        net.tfmr.wpe.weight.copy_(
            0.02 * torch.stack(((place * rate).sin(), (place * rate).cos()), -1).flatten(1)
        )


def optimizers(net: Sequences, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for tables, norms and biases."""
    named = [(name, p) for name, p in net.named_parameters() if "spkr_enc" not in name]
    inner = [p for name, p in named if p.dim() == 2 and ".h." in name]
    tables = [p for name, p in named if p.dim() == 2 and ".h." not in name]
    vectors = [p for _, p in named if p.dim() < 2]
    muon = torch.optim.Muon(inner, weight_decay=plan.weight_decay, adjust_lr_fn="match_rms_adamw")
    groups = [{"params": tables, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]
    return [muon, torch.optim.AdamW(groups, betas=(0.9, 0.95))]


def losses(net: Sequences, batch: dict[str, Tensor], guided_weight: float) -> Losses:
    """Cross-entropy of the codes, and how far guided heads look from the word being said."""
    kind = batch["ids"].device.type
    with torch.autocast(kind, torch.bfloat16):
        hidden, shares = net(batch["ids"], batch["voice"])
        speaks = batch["targets"] != IGNORED
        logits = net.logits(hidden[speaks]).float()
        heard = net.phones(hidden[speaks]).float()
    targets = batch["targets"][speaks]
    code = F.cross_entropy(logits, targets)
    hit = (logits.argmax(-1) == targets).float().mean()
    now, following = heard.chunk(2, -1)
    phone = F.cross_entropy(now, batch["phones"][speaks], ignore_index=IGNORED)
    next_phone = F.cross_entropy(following, batch["next_phones"][speaks], ignore_index=IGNORED)
    loss = code + PHONES_WEIGHT * (phone + next_phone)
    found = {"loss": loss, "code": code, "hit": hit, "phone": phone, "next_phone": next_phone}
    if guided_weight > 0:
        looks = batch["looks"]
        places = torch.arange(looks.shape[1], device=looks.device)
        near = (places - looks[..., None].floor()).abs() <= 1  # (B, S, S)
        known = looks >= 0
        away = torch.stack([-_mass(share[known], near[known]).mean() for share in shares]).mean()
        found |= {"loss": loss + guided_weight * away, "away": away}
    return found


def _mass(log_shares: Tensor, near: Tensor) -> Tensor:
    return log_shares.masked_fill(~near, -3e4).logsumexp(-1)


def train_t3(
    work: Path, banned: frozenset[str] = frozenset(), plan: Plan = PLAN, device: str = "cpu"
) -> Sequences:
    """Train, or go on, in ``work``/runs/t3; averaged weights in the end."""
    make_pieces(work / "tokenizer", POCKET.t3.text_codes, seed=7)
    pieces = Pieces(work / "tokenizer")
    *numbers, last = [int(path.name[:3]) for path in sorted((work / "features").glob("*.frames.json"))]
    batches = Batches(read_examples(work, numbers, banned), pieces, plan.seed)
    kept = [e for e in read_examples(work, [last], frozenset()) if e.cost < 200][:_HELD_OUT]
    judging = Batches(kept, pieces, plan.seed)
    held_out = [judging.rows(kept[i : i + 32]) for i in range(0, len(kept), 32)]
    net = Sequences()
    run = Run(work / "runs" / "t3", {"t3": net}, plan, device, optimizers(net, plan))

    def step(number: int, draw: np.random.Generator) -> Losses:
        batch = {name: value.to(device) for name, value in batches.at(number, draw).items()}
        left = 1 - number / (GUIDED_SHARE * plan.steps)
        return losses(net, batch, GUIDED_WEIGHT * max(left, 0))

    def judge() -> dict[str, float]:
        found = [losses(net, {k: v.to(device) for k, v in rows.items()}, 0) for rows in held_out]
        return {
            name: float(np.mean([float(each[name]) for each in found])) for name in ("code", "hit", "phone")
        }

    run.train(step, judge)
    run.use_average()
    return net.eval()


def load_sequences(work: Path) -> Sequences:
    """The trained net of ``work``."""
    net = Sequences()
    Run(work / "runs" / "t3", {"t3": net}, PLAN, optimizers=optimizers(net, PLAN)).use_average()
    return net.eval()


def load_t3(work: Path) -> T3Step:
    """The trained net as it speaks: what it learnt of the two voices becomes its projection of speakers."""
    sequences = load_sequences(work)
    fit_speakers(sequences, speaker_vectors(work))
    return sequences.fold()


def speaker_vectors(work: Path, count: int = 80) -> list[NDArray[np.float32]]:
    """(count, speaker width) of each voice, as enrolling hears it in utterances of different lengths."""
    _, voice_encoder = load_speakers(work)
    shard = Shard.open(work / "corpus", 0)
    heard: list[list[NDArray[np.float32]]] = [[] for _ in VOICES]
    with torch.inference_mode():
        for utterance in shard.utterances:
            kept = heard[VOICES.index(utterance.voice)]
            if len(kept) < count and utterance.samples >= _HEARD_S * FLITE_HZ:
                partials = torch.from_numpy(voice_encoder_partials(shard.samples(utterance)))
                mean = voice_encoder(partials).mean(0).numpy()
                kept.append(mean / np.linalg.norm(mean))
    return [np.stack(each) for each in heard]


def fit_speakers(net: Sequences, heard: Sequence[NDArray[np.float32]], ridge: float = 0.01) -> None:
    """Let the projection give each voice's own vector for the speaker vectors (N, speaker width) heard of it.

    Ridge regression: T3 is trained while the voice encoder is not there yet, and two voices need no more.
    """
    speakers = np.concatenate(heard).astype(np.float64)
    wanted = np.repeat(net.voices.weight.detach().cpu().double().numpy(), [len(each) for each in heard], 0)
    mean, middle = speakers.mean(0), wanted.mean(0)
    away = speakers - mean
    normal = away.T @ away / len(away) + ridge * np.eye(away.shape[1]) * away.var(0).mean()
    weight = np.linalg.solve(normal, away.T @ (wanted - middle) / len(away)).T
    projection = net.t3.cond_enc["spkr_enc"]
    assert isinstance(projection, nn.Linear)
    with torch.no_grad():
        projection.weight.copy_(torch.from_numpy(weight))
        projection.bias.copy_(torch.from_numpy(middle - weight @ mean))
