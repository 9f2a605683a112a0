"""Checking a run folder: records against the schema, files against their hashes, the table against the records."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from layerscope.errors import LayerscopeError
from layerscope.records import Problem, ResultRecord, file_sha256
from layerscope.runs.inside import inside, plain_file
from layerscope.runs.store import RunStore

__all__ = ["validate_run"]


def validate_run(folder: Path) -> list[Problem]:
    """Return everything that is wrong with a run folder.

    Parameters
    ----------
    folder : Path
        What ``layerscope run --out`` wrote.

    Returns
    -------
    list of Problem
        Empty when all is well.

    Raises
    ------
    StoreError
        If it is no run folder.
    """
    store = RunStore.open(Path(folder))
    problems: list[Problem] = []
    records: list[ResultRecord] = []
    for record_id in store.record_ids():
        try:
            records.append(store.read_record(record_id))
        except LayerscopeError as error:
            problems.append(Problem.from_error(error))
    problems += _foreign_files(store)
    problems += _hashed_files(store)
    problems += _parents(records)
    problems += _arrays(store, records)
    if not problems:
        problems += _table(store, records)
    return problems


def _foreign_files(store: RunStore) -> Iterator[Problem]:
    known = {f"{record_id}.json" for record_id in store.record_ids()}
    for path in sorted(store.records_folder.iterdir() if store.records_folder.is_dir() else ()):
        if path.name not in known and not path.name.startswith("."):
            yield Problem(kind="store", message="is no record file", source=str(path))


def _hashed_files(store: RunStore) -> Iterator[Problem]:
    """Compare records, arrays, tables, figures and the report with the hashes in ``run.json``."""
    info = store.read_info()
    if info.get("status") != "finished":
        yield Problem(
            kind="store",
            message="the run was not finished",
            source=str(store.run_file),
            hint="run the recipe again: what is done is looked up",
        )
        return
    expected = {f"records/{record_id}.json": sha256 for record_id, sha256 in info.get("records", {}).items()}
    kinds = ("arrays", "tables", "figures", "report")  # runs of earlier versions do not list all of them
    made = {file: sha256 for kind in kinds for file, sha256 in info.get(kind, {}).items()}
    for file, sha256 in {**expected, **made}.items():
        try:
            if file_sha256(path := inside(store.folder, file)) != sha256:
                hint = "run the recipe again"
                yield Problem(kind="store", message="was changed after the run", source=str(path), hint=hint)
        except LayerscopeError as error:
            yield Problem(kind="store", message=error.message, source=str(store.folder / file))
    for record_id in sorted(set(store.record_ids()) - set(info.get("records", {}))):
        yield Problem(kind="store", message="is not listed in run.json", source=str(store.record_path(record_id)))


def _parents(records: list[ResultRecord]) -> Iterator[Problem]:
    known = {record.record_id for record in records}
    for record in records:
        for parent in record.parents:
            if parent not in known:
                yield Problem(
                    kind="store",
                    message=f"its parent {parent[:12]}... is not in the folder",
                    source=f"{record.record_id}.json",
                )


def _arrays(store: RunStore, records: list[ResultRecord]) -> Iterator[Problem]:
    references = dict.fromkeys(reference for record in records for reference in record.arrays)
    if not references:
        return
    from layerscope.runs.nexus import read_array

    for reference in references:
        try:
            read_array(store.folder, reference)
        except LayerscopeError as error:
            yield Problem.from_error(error)


def _table(store: RunStore, records: list[ResultRecord]) -> Iterator[Problem]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from layerscope.runs.table import arrow_table

    hint = "it is made from the records: run the recipe again"
    try:
        stored = pq.ParquetFile(io.BytesIO(plain_file(store.table_file).read_bytes())).read()
    except (OSError, LayerscopeError, pa.ArrowException) as error:
        yield Problem(kind="store", message=f"cannot be read: {error}", source=str(store.table_file), hint=hint)
        return
    if not stored.equals(arrow_table(records)):
        yield Problem(kind="store", message="differs from the records", source=str(store.table_file), hint=hint)
