"""A recipe that others made reads nothing outside its folder, not by any link, and writes nothing outside the run."""

from __future__ import annotations

import hashlib
import json
import runpy
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from layerscope.microscopy.readers.tia import read as read_tia
from layerscope.spectra.eels.readers import FORMATS

from layerscope.errors import LayerscopeError, ReaderError
from layerscope.measured.files import RawFile
from layerscope.measured.hdf import values
from layerscope.runs.execute import execute
from layerscope.runs.export import export_run, formats_of
from layerscope.runs.plan import check_plan, make_plan
from layerscope.runs.watch import Watch

ROOT = Path(__file__).resolve().parents[2]
NAMES = (
    "../../evil",
    "/evil",
    "a/b",
    "..",
    ".",
    "~/x",
    "con:x",
    "é\u202e/..",
    "%2e%2e/x",
    "x" * 200,
    "-rf",
    "a\nb",
    "a b",
    "a*",
)


@pytest.fixture(autouse=True)
def _nothing_hangs() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


write_hspy = runpy.run_path(str(ROOT / "tests" / "eels" / "simulated_xrays.py"))["write_hspy"]


@pytest.fixture(scope="module")
def batch() -> dict[str, Any]:
    """Return the makers of cheap files and recipes of the benchmark of batches."""
    return runpy.run_path(str(ROOT / "benchmarks" / "batch_kills.py"))


def a_file(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def a_device(path: Path, _: Path) -> None:
    path.symlink_to("/dev/zero")


def a_folder(path: Path, secret: Path) -> None:
    path.symlink_to(secret.parent)


@pytest.mark.parametrize("harm", [a_file, a_device, a_folder])
@pytest.mark.parametrize(
    ("technique", "named"),
    [*(("xps", name) for name in ("way", "way*", "way/*", ".")), ("xrd", "way"), ("sxas", "way")],
)
def test_what_a_link_leads_to_is_neither_read_nor_hashed(
    named: str, harm: Callable[[Path, Path], None], technique: str, batch: dict[str, Any], tmp_path: Path
) -> None:
    text = batch["MADE"][technique](np.random.default_rng(1))
    for folder in ("case", "secret"):
        (tmp_path / folder).mkdir()
    secret = tmp_path / "secret" / "secret.txt"
    secret.write_text(batch["MADE"][technique](np.random.default_rng(2)))
    (tmp_path / "case" / "own.txt").write_text(text)
    harm(tmp_path / "case" / "way", secret)
    recipe = tmp_path / "case" / "recipe.toml"
    head, series = batch["HEADS"][technique], batch["SERIES"][technique]
    recipe.write_text(f'layerscope = 1\nsample = "s"\n{head}[[series]]\nfiles = ["own.txt", "{named}"]\n{series}')
    summary = execute(recipe, tmp_path / "run", figures=False)
    told = "".join(record.to_json() for record in summary.run.records)
    assert hashlib.sha256(secret.read_bytes()).hexdigest() not in told
    assert all("way" not in item.path or item.size == 0 for r in summary.run.records for item in r.inputs)


def test_a_file_that_is_refused_is_named_as_the_recipe_names_it(batch: dict[str, Any], tmp_path: Path) -> None:
    study, _ = batch["write_files"](tmp_path, 6, 6, 1)
    summary = execute(study, tmp_path / "run", figures=False)
    assert len(summary.failed) == 6
    assert not [record for record in summary.failed if str(tmp_path) in record.to_json()]


def linked(group: h5py.Group, secret: Path) -> None:
    group["data"] = h5py.ExternalLink(str(secret), group.name + "/data")


def by_way_of_a_link_inside(group: h5py.Group, secret: Path) -> None:
    group.file["elsewhere"] = h5py.ExternalLink(str(secret), "/")
    group["data"] = h5py.SoftLink(f"/elsewhere{group.name}/data")


def stored_elsewhere(group: h5py.Group, secret: Path) -> None:
    size = 6 * 1000 * 2
    group.create_dataset("data", (2, 3, 1000), "u2", external=[(str(secret), secret.stat().st_size - size, size)])


def virtual(group: h5py.Group, secret: Path) -> None:
    layout = h5py.VirtualLayout((2, 3, 1000), "u2")
    layout[:] = h5py.VirtualSource(str(secret), group.name + "/data", (2, 3, 1000))
    group.create_virtual_dataset("data", layout)


@pytest.mark.parametrize("harm", [linked, by_way_of_a_link_inside, stored_elsewhere, virtual])
def test_numbers_of_another_hdf5_file_are_not_read(harm: Callable[[h5py.Group, Path], None], tmp_path: Path) -> None:
    image = np.ones((2, 3, 1000), dtype="u2")
    for folder in ("case", "secret"):
        (tmp_path / folder).mkdir()
        write_hspy(tmp_path / folder / "map.hspy", image)
    path = tmp_path / "case" / "map.hspy"
    with h5py.File(path, "a") as file:
        group = file["Experiments/map"]
        del group["data"]
        harm(group, tmp_path / "secret" / "map.hspy")
    with pytest.raises(ReaderError, match="another file"):
        FORMATS.read(path)
    raw = RawFile(path, path.read_bytes(), "")
    with h5py.File(path, "r") as file, pytest.raises(ReaderError, match="another file"):
        values(raw, file, ("Experiments/map/data",))


def test_series_beside_a_file_of_tia_that_are_links_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "a_1.ser").symlink_to("/dev/zero")
    raw = RawFile(tmp_path / "a.emi", b"JI<ObjectInfo></ObjectInfo>", "")
    with pytest.raises(ReaderError, match="is a link"):
        read_tia(raw)


def test_a_library_is_asked_for_names_and_never_for_paths(tmp_path: Path) -> None:
    for name in ("phases/LiCoO2_R-3m", "peaks/lco_003"):
        source = next((ROOT / "reference_data" / name).parent.glob("*.toml"))
        (tmp_path / f"{Path(name).parent}.toml").write_bytes(source.read_bytes())
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "a.xy").write_text("1 2\n")
    for place in ("../", f"{tmp_path}/"):
        for text in (
            f'pipeline = "hrtem"\nphases = ["{place}phases.toml"]\n',
            f'pipeline = "xrd_peaks"\ncomponents = "{place}peaks"\n',
            f'pipeline = "rietveld"\n[[phases]]\nname = "a"\nlibrary = "{place}phases.toml"\n',
            f'pipeline = "rietveld"\n[[phases]]\nname = "a"\nfile = "{place}phases.toml"\n',
        ):
            recipe = tmp_path / "case" / "recipe.toml"
            recipe.write_text(f'layerscope = 1\nsample = "s"\n{text}[[series]]\nfiles = ["a.xy"]\n')
            try:
                problems = [str(problem.message) for _, problem in check_plan(make_plan(recipe))]
            except LayerscopeError as error:
                problems = [str(error)]
            assert any(word in problems[0] for word in ("library", "is missing", "a path ")), problems


@pytest.mark.parametrize("technique", ["xps", "xrd", "sxas"])
def test_no_name_leads_out_of_the_run_folder(technique: str, batch: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "case").mkdir()
    text = batch["MADE"][technique](np.random.default_rng(1))
    parts = [f'layerscope = 1\nsample = "/evil"\n{batch["HEADS"][technique]}']
    for number, name in enumerate(NAMES):
        (tmp_path / "case" / f"{number}.txt").write_text(text)
        told = json.dumps(name, ensure_ascii=False)
        parts.append(f"[[series]]\nname = {told}\nsample = {told}\nfiles = ['{number}.txt']\n")
        parts.append(batch["SERIES"][technique])
    recipe = tmp_path / "case" / "recipe.toml"
    recipe.write_text("\n".join(parts).replace('"(003)"', '"../../evil"'))
    before = set(tmp_path.rglob("*"))
    summary = execute(recipe, tmp_path / "runs" / "deep" / "run", figures=False)
    for name in formats_of(summary.run):
        with suppress(LayerscopeError):  # nothing to write in this format
            export_run(summary.run, name, tmp_path / "runs" / "deep" / "run" / "export")
    assert [record.problem for record in summary.failed] == []
    new = {path.relative_to(tmp_path) for path in tmp_path.rglob("*")} - {p.relative_to(tmp_path) for p in before}
    assert [path for path in new if path.parts[:3] != ("runs", "deep", "run") and len(path.parts) > 2] == []
    assert {path.as_posix() for path in new if len(path.parts) < 3} == {"runs", "runs/deep"}
    assert not list(Path("/").glob("evil*"))


def test_what_a_link_leads_to_is_not_copied_by_a_watch(recipe_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "one.txt").write_text("0 100 200\n")
    (recipe_folder / "one.txt").unlink()
    (recipe_folder / "one.txt").symlink_to(tmp_path / "secret" / "one.txt")
    (recipe_folder / "other.txt").write_bytes((recipe_folder / "two.txt").read_bytes())
    (recipe_folder / "two.txt").unlink()
    (recipe_folder / "two.txt").symlink_to("other.txt")
    copies = tmp_path / "copies"
    copies.mkdir()
    watch = Watch(recipe_folder, recipe_folder / "recipe.toml", tmp_path / "run", quiet_s=0.0)
    watch.look(copies)
    watch.look(copies)
    assert [path.name for path in copies.iterdir()] == ["two.txt"]
