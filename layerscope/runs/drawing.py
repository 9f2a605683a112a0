"""The figures of a run: drawn by its pipelines, kept as long as what they are drawn from does not change."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from layerscope.errors import LayerscopeError, StoreError
from layerscope.records import canonical_json, file_sha256
from layerscope.runs.load import Run, load_run
from layerscope.runs.lock import hold
from layerscope.runs.pipeline import Pipeline, find_pipeline
from layerscope.runs.store import RunStore

__all__ = ["draw_figures", "figures_are_current", "kept_figures", "redraw"]


def kept_figures(before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``run.json`` said of figures before this run."""
    return {"figures": {}, "figures_of": "", "warnings": []} | {
        key: before[key] for key in ("figures", "figures_of", "warnings") if key in before
    }


def _figures_key(info: Mapping[str, Any]) -> str:
    """Return a hash of all that the figures are drawn from."""
    drawn_from = {key: info[key] for key in ("layerscope", "pipelines", "records", "arrays")}
    return hashlib.sha256(canonical_json(drawn_from).encode()).hexdigest()


def figures_are_current(store: RunStore, info: Mapping[str, Any]) -> bool:
    """Tell whether the figures are there, unharmed, and drawn from what the run holds now."""
    if info["figures_of"] != _figures_key(info) or info["warnings"]:
        return False
    try:
        return all(file_sha256(store.folder / file) == sha256 for file, sha256 in info["figures"].items())
    except LayerscopeError:
        return False


def draw_figures(
    store: RunStore, run: Run, pipelines: Mapping[str, Pipeline], *, debug: bool = False
) -> dict[str, Any]:
    """Let each pipeline draw its figures into ``figures/``.

    Parameters
    ----------
    store : RunStore
        The run folder.
    run : Run
        Its records.
    pipelines : mapping
        Pipelines by name.
    debug : bool, optional
        Let errors through.

    Returns
    -------
    dict
        Entries of ``run.json``: ``figures`` (SHA-256 of each file), ``figures_of`` (what they were drawn from) and
        ``warnings`` (what went wrong: a figure that fails spoils no record).
    """
    drawn: dict[str, str] = {}
    warnings: list[str] = []
    for name, pipeline in sorted(pipelines.items()):
        chosen = run.of_pipeline(name)
        if not chosen.records:
            continue
        try:
            store.figures_folder.mkdir(exist_ok=True)
            with _only_new_garbage():
                files = pipeline.figures(chosen, store.figures_folder)
            for file in files:
                drawn[Path(file).relative_to(store.folder).as_posix()] = file_sha256(Path(file))
        except Exception as error:
            if debug:
                raise
            warnings.append(f"figures of pipeline {name!r}: {type(error).__name__}: {error}")
    return {"figures": dict(sorted(drawn.items())), "figures_of": _figures_key(run.info), "warnings": warnings}


@contextmanager
def _only_new_garbage() -> Iterator[None]:
    """Search only what comes up inside the block for garbage.

    A figure is a hundred thousand small objects: again and again all modules and records would be looked through.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def redraw(folder: Path, *, debug: bool = False) -> tuple[Run, tuple[str, ...]]:
    """Draw the figures of a finished run again.

    Parameters
    ----------
    folder : Path
        The run folder.
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
        info = {**run.info, **draw_figures(store, run, pipelines, debug=debug)}
        store.write_info(info)
    return Run(store.folder, run.records, info), tuple(info["warnings"])
