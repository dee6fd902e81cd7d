import string

from benchmarks.texts import TextSet, make_texts, texts_digest


def test_the_same_seed_gives_the_same_texts() -> None:
    assert make_texts(50, 3) == make_texts(50, 3)
    assert make_texts(50, 3) != make_texts(50, 4)


def test_the_first_texts_do_not_depend_on_how_many_are_made() -> None:
    assert make_texts(5, 3) == make_texts(50, 3)[:5]


def test_the_texts_of_version_1_are_these_for_ever() -> None:
    assert texts_digest(make_texts(100, 1)) == "ef3596282cca"


def test_every_place_is_filled() -> None:
    for text_set in TextSet:
        for text in make_texts(200, 1, text_set):
            assert "{" not in text
            assert "}" not in text
            assert text[-1] in ".?"
            assert set(text) <= set(string.printable)


def test_sets_differ_in_length() -> None:
    def mean(text_set: TextSet) -> float:
        texts = make_texts(200, 1, text_set)
        return sum(map(len, texts)) / len(texts)

    assert mean(TextSet.SHORT) < 60 < mean(TextSet.MEDIUM) < 120 < 250 < mean(TextSet.LONG) < 400


def test_mixed_texts_have_all_lengths() -> None:
    chars = [len(text) for text in make_texts(300, 1)]
    assert 60 < sum(each < 60 for each in chars) < 120
    assert 30 < sum(each > 200 for each in chars) < 90


def test_few_texts_come_twice() -> None:
    texts = make_texts(500, 1, TextSet.MEDIUM)
    assert len(set(texts)) > 400


def test_the_digest_sees_order_and_borders() -> None:
    assert texts_digest(["a", "b"]) != texts_digest(["b", "a"])
    assert texts_digest(["ab", ""]) != texts_digest(["a", "b"])
