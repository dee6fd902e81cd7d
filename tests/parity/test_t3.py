"""From the same weights our T3 is the reference's: logits, greedy codes, what is drawn from, text ids."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from engines.backends.base import TokenRow, TokenStart, Voice
from engines.backends.runner import Tensors
from engines.backends.signature import t3_step
from engines.chatterbox.tokens import ChatterboxTokens
from engines.model import MODEL_FILE, NANO, ModelConfig, T3Config
from engines.nets.t3 import T3Step
from engines.rates import START_TOKEN, STOP_TOKEN
from engines.sampling import Sampling, distribution, uniform_at
from engines.text.tokenizer import TextTokenizer, prepare
from engines.voices.conditioning import Conditioning
from export.random_tokenizer import write_tokenizer
from tests.parity.oracle import ask, relative_error

SMALL = ModelConfig(
    "small",
    "t3_small.safetensors",
    T3Config(width=64, layers=3, heads=4, text_codes=700, positions=300, prompt_tokens=40),
)
# The published net with fewer text codes: 77 million numbers of its tables would say nothing here.
REAL = replace(NANO, t3=replace(NANO.t3, text_codes=700))
TOLERANCE = 1e-5
GREEDY_STEPS, SAMPLED_STEPS, SEED = 50, 30, 5

TEXTS = (
    "Hello there.",
    "hello",
    " leading and trailing ",
    "two  spaces   and a\ttab\nand lines\r\n",
    "",
    "[laugh]",
    "Ha [laugh] ha[sigh]ha [clear throat].",
    "[Laugh] [laugh [ laugh] ]laugh[",
    "<|endoftext|> in the middle <|endoftext|>",
    "I'm you're he'll we've they'd it's DON'T",
    "1234567890 3.14 1,000,000 $5.00 50%",
    "e-mail: someone@example.com, https://example.com/?q=1&r=2#s",
    "naïve café Ångström façade",
    "漢字かな交じり文",
    "Привет, мир!",
    "مرحبا بالعالم",
    "🙂👍🏽👩‍👩‍👧‍👦 flags 🇫🇷",
    "e\u0301 combining, \u00a0 no-break, \u200b zero width",
    "\x00\x01\x7f control",
    "\ufffd\ud7ff\ue000",
    "a" * 300,
    "the " * 60,
    "!!!???...,,,;;;:::---",
    "“quotes” ‘single’ … — –",
    "\"straight\" 'single' `back`",
    "(parentheses) {braces} <angles> |pipes| \\back/",
    "mixedCASE wOrDs ALLCAPS",
    "tabs\t\ttwo\n\n\nthree",
    "   ",
    "x",
    "Zebra quixotic fjord vex",
    "ﬁ ligature ½ Ⅷ ①",
)

Answers = Mapping[str, NDArray[Any]]


class Whole:
    """A runner of this net alone."""

    compute_dtype = np.float32

    def __init__(self, net: T3Step, model: ModelConfig) -> None:
        self.net, self.names = net, [spec.name for spec in t3_step(model).inputs]
        self.logits: list[NDArray[np.float32]] = []

    def has(self, graph: str) -> bool:
        return True

    def run(self, graph: str, inputs: Tensors) -> dict[str, NDArray[Any]]:
        with torch.inference_mode():
            logits, new_kv = self.net(*(torch.from_numpy(inputs[name]) for name in self.names))
        self.logits.append(logits[0].numpy())
        return {"logits": logits.numpy(), "new_kv": new_kv.numpy()}


class TheseIds:
    """Reads any text as the same ids."""

    tags: frozenset[int] = frozenset()

    def __init__(self, ids: NDArray[np.int64]) -> None:
        self.ids = ids

    def encode(self, text: str) -> list[int]:
        return [int(each) for each in self.ids]


def random_net(config: T3Config) -> T3Step:
    """No parameter is what it begins as, and what is heard decides what is said."""
    torch.manual_seed(3)
    net = T3Step(config).eval().requires_grad_(False)
    for name, parameter in net.named_parameters():
        if parameter.dim() == 1:
            parameter.add_(0.1 * torch.randn_like(parameter))
        elif name in ("table.weight", "tfmr.wpe.weight"):
            parameter.mul_(0.5)
        elif name == "speech_head.weight":
            parameter.normal_(std=2.5 * config.width**-0.5)
    net.speech_head.bias[START_TOKEN:] = -1e3  # the reference may say START, and stops at STOP
    return net


def write_reference(net: T3Step, model: ModelConfig, folder: Path) -> None:
    (folder / MODEL_FILE).write_text(model.to_json())
    state, codes = net.state_dict(), model.t3.text_codes
    table = state.pop("table.weight")
    state["text_emb.weight"] = table[:codes].clone()
    state["speech_emb.weight"] = table[codes:-1].clone()
    for unused in ("text_head.weight", "tfmr.wte.weight"):
        state[unused] = torch.randn(codes, model.t3.width)
    save_file(state, folder / model.t3_file)


def voice(model: ModelConfig) -> Conditioning:
    random = np.random.default_rng(1)
    return Conditioning(
        speaker=random.standard_normal(model.t3.speaker_width, np.float32),
        t3_prompt=random.integers(0, START_TOKEN, model.t3.prompt_tokens),
        s3_prompt=np.zeros(0, np.int64),
        s3_prompt_mel=np.zeros((0, 80), np.float32),
        embedding=np.zeros(192, np.float32),
    )


TEXT_IDS = np.random.default_rng(2).integers(0, 700, 23)


def reference_answers(net: T3Step, model: ModelConfig, folder: Path) -> Answers:
    write_reference(net, model, folder)
    write_tokenizer(folder, model.t3.text_codes)
    conditioning = voice(model)
    given = {
        "text": TEXT_IDS,
        "speaker": conditioning.speaker,
        "prompt": conditioning.t3_prompt,
        "greedy_steps": GREEDY_STEPS,
        "draws": [uniform_at(SEED, position) for position in range(SAMPLED_STEPS)],
        "texts": np.array(TEXTS),
    }
    answers = ask("t3", folder, given, folder)
    (folder / model.t3_file).unlink()
    return answers


def our_course(
    net: T3Step, model: ModelConfig, sampling: Sampling, steps: int
) -> tuple[list[int], NDArray[np.float32]]:
    """Codes and logits of the token lane."""
    runner = Whole(net, model)
    lane = ChatterboxTokens(runner, model, TheseIds(TEXT_IDS), sampling)
    (started,) = lane.start([TokenStart(0, "these ids", Voice("v", "", -27.0, voice(model)), SEED)])
    codes = [started.token]
    while len(codes) < steps:
        codes += lane.step([TokenRow(0, started.state, codes[-1], len(codes), SEED)])
    return codes, np.stack(runner.logits[1:])  # the first are the voice's prefix


OWN_FORM = {
    "": "",
    "   ": "",  # nothing is said; the reference says a sentence of its own
    " leading and trailing ": "Leading and trailing.",  # its capital looks at the blank
    "“quotes” ‘single’ … — –": "\"quotes\" 'single', - -",  # its comma brings a second blank
}
"""What `prepare` makes otherwise than the reference, on purpose."""


@pytest.fixture(scope="module")
def net() -> T3Step:
    torch.set_num_threads(1)
    return random_net(SMALL.t3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("small")


@pytest.fixture(scope="module")
def theirs(net: T3Step, folder: Path) -> Answers:
    return reference_answers(net, SMALL, folder)


def assert_the_same_course(net: T3Step, model: ModelConfig, theirs: Answers) -> None:
    codes, logits = our_course(net, model, Sampling(temperature=0), GREEDY_STEPS)
    assert relative_error(logits[0], theirs["greedy_logits"][0]) < TOLERANCE  # of the prefill
    assert codes == theirs["greedy_codes"].tolist()
    assert relative_error(logits[1:], theirs["greedy_logits"][1:]) < TOLERANCE
    assert len(set(codes)) > 20, "the same code again and again would prove little"


def test_logits_and_greedy_codes_are_the_references(net: T3Step, theirs: Answers) -> None:
    assert_the_same_course(net, SMALL, theirs)


def test_sampled_codes_are_the_references(net: T3Step, theirs: Answers) -> None:
    codes, logits = our_course(net, SMALL, Sampling(), SAMPLED_STEPS)
    assert codes == theirs["sampled_codes"].tolist()
    assert relative_error(logits, theirs["sampled_logits"]) < TOLERANCE


def test_what_codes_are_drawn_from_is_the_references(theirs: Answers) -> None:
    kept = []
    for position, logits in enumerate(theirs["sampled_logits"]):
        heard = np.zeros(STOP_TOKEN + 1, np.bool_)
        heard[theirs["sampled_codes"][:position] if position else START_TOKEN] = True
        ours = distribution(logits, heard, Sampling())
        expected = theirs["sampled_shares"][position]
        np.testing.assert_array_equal(ours > 0, expected > 0)
        np.testing.assert_allclose(ours, expected, atol=1e-6)
        kept.append(np.count_nonzero(ours))
    assert 10 < min(kept) < 1_000, "top-p is at work"


def test_text_ids_are_the_references(folder: Path, theirs: Answers) -> None:
    tokenizer = TextTokenizer(folder)
    for i, text in enumerate(TEXTS):
        assert tokenizer.encode(text) == theirs[f"ids_{i}"].tolist(), text


def test_text_is_prepared_as_the_reference_prepares_it(theirs: Answers) -> None:
    for text, expected in zip(TEXTS, theirs["prepared"].tolist(), strict=True):
        assert prepare(text) == OWN_FORM.get(text, expected), text


def test_at_the_real_size_too(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    net = random_net(REAL.t3)
    assert_the_same_course(net, REAL, reference_answers(net, REAL, tmp_path))
