"""Numbers of the house: lines by package and concern, long signatures, import circles, mirrors, repeated lines.

``python benchmarks/house.py [CHECKOUT]`` reads the code as text; it imports nothing of it.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

WINGS = ("spectra", "diffraction", "microscopy")
ROOTS = ("layerscope", *WINGS)
MANY_PARAMETERS = 9
REPEATED_LINES = 6
#: Concern of a module by a part of its path; the first that fits counts.
CONCERNS = {
    "files and formats": ("readers", "measured", "cycler", "text", "files"),
    "recipe": ("recipe", "options"),
    "figures": ("figure", "ticks"),
    "tables and exports": ("tables", "table", "export", "summary", "nexus", "present"),
    "records": ("records", "quantities", "arrays", "pipeline", "build", "technique"),
    "machinery": ("runs", "cli"),
}


class Module:
    """A module's path, dotted name and syntax tree."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path = path.relative_to(root)
        self.text = path.read_text("utf-8")
        self.tree = ast.parse(self.text)
        parts = [*self.path.with_suffix("").parts]
        self.is_package = parts[-1] == "__init__"
        parts = parts[:-1] if self.is_package else parts
        self.name = ".".join(["layerscope", *parts] if parts[0] in WINGS else parts)

    @property
    def lines(self) -> int:
        """Number of lines."""
        return self.text.count("\n")

    def imports(self) -> Iterator[str]:
        """Yield what the module imports, in functions too, but for type checking only."""
        package = self.name.split(".") if self.is_package else self.name.split(".")[:-1]
        for node in _walk_without_type_checking(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else []
                stem = ".".join([*base, *([node.module] if node.module else [])])
                yield stem
                yield from (f"{stem}.{alias.name}" for alias in node.names)


def _walk_without_type_checking(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _walk_without_type_checking(node)


def modules(root: Path) -> list[Module]:
    """Return every module of the packages of a checkout."""
    found = (path for name in ROOTS for path in sorted((root / name).rglob("*.py")))
    return [Module(path, root) for path in found]


def lines_by_package(all_modules: list[Module]) -> dict[str, int]:
    """Return the lines of the core, of each wing's parts, and of each part of the core."""
    counted: dict[str, int] = defaultdict(int)
    for module in all_modules:
        top, *rest = module.path.parts
        inner = f"{top}/{rest[0]}" if len(rest) > 1 else f"{top}/ (own modules)"
        counted[top] += module.lines
        counted[f"  {inner}"] += module.lines
    return dict(sorted(counted.items(), key=lambda item: item[0].strip()))


def lines_by_concern(all_modules: list[Module]) -> dict[str, int]:
    """Return the lines of each concern, a wing and the core apart."""
    counted: dict[str, int] = defaultdict(int)
    for module in all_modules:
        path = module.path.with_suffix("").as_posix()
        words = path.replace("/", "_").split("_")
        concern = next((c for c, parts in CONCERNS.items() if any(p in words for p in parts)), "numerics and the rest")
        counted[f"{module.path.parts[0]}: {concern}"] += module.lines
    return dict(sorted(counted.items()))


def functions(all_modules: list[Module]) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield every function with the place where it stands."""
    for module in all_modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{module.path}:{node.lineno} {node.name}", node


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many parameters a function takes, ``self`` and ``cls`` not counted."""
    names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def circles(all_modules: list[Module]) -> list[list[str]]:
    """Return the groups of modules that import each other, directly or through others (Tarjan 1972)."""
    known = {module.name for module in all_modules}
    edges = {m.name: sorted({i for i in m.imports() if i in known and i != m.name}) for m in all_modules}
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in edges[name]:
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = [stack.pop()]
            while group[-1] != name:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    sys.setrecursionlimit(10_000)
    for name in edges:
        if name not in index:
            visit(name)
    return found


def mirrors(all_modules: list[Module]) -> list[str]:
    """Return the dataclasses most of whose fields a recipe table declares too."""
    classes = [(m, node) for m in all_modules for node in ast.walk(m.tree) if isinstance(node, ast.ClassDef)]
    models = _derived_from("RecipeModel", [node for _, node in classes])
    tables = [(f"{m.path} {node.name}", _fields(node)) for m, node in classes if node.name in models]
    found = []
    for module, node in classes:
        if node.name in models or not any("dataclass" in ast.unparse(d) for d in node.decorator_list):
            continue
        own = _fields(node)
        for table, fields in tables:
            shared = own & fields
            if len(shared) >= 2 and len(shared) >= 0.75 * min(len(own), len(fields)):
                found.append(f"{module.path} {node.name} ~ {table} ({len(shared)} of {len(own)} fields)")
                break
    return found


def _derived_from(base: str, classes: list[ast.ClassDef]) -> set[str]:
    names = {base}
    while True:
        more = {c.name for c in classes if names & {ast.unparse(b).split("[")[0] for b in c.bases}} | names
        if more == names:
            return names
        names = more


def _fields(node: ast.ClassDef) -> set[str]:
    return {n.target.id for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}


def repeated(all_modules: list[Module]) -> list[str]:
    """Return runs of lines that stand in two modules alike, blank lines, comments and imports passed over."""
    places: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    texts: list[list[tuple[int, str]]] = []
    for number, module in enumerate(all_modules):
        docstrings = _docstring_lines(module.tree)
        kept = [
            (n, line.strip())
            for n, line in enumerate(module.text.splitlines(), 1)
            if n not in docstrings and len(line.strip()) > 3 and not line.lstrip().startswith(("#", "from ", "import "))
        ]
        texts.append(kept)
        for start in range(len(kept) - REPEATED_LINES + 1):
            places[tuple(text for _, text in kept[start : start + REPEATED_LINES])].append((number, start))
    found: dict[tuple[int, int], list[int]] = defaultdict(list)
    for at in places.values():
        for a in range(len(at)):
            for b in range(a + 1, len(at)):
                if at[a] != at[b]:
                    found[at[a][0], at[b][0]].append(texts[at[a][0]][at[a][1]][0])
    rows = [(len(starts) + REPEATED_LINES - 1, pair, min(starts)) for pair, starts in found.items()]
    return [
        f"{lines} lines: {all_modules[a].path}:{line} ~ {all_modules[b].path}"
        for lines, (a, b), line in sorted(rows, reverse=True)
    ]


def _docstring_lines(tree: ast.AST) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def main() -> None:
    """Print the numbers of a checkout."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    all_modules = modules(root)
    total = sum(m.lines for m in all_modules)
    print(f"lines, all: {total}")
    for name, count in lines_by_package(all_modules).items():
        print(f"{count:7d}  {name}")
    print("\nlines by concern")
    for name, count in lines_by_concern(all_modules).items():
        print(f"{count:7d}  {name}")
    documented = sum(len(_docstring_lines(m.tree)) for m in all_modules)
    lengths = [(node.end_lineno or 0) - node.lineno + 1 for _, node in functions(all_modules)]
    print(f"\ndocstrings: {documented} lines, {documented / total:.1%} of all")
    longest = max(m.lines for m in all_modules)
    print(f"functions: {len(lengths)}, median {median(lengths):g} lines; longest module {longest}")
    many = [(parameters(node), place) for place, node in functions(all_modules) if parameters(node) >= MANY_PARAMETERS]
    print(f"\nfunctions with {MANY_PARAMETERS} and more parameters: {len(many)}")
    for count, place in sorted(many, reverse=True):
        print(f"{count:7d}  {place}")
    for title, rows in (
        ("import circles (type checking apart)", [" <-> ".join(group) for group in circles(all_modules)]),
        ("dataclasses that mirror a recipe table", mirrors(all_modules)),
        (f"pairs of modules that repeat {REPEATED_LINES} lines and more", repeated(all_modules)),
    ):
        print(f"\n{title}: {len(rows)}")
        for row in rows[:40]:
            print(f"         {row}")


if __name__ == "__main__":
    main()
