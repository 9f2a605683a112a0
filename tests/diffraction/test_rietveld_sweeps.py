"""Milestones and chunks: the same result in any number of processes, shorter strides where needed, nothing lost."""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("rietx", reason="rietx is not installed (pip install 'layerscope[xrd]')")

from layerscope.diffraction.rietveld import sweeps
from layerscope.diffraction.rietveld.engines.interface import Engine
from layerscope.diffraction.rietveld.engines.rietx_engine import simulate
from layerscope.diffraction.rietveld.frame import FrameFit, SeriesState
from layerscope.diffraction.rietveld.model import Background, Instrument, PowderPattern, Problem
from layerscope.diffraction.rietveld.options import SeriesOptions
from layerscope.diffraction.rietveld.sequence import refine_series

from layerscope.crystals import load_phase
from layerscope.errors import DataError
from layerscope.runs.pool import Crew

GRID = np.arange(17.0, 40.0, 0.05)
O3 = replace(load_phase("LiCoO2_O3_delithiated"), texture_axis=None)
PROBLEM = Problem((O3,), Instrument(sh_l=0.002, x=0.04, y=0.03), Background(terms=3))


def pattern(c: float, seed: int) -> PowderPattern:
    moved = PROBLEM.with_phases([O3.with_cell(c=c)])
    truth = simulate(moved, GRID, fractions=(1.0,), strongest=3000.0, level=60.0)
    counts = np.random.default_rng(seed).poisson(truth).astype(float)
    return PowderPattern.from_counts(GRID, counts, name=f"c {c:.3f}")


def test_results_do_not_depend_on_the_number_of_processes() -> None:
    patterns = [pattern(14.42 - 0.004 * k, k) for k in range(7)]
    broken = PowderPattern(GRID, np.zeros_like(GRID), np.ones_like(GRID), "zeros")
    patterns.insert(4, broken)
    options = SeriesOptions(chunk=3)
    alone = refine_series(patterns, PROBLEM, options)
    together = refine_series(patterns, PROBLEM, options.model_copy(update={"workers": 2}))
    for one, two in zip(alone.frames, together.frames, strict=True):
        assert (one.result is None) == (two.result is None) == (one.name == "zeros")
        assert one.direction == two.direction
        assert one.flags == two.flags
        if one.result is not None and two.result is not None:
            assert one.result.phases == two.result.phases
            np.testing.assert_array_equal(one.result.covariance, two.result.covariance)
    assert [o.index for o in alone.overlaps] == [o.index for o in together.overlaps]


def test_chunks_meet_the_milestones_and_every_frame_is_refined_in_both_directions() -> None:
    found = refine_series([pattern(14.42 - 0.004 * k, k) for k in range(7)], PROBLEM, SeriesOptions(chunk=3))
    assert all(f.direction_sigma is not None for f in found.frames)
    assert sorted(o.index for o in found.overlaps) == [0, 3, 3, 6]
    assert all(o.same_phases and o.sigma < 0.1 for o in found.overlaps)


def walking(monkeypatch: pytest.MonkeyPatch, reach: int, unreadable: tuple[int, ...] = ()) -> list[int]:
    """Replace the engine: a frame is found if it starts within ``reach`` frames of the last one that was."""
    visited: list[int] = []

    def fit_frame(_: Engine, frame: Any, state: Any, *__: object) -> FrameFit:
        here = int(frame.name)
        visited.append(here)
        if here in unreadable:
            raise DataError("unreadable", source=frame.name)
        known = state.strength.get("at")
        gof = 1.0 if known is None or abs(here - known) <= reach else 5.0
        result = SimpleNamespace(gof=gof, at=here, phases=(), chi2=gof)
        return FrameFit(cast(Any, result), gof, ("O3",), {})

    def accept(self: SeriesState, fit: Any, _: object) -> None:
        self.active, self.strength = fit.active, {"at": fit.result.at}

    monkeypatch.setattr(sweeps, "fit_frame", fit_frame)
    monkeypatch.setattr(SeriesState, "accept", accept)
    return visited


def frames(count: int) -> list[PowderPattern]:
    return [PowderPattern(GRID, GRID, GRID, str(k)) for k in range(count)]


def test_a_stride_that_loses_the_track_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    walking(monkeypatch, reach=2)
    (way,) = sweeps.walk(frames(17), PROBLEM, SeriesOptions(chunk=8, both_directions=False))
    assert sorted(way.answers) == list(range(17))
    assert all(isinstance(a, FrameFit) and a.result.gof == 1.0 for a in way.answers.values())


def test_a_stride_that_holds_is_not_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    visited = walking(monkeypatch, reach=8)
    sweeps.walk(frames(17), PROBLEM, SeriesOptions(chunk=8, both_directions=False))
    assert len(visited) == 17 + 2  # milestones 0, 8, 16; the last two are refined twice


def test_unreadable_frames_at_any_place_cost_only_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = (0, 1, 8, 9, 16)
    walking(monkeypatch, reach=20, unreadable=bad)
    forward, backward = sweeps.walk(frames(17), PROBLEM, SeriesOptions(chunk=8))
    assert sorted(forward.answers) == list(range(17))
    assert tuple(k for k in range(17) if isinstance(forward.answers[k], DataError)) == bad
    # the way back begins at the last milestone that was reached, and tries the first frames again
    assert {0, 1, 2, 8, 9} <= set(backward.answers)
    assert all(isinstance(a, DataError) == (k in bad) for k, a in backward.answers.items())


def test_a_series_that_ends_unreadable_ends_there(monkeypatch: pytest.MonkeyPatch) -> None:
    walking(monkeypatch, reach=20, unreadable=tuple(range(5, 17)))
    forward, _ = sweeps.walk(frames(17), PROBLEM, SeriesOptions(chunk=8))
    assert [k for k in range(17) if isinstance(forward.answers[k], FrameFit)] == [0, 1, 2, 3, 4]


def test_a_series_without_frames_is_refused() -> None:
    with pytest.raises(DataError, match="no frame"):
        refine_series([], PROBLEM)


class Dying(Crew[Any, Any]):
    """Processes that took every piece on, and died."""

    def pop(self) -> None:
        """Leave nothing to be done here."""

    def error(self, number: int) -> BrokenProcessPool:
        """Tell that the process died."""
        return BrokenProcessPool("a child process terminated abruptly")


def test_what_a_dying_process_took_with_it_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    walking(monkeypatch, reach=20)
    monkeypatch.setattr(sweeps, "_crew", lambda *_: Dying(lambda _: None, 0))
    (way,) = sweeps.walk(frames(9), PROBLEM, SeriesOptions(chunk=4, both_directions=False))
    assert sorted(way.answers) == list(range(9))
