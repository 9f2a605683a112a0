"""A model that does not describe the data states nothing; its curves are kept, and the rest goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from layerscope.spectra.xps.figure_data import collect_profiles

from layerscope.flags import gross_flag
from layerscope.records import ResultRecord
from layerscope.runs.execute import execute
from layerscope.runs.load import Run
from layerscope.runs.outcome import RunSummary

X = np.arange(280.0, 296.0, 0.1)
HEAD = """
layerscope = 1
pipeline = "xps"
sample = "s"
{more}
[[series]]
files = ["a.csv"]

[series.columns]
region = "C 1s"
energy = "energy"
counts = {counts}
etch_time_s = {times}
excitation_energy_eV = 1486.6

[[regions]]
region = "C 1s"
[[regions.components]]
species = "C-C/C-H"
"""


def line(center: float, height: float, fwhm: float = 1.2) -> np.ndarray:
    return np.asarray(height * np.exp(-4.0 * np.log(2.0) * ((X - center) / fwhm) ** 2))


def run_of(levels: Sequence[np.ndarray], folder: Path, more: str = "") -> RunSummary:
    """Fit C 1s of levels of expected counts, with one component."""
    names = [f"c{k}" for k in range(len(levels))]
    np.savetxt(
        folder / "a.csv", np.column_stack([X, *levels]), delimiter=",", header=",".join(["energy", *names]), comments=""
    )
    times = [60.0 * k for k in range(len(levels))]
    counts = "[" + ", ".join(f'"{name}"' for name in names) + "]"
    (folder / "recipe.toml").write_text(HEAD.format(more=more, counts=counts, times=times), encoding="utf-8")
    return execute(folder / "recipe.toml", folder / "run", figures=False)


def of(run: Run, method: str) -> list[ResultRecord]:
    return [record for record in run.records if record.method == method]


def indium(reference_data: Path, folder: Path, *, charge: str = "C 1s") -> RunSummary:
    """Fit the reference case with one line of the doublet of In 3d."""
    case = reference_data / "xps_in3d_null"
    text = (case / "recipe.toml").read_text(encoding="utf-8")
    head, rest = text.split('[[series]]\nname = "charged"')
    rest = rest[rest.index("[charge]") :]
    first = rest.index("doublet = true")
    second = rest.index("[[regions]]", first)
    text = head + rest[:first] + rest[second:]
    if charge == "In 3d":
        text = text.replace('region = "C 1s"\nspecies = "C-C/C-H"\n', 'region = "In 3d"\nspecies = "Li3InCl6"\n', 1)
        text = text.replace("energy_eV = 284.8", "energy_eV = 445.5", 1)
    (folder / "recipe.toml").write_text(text, encoding="utf-8")
    return execute(folder / "recipe.toml", folder / "run", data=case)


def test_one_line_of_a_doublet_gives_no_composition_of_its_element(reference_data: Path, tmp_path: Path) -> None:
    summary = indium(reference_data, tmp_path)
    (refused,) = summary.failed
    assert summary.exit_code == 2
    assert refused.state.region == "In 3d"
    assert refused.quantities == ()
    assert any(flag.startswith("GROSS_MISFIT") for flag in refused.flags)
    assert refused.problem is not None
    assert "where no component may be" in refused.problem.message
    assert "eV as measured" in str(refused.problem.hint)
    assert refused.arrays  # its curves
    assert not summary.warnings
    assert summary.run.info["figures"]
    compositions = of(summary.run, "xps.composition")
    assert compositions
    for record in compositions:
        assert {q.component for q in record.quantities if q.name == "composition.atomic_fraction"} == {"C", "Cl"}
        assert "REGIONS_LEFT_OUT:In 3d" in record.flags
        assert record.status == "warning"


def test_a_reference_region_that_is_not_described_gives_no_energy_scale(reference_data: Path, tmp_path: Path) -> None:
    summary = indium(reference_data, tmp_path, charge="In 3d")
    assert len(summary.run.records) == 1
    (refused,) = summary.failed
    assert refused.state.region == "In 3d"
    assert refused.problem is not None
    assert "no energy scale" in str(refused.problem.hint)
    assert summary.exit_code == 2  # its curves are there


def test_a_level_that_is_not_described_costs_itself(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    levels = [rng.poisson(200.0 + line(284.8, 4_000.0)).astype(float) for _ in range(8)]
    levels[3] = rng.poisson(200.0 + line(284.8, 100.0) + line(291.5, 400.0)).astype(float)
    summary = run_of(levels, tmp_path)
    (refused,) = summary.failed
    assert refused.method == "xps.region"
    assert refused.state.etch_time_s == 180.0
    assert refused.problem is not None
    assert "291.5 eV" in refused.problem.message
    assert len(of(summary.run, "xps.region")) == 8
    (whole,) = of(summary.run, "xps.series")
    assert "LEVELS_LEFT_OUT:1" in whole.flags


@pytest.mark.parametrize("height", [400.0, 3_000.0])  # the latter alone makes the whole series a misfit
def test_a_level_that_is_not_described_does_not_touch_the_others(height: float, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    levels = [rng.poisson(200.0 + line(284.8, 4_000.0)).astype(float) for _ in range(4)]
    odd = rng.poisson(200.0 + line(284.8, 100.0) + line(291.5, height)).astype(float)
    found = {}
    for name, rows in {"with": [*levels[:3], odd, *levels[3:]], "without": levels}.items():
        (tmp_path / name).mkdir()
        summary = run_of(rows, tmp_path / name)
        found[name] = summary.run
        assert len(summary.failed) == (name == "with")
    (refused,) = [r for r in found["with"].records if r.status == "failed"]
    assert refused.state.etch_time_s == 180.0
    assert refused.arrays  # the fit that it was part of
    titles = [region.name for profile in collect_profiles(found["with"]) for region in profile.regions]
    assert titles == ["C 1s", "C 1s, with the level left out"]
    widths = [
        next(q for r in of(run, "xps.series") for q in r.quantities if q.name == "peak.fwhm") for run in found.values()
    ]
    assert widths[0].value == pytest.approx(widths[1].value, abs=1e-6)
    areas = [
        [q.value for r in of(run, "xps.region") for q in r.quantities if q.name == "peak.area"]
        for run in found.values()
    ]
    np.testing.assert_allclose(*areas, rtol=1e-5)


def test_intensities_that_are_no_counts_are_refused_or_scaled(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    y = (200.0 + line(284.8, 4_000.0)) * (1.0 + 0.01 * rng.standard_normal(X.size)) * 1e9
    (tmp_path / "stated").mkdir()
    (refused,) = run_of([y], tmp_path / "stated").failed
    assert refused.problem is not None
    assert "no counts" in str(refused.problem.hint)
    (tmp_path / "scaled").mkdir()
    assert not run_of([y], tmp_path / "scaled", more='noise = "scaled"').failed


def test_scaled_noise_does_not_excuse_a_missing_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    y = rng.poisson(200.0 + line(284.8, 4_000.0) + line(290.5, 4_000.0)) * 1e-4
    (refused,) = run_of([y], tmp_path, more='noise = "scaled"').failed
    assert any(flag.startswith("GROSS_MISFIT") for flag in refused.flags)


def test_overdispersed_data_of_a_right_model_are_fitted_with_a_warning(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    heights = (2_000.0, 500.0, 0.0)  # of the last level nothing is left but noise
    levels = [30.0 * rng.poisson(50.0 + line(284.8, h / 30.0)).astype(float) + 1.0 for h in heights]
    summary = run_of(levels, tmp_path, more="")
    assert not summary.failed
    (whole,) = of(summary.run, "xps.series")
    assert whole.quality is not None
    assert not any(flag.startswith("GROSS_MISFIT") for flag in whole.flags)


@pytest.mark.parametrize(
    ("share", "redchi", "durbin_watson", "gross"),
    [
        (0.9, 200.0, 0.05, True),
        (0.9, 200.0, 1.9, False),  # scatter, no misfit
        (0.9, 3.0, 0.05, False),  # of a faint level
        (0.04, 50.0, 0.05, False),  # a few percent of the height
        (0.01, 1e6, 1.9, True),  # errors without any meaning
    ],
)
def test_a_misfit_is_gross_where_signal_is_left_over_and_noise_is_no_excuse(
    share: float, redchi: float, durbin_watson: float, gross: bool
) -> None:
    assert bool(gross_flag(share, redchi, durbin_watson)) is gross


def test_signal_left_over_is_named_also_where_reduced_chi_square_is_beyond_any_noise() -> None:
    (flag,) = gross_flag(0.8, 2e4, 0.05)
    assert flag.startswith("GROSS_MISFIT:80 % of the signal left over")


@pytest.fixture(scope="module")
def cases(shared_data: Path) -> Path:
    folder = shared_data.parent / "cases"
    if not (folder / "xps_outside").is_dir():
        pytest.skip(f"inputs that once failed not found at {folder}")
    return folder


def test_lines_four_ev_below_their_bounds_are_refused_with_the_shift(
    cases: Path, shared_data: Path, tmp_path: Path
) -> None:
    recipe = cases / "xps_start" / "arxps4.toml"
    summary = execute(recipe, tmp_path / "run", data=shared_data / "xps", figures=False)
    assert summary.exit_code == 2
    by_region = {record.state.region: record for record in summary.failed}
    assert {"C 1s", "Al 2p", "O 1s"} <= set(by_region)
    problem = by_region["C 1s"].problem
    assert problem is not None
    assert "280.9 eV as measured, where no component may be" in problem.message
    assert "with all lines 4.4 eV lower" in problem.message
    assert "charge reference" in str(problem.hint)


def test_a_reduced_chi_square_of_millions_is_refused(cases: Path, tmp_path: Path) -> None:
    summary = execute(cases / "xps_outside" / "overdispersed_ok" / "recipe.toml", tmp_path / "run", figures=False)
    assert summary.exit_code == 2
    assert not [q for record in summary.run.records for q in record.quantities]
