"""The repository's own modules, read and parsed once: what they import and how long they are."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("engines", "telephony", "server", "benchmarks", "export")


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module, or one name imported from a module: ``module`` is as exact as can be told."""

    path: str  # of the importing file, relative to the root
    line: int
    module: str  # "engines.config" for `from engines.config import EngineConfig`
    name: str | None  # "EngineConfig", None for `import engines.config`

    def __str__(self) -> str:
        what = self.module if self.name is None else f"{self.module}.{self.name}"
        return f"{self.path}:{self.line} imports {what}"

    @property
    def top(self) -> str:
        return self.module.split(".")[0]


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file."""

    path: str  # relative to the root, with slashes
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def imports(self) -> Iterator[Import]:
        """Every import, at whatever depth: a lazy one is an import too."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(self.path, node.lineno, alias.name, None)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    yield Import(self.path, node.lineno, "." * node.level + (node.module or ""), alias.name)


@cache
def sources() -> tuple[Source, ...]:
    """All modules of all packages there are."""
    paths = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return tuple(Source(path.relative_to(ROOT).as_posix(), path.read_text()) for path in paths)
