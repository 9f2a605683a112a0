"""A pattern refuses what no analysis could use, and converts its axis without losing a point."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layerscope.diffraction.dataset import Pattern, PatternSeries
from layerscope.diffraction.frames import FrameSeries
from layerscope.diffraction.radiation import TUBE_LINES, Radiation, convert_axis, tube_radiation
from layerscope.diffraction.recipe_series import SeriesTable
from xrd_series import left_out, on_one_axis

from layerscope.cycler.clock import with_period
from layerscope.errors import DataError
from layerscope.measured.series import Level

X = np.linspace(10.0, 80.0, 351)
Y = np.random.default_rng(1).poisson(100, X.size).astype(float)
CU = tube_radiation("Cu")


def pattern(**changes: object) -> Pattern:
    return replace(Pattern(axis=X, intensity=Y, radiation=CU), **changes)  # type: ignore[arg-type]


def series(*frames: Pattern) -> PatternSeries:
    numbered = tuple(replace(frame, index=i) for i, frame in enumerate(frames))
    return PatternSeries(Path("somewhere"), "columns", "layerscope", "1", "0", 0, numbered)


def with_value(array: np.ndarray, index: int, value: float) -> np.ndarray:
    changed = array.copy()
    changed[index] = value
    return changed


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"intensity": with_value(Y, 3, np.nan)}, "1 intensities that are NaN"),
        ({"intensity": with_value(Y, 3, -1.0)}, "1 negative intensities"),
        ({"intensity": np.zeros_like(Y)}, "all 351 intensities of frame 0 are zero"),
        ({"intensity": Y[:-1]}, "350 intensities for 351 positions"),
        ({"axis": X[:1], "intensity": Y[:1]}, "only 1 point;"),
        ({"axis": np.empty(0), "intensity": np.empty(0)}, "only 0 points"),
        ({"axis": with_value(X, 9, X[8])}, "do not rise strictly"),
        ({"axis": X[::-1].copy()}, "do not rise strictly"),
        ({"axis": with_value(X, 9, np.inf)}, "not finite"),
        ({"axis": X + 110}, "from 120 to 190 degrees"),
        ({"axis": np.radians(X)}, "these are radians"),
        ({"axis": np.linspace(0, 6, 351), "axis_kind": "d"}, "d of frame 0 starts at 0"),
        ({"variance": np.ones(3)}, "3 errors for 351 points"),
        ({"variance": with_value(Y + 1, 3, 0.0)}, "an error that is not positive"),
        ({"variance": with_value(Y + 1, 3, np.nan)}, "an error that is not positive"),
        ({"variance": np.full(Y.size, np.inf)}, "fewer than 5 measured points"),
        ({"time_per_step_s": 0.0}, "time per step"),
        ({"temperature_K": -3.0}, "temperature"),
        ({"axis_kind": "energy"}, "'energy'"),
        ({"intensity_unit": "furlongs"}, "'furlongs'"),
        ({"start_time": datetime(2024, 1, 2), "end_time": datetime(2024, 1, 1)}, "before it starts"),
        ({"start_time": datetime(2024, 1, 2), "end_time": datetime(2024, 1, 3, tzinfo=UTC)}, "has a time zone"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_reason(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        pattern(**changes).check("some.xy")


def test_a_small_angle_scan_is_accepted_only_when_it_is_called_one() -> None:
    small = pattern(axis=np.linspace(0.1, 3.0, X.size))
    with pytest.raises(DataError, match="radians"):
        small.check()
    replace(small, small_angle=True).check()


def test_a_short_scan_at_low_angle_is_no_matter_of_radians() -> None:
    Pattern(np.linspace(1, 3, 50), np.ones(50)).check()


@pytest.mark.parametrize(
    ("radiation", "reason"),
    [
        (Radiation(0.15405929), "in nm, not in Å"),
        (Radiation(8.0478), "energy of Cu K-alpha in keV"),
        (Radiation(0.0), "not a positive number"),
        (Radiation(float("nan")), "not a positive number"),
        (Radiation(40.0), "outside 0.05 to 12"),
        (Radiation(1.5406, anode="Mo"), "does not belong to the anode Mo"),
        (Radiation(1.5444, 1.5406, 0.5), "K-alpha-2 at 1.5406"),
        (Radiation(1.5406, 1.79, 0.5), "K-alpha-2 at 1.79"),
        (Radiation(1.5406, 1.5444, 2.0), "lies between 0 and 1"),
    ],
)
def test_a_wavelength_that_cannot_be_right_is_refused(radiation: Radiation, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        pattern(radiation=radiation).check()


@pytest.mark.parametrize("value", [1.5405929, 1.5418, 0.4133, 0.8245, 1.87, 2.0785, 0.1665])
def test_wavelengths_of_tubes_synchrotrons_and_reactors_are_accepted(value: float) -> None:
    Radiation(value).check()


def test_every_tube_line_passes_its_own_check() -> None:
    for anode in TUBE_LINES:
        tube_radiation(anode).check()
    with pytest.raises(DataError, match="'Xx' is not known"):
        tube_radiation("Xx")


def test_bragg_gives_the_003_of_licoo2() -> None:
    # c = 14.0495 Å: d(003) = c/3, which lies at 18.93 degrees with Cu K-alpha-1.
    two_theta = convert_axis([14.0495 / 3], "d", "two_theta", 1.5405929)
    assert two_theta[0] == pytest.approx(18.935, abs=2e-3)
    assert convert_axis(two_theta, "two_theta", "q", 1.5405929)[0] == pytest.approx(2 * np.pi * 3 / 14.0495)


@given(st.floats(0.5, 170.0), st.floats(0.3, 2.5), st.sampled_from(["q", "d"]))
def test_conversion_there_and_back_changes_nothing(two_theta: float, wavelength: float, kind: str) -> None:
    there = convert_axis([two_theta], "two_theta", kind, wavelength)  # type: ignore[arg-type]
    assert convert_axis(there, kind, "two_theta", wavelength)[0] == pytest.approx(two_theta, rel=1e-9)  # type: ignore[arg-type]


def test_the_turn_to_d_keeps_points_and_errors_together() -> None:
    there = pattern(variance=Y + 1.0).to("d")
    assert (np.diff(there.axis) > 0).all()
    np.testing.assert_array_equal(there.intensity, Y[::-1])
    np.testing.assert_array_equal(there.variance, Y[::-1] + 1)
    back = there.to("two_theta")
    np.testing.assert_allclose(back.axis, X)
    np.testing.assert_array_equal(back.intensity, Y)
    with pytest.raises(DataError, match="the axis is d, not 2θ"):
        _ = there.two_theta


def test_conversion_needs_a_wavelength_and_stays_below_180_degrees() -> None:
    with pytest.raises(DataError, match="without a wavelength"):
        pattern(radiation=None).to("q")
    with pytest.raises(DataError, match="beyond 2θ = 180"):
        convert_axis([20.0], "q", "two_theta", 1.54)
    with pytest.raises(DataError, match="not defined"):
        convert_axis([0.0], "two_theta", "d", 1.54)


def test_the_error_of_counts_is_their_root_and_that_of_a_rate_needs_its_time() -> None:
    np.testing.assert_allclose(pattern().sigma(), np.sqrt(Y))
    assert pattern(intensity=with_value(Y, 0, 0.0)).sigma()[0] == 1.0
    rate = pattern(intensity=Y / 4, intensity_unit="counts/s", time_per_step_s=4.0)
    np.testing.assert_allclose(rate.sigma(), np.sqrt(Y) / 4)
    for missing in (replace(rate, time_per_step_s=None), pattern(intensity_unit="arbitrary")):
        with pytest.raises(DataError, match="error of the intensity is not known"):
            missing.sigma()


def test_frames_of_different_lengths_are_flagged_and_not_stacked() -> None:
    mixed = series(pattern(), pattern(), pattern(axis=X[:-3], intensity=Y[:-3]), pattern(axis=X + 0.05))
    stacked = on_one_axis(mixed)
    assert (stacked.intensity.shape, left_out(mixed)) == ((2, X.size), [2, 3])
    assert "348 points from 10 to 79.4 deg, the series 351 from 10 to 80 deg" in str(stacked.rejected[0].error)
    assert on_one_axis(series(pattern(), pattern(axis=X + 1e-6))).intensity.shape == (2, X.size)


def test_a_frame_with_another_wavelength_is_refused() -> None:
    frames = series(pattern(), pattern(radiation=tube_radiation("Mo"))).frames
    table = SeriesTable.model_validate({"files": ["a.xy"]})
    levels = tuple(Level(frame.index, 0, frame) for frame in frames)
    with pytest.raises(DataError, match=r"frames 0 and 1 have different wavelengths: 1\.54059 and 0\.70932"):
        _ = FrameSeries(table=table, whole=table.state("s"), levels=levels).radiation


def test_a_period_gives_times_by_index_so_that_a_missing_frame_leaves_its_gap() -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    whole = series(pattern(), pattern(), pattern())
    timed = with_period([whole.frames[0], whole.frames[2]], start, 600.0, 540.0)
    assert timed[1].start_time == start + timedelta(seconds=1200)
    assert timed[1].duration_s == 540.0
    for period, duration in ((0.0, None), (600.0, 700.0), (np.nan, None)):
        with pytest.raises(DataError, match="not possible"):
            with_period(whole.frames, start, period, duration)
