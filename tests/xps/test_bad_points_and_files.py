"""A point that is no count costs itself, and so does a file that cannot be read; the rest goes on and says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from layerscope.spectra.xps.casaxps.stored_fit import redraw
from layerscope.spectra.xps.dataset import Spectrum
from layerscope.spectra.xps.options import SpectrumColumnsTable
from layerscope.spectra.xps.pipeline import PIPELINE
from layerscope.spectra.xps.readers import read

from layerscope.errors import DataError, ReaderError
from layerscope.measured.measurement import FloatArray
from layerscope.records import ResultRecord
from layerscope.runs.execute import execute
from layerscope.runs.load import Run
from layerscope.runs.plan import make_plan

X = np.round(np.arange(186.0, 198.001, 0.1), 2)
AREA, EXPOSURE = 6000.0, 0.5
BAD = (40, 61)  # 190.0 eV, and 192.1 eV: within the line
RECIPE = """
layerscope = 1
pipeline = "xps"
sample = "film"
[[series]]
files = [{files}]
columns = {{ region = "B 1s", dwell_time_s = 0.1, scans = 5 }}
{more}
[[regions]]
region = "B 1s"
[[regions.components]]
species = "B-O-B"
position_eV = 192.0
"""


def counts(seed: int = 1) -> FloatArray:
    shape = np.exp(-4 * np.log(2) * ((X - 192.0) / 1.5) ** 2) * np.sqrt(4 * np.log(2) / np.pi) / 1.5
    return np.random.default_rng(seed).poisson(300.0 + AREA * shape).astype(float)


def write(folder: Path, name: str, values: Sequence[float] | FloatArray) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(f"{e:.2f} {c:g}\n" for e, c in zip(X, values, strict=True)))


def run(folder: Path, files: Sequence[str], more: str = "", *, figures: bool = False) -> Run:
    text = RECIPE.format(files=", ".join(f'"{name}"' for name in files), more=more)
    (folder / "recipe.toml").write_text(text)
    return execute(folder / "recipe.toml", folder / "out", figures=figures).run


def of_levels(found: Run) -> list[ResultRecord]:
    return [r for r in found.records if r.method == "xps.region" and r.status != "failed"]


def area(record: ResultRecord) -> tuple[float, float]:
    quantity = next(q for q in record.quantities if q.name == "peak.area")
    assert quantity.value is not None
    assert quantity.sigma is not None
    return quantity.value, quantity.sigma


def spectrum(values: FloatArray, **more: object) -> Spectrum:
    return Spectrum(axis=X, intensity=values, region="B 1s", region_label="B1s", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [-5.0, np.nan, np.inf, -np.inf])
def test_a_point_that_is_no_count_is_masked_where_it_stands(bad: float) -> None:
    values = counts()
    values[list(BAD)] = bad
    masked = spectrum(values, transmission=np.ones(X.size)).masked()
    masked.check()
    assert masked.use is not None
    assert np.flatnonzero(~masked.use).tolist() == list(BAD)
    assert masked.counts.size == X.size
    assert np.array_equal(masked.counts[masked.use], values[masked.use])
    assert masked.metadata["masked"] == f"190 eV ({bad:g}), 192.1 eV ({bad:g})"


def test_a_sound_spectrum_has_no_mask_and_the_mask_follows_the_order_of_the_points() -> None:
    assert spectrum(counts()).masked().use is None
    values = counts()
    values[BAD[0]] = -1.0
    turned = replace(spectrum(values), axis=-X).masked().ascending()
    assert turned.use is not None
    assert -turned.axis[~turned.use] == pytest.approx([190.0])


def test_a_spectrum_with_many_points_that_are_no_counts_was_not_measured_so_and_is_refused() -> None:
    values = counts()
    values[: int(Spectrum.MOST_MASKED * X.size) + 1] -= 1e4
    with pytest.raises(DataError, match="negative"):
        spectrum(values).masked().check()


def test_masked_points_reach_the_fit_the_arrays_and_the_figures(tmp_path: Path) -> None:
    whole, damaged = tmp_path / "whole", tmp_path / "damaged"
    values = counts()
    write(whole, "b.txt", values)
    values[list(BAD)] = (-3000.0, np.nan)
    write(damaged, "b.txt", values)
    expected, sigma = area(of_levels(run(whole, ["b.txt"]))[0])
    found = run(damaged, ["b.txt"], figures=True)
    (record,) = of_levels(found)
    assert area(record)[0] == pytest.approx(expected, abs=2 * sigma)
    assert abs(area(record)[0] - AREA) < 4 * area(record)[1]
    for one in found.records:
        assert one.quality is not None
        assert "POINTS_MASKED:2" in one.quality.flags
        assert any("190 eV (-3000), 192.1 eV (nan)" in note for note in one.notes)
        assert one.quality.n_data == X.size - 2
    (arrays,) = found.arrays.values()
    assert arrays.axis.size == X.size
    for gaps in (arrays.counts, arrays.variance, arrays.residual):
        assert np.flatnonzero(np.isnan(gaps[0])).tolist() == list(BAD)
    assert np.isfinite(arrays.fit).all()
    assert list((damaged / "out" / "figures").glob("*.pdf"))


@pytest.mark.parametrize("seed", range(5))
def test_areas_are_right_whatever_stood_at_the_masked_points(tmp_path: Path, seed: int) -> None:
    rng, values = np.random.default_rng(100 + seed), counts(seed)
    values[rng.choice(X.size, 5, replace=False)] = -1.0
    write(tmp_path, "b.txt", values)
    value, sigma = area(of_levels(run(tmp_path, ["b.txt"]))[0])
    assert abs(value - AREA) < 4 * sigma


def test_a_stored_fit_over_masked_points_is_refused() -> None:
    head = "CASA region (*B 1s*) (*Linear*) 1289.6 1299.6 1 2 0 0 40.4 -450 0 0 (*B 1s*) 10.8 0 1"
    line = "CASA comp (*B-O*) (*GL(0)*) Area 1000 0 1e5 -1 1 MFWHM 1.5 0.2 5 -1 1 Position 1294.6 1290 1300 -1 1 RSF 1 "
    line += "MASS 10.8 INDEX -1 (*B 1s*) CONST (**) UNCORRECTEDRSF 1"
    values = counts()
    values[BAD[1]] = -1.0
    more = {"comments": (head, line), "excitation_energy_eV": 1486.6, "dwell_time_s": 0.1, "scans": 5}
    redraw(spectrum(counts(), **more))
    with pytest.raises(DataError, match=r"no counts: 192\.1 eV"):
        redraw(spectrum(values, **more).masked())


# --- files ----------------------------------------------------------------------------------------------------------


def series(folder: Path) -> list[str]:
    names = [f"b{k}.txt" for k in range(4)]
    for k, name in enumerate(names):
        write(folder, name, counts(k))
    return names


@pytest.mark.parametrize("whole_folder", [False, True])
def test_a_file_that_cannot_be_read_costs_itself(tmp_path: Path, whole_folder: bool) -> None:
    names = series(tmp_path / "levels")
    broken = tmp_path / "levels" / names[2]
    broken.write_text(broken.read_text()[:-4] + "x1 7\n")
    files = ["levels"] if whole_folder else [f"levels/{name}" for name in names]
    found = run(tmp_path, files, more="etch_times_s = [0, 10, 20, 30]")
    assert [r.state.etch_time_s for r in of_levels(found)] == [0.0, 10.0, 30.0]
    (failed,) = [r for r in found.records if r.status == "failed"]
    assert failed.problem is not None
    assert "b2.txt" in f"{failed.problem.source}: {failed.problem.message}"
    assert failed.method == "xps.file"
    assert [i.path for i in failed.inputs] == [files[0] if whole_folder else "levels/b2.txt"]
    (whole,) = [r for r in found.records if r.method == "xps.series"]
    assert whole.quality is not None
    assert "LEVELS_LEFT_OUT:1" in whole.quality.flags


def test_a_level_of_a_file_that_cannot_be_used_costs_itself(tmp_path: Path) -> None:
    names = series(tmp_path)
    write(tmp_path, names[1], counts() - 1e4)
    found = run(tmp_path, names, more="etch_times_s = [0, 10, 20, 30]")
    assert [r.state.etch_time_s for r in of_levels(found)] == [0.0, 20.0, 30.0]
    (failed,) = [r for r in found.records if r.status == "failed"]
    assert (failed.state.region, failed.state.etch_time_s) == ("B 1s", 10.0)


def test_check_names_the_files_and_levels_that_a_run_will_leave_out(tmp_path: Path) -> None:
    names = series(tmp_path)
    (tmp_path / names[0]).write_text("nothing\n")
    write(tmp_path, names[3], counts() - 1e4)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        RECIPE.format(files=", ".join(f'"{name}"' for name in names), more="etch_times_s = [0, 10, 20, 30]")
    )
    first, second = PIPELINE.check(make_plan(recipe).recipes[0].recipe)
    assert "no row" in first.message
    assert first.source == "b0.txt"
    assert "negative" in second.message


def test_a_series_of_which_nothing_can_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "b0.txt").write_text("nothing\n")
    (tmp_path / "b1.txt").write_text("nothing\n")
    (record,) = run(tmp_path, ["b0.txt", "b1.txt"]).records
    assert record.status == "failed"
    assert record.problem is not None
    assert record.problem.kind == "reader"
    assert record.problem.source == "b0.txt"


def test_reading_alone_is_as_strict_as_before(tmp_path: Path) -> None:
    names = series(tmp_path / "levels")
    (tmp_path / "levels" / names[2]).write_text("VAMAS\n")
    with pytest.raises(ReaderError, match="b2"):
        read(tmp_path / "levels", columns=SpectrumColumnsTable(region="B 1s"))
