"""From files to recipes: who reads what, which files belong together, where the recipe is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from layerscope.errors import LayerscopeError, MissingDependencyError, ReaderError, RecipeError
from layerscope.init.clocks import Beside
from layerscope.init.files import Opened, common_folder, listed, open_files
from layerscope.init.text import RecipeText, toml_value
from layerscope.installed import installed
from layerscope.measured.files import write_atomic
from layerscope.measured.measurement import Recording
from layerscope.records.vocabulary import nearest

__all__ = ["GROUP", "FirstRecipe", "Written", "first_recipes"]

GROUP = "layerscope.first_recipes"


class FirstRecipe(Protocol):
    """What a technique contributes: an entry point of `GROUP`, by the name of the pipeline.

    Attributes
    ----------
    reads : str
        Name of its readers: pipelines that share them open each file once.
    """

    reads: str

    def read(self, path: Path) -> Recording[Any]:
        """Read a file with the technique's readers, leaving out what cannot be used; a LayerscopeError if none can."""

    def suits(self, opened: Opened) -> float:
        """Return how well the pipeline suits a file, from 0 (not at all) to 1; the best of all is taken."""

    def kind(self, opened: Opened) -> str:
        """Return what files share that can stand in one recipe."""

    def write(self, opened: Sequence[Opened], beside: Beside) -> RecipeText:
        """Return the recipe of files of one kind.

        Raises
        ------
        LayerscopeError
            If nothing that the pipeline does can be done with them.
        """


@dataclass(frozen=True)
class Written:
    """A recipe that was written.

    Attributes
    ----------
    path : Path
    pipeline : str
    files : tuple of Path
        What it is about.
    """

    path: Path
    pipeline: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class _Draft:
    pipeline: str
    text: RecipeText
    files: tuple[Path, ...]
    name: str


def first_recipes(
    given: Sequence[Path], out: Path, *, technique: str | None = None, study: bool = False, force: bool = False
) -> tuple[list[Written], dict[Path, LayerscopeError], Path]:
    """Write the first recipe of files, or a study of one recipe a kind of file.

    Parameters
    ----------
    given : sequence of Path
        Files, folders, archives or patterns.
    out : Path
        The recipe, or the study, beside which its members are written.
    technique : str, optional
        Pipeline; the one that suits each file best if left out.
    study : bool
        Whether a study is written.
    force : bool
        Whether files that are there may be written over.

    Returns
    -------
    written : list of Written
        The members first, the study last.
    left : dict
        Files that went into no recipe, with the reason.
    folder : Path
        That input paths are relative to: the recipe's own, or what ``--data`` must say.

    Raises
    ------
    ReaderError
        If a file is missing, or none can be read.
    RecipeError
        If the files make several recipes and no study is asked for, or a file is there already.
    """
    files = [path for path in listed(given) if path.absolute() != out.absolute() and not _is_recipe(path)]
    if not files:
        raise ReaderError("there is nothing but recipes", source=given[0])
    home = out.absolute().parent
    inside = all(file.absolute().is_relative_to(home) for file in files)
    folder = home if inside else common_folder(files)
    drafts, left = _drafts(files, folder, technique)
    if not drafts:
        reasons = "; ".join(dict.fromkeys(str(error) for error in left.values()))
        raise ReaderError(f"no recipe can be made of this: {reasons[:600]}")
    if len(drafts) > 1 and not study:
        kinds = ", ".join(f"{draft.pipeline} ({draft.name})" for draft in drafts)
        raise RecipeError(f"these files make {len(drafts)} recipes: {kinds}", hint="add --study, or --technique NAME")
    paths = _paths(drafts, out) if study else [out]
    for path in (*paths, out):
        if path.exists() and not force:
            raise RecipeError("the file is there already", source=path, hint="name another with -o, or add --force")
    written = []
    for draft, path in zip(drafts, paths, strict=True):
        if not inside:
            draft.text.note(f"The files lie elsewhere: check and run with --data {folder}")
        if not study:
            for line in _left_out(left):
                draft.text.note(line)
        write_atomic(path, draft.text.text().encode())
        written.append(Written(path, draft.pipeline, draft.files))
    if study:
        members = [path.name for path in paths]
        notes = "".join(f"# {line}\n" for line in _left_out(left))
        text = f"layerscope = 1\ntitle = {toml_value(folder.name or 'study')}\nrecipes = {toml_value(members)}\n"
        write_atomic(out, (notes + text).encode())
        written.append(Written(out, "study", tuple(paths)))
    return written, left, folder


def _drafts(
    files: Sequence[Path], folder: Path, technique: str | None
) -> tuple[list[_Draft], dict[Path, LayerscopeError]]:
    """Return the recipes that files make, and the files that are in none."""
    points = installed(GROUP)
    if technique is not None and technique not in points:
        near = nearest(technique, sorted(points))
        hint = f"did you mean {near!r}?" if near else f"known: {', '.join(sorted(points))}"
        raise RecipeError(f"no first recipe is known for {technique!r}", hint=hint)
    left: dict[Path, LayerscopeError] = {}
    best: dict[Path, tuple[float, str, Opened]] = {}
    known: dict[str, FirstRecipe] = {}
    read: dict[str, tuple[list[Opened], dict[Path, LayerscopeError]]] = {}
    for name in [technique] if technique is not None else sorted(points):
        try:
            known[name] = points[name].load()
            if known[name].reads not in read:
                read[known[name].reads] = open_files(files, folder, known[name].read)
        except MissingDependencyError as error:
            left |= {file: error for file in files if file not in left}
            continue
        opened, refused = read[known[name].reads]
        left |= {path: error for path, error in refused.items() if _says_more(error, left.get(path))}
        for one in opened:
            score = 1.0 if technique is not None else known[name].suits(one)
            if score > best.get(one.path, (0.0,))[0]:
                best[one.path] = (score, name, one)
    kinds: dict[tuple[str, str], list[Opened]] = {}
    for _, name, one in best.values():
        kinds.setdefault((name, known[name].kind(one)), []).append(one)
    sampled = {folder / other for _, _, one in best.values() for other in one.alike}
    beside = Beside(folder, tuple(file for file in files if file not in best and file.absolute() not in sampled))
    drafts: list[_Draft] = []
    for (name, kind), group in kinds.items():
        try:
            text = known[name].write(group, beside)
        except LayerscopeError as error:
            left |= {one.path: error for one in group}
            continue
        drafts.append(_Draft(name, text, tuple(one.path for one in group), kind))
    done = {path for draft in drafts for path in draft.files} | beside.used
    kept = {
        path: ReaderError("no technique reads it", source=path) if _unknown(error) else error
        for path, error in left.items()
        if path not in done and path.absolute() not in sampled
    }
    return drafts, kept


def _left_out(left: dict[Path, LayerscopeError]) -> list[str]:
    return [f"Left out: {file.name}: {error.message}" for file, error in left.items()]


def _says_more(error: LayerscopeError, known: LayerscopeError | None) -> bool:
    """Tell whether an error says why a file is not read, rather than that its format is another technique's."""
    return known is None or _unknown(known)


def _unknown(error: LayerscopeError) -> bool:
    return "of no known format" in error.message or "of a known format" in error.message


def _is_recipe(path: Path) -> bool:
    return path.suffix.lower() == ".toml"


def _paths(drafts: Sequence[_Draft], out: Path) -> list[Path]:
    """Return where the members of a study go: beside it, called after the pipeline, numbered where it has several."""
    paths: list[Path] = []
    for draft in drafts:
        number = sum(other.pipeline == draft.pipeline for other in drafts[: len(paths)])
        tail = f"_{number + 1}" if number else ""
        paths.append(out.with_name(f"{out.stem}_{draft.pipeline}{tail}.toml"))
    return paths
