"""Writing the report of a run: beside its records at the end of a run, or where it is asked for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from layerscope.errors import LayerscopeError, StoreError, WriteError
from layerscope.measured.files import write_atomic, writing
from layerscope.records import canonical_json, file_sha256
from layerscope.report.page import report_page
from layerscope.runs.load import Run, load_run
from layerscope.runs.lock import hold
from layerscope.runs.store import RunStore

__all__ = ["REPORT_FILE", "renew_report", "report_entries", "write_report"]

REPORT_FILE = "report.html"
"""Name of the report in a run folder."""
_DRAWN_FROM = ("title", "recipe", "layerscope", "pipelines", "records", "arrays", "figures", "story")


def write_report(run: Run, path: Path | None = None) -> Path:
    """Write the report of a run as one HTML page that needs nothing from elsewhere.

    Parameters
    ----------
    run : Run
        The run, or a selection of it.
    path : Path, optional
        Where to; ``report.html`` in the run folder by default. The page links to the run folder as it lies from there.

    Returns
    -------
    Path
        The file; the same records give the same bytes.

    Raises
    ------
    WriteError
        If it cannot be written.
    """
    path = run.folder / REPORT_FILE if path is None else Path(path)
    text = report_page(run, _address(run.folder, path.parent))
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text.encode("utf-8", "replace"))
    return path


def _address(folder: Path, seen_from: Path) -> str | None:
    """Return the address of a folder relative to another one; None where there is no way, such as between drives."""
    try:
        way = os.path.relpath(folder.resolve(), seen_from.resolve())
    except (OSError, ValueError):
        return None
    return "" if way == os.curdir else quote(Path(way).as_posix()) + "/"


def report_entries(
    run: Run, before: Mapping[str, Any], *, debug: bool = False
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Write the report of a finished run, unless the one that is there says the same.

    Parameters
    ----------
    run : Run
        With what ``run.json`` will say of it.
    before : mapping
        What ``run.json`` said before.
    debug : bool, optional
        Let errors through.

    Returns
    -------
    dict, tuple of str
        Entries of ``run.json``: ``report``, the SHA-256 of the file by its name, and ``report_of``, a hash of what it
        was made from; and what went wrong: a report that fails spoils no record.
    """
    key = hashlib.sha256(canonical_json({name: run.info.get(name) for name in _DRAWN_FROM}).encode()).hexdigest()
    there = _there(run.folder)
    if there and before.get("report_of") == key and before.get("report") == there:
        return {"report": there, "report_of": key}, ()
    try:
        write_report(run)
    except WriteError:
        raise
    except Exception as error:
        if debug:
            raise
        return {}, (f"report: {type(error).__name__}: {error}",)
    return {"report": _there(run.folder), "report_of": key}, ()


def renew_report(folder: Path) -> Path:
    """Write the report of a finished run again, into its folder, and return the file.

    Parameters
    ----------
    folder : Path
        The run folder.

    Raises
    ------
    StoreError
        If the folder is no finished run, or another process writes to it.
    """
    store = RunStore.open(folder)
    with hold(store.lock_file):
        run = load_run(folder)
        if run.info.get("status") != "finished":
            raise StoreError("the run was not finished", source=folder, hint="run the recipe again")
        told, _ = report_entries(run, {}, debug=True)
        store.write_info({**run.info, **told})
    return folder / REPORT_FILE


def _there(folder: Path) -> dict[str, str]:
    try:
        return {REPORT_FILE: file_sha256(folder / REPORT_FILE)}
    except LayerscopeError:
        return {}
