"""The figures of a run: drawn by its pipelines, kept as long as what they are drawn from does not change."""

from __future__ import annotations

import gc
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias
from warnings import catch_warnings, filterwarnings, warn_explicit

from layerscope.errors import LayerscopeError, StoreError, WriteError
from layerscope.figures import Drawing, FigureOptions, saved_as
from layerscope.measured.files import writing
from layerscope.records import canonical_json, file_sha256
from layerscope.runs.load import Run, load_run
from layerscope.runs.lock import hold
from layerscope.runs.pipeline import Pipeline, find_pipeline, installed_pipelines
from layerscope.runs.pool import each_ended
from layerscope.runs.store import RunStore

__all__ = ["draw_figures", "figures_are_current", "kept_figures", "redraw"]


MOST_KEPT = 4
"""Pipelines of a run whose drawings a process keeps for its next share of them."""
NEW_OBJECTS = 50_000
"""Objects that come up before a search for garbage."""
_GLYPH, _NO_ROOM = r"Glyph (\d+) .*missing from", "constrained_layout not applied"
_OF_PIPELINE = " of pipeline "  # stands in what is said of a figure that failed


def kept_figures(before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``run.json`` said of figures before this run."""
    return {"figures": {}, "figures_of": "", "warnings": []} | {
        key: before[key] for key in ("figures", "figures_of", "warnings") if key in before
    }


def _figures_key(info: Mapping[str, Any]) -> str:
    """Return a hash of all that the figures are drawn from, and of how they are saved."""
    drawn_from = {key: info[key] for key in ("layerscope", "pipelines", "records", "arrays")}
    drawn_from |= {"saved_as": info.get("figure_options", {})}
    return hashlib.sha256(canonical_json(drawn_from).encode()).hexdigest()


def figures_are_current(store: RunStore, info: Mapping[str, Any]) -> bool:
    """Tell whether the figures are there, unharmed, and drawn from what the run holds now."""
    if info["figures_of"] != _figures_key(info) or any(_OF_PIPELINE in said for said in info["warnings"]):
        return False
    try:
        return all(file_sha256(store.folder / file) == sha256 for file, sha256 in info["figures"].items())
    except LayerscopeError:
        return False


def draw_figures(
    store: RunStore, run: Run, pipelines: Mapping[str, Pipeline], *, jobs: int = 1, debug: bool = False
) -> dict[str, Any]:
    """Draw the figures of each pipeline into ``figures/``; one that fails takes no other with it.

    Parameters
    ----------
    store : RunStore
        The run folder.
    run : Run
        Its records.
    pipelines : mapping
        Pipelines by name.
    jobs : int, optional
        Processes; 1 draws in this one, as do pipelines that are not installed.
    debug : bool, optional
        Let errors through; implies one process.

    Returns
    -------
    dict
        Entries of ``run.json``: ``figures`` (SHA-256 of each file), ``figures_of`` (what they were drawn from) and
        ``warnings`` (what went wrong: a figure that fails spoils no record).
    """
    with writing(store.figures_folder):
        store.figures_folder.mkdir(exist_ok=True)
    options = FigureOptions(**run.info.get("figure_options", {}))
    names = sorted(name for name in pipelines if run.of_pipeline(name).records)
    if jobs > 1 and not debug and set(names) <= set(installed_pipelines()):
        folder, count = store.folder.resolve(), 2 * jobs
        shares = [_Share(folder, name, k, count, options) for k in range(count) for name in names]
        done = [_share_of(shares[number], answer) for number, answer in each_ended(_draw_share, shares, jobs)]
    else:
        done = [_draw(store, run, pipelines[name], options, debug=debug) for name in names]
    drawn = {file: sha256 for files, _ in done for file, sha256 in files.items()}
    warnings = sorted({warning for _, found in done for warning in found})
    return {"figures": dict(sorted(drawn.items())), "figures_of": _figures_key(run.info), "warnings": warnings}


_Done: TypeAlias = tuple[dict[str, str], list[str]]  # files with their SHA-256, and what went wrong


@dataclass(frozen=True)
class _Share:
    """Every `count`-th figure of a pipeline, from the `first` on, for a process of its own."""

    folder: Path
    name: str
    first: int
    count: int
    options: FigureOptions


def _draw_share(share: _Share) -> _Done:
    store, drawings = RunStore(share.folder), _drawings(share.folder, share.name)
    return _draw_all(store, share.name, drawings[share.first :: share.count], share.options)


@lru_cache(MOST_KEPT)
def _drawings(folder: Path, name: str) -> tuple[Drawing | Path, ...]:
    return tuple(find_pipeline(name).figures(_whole(folder).of_pipeline(name), RunStore(folder).figures_folder))


@lru_cache(1)
def _whole(folder: Path) -> Run:
    return load_run(folder)


def _share_of(share: _Share, answer: _Done | BaseException) -> _Done:
    if isinstance(answer, WriteError):
        raise answer
    return ({}, [_warning(share.name, answer)]) if isinstance(answer, BaseException) else answer


def _warning(name: str, error: BaseException, figure: str = "") -> str:
    what = f"figure {figure!r}" if figure else "figures"
    return f"{what}{_OF_PIPELINE}{name!r}: {type(error).__name__}: {error}"


def _draw(store: RunStore, run: Run, pipeline: Pipeline, options: FigureOptions, *, debug: bool) -> _Done:
    try:
        drawings = tuple(pipeline.figures(run.of_pipeline(pipeline.name), store.figures_folder))
    except Exception as error:
        if debug:
            raise
        return {}, [_warning(pipeline.name, error)]
    return _draw_all(store, pipeline.name, drawings, options, debug=debug)


def _draw_all(
    store: RunStore, name: str, drawings: Iterable[Drawing | Path], options: FigureOptions, *, debug: bool = False
) -> _Done:
    """Draw figures one after the other, each by itself."""
    drawn: dict[str, str] = {}
    warnings: list[str] = []
    with _only_new_garbage(), saved_as(options):
        for drawing in drawings:
            try:
                with _said(drawing.stem if isinstance(drawing, Path) else drawing.stem.name, warnings):
                    files = [drawing] if isinstance(drawing, Path) else drawing.draw()
                drawn |= {file.relative_to(store.folder).as_posix(): file_sha256(file) for file in files}
            except WriteError:  # a full disk is no fault of the figure
                raise
            except Exception as error:
                if debug:
                    raise
                warnings.append(_warning(name, error, drawing.stem if isinstance(drawing, Path) else drawing.stem.name))
    return drawn, warnings


@contextmanager
def _said(figure: str, told: list[str]) -> Iterator[None]:
    """Add to `told` what matplotlib says of names in a figure: of letters that no font of it has, or of no room."""
    with catch_warnings(record=True) as caught:
        for pattern in (_GLYPH, _NO_ROOM):
            filterwarnings("always", message=pattern)
        yield
    letters: set[str] = set()
    for one in caught:
        said = str(one.message)
        if found := re.match(_GLYPH, said):
            letters.add(chr(int(found[1])))
        elif re.match(_NO_ROOM, said):
            told.append(f"figure {figure!r}: its names leave no room for its panels: shorten them")
        else:
            warn_explicit(one.message, one.category, one.filename, one.lineno)
    if letters:
        told.append(f"figure {figure!r}: no font of figures has {' '.join(sorted(letters))}: drawn as boxes")


@contextmanager
def _only_new_garbage() -> Iterator[None]:
    """Search only what comes up inside the block for garbage, and not often.

    A figure is a hundred thousand small objects: again and again all modules and records would be looked through, and
    all of the figure that is being drawn.
    """
    often = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, *often[1:])
    try:
        yield
    finally:
        gc.set_threshold(*often)
        gc.unfreeze()


def redraw(folder: Path, *, jobs: int = 1, debug: bool = False) -> tuple[Run, tuple[str, ...]]:
    """Draw the figures of a finished run again.

    Parameters
    ----------
    folder : Path
        The run folder.
    jobs : int, optional
        Processes.
    debug : bool, optional
        Let errors through.

    Returns
    -------
    Run, tuple of str
        The run with its new figures, and what went wrong.

    Raises
    ------
    StoreError
        If the folder is no finished run, or another process writes to it.
    RecipeError, MissingDependencyError
        If a pipeline of the run is not installed.
    """
    store = RunStore.open(folder)
    with hold(store.lock_file):
        run = load_run(folder)
        if run.info.get("status") != "finished":
            raise StoreError("the run was not finished", source=folder, hint="run the recipe again")
        pipelines = {name: find_pipeline(name) for name in run.info["pipelines"]}
        info = {**run.info, **draw_figures(store, run, pipelines, jobs=jobs, debug=debug)}
        store.write_info(info)
    return Run(store.folder, run.records, info), tuple(info["warnings"])
