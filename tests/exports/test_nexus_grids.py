"""Arrays that are no series: written and read back in their own type, referred to, checked, exported."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from layerscope.errors import DataError, StoreError
from layerscope.runs.arrays import array_sha256
from layerscope.runs.grids import Grid, GridArrays, GridAxis
from layerscope.runs.load import RunArrays
from layerscope.runs.nexus import read_array, read_grids, write_series


def grids(**changes: object) -> GridArrays:
    rng = np.random.default_rng(5)
    place = GridAxis.even("x", "nm", 4, 0.5), GridAxis.even("y", "nm", 3, 0.25, 1.0)
    fields: dict[str, object] = {
        "name": "coated_a.b",
        "technique": "toy",
        "title": "a coated grain",
        "sample": "B",
        "grids": {
            "map of phases": Grid(
                rng.random((2, 3, 4), np.float32), "1", (GridAxis("phase", "1", ("CoO", "LiCoO2 bulk")), *place[::-1])
            ),
            "profile": Grid(np.arange(4.0), "nm", place[:1], "amplitude", sigma=np.full(4, 0.5)),
            "mask": Grid(np.eye(3, 4, dtype=bool), "1", place[::-1]),
            "levels": Grid(np.arange(12, dtype=np.uint8).reshape(3, 4), "counts", place[::-1]),
        },
        "metadata": {"raw": "a.dm4", "binned": 4, "absent": None},
        "base": "toy",
    }
    return GridArrays(**{**fields, **changes})  # type: ignore[arg-type]


def test_grids_come_back_in_the_type_that_they_had(tmp_path: Path) -> None:
    written = grids()
    path = tmp_path / "arrays" / "coated_a.b.grids.nxs"
    write_series(path, written)
    back = read_grids(path).load()
    for key in ("name", "technique", "title", "sample", "base"):
        assert getattr(back, key) == getattr(written, key)
    assert back.metadata == {"raw": "a.dm4", "binned": 4}
    assert list(back.grids) == list(written.grids)
    for name, grid in written.grids.items():
        other = back.grids[name]
        assert other.values.dtype == grid.values.dtype, name
        assert np.array_equal(other.values, grid.values)
        assert (other.unit, other.says or name) == (grid.unit, grid.says or name)
        assert (other.sigma is None) == (grid.sigma is None)
        for ours, theirs in zip(grid.axes, other.axes, strict=True):
            assert (theirs.name, theirs.unit) == (ours.name, ours.unit)
            assert list(theirs.values) == list(ours.values)


def test_the_same_grids_give_the_same_bytes(tmp_path: Path) -> None:
    paths = [tmp_path / "arrays" / f"{number}.grids.nxs" for number in (1, 2)]
    for path in paths:
        write_series(path, grids())
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_references_name_the_array_and_its_own_type_is_hashed(tmp_path: Path) -> None:
    path = tmp_path / "arrays" / "a.grids.nxs"
    written = grids()
    found = write_series(path, written)
    assert list(found) == [f"grid:{name}" for name in written.grids]
    reference = found["grid:map of phases"]
    assert reference.sha256 == array_sha256(written.grids["map of phases"].values)
    values = read_array(tmp_path, reference)
    assert values.dtype == np.float32
    assert np.array_equal(values, written.grids["map of phases"].values)
    with h5py.File(path, "r+") as file:
        file[reference.path][0, 0, 0] = 7.0
    with pytest.raises(StoreError, match="not the one of the record"):
        read_array(tmp_path, reference)


def test_the_hash_of_doubles_is_what_it_was_and_singles_have_one_of_their_own() -> None:
    values = np.linspace(0.0, 1.0, 5)
    assert array_sha256(values) == "5eceb7e24e41730b6d03b5c0f691b076320017738d36471cd337042b2dad230b"
    assert array_sha256(values) == array_sha256(values.astype(">f8"))
    assert array_sha256(values.astype(np.float32)) == array_sha256(values.astype(">f4"))
    assert array_sha256(values.astype(np.float32)) != array_sha256(values.astype(np.float32).astype(np.float64))


def test_every_grid_is_a_plot_of_nexus_with_its_axes(tmp_path: Path) -> None:
    path = tmp_path / "arrays" / "a.grids.nxs"
    write_series(path, grids())
    with h5py.File(path, "r") as file:
        entry = file["entry"]
        assert entry.attrs["default"] == "map_of_phases"
        group = entry["map_of_phases"]
        assert group.attrs["NX_class"] == "NXdata"
        assert list(group.attrs["axes"]) == ["phase", "y", "x"]
        assert [int(group.attrs[f"{axis}_indices"]) for axis in ("phase", "y", "x")] == [0, 1, 2]
        assert group["x"].attrs["units"] == "nm"
        assert group["data"].dtype == np.float32


def test_a_folder_tells_series_and_grids_apart_by_their_files(tmp_path: Path) -> None:
    write_series(tmp_path / "arrays" / "coated_a.b.grids.nxs", grids())
    assert list(RunArrays(tmp_path / "arrays", grids=True)) == ["coated_a.b"]
    assert list(RunArrays(tmp_path / "arrays")) == []
    assert RunArrays(tmp_path / "arrays", ("one", "two.grids"), grids=True)._all() == ("two",)


AXIS = GridAxis.even("x", "nm", 3, 1.0)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"grids": {}}, "no array"),
        ({"name": "a/b"}, "cannot be a file name"),
        ({"grids": {"a": Grid(np.zeros(4), "1", (AXIS,))}}, "on axes of 3"),
        ({"grids": {"a": Grid(np.zeros(3, complex), "1", (AXIS,))}}, "cannot be stored"),
        ({"grids": {"a": Grid(np.array(["a", "b", "c"]), "1", (AXIS,))}}, "cannot be stored"),
        ({"grids": {"a": Grid(np.array([0.0, 1.0, np.inf]), "1", (AXIS,))}}, "infinite"),
        ({"grids": {"a": Grid(np.zeros(3), "1", (AXIS,), sigma=np.zeros(2))}}, "errors of shape"),
    ],
)
def test_grids_that_do_not_fit_are_refused(changes: dict[str, object], why: str) -> None:
    with pytest.raises(DataError, match=why):
        grids(**changes)


@pytest.mark.parametrize("path", ["entry/grids/format", "entry/profile/data", "entry/grids/grid_fields"])
def test_a_damaged_file_gives_a_typed_error_that_names_it(tmp_path: Path, path: str) -> None:
    file = tmp_path / "arrays" / "a.grids.nxs"
    write_series(file, grids())
    with h5py.File(file, "r+") as content:
        del content[path]
    with pytest.raises(StoreError, match=r"a\.grids\.nxs"):
        read_grids(file).load()
