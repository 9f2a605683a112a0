"""Fixtures shared by the whole suite."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings

# The same examples in every run: a check that fails now and then says nothing of the change it is run for.
settings.register_profile("layerscope", derandomize=True)
settings.load_profile("layerscope")

ROOT = Path(__file__).resolve().parents[1]
TOY = Path(__file__).parent / "runs" / "toy_package"

# ``python -m pytest`` puts the working directory first on the path, where ``layerscope/`` lies without its wings.
# The suite tests the *installed* package (wheel or editable), so that entry is taken out before anything is imported.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]

#: Modules that take longest. They are begun first, so that at the end no process waits for another; those that read a
#: run of a reference recipe stand behind those that do not, except for one that makes most of these runs.
LONG = (
    "test_recovered_truth", "test_gross_misfit", "test_soft_ties", "test_rietveld_sweeps", "test_no_work_lost",
    "test_pipeline_rietveld", "test_pipeline_rietveld_real", "test_pipeline_rietveld_sequence", "test_starts_far_off",
    "test_reference_and_material", "test_pipeline_repeat", "test_bad_input_xps", "test_cli_tables",
    "test_nothing_changed", "test_xrd_figures", "test_xps_figures", "test_pipeline_real", "test_rietveld_aberrations",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that take longest."""
    place = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONG)))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real measurements, or skip the test with the reason."""
    folder = Path(os.environ.get("LAYERSCOPE_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real measurements not found at {folder}; set LAYERSCOPE_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Return the folder of the cases with known truth that ship with the repository."""
    return ROOT / "reference_data"


@pytest.fixture(scope="session")
def reference_run(
    reference_data: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Callable[[str], Path]:
    """Run a reference recipe with its figures, once for all processes, and return the run folder: change nothing.

    The folder ``fits`` beside it holds what the regions of XPS were fitted with, see :func:`noted_fits`.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent

    def run(recipe: str) -> Path:
        from layerscope.runs.execute import execute

        folder = shared / "reference_runs" / recipe.replace("/", "_").removesuffix(".toml")
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            if not (folder / "done").exists():
                with noted_fits(folder / "fits"):
                    execute(reference_data / recipe, folder / "run")
                (folder / "done").touch()
        return folder / "run"

    return run


@contextmanager
def noted_fits(folder: Path) -> Iterator[None]:
    """Keep areas and shares of every region that is fitted, with the covariance of all levels, as ``000.npz`` ..."""
    import layerscope.spectra.xps.pipeline as xps_pipeline

    folder.mkdir(exist_ok=True)
    original = xps_pipeline.level_records

    def noted(profile: Any, result: Any, spectra: Any, scale: Any) -> Any:
        live = [s.exposure_s if spectra.unit == "counts/s" else 1.0 for s in spectra.spectra]
        areas = [f"{c.name}_area" for c in result.components]
        shares, share_covariance = result.fit.fractions([f"{c.name}_area" for c in result.own])
        total, total_covariance = result.total_area()
        np.savez(
            folder / f"{len(list(folder.iterdir())):03d}.npz",
            path=str(profile.series.files[0]), region=result.region.name, live_time_s=np.array(live),
            species=[c.species for c in result.components], own=[c.species for c in result.own],
            of_each_level=[c.position_eV.scope == "level" for c in result.components],
            areas=np.array([result.fit.value(name) for name in areas]), covariance=result.fit.covariance(areas),
            shares=shares, share_covariance=share_covariance, total=total, total_covariance=total_covariance,
        )  # fmt: skip
        return original(profile, result, spectra, scale)

    patch = pytest.MonkeyPatch()
    patch.setattr(xps_pipeline, "level_records", noted)
    try:
        yield
    finally:
        patch.undo()


@pytest.fixture
def toy_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like site-packages, where a technique from outside is installed with its entry point."""
    site = tmp_path_factory.mktemp("site")
    shutil.copy(TOY / "layerscope_toy.py", site)
    info = site / "layerscope_toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: layerscope-toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[layerscope.pipelines]\ntoy = layerscope_toy:PIPELINE\n")
    return site


@pytest.fixture
def toy(toy_site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The technique from outside, installed for this process and its children."""
    monkeypatch.syspath_prepend(str(toy_site))
    monkeypatch.setenv("PYTHONPATH", str(toy_site))
    monkeypatch.delitem(sys.modules, "layerscope_toy", raising=False)
    return toy_site


@pytest.fixture
def recipe_folder(tmp_path: Path, toy: Path) -> Path:
    """A recipe for two good files."""
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "one.txt").write_text("0 100 300\n10 200 200\n")
    (folder / "two.txt").write_text("0 900 100\n")
    (folder / "recipe.toml").write_text(
        'layerscope = 1\npipeline = "toy"\ntitle = "Toy"\nsample = "LRO"\nfiles = ["one.txt", "two.txt"]\n'
    )
    return folder
