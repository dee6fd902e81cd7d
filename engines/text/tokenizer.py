"""Text to T3's text ids: the punctuation it was trained with, then GPT-2's byte-level BPE and the tags."""

import json
from pathlib import Path
from typing import Any

from engines.errors import BackendUnavailable, ConfigError
from engines.model import TOKENIZER_FILES

TOKENIZER_FILE = "tokenizer.json"
"""All in one file, where a folder has it."""

END_OF_TEXT = "<|endoftext|>"

_PLAIN = str.maketrans(
    {"…": ", ", ":": ",", "—": "-", "–": "-", "“": '"', "”": '"', "‘": "'", "’": "'"},
)
_ENDINGS = (".", "!", "?", "-", ",")


def prepare(text: str) -> str:
    """One segment as the model was trained to read it; empty if there is nothing in it.

    Begins with a capital, ends in a stop, and has typewriter's punctuation and single spaces.
    """
    text = " ".join(text.translate(_PLAIN).split()).replace(" ,", ",")
    text = text[:1].upper() + text[1:]
    return text if not text or text.endswith(_ENDINGS) else text + "."


class TextTokenizer:
    """The tokenizer in a model's folder: `tokenizer.json`, or the published model's three files.

    Raises ConfigError (field `model`) naming the file that is missing or wrong, and
    BackendUnavailable without the `tokenizers` library.
    """

    def __init__(self, folder: Path) -> None:
        whole = folder / TOKENIZER_FILE
        self._tokenizer = _read_whole(whole) if whole.is_file() else _read_parts(folder)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.tags: frozenset[int] = frozenset(
            i
            for i, token in self._tokenizer.get_added_tokens_decoder().items()
            if token.content != END_OF_TEXT
        )
        """Ids of the tags, as [laugh]: sounds that last longer than a piece of text does."""

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text).ids
        return ids


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise BackendUnavailable(f"tokenizers is not installed ({error}): install talkspurt[onnx]") from error
    return tokenizers


def _read_whole(path: Path) -> Any:
    library = _library()
    try:
        return library.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise ConfigError("model", str(path), f"is not a tokenizer: {error}") from None


def _read_parts(folder: Path) -> Any:
    """The vocabulary, its merges, and the tags behind them, whose ids must be the file's."""
    for name in TOKENIZER_FILES:
        if not (folder / name).is_file():
            raise ConfigError("model", str(folder), f"lacks the tokenizer's {name}")
    vocab, merges, added = (folder / name for name in TOKENIZER_FILES)
    tokenizer = _bpe(vocab, merges)
    tags = _read_ids(added)
    if tokenizer.token_to_id(END_OF_TEXT) is not None:
        tokenizer.add_special_tokens([END_OF_TEXT])
    for tag in sorted(tags, key=tags.__getitem__):
        tokenizer.add_tokens([tag])
        if (given := tokenizer.token_to_id(tag)) != tags[tag]:
            raise ConfigError("model", str(added), f"has {tag!r} at {tags[tag]}, which is {given} here")
    return tokenizer


def _bpe(vocab: Path, merges: Path) -> Any:
    library = _library()
    try:
        model = library.models.BPE.from_file(str(vocab), str(merges))
    except Exception as error:  # the library raises nothing narrower
        raise ConfigError("model", str(vocab), f"and {merges.name} are no BPE: {error}") from None
    tokenizer = library.Tokenizer(model)
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def _read_ids(path: Path) -> dict[str, int]:
    try:
        ids = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ConfigError("model", str(path), f"is not JSON: {error}") from None
    if not isinstance(ids, dict) or not all(type(i) is int for i in ids.values()):
        raise ConfigError("model", str(path), "must be an object of tags and their ids")
    return ids
