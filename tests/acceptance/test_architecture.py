"""The shape of the program: no circle of modules, no long file, no class with too much on its surface."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAX_LINES = 300
MAX_PUBLIC_METHODS = 15


@cache
def sources() -> dict[str, Path]:
    """The file of each module of the program, by the module's name: ``scfm.handlers.base``."""
    found = {}
    for path in sorted((ROOT / "scfm").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imported(module: str, path: Path) -> Iterator[str]:
    """The names that a module imports, wherever in it: of modules, and of what is in them."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *filter(None, [node.module])])
            # ``from scfm.models import contact`` needs the module, not what stands in the package's own file.
            yield from (name if (name := f"{origin}.{alias.name}") in sources() else origin for alias in node.names)


def test_no_modules_import_one_another_in_a_circle() -> None:
    graph = {
        module: {name for name in imported(module, path) if name in sources() and name != module}
        for module, path in sources().items()
    }
    assert len(graph) > 100 and "scfm.errors" in graph["scfm.handlers.base"]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" is imported by ".join(error.args[1])) from None


def test_no_file_is_long() -> None:
    long = {
        str(path.relative_to(ROOT)) for path in sources().values() if len(path.read_text().splitlines()) > MAX_LINES
    }
    assert not long


def test_no_class_has_many_public_methods() -> None:
    classes = [
        node
        for path in sources().values()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    large = {one.name for one in classes if len(public_methods(one)) > MAX_PUBLIC_METHODS}
    assert len(classes) > 100
    assert not large


def public_methods(one: ast.ClassDef) -> list[str]:
    """The names of the methods and properties that a class defines and shows."""
    methods = [node.name for node in one.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [name for name in methods if not name.startswith("_")]
