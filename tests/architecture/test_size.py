"""Files and functions stay small, modules say what they are, and no file is a drawer."""

import ast
from pathlib import PurePosixPath

import pytest

from tests.architecture.sources import PACKAGES, ROOT, Source, sources

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
DRAWERS = {"common", "helper", "helpers", "misc", "stuff", "util", "utils"}

each_source = pytest.mark.parametrize("source", sources(), ids=lambda source: source.path)


def long_functions(source: Source) -> list[str]:
    """Name and length of every function over the limit, decorators not counted."""
    return [
        f"{node.name}: {lines} lines"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]


@each_source
def test_a_file_is_one_noun(source: Source) -> None:
    assert len(source.text.splitlines()) <= MAX_FILE_LINES


@each_source
def test_a_function_fits_a_screen(source: Source) -> None:
    assert long_functions(source) == []


@each_source
def test_a_module_says_what_it_is(source: Source) -> None:
    words = (ast.get_docstring(source.tree) or "").split()
    assert len(words) >= 3, f"{source.path} needs a docstring"


@each_source
def test_no_file_is_a_drawer(source: Source) -> None:
    assert not DRAWERS & {*PurePosixPath(source.path.removesuffix(".py")).parts}


def test_every_package_there_is_is_looked_at() -> None:
    there = {package for package in PACKAGES if (ROOT / package).is_dir()}
    assert there == {source.path.split("/")[0] for source in sources()}
    assert {"engines", "telephony", "server", "benchmarks"} <= there


def test_a_function_of_61_lines_is_caught() -> None:
    body = "    pass\n" * 60
    assert long_functions(Source("engines/x.py", f"def f():\n{body}")) == ["f: 61 lines"]
    assert long_functions(Source("engines/x.py", f"def f():\n{body[:-9]}")) == []
