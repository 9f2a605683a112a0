"""A finished run, for notebooks and for everything downstream: records, the table, and arrays on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from layerscope.errors import StoreError
from layerscope.records import ResultRecord
from layerscope.runs.grids import GRIDS
from layerscope.runs.inside import plain_file
from layerscope.runs.pipeline import pipeline_of
from layerscope.runs.store import RunStore

if TYPE_CHECKING:
    import pandas as pd

    from layerscope.runs.nexus import LazyGrids, LazySeries

__all__ = ["Run", "RunArrays", "load_run"]


T = TypeVar("T")


class RunArrays(Mapping[str, T]):
    """Files of arrays of a run by name; one is opened when it is asked for, an array is read when it is used.

    Parameters
    ----------
    folder : Path
        The ``arrays`` folder of a run.
    names : tuple of str, optional
        Those to show; every file in the folder when not given.
    grids : bool, optional
        Whether they are grids; series otherwise.
    """

    def __init__(self, folder: Path, names: tuple[str, ...] | None = None, *, grids: bool = False) -> None:
        self.folder = folder
        self._grids = grids
        self._names = None if names is None else self._own(names)
        self._opened: dict[str, T] = {}

    def _own(self, stems: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(stem.removesuffix(GRIDS) for stem in stems if stem.endswith(GRIDS) is self._grids))

    def _all(self) -> tuple[str, ...]:
        if self._names is not None:
            return self._names
        return self._own(path.stem for path in self.folder.glob("*.nxs") if not path.name.startswith("."))

    def file(self, name: str) -> Path:
        """Return the file of one of them, after making sure that it is a file and no link to one."""
        return plain_file(self.folder / f"{name}{GRIDS if self._grids else ''}.nxs")

    def __getitem__(self, name: str) -> T:
        if name not in self:
            raise KeyError(name)
        if name not in self._opened:  # names and settings of a file are read once
            from layerscope.runs.nexus import read_grids, read_series

            found: Any = read_grids(self.file(name)) if self._grids else read_series(self.file(name))
            self._opened[name] = cast("T", found)
        return self._opened[name]

    def __contains__(self, name: object) -> bool:
        if self._names is not None or not isinstance(name, str):
            return name in self._all()
        file = self.folder / f"{name}{GRIDS if self._grids else ''}.nxs"  # without a look at thousands of others
        hidden = name.startswith(".") or (name.endswith(GRIDS) and not self._grids)
        return file.parent == self.folder and file.is_file() and not hidden

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return f"<RunArrays: {', '.join(self._all()) or 'none'}>"


class Run:
    """The records of a run folder, or a selection of them.

    Parameters
    ----------
    folder : Path
        The run folder.
    records : tuple of ResultRecord
        In the order of the experiment.
    info : mapping
        Content of ``run.json``.

    Attributes
    ----------
    folder, records, info
        As given.
    whole : Run
        With all records; itself where it is no selection.
    """

    def __init__(self, folder: Path, records: tuple[ResultRecord, ...], info: Mapping[str, Any]) -> None:
        self.whole: Run = self
        self.folder = folder
        self.records = records
        self.info = info

    @property
    def title(self) -> str:
        """Title of the recipe or study."""
        return str(self.info.get("title") or self.folder.name)

    @property
    def failed(self) -> tuple[ResultRecord, ...]:
        """Records of what could not be done."""
        return tuple(record for record in self.records if record.status == "failed")

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a quantity; absent numbers are NaN. Made from the records."""
        from layerscope.runs.table import table_frame

        return table_frame(self.records)

    @cached_property
    def arrays(self) -> RunArrays[LazySeries]:
        """Series by name, loaded on demand; only those that the records refer to, when this is a selection."""
        return RunArrays(self.folder / "arrays", self._referred)

    @cached_property
    def grids(self) -> RunArrays[LazyGrids]:
        """Arrays that are no series by name, such as those of an image; as `arrays` else."""
        return RunArrays(self.folder / "arrays", self._referred, grids=True)

    @property
    def _referred(self) -> tuple[str, ...] | None:
        names = {Path(reference.file).stem for record in self.records for reference in record.arrays}
        whole = len(self.records) == self.info.get("counts", {}).get("records")
        return None if whole else tuple(sorted(names))

    @property
    def figures(self) -> tuple[Path, ...]:
        """Figure files of the run."""
        return tuple(self.folder / file for file in self.info.get("figures", ()))

    def get(self, record_id: str) -> ResultRecord:
        """Return one record by its id, or by as many of its first digits as make it unique.

        Raises
        ------
        KeyError
            If no record, or more than one, begins so.
        """
        found = [record for record in self.records if record.record_id.startswith(record_id)]
        if len(found) != 1:
            raise KeyError(f"{record_id}: {len(found)} records begin so")
        return found[0]

    def select(
        self,
        keep: Callable[[ResultRecord], bool] | None = None,
        *,
        technique: str | None = None,
        method: str | None = None,
        sample: str | None = None,
        region: str | None = None,
        status: str | None = None,
    ) -> Self:
        """Return the run with fewer records.

        Parameters
        ----------
        keep : callable, optional
            Given a record, whether to keep it.
        technique, method, sample, region, status : str, optional
            Keep only records of this technique, method, ...
        """
        wanted = {"technique": technique, "method": method, "status": status}
        wanted_state = {"sample": sample, "region": region}

        def matches(record: ResultRecord) -> bool:
            return (
                all(value is None or getattr(record, key) == value for key, value in wanted.items())
                and all(value is None or getattr(record.state, key) == value for key, value in wanted_state.items())
                and (keep is None or keep(record))
            )

        found = self._of(tuple(record for record in self.records if matches(record)))
        found.whole = self.whole
        return found

    def _of(self, records: tuple[ResultRecord, ...]) -> Self:
        """Return the run with other records."""
        return type(self)(self.folder, records, self.info)

    def of_pipeline(self, name: str) -> Self:
        """Return the run with the records of one pipeline: those that did not fail, or whose curves say why."""
        return self.select(
            lambda record: pipeline_of(record) == name and bool(record.status != "failed" or record.arrays)
        )

    def __len__(self) -> int:
        return len(self.records)

    def _facts(self) -> list[tuple[str, str]]:
        techniques = sorted({record.technique for record in self.records})
        samples = sorted({record.state.sample for record in self.records})
        return [
            ("folder", str(self.folder)),
            ("records", f"{len(self.records)} ({len(self.failed)} failed)"),
            ("techniques", ", ".join(techniques) or "none"),
            ("samples", ", ".join(samples[:6]) + (f" and {len(samples) - 6} more" if len(samples) > 6 else "")),
            ("series", ", ".join((*self.arrays, *self.grids)) or "none"),
            ("figures", str(len(self.figures))),
        ]

    def __repr__(self) -> str:
        lines = "\n".join(f"  {key:<11}{value}" for key, value in self._facts())
        return f"<Run {self.title!r}\n{lines}>"


def load_run(folder: str | Path) -> Run:
    """Return the run in a folder.

    Parameters
    ----------
    folder : str or Path
        What ``layerscope run --out`` wrote.

    Returns
    -------
    Run
        With ``.records``, ``.table`` (a DataFrame) and ``.arrays`` (loaded on demand).

    Raises
    ------
    StoreError
        If the folder is no run folder, or a record is damaged; the error names the file.
    """
    store = RunStore.open(Path(folder))
    records = tuple(store.read_records())
    info = store.read_info()
    if not records and info.get("status") == "finished" and info.get("counts", {}).get("records"):
        raise StoreError("the records are gone", source=store.records_folder, hint="run the recipe again")
    return Run(store.folder, records, info)
