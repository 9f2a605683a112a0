"""The run folder: every file is written whole or not at all, and a file that would not change is left alone."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from layerscope.errors import StoreError
from layerscope.measured.files import sync_files, write_atomic, writing
from layerscope.records import ArrayRef, ResultRecord
from layerscope.records.identity import readable_json
from layerscope.records.sharing import Sharing
from layerscope.runs.inside import plain_file, plain_folders
from layerscope.runs.lock import hold
from layerscope.runs.summary import sorted_records

if TYPE_CHECKING:
    from layerscope.runs.arrays import SeriesArrays
    from layerscope.runs.grids import GridArrays
    from layerscope.runs.hooks import NexusLayout

__all__ = ["FORMAT", "RunStore", "read_json", "write_atomic"]

FORMAT = "layerscope-run"
FORMAT_VERSION = 1
MAX_JSON_BYTES = 200_000_000
REBUILD = "layerscope rebuild FOLDER makes it anew from the records"
UNKNOWN = "unknown"
"""Recipe of a run folder that was rebuilt from its records: whichever comes next may go on in it."""
INFO: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("recipe", "title", "status", "layerscope", "created", "figures_of", "report_of"), str),
    **dict.fromkeys(("records", "arrays", "figures", "report", "counts", "pipelines"), dict),
    **dict.fromkeys(("recipes", "warnings"), list),
}
"""What ``run.json`` may hold, by key."""
HASHES = ("records", "arrays", "figures", "report")
_TEMPORARY = ".*.tmp"
_RECORD_NAME = re.compile(r"[0-9a-f]{64}\.json")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    StoreError
        If it cannot be read, is not JSON, or is no object.
    """
    try:
        value = json.loads(_content(path))
    except (ValueError, RecursionError) as error:
        raise StoreError(f"is damaged: {error}", source=path, hint=REBUILD) from error
    if not isinstance(value, dict):
        raise StoreError("is damaged: no JSON object", source=path, hint=REBUILD)
    return value


def _content(path: Path) -> bytes:
    with _reading(path):
        if plain_file(path).stat().st_size > MAX_JSON_BYTES:
            raise StoreError(f"is larger than {MAX_JSON_BYTES} bytes", source=path)
        return path.read_bytes()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what the operating system says against reading, or against the name of a file, into a typed error."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot be read: {getattr(error, 'strerror', None) or error}", source=path) from error


class RunStore:
    """A run folder, opened for reading or for writing.

    Parameters
    ----------
    folder : Path
        The run folder.
    sync : bool, optional
        Whether records and arrays are on the disk when they take their places; without, `settle` makes sure of it.
    """

    def __init__(self, folder: Path, *, sync: bool = True) -> None:
        self.folder = folder
        self.sync = sync
        self.records_folder = folder / "records"
        self.arrays_folder = folder / "arrays"
        self.figures_folder = folder / "figures"
        self.superseded_folder = folder / "superseded"
        self.run_file = folder / "run.json"
        self.quarantine_file = folder / "quarantine.json"
        self.quarantine_table = folder / "quarantine.csv"
        self.table_file = folder / "quantities.parquet"
        self.ledger_file = folder / "ledger.sqlite"
        self.lock_file = folder / ".lock"
        self._sharing = Sharing()

    def parts(self) -> tuple[Path, ...]:
        """Return the folders in it that hold what a run wrote, whether or not they are there."""
        others = (self.folder / name for name in ("attachments", "export"))
        return (self.records_folder, self.arrays_folder, self.figures_folder, self.superseded_folder, *others)

    @classmethod
    def open(cls, folder: Path) -> RunStore:
        """Return the store of an existing run folder.

        Raises
        ------
        StoreError
            If the folder is missing, is no run folder, or was written by a later format.
        """
        store = cls(Path(folder))
        with _reading(store.folder):
            if not store.folder.is_dir():
                raise StoreError("there is no such folder", source=folder)
            if not store.run_file.is_file():
                hint = REBUILD if store.records_folder.is_dir() else "give the --out of a run"
                raise StoreError("is no run folder: it has no run.json", source=folder, hint=hint)
            plain_folders(store.parts())
        store._check_format()
        return store

    @classmethod
    @contextmanager
    def writing(cls, folder: Path, recipe_name: str) -> Iterator[RunStore]:
        """Hold a new run folder, or that of an earlier run of the same recipe, for writing.

        No other process writes to it meanwhile. ``run.json`` stands before anything else does, so that a run can be
        resumed wherever it stopped; temporary files that a killed run left behind are removed.

        Parameters
        ----------
        folder : Path
            Empty, missing, or a run folder.
        recipe_name : str
            Name of the recipe that the folder belongs to.

        Raises
        ------
        StoreError
            If the folder holds other things or the run of another recipe, or if another process writes to it.
        """
        store = cls(Path(folder))
        with writing(store.folder):
            store._check_owner(recipe_name)
            store.folder.mkdir(parents=True, exist_ok=True)
            plain_folders(store.parts())
            if store.ledger_file.is_symlink() or store.ledger_file.exists():
                plain_file(store.ledger_file)
        with hold(store.lock_file):
            store._check_owner(recipe_name)  # once more: another process may have been here since
            store._prepare(recipe_name)
            yield store

    def _check_owner(self, recipe_name: str) -> None:
        """Refuse a folder that is neither new nor of this recipe, and leave it as it is."""
        if self.run_file.is_file():
            recipe = self._check_format().get("recipe")
            if recipe not in (recipe_name, UNKNOWN):
                raise StoreError(f"holds a run of {recipe}", source=self.folder, hint="choose another --out")
        elif self.folder.exists() and not (self.folder.is_dir() and self._is_new()):
            hint = f"choose another --out; or {REBUILD}" if self.records_folder.is_dir() else "choose another --out"
            raise StoreError("exists and is no run folder", source=self.folder, hint=hint)

    def _is_new(self) -> bool:
        """Tell whether the folder holds nothing but what a run leaves that ended before ``run.json`` stood."""
        return all(path.name == self.lock_file.name or path.match(_TEMPORARY) for path in self.folder.iterdir())

    def _prepare(self, recipe_name: str) -> None:
        with writing(self.folder):
            for path in self.folder.rglob(_TEMPORARY):
                path.unlink(missing_ok=True)
            if not self.run_file.is_file():
                self.write_info({"recipe": recipe_name, "status": "running"})
            for part in (self.records_folder, self.arrays_folder):
                part.mkdir(exist_ok=True)

    def _check_format(self) -> dict[str, Any]:
        info = read_json(self.run_file)
        if info.get("format") != FORMAT:
            raise StoreError("is no run folder: run.json is of another kind", source=self.folder)
        if info.get("format_version") != FORMAT_VERSION:
            raise StoreError(
                f"run.json has the format version {info.get('format_version')!r}, this layerscope reads"
                f" {FORMAT_VERSION}",
                source=self.run_file,
                hint="update layerscope",
            )
        for key, kind in INFO.items():
            value = info.get(key)
            entries = () if not isinstance(value, dict) or key not in HASHES else value.values()
            if key in info and (not isinstance(value, kind) or not all(isinstance(entry, str) for entry in entries)):
                raise StoreError(f"is damaged: {key} is of a wrong type", source=self.run_file, hint=REBUILD)
        return info

    def read_info(self) -> dict[str, Any]:
        """Return the content of ``run.json``; empty when there is none yet."""
        return self._check_format() if self.run_file.is_file() else {}

    def write_info(self, info: Mapping[str, Any]) -> bool:
        """Write ``run.json``; return whether it changed."""
        return write_atomic(
            self.run_file, readable_json({**info, "format": FORMAT, "format_version": FORMAT_VERSION}).encode()
        )

    def record_path(self, record_id: str) -> Path:
        """Return the file of a record."""
        return self.records_folder / f"{record_id}.json"

    def record_ids(self) -> list[str]:
        """Return the ids of the stored records, sorted."""
        names = (path.name for path in self.records_folder.glob("*.json"))
        return sorted(name.removesuffix(".json") for name in names if _RECORD_NAME.fullmatch(name))

    def read_record(self, record_id: str) -> ResultRecord:
        """Return a stored record.

        Raises
        ------
        StoreError
            If its file is missing, damaged, or holds another record; the error names the file.
        """
        path = self.record_path(record_id)
        try:
            record = ResultRecord.model_validate_json(_content(path))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(step) for step in first["loc"]) or "record"
            raise StoreError(
                f"is damaged: {place}: {first['msg']}", source=path, hint="remove the file and run the recipe again"
            ) from error
        if record.record_id != record_id:
            raise StoreError("is damaged: holds another record than its name says", source=path)
        return self._sharing(record)

    def read_records(self) -> list[ResultRecord]:
        """Return every stored record in the order of the experiment."""
        return sorted_records(self.read_record(record_id) for record_id in self.record_ids())

    def write_record(self, record: ResultRecord) -> bool:
        """Write a record, unless the stored one differs from it in nothing but the time of writing.

        Returns
        -------
        bool
            Whether the file changed.
        """
        path = self.record_path(record.record_id)
        if path.is_file():
            with suppress(StoreError):
                if self.read_record(record.record_id).content_json() == record.content_json():
                    return False
        return write_atomic(path, record.to_json().encode(), sync=self.sync)

    def settle(self, records: Iterable[str], arrays: Iterable[str]) -> None:
        """Make sure that records, and files of arrays by their path in this folder, are on the disk.

        Raises
        ------
        WriteError
            If one of them cannot be brought there.
        """
        sync_files([*map(self.record_path, records), *(self.folder / file for file in arrays)])

    def supersede(self, keep: Iterable[str]) -> list[str]:
        """Move records that the present run did not give out of the way, and return their ids.

        They are kept in ``superseded/``: nothing disappears, but tables and figures show one run only.
        """
        stale = sorted(set(self.record_ids()) - set(keep))
        with writing(self.superseded_folder):
            if stale:
                self.superseded_folder.mkdir(exist_ok=True)
            for record_id in stale:
                self.record_path(record_id).replace(self.superseded_folder / f"{record_id}.json")
        return stale

    def series_file(self, series: SeriesArrays | GridArrays) -> Path:
        """Return the file of a series, ``arrays/<name>.nxs``, or of grids."""
        from layerscope.runs.nexus import file_of

        return self.arrays_folder / file_of(series)

    def write_series(self, series: SeriesArrays | GridArrays, layout: NexusLayout | None = None) -> dict[str, ArrayRef]:
        """Write the arrays of a series, or grids, to their file and return references to them."""
        from layerscope.runs.nexus import write_series

        return write_series(self.series_file(series), series, layout=layout, run_folder=self.folder, sync=self.sync)

    def write_quarantine(self, records: Iterable[ResultRecord]) -> bool:
        """Write what failed and why, in ``quarantine.json`` and for people in ``quarantine.csv``; tell of changes."""
        entries = []
        for record in sorted_records(records):
            if record.status == "failed" and record.problem is not None:
                entry = {"record_id": record.record_id, "sample": record.state.sample, "technique": record.technique}
                files = [{"path": item.path, "sha256": item.sha256} for item in record.inputs]
                entries.append({**entry, "inputs": files, "problem": record.problem.model_dump(mode="json")})
        write_atomic(self.quarantine_table, _quarantine_csv(entries).encode())
        return write_atomic(self.quarantine_file, readable_json({"quarantined": entries}).encode())


def _quarantine_csv(entries: Iterable[Mapping[str, Any]]) -> str:
    """Return the quarantine as a table: what begins a formula in a spreadsheet is quoted."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("sample", "technique", "files", "kind", "message", "source", "hint", "record_id"))
    for entry in entries:
        problem, files = entry["problem"], " ".join(file["path"] for file in entry["inputs"])
        told = (problem[key] or "" for key in ("kind", "message", "source", "hint"))
        rows.writerow(map(_no_formula, (entry["sample"], entry["technique"], files, *told, entry["record_id"])))
    return text.getvalue()


def _no_formula(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
