from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest

from benchmarks.errors import SchemaError
from benchmarks.schema import from_json, to_json


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Leaf:
    count: int


@dataclass(frozen=True, slots=True)
class Tree:
    name: str
    height: float
    old: bool
    colour: Colour
    leaves: tuple[Leaf, ...]
    nest: Leaf | None
    ages: dict[str, int]
    anything: dict[str, Any]


TREE = Tree("oak", 12.5, True, Colour.RED, (Leaf(1), Leaf(2)), None, {"a": 1}, {"x": [1, {"y": None}]})
JSON: dict[str, Any] = {
    "name": "oak",
    "height": 12.5,
    "old": True,
    "colour": "red",
    "leaves": [{"count": 1}, {"count": 2}],
    "nest": None,
    "ages": {"a": 1},
    "anything": {"x": [1, {"y": None}]},
}


def test_a_value_goes_to_json_and_back() -> None:
    assert to_json(TREE) == JSON
    assert from_json(Tree, JSON) == TREE


def test_a_whole_number_may_stand_for_a_float() -> None:
    assert from_json(Tree, JSON | {"height": 12}).height == 12.0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"extra": 1}, "extra: unknown key"),
        ({"name": 1}, "name: expected str, found int"),
        ({"height": True}, "height: expected float, found bool"),
        ({"old": 1}, "old: expected bool, found int"),
        ({"colour": "blue"}, "colour: 'blue' is unknown; known are red"),
        ({"leaves": [{"count": "1"}]}, r"leaves\[0\].count: expected int, found str"),
        ({"leaves": {}}, "leaves: expected list, found dict"),
        ({"nest": {"count": 1, "more": 2}}, "nest.more: unknown key"),
        ({"nest": []}, "nest: expected an object, found list"),
        ({"ages": {"a": None}}, "ages.a: expected int, found NoneType"),
    ],
)
def test_what_does_not_fit_is_named(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        from_json(Tree, JSON | changed)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(SchemaError, match="name: missing"):
        from_json(Tree, {key: value for key, value in JSON.items() if key != "name"})


@pytest.mark.parametrize("value", [None, 1, "x", []])
def test_what_is_no_object_is_refused(value: object) -> None:
    with pytest.raises(SchemaError, match="Tree: expected an object"):
        from_json(Tree, value)
