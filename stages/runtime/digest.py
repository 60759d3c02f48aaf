"""Which code did a result come from?  A digest over the sources that a function can reach, without importing them;
and one over all of them, by which processes that work together know that they have the same.

A module reaches what it imports within this package: at its top, inside its functions, anywhere but for types alone.
``runtime/`` does not count: who works, with which cache and which log, never changes a result.
The ``__init__.py`` of the packages around a module count with their bytes, not with all that they import: `clean`
need not run again for an edit in a dataset's features.  What a function looks up by name at run time (a dataset of
the contract) is not seen: name the functions that it finds there too.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]
OF_NO_ACCOUNT = Path(__file__).parent.name
LIBRARIES = ("numpy", "pandera", "polars", "pyarrow")  # their versions can change the bytes of a partition
TYPES_ALONE = ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def code_digest(*functions: Callable[..., Any]) -> str:
    """SHA-256 over the sources that ``functions`` can reach, whatever their order and wherever the checkout lies.

    A `functools.partial` counts with its function and with every function among its arguments.
    """
    plain = (each for function in functions for each in _unwrapped(function))
    return source_digest(frozenset(source for each in plain if (source := _source_of(each)) is not None))


@lru_cache(maxsize=1)
def code_state() -> str:
    """Short digest of every source, taken once: what this process has imported does not change any more."""
    return _digest(PACKAGE.rglob("*.py"), PACKAGE)[:12]


def library_versions() -> dict[str, str]:
    """Versions of Python and of what writes the bytes of a partition."""
    return dict(_library_versions())


@lru_cache(maxsize=256)
def source_digest(sources: frozenset[Path], package: Path = PACKAGE) -> str:
    """SHA-256 over the names and bytes of ``sources`` and of all that they import within ``package``."""
    return _digest(reachable_sources(sources, package), package)


def _digest(sources: Iterable[Path], package: Path) -> str:
    lines = []
    for path in sources:
        name = path.relative_to(package).as_posix() if path.is_relative_to(package) else path.name
        lines.append(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def reachable_sources(sources: frozenset[Path], package: Path = PACKAGE) -> set[Path]:
    """``sources`` and all that they import within ``package``; of a source elsewhere no imports are followed."""
    todo, walked = list(sources), set[Path]()
    while todo:
        path = todo.pop()
        if path.is_relative_to(package / OF_NO_ACCOUNT):
            continue
        if path not in walked and path.is_relative_to(package):
            todo.extend(_imports(path, package.parent, package.name))
        walked.add(path)
    around = {folder / "__init__.py" for path in walked for folder in path.parents if folder.is_relative_to(package)}
    return walked | {path for path in around if path.is_file()}


def _imports(path: Path, root: Path, package: str) -> Iterator[Path]:
    """The sources of ``package`` that the statements of one module name."""
    statements = _ImportStatements()
    statements.visit(ast.parse(path.read_bytes()))
    for statement in statements.found:
        for name, attribute in _names(statement, path.relative_to(root).parent.parts):
            if name[:1] == (package,) and (source := _source(root, (*name, attribute)) or _source(root, name)):
                yield source


def _names(statement: ast.Import | ast.ImportFrom, around: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each imported module, and what is wanted of it: a module in it, or a name that it defines."""
    if isinstance(statement, ast.Import):
        yield from ((tuple(alias.name.split(".")), "") for alias in statement.names)
        return
    above = around[: len(around) - statement.level + 1] if statement.level else ()
    module = (*above, *(statement.module.split(".") if statement.module else ()))
    yield from ((module, alias.name) for alias in statement.names)


def _source(root: Path, name: tuple[str, ...]) -> Path | None:
    """The file of a module or package; None when there is none of that name."""
    place = root.joinpath(*name)
    for path in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
        if name[-1] and path.is_file():
            return path
    return None


class _ImportStatements(ast.NodeVisitor):
    """Collects import statements, except for those that only type checkers follow."""

    def __init__(self) -> None:
        self.found: list[ast.Import | ast.ImportFrom] = []

    def visit_Import(self, node: ast.Import) -> None:
        self.found.append(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.found.append(node)

    def visit_If(self, node: ast.If) -> None:
        for each in node.orelse if ast.unparse(node.test) in TYPES_ALONE else [*node.body, *node.orelse]:
            self.visit(each)


def _unwrapped(function: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    if not isinstance(function, partial):
        yield function
        return
    for each in (function.func, *function.args, *function.keywords.values()):
        if callable(each):
            yield from _unwrapped(each)


def _source_of(function: Callable[..., Any]) -> Path | None:
    """Where a function is defined, the same whether its module was imported or run by ``-m``; None for Python's own."""
    module = getattr(function, "__module__", None) or type(function).__module__
    if module in sys.builtin_module_names:
        return None
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        raise ValueError(f"wanted a function from a source file; found {function!r} of {module}")
    return Path(file).resolve()


@lru_cache(maxsize=1)
def _library_versions() -> tuple[tuple[str, str], ...]:
    return ("python", ".".join(map(str, sys.version_info[:2]))), *((name, version(name)) for name in LIBRARIES)
