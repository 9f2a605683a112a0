"""A series with a phase that appears: known fractions, a broken frame, chunks, persistence."""

from __future__ import annotations

import math
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("rietx", reason="rietx is not installed (pip install 'layerscope[xrd]')")

from layerscope.diffraction.rietveld.engines.gsas2_engine import find_interpreter
from layerscope.diffraction.rietveld.engines.interface import Engine, RefineOptions
from layerscope.diffraction.rietveld.engines.registry import get_engine
from layerscope.diffraction.rietveld.engines.rietx_engine import simulate
from layerscope.diffraction.rietveld.frame import SeriesState, fit_frame
from layerscope.diffraction.rietveld.model import Background, Instrument, PowderPattern, Problem
from layerscope.diffraction.rietveld.options import SeriesOptions
from layerscope.diffraction.rietveld.plan import RefinementPlan
from layerscope.diffraction.rietveld.sequence import SeriesResult, calibrate, persistent, refine_series

from layerscope.crystals import load_phase, phase_from_cif
from layerscope.errors import FitError

GRID = np.arange(17.0, 46.5, 0.05)
INSTRUMENT = Instrument(sh_l=0.002, x=0.04, y=0.03)
O3 = replace(load_phase("LiCoO2_O3_delithiated"), texture_axis=None)
H13 = replace(load_phase("LiCoO2_H1-3"), texture_axis=None)
FRACTIONS = (0.0, 0.0, 0.0, 0.08, 0.3, 0.6, 0.9)
BROKEN = 4


def frames() -> list[PowderPattern]:
    rng = np.random.default_rng(11)
    out = []
    for k, f in enumerate(FRACTIONS):
        moved = O3.with_cell(a=2.808 + 0.0004 * k, c=14.42 - 0.01 * k)
        truth = simulate(
            Problem((moved, H13), INSTRUMENT), GRID, fractions=(1.0 - f, max(f, 1e-9)), strongest=4000.0, level=80.0
        )
        out.append(PowderPattern.from_counts(GRID, rng.poisson(truth).astype(float), name=f"frame {k}"))
    broken = out[BROKEN]
    out.insert(BROKEN, PowderPattern(broken.two_theta, np.zeros_like(GRID), broken.sigma, "all zeros"))
    return out


@pytest.fixture(scope="module")
def series() -> SeriesResult:
    problem = Problem((O3, H13), INSTRUMENT, Background(terms=4))
    return refine_series(frames(), problem, SeriesOptions(bic_margin=6.0))


def test_phase_appears_in_the_right_frame_and_never_before(series: SeriesResult) -> None:
    assert series.onset(H13.name) == 3
    assert all(H13.name not in f.active for f in series.frames[:3])
    assert all(O3.name in f.active for f in series.frames if f.result is not None)


def test_fractions_are_true_within_their_errors(series: SeriesResult) -> None:
    truth = [*FRACTIONS[:BROKEN], math.nan, *FRACTIONS[BROKEN:]]
    for frame, expected in zip(series.frames, truth, strict=True):
        if frame.result is None or H13.name not in frame.active:
            continue
        value, sigma = frame.fraction(H13.name)
        assert sigma is not None
        assert abs(value - expected) < 4 * sigma
        assert sigma < 0.01


def test_an_absent_phase_has_an_estimate_free_of_the_bound_at_zero(series: SeriesResult) -> None:
    tested = [f.tested[H13.name] for f in series.frames[:3]]
    assert all(t.sigma is not None and 0 < t.sigma < 0.02 for t in tested)
    assert all(abs(t.fraction) < 4 * (t.sigma or 0.0) for t in tested)
    assert series.frames[0].fraction(H13.name) == (0.0, None)


def test_a_frame_of_zeros_is_one_typed_problem_and_the_rest_goes_on(series: SeriesResult) -> None:
    broken = series.frames[BROKEN]
    assert broken.result is None
    assert broken.problem is not None
    assert broken.problem.kind == "data"
    assert math.isnan(broken.fraction(H13.name)[0])
    assert sum(f.result is not None for f in series.frames) == len(FRACTIONS)


def test_both_directions_agree_and_the_cell_follows_the_frames(series: SeriesResult) -> None:
    good = [f for f in series.frames if f.result is not None]
    assert all(f.direction_sigma is not None and f.direction_sigma < 3.0 for f in good)
    first, last = good[0].result, good[-2].result
    assert first is not None
    assert last is not None
    assert first.phase(O3.name).cell["c"].value - last.phase(O3.name).cell["c"].value == pytest.approx(0.05, abs=0.01)


class BreaksOnTwoPhases:
    """rietx, but whoever tries two phases sees it die."""

    name = "rietx"

    def refine(self, pattern: PowderPattern, problem: Problem, plan: RefinementPlan, options: RefineOptions) -> Any:
        if len(problem.phases) > 1:
            raise FitError("the process was killed")
        return get_engine("rietx").refine(pattern, problem, plan, options)


def test_a_phase_whose_trial_the_engine_did_not_finish_is_not_called_absent() -> None:
    state = SeriesState(Problem((O3, H13), INSTRUMENT, Background(terms=4)), active=(O3.name,))
    found = fit_frame(cast(Engine, BreaksOnTwoPhases()), frames()[BROKEN + 1], state, SeriesOptions())
    assert found.active == (O3.name,)
    assert found.untried == (H13.name,)


def test_a_refinement_that_does_not_end_is_stopped_at_its_time_limit() -> None:
    plan = RefinementPlan.of(("a", ("scale", "background")), ("b", ("cell", "displacement", "w")))
    problem = Problem((O3, H13), INSTRUMENT, Background(terms=4))
    with pytest.raises(FitError, match=r"did not finish within 0\.001 s") as caught:
        get_engine("rietx").refine(frames()[BROKEN + 1], problem, plan, RefineOptions(time_limit_s=0.001))
    assert "time_limit_s" in (caught.value.hint or "")


def test_runs_shorter_than_the_persistence_take_the_value_around_them() -> None:
    assert persistent([False, True, False, False, True, True, False, True], 2) == [
        False,
        False,
        False,
        False,
        True,
        True,
        True,
        True,
    ]
    assert persistent([True, False, False], 2) == [True, False, False]
    assert persistent([False, True, False], 1) == [False, True, False]


@pytest.fixture(scope="module")
def real_series(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[PowderPattern], Problem]:
    path = shared_data / "xrd" / "sequence_o3_h13.zip"
    if not path.is_file():
        pytest.skip(f"{path.name} not found")
    folder = tmp_path_factory.mktemp("series")
    patterns = []
    with zipfile.ZipFile(path) as archive:
        for name in ("O3.cif", "H13.cif", "cu.instprm"):
            (folder / name).write_bytes(archive.read(name))
        for k in range(30, 36):
            with archive.open(f"f{k:02d}.xye") as lines:
                x, y, s = np.loadtxt(lines).T
            patterns.append(PowderPattern.from_counts(x, y, s, name=f"f{k:02d}"))
    phases = (phase_from_cif(folder / "O3.cif", name="O3"), phase_from_cif(folder / "H13.cif", name="H1-3"))
    instrument = Instrument.from_instprm((folder / "cu.instprm").read_text())
    return patterns, Problem(phases, instrument, Background(terms=4), (15.0, 50.0))


@pytest.mark.parametrize("engine", ["rietx", "gsas2"])
def test_onset_of_h13_in_the_simulated_series_is_exact_with_either_engine(
    real_series: tuple[list[PowderPattern], Problem], engine: str, tmp_path: Path
) -> None:
    if engine == "gsas2" and find_interpreter() is None:
        pytest.skip("GSAS-II is not installed on this machine")
    patterns, problem = real_series
    plan = RefinementPlan.of(("a", ("scale", "background")), ("b", ("cell", "displacement")), ("c", ("size", "strain")))
    known = calibrate(
        patterns[0], problem.only(["O3"]), plan, engine=engine, options=RefineOptions(folder=tmp_path / "calibration")
    )
    size, strain = known.phases[0].size_nm, known.phases[0].microstrain_ppm
    start = known.with_phases([*known.phases, replace(problem.phases[1], size_nm=size, microstrain_ppm=strain)])
    options = SeriesOptions(engine=engine, both_directions=False, folder=tmp_path / "frames")
    found = refine_series(patterns, start, options)
    assert found.onset("H1-3") == 2
    truth = (0.0, 0.0, 0.019486, 0.033113, 0.055728, 0.092313)
    error = [f.fraction("H1-3")[0] - t for f, t in zip(found.frames, truth, strict=True)]
    assert np.sqrt(np.mean(np.square(error))) < 0.0015
