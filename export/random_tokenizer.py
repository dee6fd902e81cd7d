"""A byte-level BPE of our own, in the files and with the ids of the published tokenizer.

It knows a paragraph of English. The ids between its last merge and `<|endoftext|>` are fillers that
no text gives, so that the tags have the ids that the published files give them.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from engines.model import TOKENIZER_FILES

END_OF_TEXT = "<|endoftext|>"
TAGS = tuple(
    f"[{name}]"
    for name in (
        "angry",
        "fear",
        "surprised",
        "whispering",
        "advertisement",
        "dramatic",
        "narration",
        "crying",
        "happy",
        "sarcastic",
        "clear throat",
        "sigh",
        "shush",
        "cough",
        "groan",
        "sniff",
        "gasp",
        "chuckle",
        "laugh",
    )
)
"""As many as the published tokenizer has, behind its vocabulary. Their order here is ours."""

MAX_MERGES = 400
_TEXT = """\
Good morning, and thank you for calling. My name is Robin. How can I help you today? I can tell you when
the next train leaves, change your booking, or put you through to somebody else. Your appointment is on
Tuesday the third of March at half past nine. Shall I read that back to you? One moment, please, while I
look that up for you. There are seven of them left, and they cost twelve dollars and fifty cents each.
I am sorry, I did not hear that. Could you say it once more? That is all I need to know. Have a good day!
The weather tomorrow will be mostly dry, with some rain in the evening. Please stay on the line. Nobody
is available at the moment; leave your number after the tone, and we will call you back in the morning.
"""


def write_tokenizer(folder: Path, text_codes: int) -> None:
    """Vocabulary, merges and tags, ``text_codes`` ids in all; at least the 256 bytes and the tags."""
    train_tokenizer(folder, text_codes, _TEXT.splitlines(), TAGS, MAX_MERGES)


def train_tokenizer(
    folder: Path, text_codes: int, texts: Iterable[str], tags: Sequence[str] = (), max_merges: int = 100_000
) -> None:
    """The published tokenizer's files, of a BPE that is trained on ``texts``."""
    vocabulary, merges = _train(text_codes - len(tags) - 1, texts, max_merges)
    ids = {token: i for i, token in enumerate((*vocabulary, END_OF_TEXT))}
    added = {tag: len(ids) + i for i, tag in enumerate(tags)}
    vocab_file, merges_file, added_file = TOKENIZER_FILES
    _write_json(folder / vocab_file, ids)
    (folder / merges_file).write_text("#version: 0.2\n" + "".join(f"{merge}\n" for merge in merges), "utf-8")
    _write_json(folder / added_file, added)
    special = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT)
    _write_json(folder / "special_tokens_map.json", special)
    _write_json(folder / "tokenizer_config.json", {"tokenizer_class": "GPT2Tokenizer", **special})


def _train(tokens: int, texts: Iterable[str], max_merges: int) -> tuple[list[str], list[str]]:
    """``tokens`` tokens in the order of their ids, and the merges that make them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    assert tokens >= len(alphabet), "every byte is a token"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=min(tokens, len(alphabet) + max_merges), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    learnt = json.loads(tokenizer.to_str())["model"]
    vocabulary = sorted(learnt["vocab"], key=learnt["vocab"].__getitem__)
    vocabulary += [f"<filler {i}>" for i in range(len(vocabulary), tokens)]
    return vocabulary, [" ".join(merge) for merge in learnt["merges"]]


def _write_json(path: Path, values: dict[str, object] | dict[str, int] | dict[str, str]) -> None:
    path.write_text(json.dumps(values, ensure_ascii=False, indent=0) + "\n", "utf-8")
