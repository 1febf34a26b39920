"""The shape of the program: no circle of modules, no long file, no class with too much on its surface."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache, cached_property
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from inspect import isclass
from pathlib import Path
from types import FunctionType

from scfm.storage.tenant_view import TenantView

ROOT = Path(__file__).parents[2]
MAX_LINES = 300
MAX_PUBLIC_METHODS = 15
# Names that stand in several files for what is the same there, and why it is.
SHARED_NAMES = {
    "T": "a type variable, of one file",
    "log": "the logger of a file",
    "add_arguments": "of a command: see scfm/cli/main.py",
    "run": "of a command; the event loop's is what asyncio.run is",
    "main": "of what is started as a program",
}


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
    assert len(classes()) > 100
    assert "get" in public_methods(TenantView) and "update_many" in public_methods(TenantView)
    many = {
        one.__qualname__: len(names) for one in classes() if len(names := public_methods(one)) > MAX_PUBLIC_METHODS
    }
    assert not many


def test_no_public_name_means_two_things() -> None:
    """A name of a file may stand in another one, too, where what is assigned is spelled alike."""
    meanings: dict[str, dict[str, str]] = defaultdict(dict)
    for path in sources().values():
        for name, meaning in defined(path):
            if not name.startswith("_"):
                meanings[name][str(path.relative_to(ROOT))] = meaning
    assert len(meanings) > 1000
    assert not {
        name: sorted(files)
        for name, files in meanings.items()
        if len(files) > 1 and len(set(files.values())) > 1 and name not in SHARED_NAMES
    }, "give it a name that says which one it is"
    assert all(len(meanings[name]) > 1 for name in SHARED_NAMES), "no longer shared: take it off the list"


def defined(path: Path) -> Iterator[tuple[str, str]]:
    """The names that a file defines at its top level, each with what tells its meaning from another's."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, f"{path}:{node.lineno}"
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                yield from named(target, node.value)


def named(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, str]]:
    if isinstance(target, ast.Name):
        yield target.id, ast.unparse(value)
    elif isinstance(target, ast.Tuple):
        values = value.elts if isinstance(value, ast.Tuple) else [value] * len(target.elts)
        for one, its_value in zip(target.elts, values, strict=True):
            yield from named(one, its_value)


def classes() -> set[type]:
    """Every class of the program."""
    modules = [import_module(name) for name in sources() if not name.endswith("__main__")]
    return {one for module in modules for one in vars(module).values() if isclass(one) and is_ours(one)}


def is_ours(one: type) -> bool:
    return one.__module__.partition(".")[0] == "scfm"


def public_methods(one: type) -> set[str]:
    """The methods and properties that a class shows, with inherited ones; not those that a library asks for."""
    ours = {name for base in one.__mro__ if is_ours(base) for name, value in vars(base).items() if is_method(value)}
    asked_for = {name for base in one.__mro__ if not is_ours(base) for name in vars(base)}
    return {name for name in ours - asked_for if not name.startswith("_")}


def is_method(value: object) -> bool:
    return isinstance(value, FunctionType | property | classmethod | staticmethod | cached_property)
