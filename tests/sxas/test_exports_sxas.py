"""What is exported is read back: by us, by the validator of NeXus files, and by xraylarch, the second opinion."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import pytest
from layerscope.spectra.sxas.readers import read

from layerscope.runs.arrays import SeriesArrays
from layerscope.runs.execute import execute
from layerscope.runs.export import export_run
from layerscope.runs.load import Run

from .sxas_files import bcs

READ_BY_LARCH = """
import json, sys
from larch.io import read_athena, read_xdi
found = {}
project = read_athena(sys.argv[1])
for name in project._athena_groups if hasattr(project, "_athena_groups") else dir(project):
    group = getattr(project, name)
    if hasattr(group, "energy"):
        about = group.athena_params.bkg
        found[name] = [list(group.energy), list(group.mu), about.z, group.edge, about.e0]
for path in sys.argv[2:]:
    one = read_xdi(path)
    found[path] = [list(one.energy), list(one.mu), one.element, one.edge, 0.0]
print("ANSWER" + json.dumps(found))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return the run of two samples at the O K edge; the second opinion is asked for where larch is there."""
    folder = tmp_path_factory.mktemp("run")
    bcs(folder / "one.txt")
    bcs(folder / "two.txt")
    engine = "both" if find_spec("larch") else "layerscope"
    (folder / "recipe.toml").write_text(
        'layerscope = 1\npipeline = "sxas"\nsample = "film"\nedge = "O K"\nbands = "none"\n'
        f'engine = "{engine}"\nnormalise = {{ kind = "step", pre_eV = [516, 526], post_eV = [545, 558] }}\n'
        '[[series]]\nname = "a"\nfiles = ["one.txt"]\n[[series]]\nname = "b"\nsample = "it\'s B"\nfiles = ["two.txt"]\n'
    )
    filters, level = list(warnings.filters), logging.getLogger().level
    found = execute(folder / "recipe.toml", folder / "out", figures=False)
    assert not found.failed
    assert list(warnings.filters) == filters
    assert logging.getLogger().level == level
    assert "larch" not in sys.modules
    return found.run


@pytest.fixture(scope="module")
def spectra(run: Run) -> dict[str, SeriesArrays]:
    """Return its arrays."""
    return {name: lazy.load() for name, lazy in run.arrays.items()}


def test_nxxasproc_files_pass_validation_and_hold_the_raw_hash(
    run: Run, spectra: dict[str, SeriesArrays], tmp_path: Path
) -> None:
    validation = pytest.importorskip("pynxtools.dataconverter.validation", reason="pynxtools: extra verify")
    files = export_run(run, "nxxasproc", tmp_path)
    assert len(files) == 2
    for path, arrays in zip(files, spectra.values(), strict=True):
        with h5py.File(path, "r") as file:
            assert validation.validate_hdf_group_against("NXxasproc", file["entry"], str(path))
            np.testing.assert_allclose(file["entry/data/energy"][()], arrays.axis)
            (normalised,) = arrays.components.values()
            np.testing.assert_allclose(file["entry/data/data"][()], normalised[0])
            raw = file["entry/XAS_data_reduction/parameters/raw_file"].asstr()[()]
        assert raw.split()[0] in {item.sha256 for record in run.records for item in record.inputs}
    before = [path.read_bytes() for path in files]
    assert before == [path.read_bytes() for path in export_run(run, "nxxasproc", tmp_path)]
    with h5py.File(files[0], "r+") as file:
        del file["entry/XAS_data_reduction/program"]
        assert not validation.validate_hdf_group_against("NXxasproc", file["entry"], str(files[0]))


def test_athena_projects_and_xdi_are_read_back_the_same(
    run: Run, spectra: dict[str, SeriesArrays], tmp_path: Path
) -> None:
    (project,) = export_run(run, "prj", tmp_path)
    scans = [*read(project).scans, *(read(path).scans[0] for path in export_run(run, "xdi", tmp_path))]
    assert [scan.sample for scan in scans] == ["film, O K tey", "it's B, O K tey", "film", "it's B"]
    for scan, arrays in zip(scans, [*spectra.values()] * 2, strict=True):
        assert scan.edge == "O K"
        np.testing.assert_allclose(scan.energy, arrays.axis, rtol=1e-9)
        np.testing.assert_allclose(scan.channels["mu"], arrays.counts[0], rtol=1e-9)
    assert (scans[0].given["e0"], scans[0].given["pre1"]) == (536.5, 516 - 536.5)


@pytest.mark.skipif(find_spec("larch") is None, reason="xraylarch is not installed")
def test_larch_reads_exports_back_and_agrees_on_the_step(
    run: Run, spectra: dict[str, SeriesArrays], tmp_path: Path
) -> None:
    files = [*export_run(run, "prj", tmp_path), *export_run(run, "xdi", tmp_path)]
    command = [sys.executable, "-I", "-c", READ_BY_LARCH, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    found = json.loads(done.stdout.partition("ANSWER")[2])
    assert len(found) == 4
    for energy, mu, element, edge, e0 in found.values():
        arrays = next(a for a in spectra.values() if np.allclose(a.axis, energy, rtol=1e-6))
        np.testing.assert_allclose(mu, arrays.counts[0], rtol=1e-6)
        assert (element, edge) == ("O", "K")
        assert e0 in (0.0, 536.5)
    compared = [record for record in run.records if record.method == "sxas.comparison"]
    assert len(compared) == 2
    for record in compared:
        assert record.status == "ok"
        (difference,) = [q for q in record.quantities if q.component == "edge.step, xraylarch pre_edge"]
        assert difference.value is not None
        assert difference.sigma is not None
        assert abs(difference.value) < 0.1 * difference.sigma
        assert record.parents
        assert "xraylarch" in record.software
