"""Read a series back from its NeXus file, array by array, only when an array is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, cast

import h5py
import numpy as np
from h5py import h5d, h5l, h5o
from numpy.typing import NDArray

from layerscope.errors import StoreError
from layerscope.records.model import ArrayRef

from .arrays import IntArray, Marks, SeriesArrays, SeriesParameter, array_sha256
from .inside import inside

__all__ = [
    "LazySeries",
    "metadata_of",
    "names_of",
    "opened",
    "read_array",
    "read_series",
    "stored",
    "text_of",
    "unit_of",
    "words_of",
]

FloatArray = NDArray[np.float64]
T = TypeVar("T")
_FIT = "entry/fit"


def read_series(path: Path) -> LazySeries:
    """Open a series file that layerscope wrote.

    Only names and settings are read now; arrays come from the file when they are asked for, and the file is closed in
    between.

    Parameters
    ----------
    path : Path
        The ``.nxs`` file.

    Returns
    -------
    LazySeries
        Has the attributes of `SeriesArrays`; ``.load()`` makes one.

    Raises
    ------
    StoreError
        When the file is missing, is not HDF5, or is not a series of a layout known here.
    """
    return LazySeries(Path(path))


def read_array(run_folder: Path, reference: ArrayRef) -> NDArray[Any]:
    """Read one array of a record and check that it is the one the record speaks of.

    Parameters
    ----------
    run_folder : Path
        Folder that the reference is relative to.
    reference : ArrayRef
        File, path, shape and hash.

    Returns
    -------
    ndarray, shape ``reference.shape``
        Values in ``reference.unit``.

    Raises
    ------
    StoreError
        When the file or the array is missing, or shape or hash differ from the record.
    """
    path = inside(Path(run_folder), reference.file)
    with opened(path) as file:
        values = stored(file, reference.path, path)
    if values.shape != reference.shape or array_sha256(values) != reference.sha256:
        raise StoreError(
            f"the array {reference.path} is not the one of the record", source=path, hint="run the recipe again"
        )
    return values


class LazySeries:
    """A series on disk; each attribute of `SeriesArrays` is read when it is used.

    Attributes
    ----------
    path : Path
        The file.
    name, technique, title, sample : str
        As in `SeriesArrays`, as are axis_name, axis_unit, level_name, level_unit, intensity_unit and area_unit.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: h5py.File | None = None
        with opened(path) as file:
            if text_of(file, "entry/series/format", path, kind="int") != "1":
                raise StoreError("the file has a newer layout", source=path, hint="update layerscope")
            head = {key: text_of(file, f"entry/series/{key}", path) for key in _HEAD}
            self.title = text_of(file, "entry/title", path)
            self.sample = text_of(file, "entry/sample/name", path)
            self._components = names_of(file, "entry/series/component", path)
            self.intensity_unit = unit_of(file, "entry/data/data", path)
            self.axis_unit = unit_of(file, f"entry/data/{head['axis_field']}", path)
            self.level_unit = unit_of(file, f"entry/data/{head['level_field']}", path)
            self.shape: tuple[int, int] = _dataset(file, "entry/data/data", path).shape
        self.name, self.technique = head["name"], head["technique"]
        self.axis_name, self.level_name, self.area_unit = head["axis_name"], head["level_name"], head["area_unit"]
        self._axis_field, self._level_field = head["axis_field"], head["level_field"]

    def __repr__(self) -> str:
        levels, points = self.shape
        parts = f"{len(self._components)} components, {len(self._parameters)} parameters"
        return f"<LazySeries {self.name}: {levels} levels x {points} points, {parts}>"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the file open for as long as the context lasts: several arrays come at the cost of one."""
        with opened(self.path) as self._held:
            try:
                yield
            finally:
                self._held = None

    def _open(self) -> AbstractContextManager[h5py.File]:
        return opened(self.path) if self._held is None else nullcontext(self._held)

    # What not everybody asks for is read when somebody does. Files of version 1.0 have no base, no frames and no marks.

    @cached_property
    def metadata(self) -> dict[str, str | int | float | bool]:
        """Settings of the measurement."""
        with self._open() as file:
            return metadata_of(file, "entry/series/metadata", self.path)

    @cached_property
    def base(self) -> str:
        """As in `SeriesArrays`."""
        return self._if_there("entry/series/base", text_of) or ""

    @cached_property
    def _parameters(self) -> dict[str, str]:
        with self._open() as file:
            return names_of(file, "entry/series/parameter", self.path)

    @cached_property
    def _scopes(self) -> dict[str, str]:
        with self._open() as file:
            scopes = words_of(file, "entry/series/parameter_scopes", self.path)
        if len(scopes) != len(self._parameters):
            raise StoreError("the list of parameter scopes is damaged", source=self.path)
        return dict(zip(self._parameters, scopes, strict=True))

    @cached_property
    def _marks(self) -> dict[str, str]:
        with self._open() as file:
            return _marks(file, self.path)

    def _if_there(self, name: str, read: Callable[[h5py.File, str, Path], T]) -> T | None:
        with self._open() as file:
            return read(file, name, self.path) if name in file else None

    @property
    def axis(self) -> FloatArray:
        """Common axis, shape (n,), in `axis_unit`."""
        return self._read(f"entry/data/{self._axis_field}")

    @property
    def levels(self) -> FloatArray:
        """Series variable, shape (L,), in `level_unit`."""
        return self._read(f"entry/data/{self._level_field}")

    @property
    def counts(self) -> FloatArray:
        """Measured intensity, shape (L, n), in `intensity_unit`."""
        return self._read("entry/data/data")

    @property
    def variance(self) -> FloatArray:
        """Variance of the counts, shape (L, n); the square of the stored error, so equal up to rounding."""
        return self._read("entry/data/data_errors") ** 2

    @property
    def fit(self) -> FloatArray:
        """Fitted curve, shape (L, n), in `intensity_unit`."""
        return self._read(f"{_FIT}/data/fit_sum")

    @property
    def background(self) -> FloatArray:
        """Background of the fit, shape (L, n), in `intensity_unit`."""
        return self._read(f"{_FIT}/data/background")

    @property
    def residual(self) -> FloatArray:
        """Difference of counts and fit in units of sigma, shape (L, n)."""
        return self._read(f"{_FIT}/data/residual_in_sigma")

    @property
    def components(self) -> Mapping[str, FloatArray]:
        """Curve of each component, shape (L, n), in `intensity_unit`."""
        return _OnDemand(tuple(self._components), lambda label: self._read(f"{self._peak(label)}/data/intensity"))

    @property
    def component_area(self) -> Mapping[str, FloatArray]:
        """Area of each component, shape (L,), in `area_unit`."""
        return _OnDemand(self._with_area(), lambda label: self._read(f"{self._peak(label)}/total_area"))

    @property
    def component_area_sigma(self) -> Mapping[str, FloatArray]:
        """Standard error of each area, shape (L,), in `area_unit`."""
        return _OnDemand(self._with_area(), lambda label: self._read(f"{self._peak(label)}/total_area_errors"))

    @property
    def parameters(self) -> Mapping[str, SeriesParameter]:
        """Fit parameters along the series."""
        return _OnDemand(tuple(self._parameters), self._parameter)

    @property
    def frames(self) -> IntArray | None:
        """Number of each level in its series, shape (L,), where levels are numbered frames."""
        found = self._if_there("entry/series/frames", _array)
        return None if found is None else found.astype(np.int64)

    @property
    def cell_record(self) -> FloatArray | None:
        """Elapsed time (s) and voltage (V) that the cycler recorded while the levels were measured, shape (2, m)."""
        time = self._if_there("entry/series/cell_time", _array)
        return None if time is None else np.stack([time, self._read("entry/series/cell_voltage")])

    @property
    def marks(self) -> Mapping[str, Marks]:
        """Positions to mark, an array a level."""
        return _OnDemand(tuple(self._marks), self._mark)

    def load(self) -> SeriesArrays:
        """Read everything into memory.

        Returns
        -------
        SeriesArrays
            Equal to what was written, the variance up to rounding.

        Raises
        ------
        StoreError
            When an array is missing or damaged.
        """
        texts: dict[str, Any] = {key: getattr(self, key) for key in _TEXTS}
        with self.held():
            arrays: dict[str, Any] = {key: getattr(self, key) for key in _ARRAYS}
            mappings: dict[str, Any] = {key: dict(getattr(self, key)) for key in _MAPPINGS}
        return SeriesArrays(**texts, **arrays, **mappings, metadata=dict(self.metadata))

    def _read(self, name: str) -> FloatArray:
        with self._open() as file:
            return _array(file, name, self.path)

    def _mark(self, label: str) -> Marks:
        group = f"entry/series/marks/{self._marks[label]}"
        counts = self._read(f"{group}/counts").astype(np.int64)
        ends = np.cumsum(np.maximum(counts, 0))
        positions = self._read(f"{group}/positions")
        if ends.size != self.shape[0] or positions.shape != (ends[-1],):
            raise StoreError(f"the marks of {label!r} are damaged", source=self.path)
        return tuple(
            None if count < 0 else positions[end - count : end] for count, end in zip(counts, ends, strict=True)
        )

    def _peak(self, label: str) -> str:
        return f"{_FIT}/peak_{self._components[label]}"

    def _with_area(self) -> tuple[str, ...]:
        with self._open() as file:
            return tuple(label for label in self._components if f"{self._peak(label)}/total_area" in file)

    def _parameter(self, name: str) -> SeriesParameter:
        function = f"{_FIT}/global_fit_function" if self._components else _FIT
        field = f"{function}/fit_parameters/{self._parameters[name]}"
        with self._open() as file:
            dataset = _dataset(file, field, self.path)
            limits = {key: float(dataset.attrs[key]) for key in ("initial", "min", "max") if key in dataset.attrs}
            return SeriesParameter(
                values=_array(file, field, self.path),
                sigmas=_array(file, f"{field}_errors", self.path),
                unit=unit_of(file, field, self.path),
                scope=cast(Literal["shared", "pattern", "smooth", "fixed"], self._scopes[name]),
                **limits,
            )


_HEAD = ("name", "technique", "axis_name", "level_name", "area_unit", "axis_field", "level_field")
_TEXTS = (
    "name",
    "base",
    "technique",
    "title",
    "sample",
    "axis_name",
    "axis_unit",
    "level_name",
    "level_unit",
    "intensity_unit",
    "area_unit",
)
_ARRAYS = ("axis", "levels", "counts", "variance", "fit", "background", "residual", "frames", "cell_record")
_MAPPINGS = ("components", "component_area", "component_area_sigma", "parameters", "marks")


class _OnDemand(Mapping[str, T], Generic[T]):
    """A read-only mapping whose values are fetched when they are looked up."""

    def __init__(self, keys: tuple[str, ...], fetch: Callable[[str], T]) -> None:
        self._keys = keys
        self._fetch = fetch

    def __getitem__(self, key: str) -> T:
        if key not in self._keys:
            raise KeyError(key)
        return self._fetch(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<on demand: {', '.join(self._keys)}>"


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading; what HDF5 says about a broken one becomes a StoreError."""
    if not path.is_file():
        raise StoreError("the file does not exist", source=path)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, RuntimeError) as error:
        raise StoreError(f"the file cannot be read as HDF5: {error}", source=path) from error


def _dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """Return a dataset that lies in this very file.

    Links and storage that lead to other files are refused: a run folder from elsewhere must not read outside itself.
    """
    # by HDF5's own functions: what h5py builds on the way takes five times as long
    whole = name.strip("/").encode(errors="surrogateescape")
    end, links = 0, file.id.links
    while end != len(whole):
        end = whole.find(b"/", end + 1)
        end = len(whole) if end < 0 else end
        try:
            hard = links.get_info(whole[:end]).type == h5l.TYPE_HARD
        except (KeyError, RuntimeError):  # nothing of this name; or below what is no group
            hard = False
        if not hard:
            raise StoreError(f"{name} is missing or leads out of the file", source=path)
    found = h5o.open(file.id, whole)
    if not isinstance(found, h5d.DatasetID):
        raise StoreError(f"{name} is not an array of this file", source=path)
    if found.get_offset() is not None:  # in one piece, and in this file
        claimed = found.get_storage_size()
    else:
        made_by = found.get_create_plist()
        if made_by.get_external_count() or made_by.get_layout() == h5d.VIRTUAL:
            raise StoreError(f"{name} is not an array of this file", source=path)
        claimed = found.get_space().get_simple_extent_npoints() * found.get_type().get_size()
    if claimed > path.stat().st_size:  # stored uncompressed: more cannot be there, and must not be allocated
        raise StoreError(f"{name} claims {claimed} bytes, more than the file has", source=path)
    return h5py.Dataset(found)


def stored(file: h5py.File, name: str, path: Path) -> NDArray[Any]:
    """Return a dataset of numbers or truth values in the type that it has."""
    dataset = _dataset(file, name, path)
    if dataset.dtype.kind not in "biuf":
        raise StoreError(f"{name} does not hold numbers", source=path)
    return np.asarray(dataset[()])


def _array(file: h5py.File, name: str, path: Path) -> FloatArray:
    return np.asarray(stored(file, name, path), dtype=np.float64)


def text_of(file: h5py.File, name: str, path: Path, kind: Literal["str", "int"] = "str") -> str:
    """Return a single text, or a single whole number as text."""
    dataset = _dataset(file, name, path)
    if dataset.shape != () or (h5py.check_string_dtype(dataset.dtype) is None) != (kind == "int"):
        raise StoreError(f"{name} is not a single {'number' if kind == 'int' else 'text'}", source=path)
    return str(dataset[()]) if kind == "int" else str(dataset.asstr()[()])


def words_of(file: h5py.File, name: str, path: Path) -> list[str]:
    """Return a list of texts."""
    dataset = _dataset(file, name, path)
    if len(dataset.shape) != 1 or h5py.check_string_dtype(dataset.dtype) is None:
        raise StoreError(f"{name} is not a list of texts", source=path)
    return [str(word) for word in dataset.asstr()[()]] if dataset.size else []


def names_of(file: h5py.File, kind: str, path: Path) -> dict[str, str]:
    """Return names as given and as stored, in their order; `kind` is the path of both lists without their ending."""
    names = words_of(file, f"{kind}_names", path)
    fields = words_of(file, f"{kind}_fields", path)
    if len(names) != len(fields) or any("/" in field or field in (".", "..") for field in fields):
        raise StoreError(f"the list of {kind.rpartition('/')[2]} names is damaged", source=path)
    return dict(zip(names, fields, strict=True))


def unit_of(file: h5py.File, name: str, path: Path) -> str:
    """Return the unit of a dataset."""
    unit = _dataset(file, name, path).attrs.get("units")
    if not isinstance(unit, str):
        raise StoreError(f"{name} has no unit", source=path)
    return unit


def _marks(file: h5py.File, path: Path) -> dict[str, str]:
    """Return the labels of marks, each with the name of its group."""
    found = {}
    for field, group in file["entry/series/marks"].items() if "entry/series/marks" in file else ():
        label = group.attrs.get("key")
        if not isinstance(label, str):
            raise StoreError("the list of marks is damaged", source=path)
        found[label] = field
    return found


def metadata_of(file: h5py.File, group: str, path: Path) -> dict[str, str | int | float | bool]:
    """Return the settings with the Python types they were written from."""
    settings: dict[str, str | int | float | bool] = {}
    for field in file[group]:
        dataset = _dataset(file, f"{group}/{field}", path)
        key = str(dataset.attrs["key"])
        settings[key] = str(dataset.asstr()[()]) if h5py.check_string_dtype(dataset.dtype) else dataset[()].item()
    return settings
