"""Text ids. That they are the reference's is in tests/parity/test_t3.py."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engines.errors import BackendUnavailable, ConfigError
from engines.text.tokenizer import END_OF_TEXT, TextTokenizer, prepare
from export.random_tokenizer import TAGS, write_tokenizer

CODES = 420


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder, CODES)
    return folder


@pytest.fixture
def broken(folder: Path, tmp_path: Path) -> Path:
    """The files, for a test to spoil."""
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def spelt(folder: Path, ids: list[int]) -> list[str]:
    vocabulary = json.loads((folder / "vocab.json").read_text()) | json.loads(
        (folder / "added_tokens.json").read_text()
    )
    by_id = {i: token for token, i in vocabulary.items()}
    return [by_id[i] for i in ids]


def test_text_is_cut_as_gpt_2_cuts_it(folder: Path) -> None:
    pieces = spelt(folder, TextTokenizer(folder).encode("the x"))
    assert "".join(pieces) == "theĠx"
    assert "the" in pieces  # the merges are applied


def test_every_byte_has_an_id(folder: Path) -> None:
    tokenizer = TextTokenizer(folder)
    assert all(
        0 <= i < CODES for char in "é漢🙂\n\t\x00ß" for i in tokenizer.encode(char) or pytest.fail(char)
    )


def test_a_tag_is_one_id_behind_the_vocabulary(folder: Path) -> None:
    tokenizer = TextTokenizer(folder)
    laugh = CODES - len(TAGS) + TAGS.index("[laugh]")
    ids = tokenizer.encode("Ha [laugh] ha[laugh].")
    assert ids.count(laugh) == 2
    assert tokenizer.tags == set(range(CODES - len(TAGS), CODES))


def test_what_looks_like_a_tag_is_spelt_out(folder: Path) -> None:
    tokenizer = TextTokenizer(folder)
    assert not tokenizer.tags & set(tokenizer.encode("[Laugh] [laugh [ laugh] [jump]"))


def test_all_in_one_file_gives_the_same_ids(folder: Path, broken: Path) -> None:
    parts = TextTokenizer(folder)
    parts._tokenizer.save(str(broken / "tokenizer.json"))
    (broken / "vocab.json").unlink()
    whole = TextTokenizer(broken)
    assert whole.encode("Good morning [sigh] Robin.") == parts.encode("Good morning [sigh] Robin.")
    assert whole.tags == parts.tags


def test_a_saved_files_truncation_and_padding_are_not_ours(folder: Path, broken: Path) -> None:
    saved = TextTokenizer(folder)._tokenizer
    saved.enable_truncation(3)
    saved.enable_padding(length=50)
    saved.save(str(broken / "tokenizer.json"))
    assert TextTokenizer(broken).encode("Good morning, Robin") == TextTokenizer(folder).encode(
        "Good morning, Robin"
    )


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt", "added_tokens.json"])
def test_a_missing_file_is_named(broken: Path, name: str) -> None:
    (broken / name).unlink()
    with pytest.raises(ConfigError, match=name):
        TextTokenizer(broken)


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt", "added_tokens.json", "tokenizer.json"])
def test_a_spoilt_file_is_named(broken: Path, name: str) -> None:
    (broken / name).write_text("nonsense and more nonsense")
    with pytest.raises(ConfigError, match=name):
        TextTokenizer(broken)


@pytest.mark.parametrize("added", ["[1]", '{"[laugh]": "9"}'])
def test_tags_that_are_no_object_of_ids_are_refused(broken: Path, added: str) -> None:
    (broken / "added_tokens.json").write_text(added)
    with pytest.raises(ConfigError, match="must be an object"):
        TextTokenizer(broken)


def test_a_tag_whose_id_is_not_the_next_is_refused(broken: Path) -> None:
    (broken / "added_tokens.json").write_text('{"[laugh]": 9999}')
    with pytest.raises(ConfigError, match=r"'\[laugh\]' at 9999"):
        TextTokenizer(broken)


def test_the_end_of_text_may_be_among_the_added_and_is_no_tag(broken: Path) -> None:
    added = json.loads((broken / "added_tokens.json").read_text())
    vocabulary = json.loads((broken / "vocab.json").read_text())
    added[END_OF_TEXT] = vocabulary[END_OF_TEXT]
    (broken / "added_tokens.json").write_text(json.dumps(added))
    assert vocabulary[END_OF_TEXT] not in TextTokenizer(broken).tags


def test_without_the_library_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(BackendUnavailable, match=r"talkspurt\[onnx\]"):
        TextTokenizer(folder)


def test_the_library_is_loaded_only_when_asked_for() -> None:
    ask = "import engines.text.tokenizer, sys; sys.exit('tokenizers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", ask]).returncode == 0


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("", ""),
        ("  \n ", ""),
        ("hello", "Hello."),
        ("Hello.", "Hello."),
        ("  two   spaces\tand\na line ", "Two spaces and a line."),
        ("really?", "Really?"),
        ("no!", "No!"),
        ("well,", "Well,"),
        ("and then-", "And then-"),
        ("one; two;", "One; two;."),
        ("first: second", "First, second."),
        ("wait … what", "Wait, what."),
        ("he said “no” to ‘it’", "He said \"no\" to 'it'."),
        ("a—b–c", "A-b-c."),
        ("one , two", "One, two."),
        ("[laugh] hello", "[laugh] hello."),
        ("éclair", "Éclair."),
        ("9 lives", "9 lives."),
    ],
)
def test_text_is_brought_into_the_form_the_model_knows(text: str, prepared: str) -> None:
    assert prepare(text) == prepared
