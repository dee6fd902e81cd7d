"""Pure: frozen dataclasses to JSON values and back, strictly. The annotations are the schema.

Nothing is guessed: an unknown key, a missing key and a wrong type are SchemaErrors that name the place.
"""

import json
import types
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from benchmarks.errors import SchemaError

Value = TypeVar("Value")


def to_json(value: Any) -> Any:
    """A value made of dataclasses, enums, tuples and scalars, as JSON has it."""
    if is_dataclass(value):
        return {each.name: to_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {key: to_json(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [to_json(each) for each in value]
    return value


def read_versioned(path: Path, schema: str, version: int) -> Any:
    """The object in a result file. Raises SchemaError unless it is there and of this schema and version."""
    try:
        value = json.loads(path.read_text())
    except OSError as error:
        raise SchemaError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise SchemaError(f"{path}: not JSON") from None
    found = (value.get("schema"), value.get("version")) if isinstance(value, dict) else (None, None)
    if found != (schema, version):
        raise SchemaError(f"{path}: expected {schema} {version}, found {found[0]} {found[1]}")
    return value


def from_json(kind: type[Value], value: Any, where: str = "") -> Value:
    """The dataclass `kind` out of what `json.loads` gave. Raises SchemaError."""
    if not isinstance(value, dict):
        raise SchemaError(f"{where or kind.__name__}: expected an object, found {type(value).__name__}")
    hints = get_type_hints(kind)
    for key in value.keys() - hints.keys():
        raise SchemaError(f"{_path(where, key)}: unknown key")
    for key in hints.keys() - value.keys():
        raise SchemaError(f"{_path(where, key)}: missing")
    return kind(**{key: _read(hint, value[key], _path(where, key)) for key, hint in hints.items()})


def _read(hint: Any, value: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        (inner,) = (each for each in get_args(hint) if each is not type(None))
        return None if value is None else _read(inner, value, where)
    if origin is tuple:
        inner = get_args(hint)[0]
        listed = _expect(list, value, where)
        return tuple(_read(inner, each, f"{where}[{index}]") for index, each in enumerate(listed))
    if origin is dict:
        inner = get_args(hint)[1]
        return {
            key: _read(inner, each, _path(where, key)) for key, each in _expect(dict, value, where).items()
        }
    if hint is Any:
        return value
    if is_dataclass(hint):
        return from_json(hint, value, where)  # type: ignore[arg-type]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _read_enum(hint, value, where)
    return _read_scalar(hint, value, where)


def _read_enum(kind: type[Enum], value: Any, where: str) -> Enum:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(str(each.value) for each in kind)
        raise SchemaError(f"{where}: {value!r} is unknown; known are {known}") from None


def _read_scalar(kind: type, value: Any, where: str) -> Any:
    # JSON writes 2.0 as 2.0, but other writers say 2; a bool is never a number.
    if kind is float and type(value) is int:
        return float(value)
    return _expect(kind, value, where)


def _expect(kind: type, value: Any, where: str) -> Any:
    if type(value) is not kind:
        raise SchemaError(f"{where}: expected {kind.__name__}, found {type(value).__name__}")
    return value


def _path(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
