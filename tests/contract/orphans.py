"""Find what no product code uses: top-level names that cannot be reached from where the program is entered.

It is entered by the scripts and entry points of ``pyproject.toml``, by what packages export as documented interface, by
statements of modules and by decorated commands. From there names are followed: a definition is alive when something
alive names it. Being listed in ``__all__``, imported without use, or used by a test alone keeps nothing alive.

A name is looked up where it was imported from. In a file that chooses modules at run time (``importlib``) that
cannot be known; there every definition with the name of an attribute, such as ``reader.sniff``, is taken to be meant.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Definition", "find_orphans"]

Definition = tuple[str, str]
"""Module and name, ``("layerscope.fitting.limits", "feldman_cousins")``."""


@dataclass
class _Module:
    """What one file defines, where its names come from, and what its statements name."""

    name: str
    chooses: bool = False
    imports: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    definitions: dict[str, ast.stmt] = field(default_factory=dict)
    statements: list[ast.stmt] = field(default_factory=list)


def find_orphans(root: Path, folders: Mapping[str, str], interface: Iterable[str] = ()) -> list[Definition]:
    """Return every top-level definition that nothing alive names.

    Parameters
    ----------
    root : Path
        Folder with ``pyproject.toml``.
    folders : mapping of str to str
        Folder of a package -> the name it is imported by: ``{"spectra": "layerscope.spectra"}``.
    interface : iterable of str
        Packages whose exports are for users.

    Returns
    -------
    list of Definition
        Sorted; private ones too.
    """
    modules = {m.name: m for folder, package in folders.items() for m in _modules(root / folder, package)}
    defined = {(m.name, name) for m in modules.values() for name in m.definitions}
    by_name: dict[str, list[Definition]] = {}
    for m in modules.values():
        for name in {*m.definitions, *m.imports}:
            by_name.setdefault(name, []).append(_resolved(name, m, modules))
    waiting = [*_entered(root, modules, interface)]
    alive: set[Definition] = set()
    for module in modules.values():
        for statement in module.statements:
            waiting += _named(statement, module, modules, by_name)
    while waiting:
        one = waiting.pop()
        if one in alive or one not in defined:
            continue
        alive.add(one)
        module = modules[one[0]]
        waiting += _named(module.definitions[one[1]], module, modules, by_name)
    return sorted(defined - alive)


def _modules(folder: Path, package: str) -> Iterator[_Module]:
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        inside = parts[:-1] if parts[-1] == "__init__" else parts
        module = _Module(".".join((package, *inside)))
        here = module.name.split(".") if parts[-1] == "__init__" else module.name.split(".")[:-1]
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                source = ".".join([*here[: len(here) - node.level + 1], *filter(None, [node.module])])
                source = source if node.level else node.module or ""
                module.imports |= {a.asname or a.name: (source, a.name) for a in node.names}
                module.chooses |= source == "importlib"
            elif isinstance(node, ast.Import):
                module.chooses |= any(a.name.startswith("importlib") for a in node.names)
                module.imports |= {a.asname or a.name.partition(".")[0]: (a.name, None) for a in node.names}
        for statement in tree.body:
            _sort(statement, module)
        yield module


def _sort(statement: ast.stmt, module: _Module) -> None:
    """Tell definitions from statements that run when the module is imported."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        module.definitions[statement.name] = statement
        if any(isinstance(d, ast.Call) and isinstance(d.func, ast.Attribute) for d in statement.decorator_list):
            module.statements.append(statement)  # ``@app.command()``: the decorator keeps it
        elif statement.name in ("__getattr__", "__dir__"):
            module.statements.append(statement)
    elif isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        names = [t.id for target in targets for t in ast.walk(target) if isinstance(t, ast.Name)]
        if names == ["__all__"]:
            return
        module.definitions |= {name: statement for name in names if not name.startswith("__")}
    elif isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
        return
    elif not isinstance(statement, ast.Import | ast.ImportFrom):
        module.statements.append(statement)


def _named(
    statement: ast.stmt, module: _Module, modules: Mapping[str, _Module], by_name: Mapping[str, list[Definition]]
) -> Iterator[Definition]:
    """Yield what a definition or statement names; names in quoted annotations count."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef) and statement in module.statements:
        yield module.name, statement.name
    for node in _nodes(statement):
        if isinstance(node, ast.Name):
            yield _resolved(node.id, module, modules)
        elif isinstance(node, ast.Attribute):
            owner = module.imports.get(node.value.id) if isinstance(node.value, ast.Name) else None
            source = None if owner is None else (owner[0] if owner[1] is None else f"{owner[0]}.{owner[1]}")
            if source in modules:
                yield _resolved(node.attr, modules[source], modules)
            elif module.chooses:
                yield from by_name.get(node.attr, ())
        elif isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            raise AssertionError(f"{module.name}: a star import hides what is used")


def _nodes(statement: ast.stmt) -> Iterable[ast.AST]:
    for node in ast.walk(statement):
        yield node
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield ast.Name(node.value)


def _resolved(name: str, module: _Module, modules: Mapping[str, _Module]) -> Definition:
    """Follow a name through imports to where it is defined."""
    for _ in range(8):
        if name in module.definitions or name not in module.imports:
            break
        source, original = module.imports[name]
        if original is None or source not in modules:
            break
        module, name = modules[source], original
    return module.name, name


def _entered(root: Path, modules: Mapping[str, _Module], interface: Iterable[str]) -> Iterator[Definition]:
    """Yield where the program is entered from outside."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project.get("scripts", {}), *project.get("entry-points", {}).values()]
    for point in (value for group in groups for value in group.values()):
        source, _, name = point.partition(":")
        yield _resolved(name, modules[source], modules)
    for package in interface:
        yield from (_resolved(name, modules[package], modules) for name in modules[package].imports)
