"""Series files of our own: what is written is read back, twice the same bytes, and no kill leaves half a file."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layerscope.spectra.xps.nexus import LAYOUT

from layerscope.errors import StoreError
from layerscope.records.model import ArrayRef
from layerscope.runs import nexus
from layerscope.runs.arrays import SeriesArrays, array_sha256
from layerscope.runs.nexus import read_array, read_series
from layerscope.runs.nexus_layout import unique_names
from layerscope.runs.store import RunStore

BUILDER = Path(__file__).with_name("conftest.py")
ARRAYS = ("axis", "levels", "counts", "fit", "background", "residual")
TEXTS = ("name", "technique", "title", "sample", "axis_name", "axis_unit", "level_name", "level_unit")


def write_series(path: Path, series: SeriesArrays, **options: Path) -> dict[str, ArrayRef]:
    """Write a series with the layout of its technique."""
    return nexus.write_series(path, series, layout=LAYOUT if series.technique == "xps" else None, **options)


def assert_same(back: SeriesArrays, series: SeriesArrays) -> None:
    for key in (*TEXTS, "base", "intensity_unit", "area_unit"):
        assert getattr(back, key) == getattr(series, key)
    for key in ARRAYS:
        assert np.array_equal(getattr(back, key), getattr(series, key)), key
    np.testing.assert_allclose(back.variance, series.variance, rtol=1e-15)
    for key in ("components", "component_area", "component_area_sigma"):
        ours, theirs = getattr(series, key), getattr(back, key)
        assert list(theirs) == list(ours)
        assert all(np.array_equal(theirs[label], ours[label]) for label in ours)
    assert (back.frames is None) == (series.frames is None)
    assert series.frames is None or np.array_equal(back.frames, series.frames)
    assert sorted(back.marks) == sorted(series.marks)
    for label, marks in series.marks.items():
        for theirs, ours in zip(back.marks[label], marks, strict=True):
            assert theirs is None if ours is None else np.array_equal(theirs, ours)
    assert list(back.parameters) == list(series.parameters)
    for name, parameter in series.parameters.items():
        other = back.parameters[name]
        assert np.array_equal(other.values, parameter.values)
        assert np.array_equal(other.sigmas, parameter.sigmas, equal_nan=True)
        for key in ("unit", "initial", "min", "max", "scope"):
            assert getattr(other, key) == getattr(parameter, key)
    known = {key: value for key, value in series.metadata.items() if value is not None}
    assert dict(back.metadata) == known
    assert {key: type(value) for key, value in back.metadata.items()} == {k: type(v) for k, v in known.items()}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"levels": 1},
        {"labels": ()},
        {"labels": ("TM–O–B", "B/O", "B O", "B_O"), "component_area": {}, "component_area_sigma": {}},
        {"technique": "xrd", "axis_name": "data", "axis_unit": "deg", "level_name": "energy", "parameters": {}},
        {"level_name": "data"},
        {"level_name": "position", "technique": "xrd", "axis_name": "position", "axis_unit": "mm"},
        {
            "base": "b1s",
            "frames": np.array([0, 1, 3, 7]),
            "marks": {"O3'": (None, np.array([18.9, 38.5]), np.empty(0), np.array([1.0])), "O3": (None,) * 4},
        },
    ],
    ids=[
        "full",
        "one level",
        "no component",
        "alike labels without area",
        "names that clash",
        "level called data",
        "twice position",
        "frames and marks",
    ],
)
def test_series_comes_back_as_it_was_written(tmp_path, make_series, changes):
    series = make_series(**changes)
    write_series(tmp_path / "arrays" / "a.nxs", series)
    assert_same(read_series(tmp_path / "arrays" / "a.nxs").load(), series)


def test_writing_what_was_read_gives_the_same_bytes(tmp_path, make_series):
    write_series(tmp_path / "arrays" / "a.nxs", make_series())
    write_series(tmp_path / "arrays" / "b.nxs", read_series(tmp_path / "arrays" / "a.nxs").load())
    assert (tmp_path / "arrays" / "a.nxs").read_bytes() == (tmp_path / "arrays" / "b.nxs").read_bytes()


SCRIPT = """
import importlib.util, os, signal, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("builder", sys.argv[1])
builder = importlib.util.module_from_spec(spec)
spec.loader.exec_module(builder)
import layerscope.runs.nexus_layout as nexus_layout
import layerscope.runs.nexus as nexus
from layerscope.spectra.xps.nexus import LAYOUT

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

moment = sys.argv[3] if len(sys.argv) > 3 else "never"
if moment.isdigit():
    original, left = nexus_layout.set_attribute, [int(moment)]
    def set_attribute(*args):
        left[0] -= 1
        if left[0] < 0:
            die()
        return original(*args)
    nexus_layout.set_attribute = set_attribute
elif moment == "fsync":
    os.fsync = die
elif moment == "replace":
    Path.replace = die
series = builder.build(title="the new one" if moment != "never" else "B 1s")
nexus.write_series(Path(sys.argv[2]), series, layout=LAYOUT)
"""


def run_writer(path: Path, *more: str, seed: str = "0") -> int:
    command = [sys.executable, "-P", "-c", SCRIPT, str(BUILDER), str(path), *more]
    return subprocess.run(command, cwd=path.parent, env={**os.environ, "PYTHONHASHSEED": seed}, check=False).returncode


def test_two_writes_in_two_processes_at_two_times_give_identical_bytes(tmp_path):
    (tmp_path / "arrays").mkdir()
    assert run_writer(tmp_path / "arrays" / "a.nxs", seed="1") == 0
    time.sleep(1.1)  # HDF5's time stamps, if any were written, count in seconds
    assert run_writer(tmp_path / "arrays" / "b.nxs", seed="2") == 0
    assert (tmp_path / "arrays" / "a.nxs").read_bytes() == (tmp_path / "arrays" / "b.nxs").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL does not exist on Windows")
@pytest.mark.parametrize("moment", ["0", "30", "replace"])
def test_a_killed_writer_leaves_the_old_file_and_the_next_one_succeeds(tmp_path, make_series, moment):
    with RunStore.writing(tmp_path / "run", "recipe.toml") as store:
        path = store.arrays_folder / "a.nxs"
        write_series(path, make_series(title="the old one"))
    before = path.read_bytes()
    assert run_writer(path, moment) == -9
    assert path.read_bytes() == before
    assert read_series(path).load().title == "the old one"
    with RunStore.writing(tmp_path / "run", "recipe.toml"):
        assert [file.name for file in path.parent.iterdir()] == ["a.nxs"], "the rest of the killed run must be gone"
        write_series(path, make_series(title="the next one"))
    assert read_series(path).title == "the next one"
    assert [file.name for file in path.parent.iterdir()] == ["a.nxs"]


def test_the_file_is_on_disk_before_it_takes_its_place(tmp_path, make_series, monkeypatch):
    order = []
    fsync, move = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (order.append("fsync"), fsync(descriptor))[1])
    monkeypatch.setattr(Path, "replace", lambda self, target: (order.append("replace"), move(self, target))[1])
    write_series(tmp_path / "arrays" / "a.nxs", make_series())
    assert order == ["fsync", "replace"]


def test_a_writer_that_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path, make_series, monkeypatch):
    path = tmp_path / "arrays" / "a.nxs"
    write_series(path, make_series())
    before = path.read_bytes()

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("layerscope.runs.nexus.add_fit", full)
    with pytest.raises(StoreError, match="No space left"):
        write_series(path, make_series(title="new"))
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["a.nxs"]


def test_references_lead_to_the_arrays_with_shape_unit_and_hash(tmp_path, make_series):
    series = make_series()
    references = write_series(tmp_path / "run" / "arrays" / "a.nxs", series)
    expected = {
        "counts": (series.counts, "counts"),
        "counts_sigma": (np.sqrt(series.variance), "counts"),
        "axis": (series.axis, "eV"),
        "levels": (series.levels, "s"),
        "fit": (series.fit, "counts"),
        "background": (series.background, "counts"),
        "residual": (series.residual, "1"),
        "component:TM-O-B": (series.components["TM-O-B"], "counts"),
        "area:B-O-B": (series.component_area["B-O-B"], "counts*eV"),
        "area_sigma:B-O-B": (series.component_area_sigma["B-O-B"], "counts*eV"),
        "parameter:shift": (series.parameters["shift"].values, "eV"),
        "parameter_sigma:B_O_B_fwhm": (series.parameters["B_O_B_fwhm"].sigmas, "eV"),
    }
    for key, (values, unit) in expected.items():
        reference = references[key]
        assert reference.file == "arrays/a.nxs"
        assert (reference.shape, reference.unit) == (values.shape, unit)
        assert reference.sha256 == array_sha256(values)
        assert np.array_equal(read_array(tmp_path / "run", reference), values, equal_nan=True)
    for reference in references.values():
        read_array(tmp_path / "run", reference)


def test_an_array_that_was_changed_behind_the_record_is_noticed(tmp_path, make_series):
    path = tmp_path / "arrays" / "a.nxs"
    reference = write_series(path, make_series())["counts"]
    with h5py.File(path, "r+") as file:
        file["entry/data/data"][0, 0] += 1.0
    with pytest.raises(StoreError, match="not the one of the record"):
        read_array(tmp_path, reference)


def test_arrays_are_read_when_asked_for_and_no_file_stays_open(tmp_path, make_series):
    path = tmp_path / "arrays" / "a.nxs"
    write_series(path, make_series())
    series = read_series(path)
    assert repr(series) == "<LazySeries b1s_B_1s: 4 levels x 31 points, 2 components, 4 parameters>"
    assert list(series.components) == ["B-O-B", "TM-O-B"]
    assert series.components["B-O-B"].shape == (4, 31)
    write_series(path, make_series(counts=np.full((4, 31), 5.0)))
    assert np.all(series.counts == 5.0), "the array must come from the disk at the moment of asking"
    with pytest.raises(KeyError):
        series.components["C-O"]
    path.unlink()
    with pytest.raises(StoreError, match="does not exist"):
        _ = series.counts


def damage_text(path):
    path.write_bytes(b"time,counts\n1,2\n")


def damage_empty(path):
    path.write_bytes(b"")


def damage_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_foreign(path):
    with h5py.File(path, "w") as file:
        file["something"] = 1


def damage_newer(path):
    with h5py.File(path, "r+") as file:
        file["entry/series/format"][()] = 99


def damage_unit(path):
    with h5py.File(path, "r+") as file:
        del file["entry/data/data"].attrs["units"]


@pytest.mark.parametrize(
    "damage", [damage_text, damage_empty, damage_half, damage_foreign, damage_newer, damage_unit, Path.unlink]
)
def test_a_file_that_is_no_series_gives_one_typed_error_with_its_name(tmp_path, make_series, damage):
    path = tmp_path / "arrays" / "a.nxs"
    write_series(path, make_series())
    damage(path)
    with pytest.raises(StoreError) as caught:
        read_series(path).load()
    assert caught.value.source == str(path)


def test_links_and_storage_outside_the_file_are_refused(tmp_path, make_series):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["data"] = np.ones((4, 31))
    (tmp_path / "raw.bin").write_bytes(bytes(4 * 31 * 8))
    path = tmp_path / "arrays" / "a.nxs"
    for kind in ("external link", "soft link", "external storage", "virtual"):
        write_series(path, make_series())
        with h5py.File(path, "r+") as file:
            del file["entry/fit/data/fit_sum"]
            data = file["entry/fit/data"]
            if kind == "external link":
                data["fit_sum"] = h5py.ExternalLink(str(secret), "/data")
            elif kind == "soft link":
                data["fit_sum"] = h5py.SoftLink("/entry/data/data")
            elif kind == "external storage":
                data.create_dataset("fit_sum", (4, 31), "f8", external=[(str(tmp_path / "raw.bin"), 0, 4 * 31 * 8)])
            else:
                layout = h5py.VirtualLayout((4, 31), "f8")
                layout[:] = h5py.VirtualSource(str(secret), "data", (4, 31))
                data.create_virtual_dataset("fit_sum", layout)
        with pytest.raises(StoreError, match="fit_sum"):
            _ = read_series(path).fit


def test_an_array_larger_than_its_file_is_refused_before_memory_is_taken(tmp_path, make_series):
    path = tmp_path / "arrays" / "a.nxs"
    write_series(path, make_series())
    with h5py.File(path, "r+") as file:
        del file["entry/fit/data/fit_sum"]
        file["entry/fit/data"].create_dataset("fit_sum", shape=(2**20, 2**20), dtype="f8", chunks=(1024, 1024))
    with pytest.raises(StoreError, match="more than the file has"):
        _ = read_series(path).fit


def test_a_reference_does_not_leave_the_run_folder(tmp_path, make_series):
    reference = write_series(tmp_path / "outside" / "arrays" / "a.nxs", make_series())["counts"]
    run = tmp_path / "run"
    run.mkdir()
    (run / "arrays").symlink_to(tmp_path / "outside" / "arrays")
    with pytest.raises(StoreError, match="is a link"):
        read_array(run, reference)
    with pytest.raises(ValueError, match="relative"):
        ArrayRef(**{**reference.model_dump(), "file": "../outside/arrays/a.nxs"})


def test_a_file_outside_the_run_folder_is_not_written(tmp_path, make_series):
    with pytest.raises(StoreError, match="run folder"):
        write_series(tmp_path / "a.nxs", make_series(), run_folder=tmp_path / "run")
    assert not (tmp_path / "a.nxs").exists()


def test_a_folder_that_cannot_be_made_gives_a_store_error(tmp_path, make_series):
    (tmp_path / "arrays").write_text("a file")
    with pytest.raises(StoreError, match="arrays: cannot be written: File exists"):
        write_series(tmp_path / "arrays" / "a.nxs", make_series())


def test_ten_thousand_levels_are_stored_in_one_file(tmp_path, make_series):
    # HDF5 keeps an attribute below 64 kB; what grows with the levels must therefore be a dataset.
    series = make_series(levels=10_000, points=5)
    write_series(tmp_path / "arrays" / "a.nxs", series)
    assert read_series(tmp_path / "arrays" / "a.nxs").counts.shape == (10_000, 5)


def test_hash_of_the_file_does_not_depend_on_the_order_of_the_settings(tmp_path, make_series):
    series = make_series()
    turned = make_series(metadata=dict(reversed(list(series.metadata.items()))))
    for name, one in (("a", series), ("b", turned)):
        write_series(tmp_path / "arrays" / f"{name}.nxs", one)
    first, second = (hashlib.sha256((tmp_path / "arrays" / f"{n}.nxs").read_bytes()).hexdigest() for n in "ab")
    assert first == second


@given(st.lists(st.text(max_size=12), unique=True, max_size=8))
def test_every_label_gets_its_own_name_that_nexus_allows(labels):
    names = unique_names(labels)
    assert list(names) == labels
    assert len(set(names.values())) == len(labels)
    for name in names.values():
        assert re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.]*[A-Za-z0-9_])?", name)
        assert not name.endswith(("_errors", "_set", "_mask", "_end", "_indices", "_weights", "_offset"))
