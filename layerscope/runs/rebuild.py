"""A run folder made whole again from its records: they are the truth, all else is made from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.errors import LayerscopeError, StoreError
from layerscope.measured.files import writing
from layerscope.records import ResultRecord, file_sha256
from layerscope.records.model import now_iso
from layerscope.runs.inside import inside, plain_folders
from layerscope.runs.ledger import Ledger
from layerscope.runs.lock import hold
from layerscope.runs.pipeline import pipeline_of
from layerscope.runs.store import UNKNOWN, RunStore
from layerscope.runs.summary import sorted_records
from layerscope.runs.table import write_table
from layerscope.version import __version__

__all__ = ["Rebuilt", "rebuild_run"]

ASIDE = ".damaged"


@dataclass(frozen=True)
class Rebuilt:
    """What came of it.

    Attributes
    ----------
    records : int
        Records that are sound.
    remarks : tuple of str
        What was put aside, or is missing.
    """

    records: int
    remarks: tuple[str, ...]


def rebuild_run(folder: Path) -> Rebuilt:
    """Write ``run.json``, ``quarantine.json`` and ``quantities.parquet`` of a run anew from its records.

    Parameters
    ----------
    folder : Path
        A folder with ``records/``. Records and files that are damaged, and a ledger that cannot be read, are put aside
        under their names with ``.damaged``; records themselves are never changed.

    Returns
    -------
    Rebuilt

    Raises
    ------
    StoreError
        If the folder holds no records, or another process writes to it.
    WriteError
        If it cannot be written.
    """
    store = RunStore(Path(folder))
    plain_folders(store.parts())
    if not store.records_folder.is_dir() or not store.record_ids():
        raise StoreError("holds no records, from which a run could be rebuilt", source=folder)
    with hold(store.lock_file):
        records, remarks = _sound_records(store)
        before = _before(store, remarks)
        _check_ledger(store, remarks)
        store.write_quarantine(records)
        write_table(records, store.table_file)
        store.write_info(_info(store, records, before, remarks))
    return Rebuilt(len(records), tuple(remarks))


def _sound_records(store: RunStore) -> tuple[list[ResultRecord], list[str]]:
    found, remarks = [], []
    for record_id in store.record_ids():
        try:
            found.append(store.read_record(record_id))
        except StoreError as error:
            remarks.append(f"{error.source}: {error.message}; put aside")
            _put_aside(store.record_path(record_id))
    if not found:
        raise StoreError("holds no sound record, from which a run could be rebuilt", source=store.folder)
    return sorted_records(found), remarks


def _put_aside(path: Path) -> None:
    with writing(path):
        path.replace(path.with_name(path.name + ASIDE))


def _before(store: RunStore, remarks: list[str]) -> dict[str, Any]:
    try:
        return store.read_info()
    except StoreError as error:
        remarks.append(f"{error.source}: {error.message}; put aside")
        _put_aside(store.run_file)
        return {}


def _check_ledger(store: RunStore, remarks: list[str]) -> None:
    try:
        Ledger(store.ledger_file).jobs()
    except StoreError as error:
        remarks.append(f"{error.source}: {error.message}; put aside")
        for path in store.folder.glob(f"{store.ledger_file.name}*"):
            if not path.name.endswith(ASIDE):
                _put_aside(path)


def _info(store: RunStore, records: list[ResultRecord], before: dict[str, Any], remarks: list[str]) -> dict[str, Any]:
    """Return what ``run.json`` says: what the records say, and what stood in it that they do not say."""
    arrays: dict[str, str] = {}
    for file in dict.fromkeys(reference.file for record in records for reference in record.arrays):
        try:
            arrays[file] = file_sha256(inside(store.folder, file))
        except LayerscopeError as error:
            remarks.append(f"{file}: {error.message}; its records refer to it: run the recipe again")
    statuses = [record.status for record in records]
    pipelines = {
        pipeline_of(record): {"version": record.method_version, "technique": record.technique} for record in records
    }
    kept: dict[str, Any] = {
        key: before[key]
        for key in ("figures", "figures_of", "figure_options", "warnings", "report", "report_of")
        if key in before
    }
    return {
        "figures": {},
        "figures_of": "",
        "warnings": [],
        **kept,
        "layerscope": before.get("layerscope", __version__),
        "recipe": before.get("recipe", UNKNOWN),
        "title": before.get("title", store.folder.name),
        "status": "finished",
        "created": before.get("created", now_iso()),
        "recipes": before.get("recipes", []),
        "pipelines": before.get("pipelines", dict(sorted(pipelines.items()))),
        "counts": {"records": len(records), **{key: statuses.count(key) for key in ("ok", "warning", "failed")}},
        "records": {record.record_id: file_sha256(store.record_path(record.record_id)) for record in records},
        "arrays": dict(sorted(arrays.items())),
    }
