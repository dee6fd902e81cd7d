"""All of the pocket voice's training, in order; what was done is left alone, what was stopped goes on."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from export.pocket.texts import bare


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be trained, and where."""

    work: Path
    hours: int = 20
    seed: int = 1
    device: str = "cpu"
    kept: frozenset[str] = frozenset()
    """Texts for judging, as texts.bare gives them: T3 hears none of them."""


def corpus(order: Order) -> None:
    from export.pocket.corpus import make_corpus

    make_corpus(order.work / "corpus", order.hours, order.seed, order.kept, os.cpu_count() or 1)


def tokenizer(order: Order) -> None:
    from export.pocket.speech import train_tokenizer

    train_tokenizer(order.work, device=order.device)


def features(order: Order) -> None:
    from export.pocket.speech import make_features

    make_features(order.work)


def speakers(order: Order) -> None:
    from export.pocket.speakers import train_speakers

    train_speakers(order.work, device=order.device)


def vocoder(order: Order) -> None:
    from export.pocket.vocoder import train_vocoder

    train_vocoder(order.work, device=order.device)


def flow(order: Order) -> None:
    from export.pocket.flow import train_flow

    train_flow(order.work, device=order.device)


def tune(order: Order) -> None:
    from export.pocket.tune import tune_vocoder

    tune_vocoder(order.work, device=order.device)


def t3(order: Order) -> None:
    from export.pocket.t3 import train_t3

    train_t3(order.work, order.kept, device=order.device)


STAGES: Mapping[str, Callable[[Order], None]] = {
    each.__name__: each for each in (corpus, tokenizer, features, speakers, vocoder, flow, tune, t3)
}
"""In order. Nothing but the flow needs the speakers; tuning needs vocoder and flow; T3 only the codes."""


def train(order: Order, stages: Iterable[str], progress: Callable[[str], None] = lambda stage: None) -> None:
    """Run ``stages``, of STAGES, in their order there."""
    wanted = set(stages)
    for name, stage in STAGES.items():
        if name in wanted:
            progress(name)
            stage(order)


def kept_texts(paths: Iterable[Path]) -> frozenset[str]:
    """The texts of files with one a line, for Order.kept."""
    return frozenset(bare(line) for path in paths for line in path.read_text("utf-8").splitlines() if line)
