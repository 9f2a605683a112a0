"""Frames and voltage by clock: averages that are exact, errors that follow from clock, frame length and record."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from layerscope.diffraction.dataset import Pattern
from layerscope.diffraction.readers import read
from pydantic import ValidationError

from layerscope.cycler import (
    CyclerColumnsTable,
    CyclerData,
    CyclerTable,
    FrameState,
    align,
    read_cycler,
    read_frame_log,
    with_log,
)
from layerscope.cycler.clock import aligned, with_period
from layerscope.errors import DataError, ReaderError
from layerscope.measured.series import Level

START = datetime(2024, 1, 1, 12, 0, 0)
AXIS = np.linspace(10, 80, 50)
SLOPE = 0.5 / 3600  # 0.5 V an hour


def frame(begin_s: float, end_s: float | None, index: int = 0, start: datetime = START) -> Pattern:
    end = None if end_s is None else start + timedelta(seconds=end_s)
    return Pattern(AXIS, AXIS, start_time=start + timedelta(seconds=begin_s), end_time=end, index=index)


def voltages(states: tuple[FrameState, ...]) -> tuple[np.ndarray, np.ndarray]:
    known = [(np.nan, np.nan) if s.voltage_V is None else (s.voltage_V.value, s.voltage_V.sigma) for s in states]
    return np.array(known)[:, 0], np.array(known)[:, 1]


def ramp(seconds: float = 36000.0, interval: float = 60.0) -> CyclerData:
    time = np.arange(0.0, seconds + 1, interval)
    return CyclerData(time, 3.0 + SLOPE * time, current=np.full(time.size, 2.0), capacity=time / 1800, start=START)


def test_the_mean_and_errors_of_a_ramp_are_those_of_the_formulas() -> None:
    # The frame does not begin or end on a record.
    (state,) = align([frame(1013.0, 2213.0)], ramp(), clock_sigma_s=30.0)
    voltage = state.voltage_V
    assert voltage is not None
    assert voltage.value == pytest.approx(3.0 + SLOPE * 1613.0, abs=1e-12)
    assert voltage.clock == pytest.approx(SLOPE * 30.0, rel=1e-9)
    assert voltage.spread == pytest.approx(SLOPE * 1200.0 / np.sqrt(12), rel=1e-9)
    assert voltage.resolution == pytest.approx(SLOPE * 60 / np.sqrt(12), rel=1e-6)
    assert (voltage.low, voltage.high) == pytest.approx((3 + SLOPE * 1013, 3 + SLOPE * 2213))
    assert voltage.sigma == pytest.approx(np.sqrt(voltage.clock**2 + voltage.spread**2 + voltage.resolution**2))
    assert state.capacity is not None
    assert state.capacity.value == pytest.approx(1613 / 1800)
    assert state.current is not None
    assert (state.current.value, state.current.sigma) == (2.0, 0.0)
    assert state.flags == ()


def test_a_clock_error_moves_the_truth_by_the_stated_error() -> None:
    # The true record is a curve; frames are aligned with a clock that is wrong by a normal error of 60 s.
    time = np.arange(0.0, 20000.0, 20.0)
    cell = CyclerData(time, 3.5 + 0.5 * np.sin(time / 4000.0), start=START)
    rng = np.random.default_rng(2)
    truth = voltages(align([frame(7000.0, 7300.0)], cell, clock_sigma_s=0.0))[0][0]
    stated = align([frame(7000.0, 7300.0)], cell, clock_sigma_s=60.0)[0].voltage_V
    errors = [
        voltages(align([frame(7000.0, 7300.0)], cell, clock_offset_s=float(rng.normal(0, 60.0)), clock_sigma_s=60.0))[
            0
        ][0]
        - truth
        for _ in range(200)
    ]
    assert stated is not None
    assert stated.clock == pytest.approx(np.std(errors), rel=0.15)  # 200 draws: three standard errors


def test_the_clock_error_does_not_vanish_at_a_turning_point() -> None:
    time = np.arange(0.0, 7200.0, 10.0)
    cell = CyclerData(time, 4.4 - SLOPE * np.abs(time - 3600.0), start=START)
    (state,) = align([frame(3600.0, 3600.0)], cell, clock_sigma_s=30.0)
    assert state.voltage_V is not None
    assert state.voltage_V.clock == pytest.approx(SLOPE * 30.0, rel=1e-6)


def test_the_offset_is_that_of_the_cyclers_clock() -> None:
    # The cycler's clock is 100 s ahead: what happened at its 1100 s, the diffractometer wrote down at 1000 s.
    value = voltages(align([frame(1000.0, 1000.0)], ramp(), clock_offset_s=100.0, clock_sigma_s=1.0))[0][0]
    assert value == pytest.approx(3.0 + SLOPE * 1100.0)


def test_frames_beyond_the_record_have_no_values_and_say_so() -> None:
    frames = [frame(-700.0, -100.0, 0), frame(-300.0, 300.0, 1), frame(300.0, 900.0, 2), frame(36300.0, 36900.0, 3)]
    result = align(frames, ramp(), clock_sigma_s=5.0)
    assert [s.flags for s in result] == [("BEFORE_RECORD",), ("PARTIAL:0.50",), (), ("AFTER_RECORD",)]
    values, sigmas = voltages(result)
    np.testing.assert_array_equal(np.isnan(values), [True, False, False, True])
    np.testing.assert_array_equal(np.isnan(sigmas), np.isnan(values))
    assert values[1] == pytest.approx(3.0 + SLOPE * 150.0)
    assert [s.coverage for s in result] == pytest.approx([0, 0.5, 1, 0])


def test_a_series_that_misses_the_record_altogether_is_an_error() -> None:
    with pytest.raises(DataError, match="no frame lies within the record"):
        align([frame(90000.0, 90600.0)], ramp(), clock_sigma_s=5.0)


def test_pauses_and_steps_within_a_frame_are_flagged() -> None:
    whole = ramp()
    keep = (whole.time_s < 3000) | (whole.time_s > 9000)
    holed = CyclerData(whole.time_s[keep], whole.voltage_V[keep], start=START)
    assert align([frame(2000.0, 10000.0)], holed, clock_sigma_s=5.0)[0].flags == ("GAP:6120 s",)
    stepped = replace(whole, step=np.where(whole.time_s < 5000, 1, 2), cycle=np.ones(whole.time_s.size, dtype=np.int64))
    states = align([frame(1000.0, 2000.0, 0), frame(4500.0, 5500.0, 1)], stepped, clock_sigma_s=5.0)
    assert [s.flags for s in states] == [(), ("STEP_CHANGE",)]
    assert (states[0].step, states[0].cycle) == (1, 1)


def test_zones_must_be_given_on_both_clocks_or_on_none() -> None:
    aware = replace(ramp(), start=START.replace(tzinfo=UTC))
    with pytest.raises(DataError, match="that of the frames has none"):
        align([frame(0.0, 600.0)], aware, clock_sigma_s=5.0)
    with pytest.raises(DataError, match="that of the cycler has none"):
        align([frame(0.0, 600.0, start=START.replace(tzinfo=UTC))], ramp(), clock_sigma_s=5.0)
    # Noon in a zone one hour ahead is eleven in UTC: one hour before the record's start, which is at noon UTC.
    zone = timezone(timedelta(hours=1))
    value = voltages(align([frame(7200.0, 7200.0)], aware, clock_sigma_s=5.0, frames_zone=zone))[0][0]
    assert value == pytest.approx(3.0 + SLOPE * 3600.0)


def test_what_a_clock_does_not_know_must_be_given() -> None:
    with pytest.raises(DataError, match="no end time"):
        align([frame(0.0, None)], ramp(), clock_sigma_s=5.0)
    state = align([frame(0.0, None)], ramp(), clock_sigma_s=5.0, frame_duration_s=600.0)[0]
    assert state.end_s == 600.0
    with pytest.raises(DataError, match="first record is not known"):
        align([frame(0.0, 600.0)], replace(ramp(), start=None), clock_sigma_s=5.0)
    with pytest.raises(DataError, match="no start time"):
        align([Pattern(AXIS, AXIS)], ramp(), clock_sigma_s=5.0)
    with pytest.raises(DataError, match="no frame to align"):
        align([], ramp(), clock_sigma_s=5.0)
    with pytest.raises(DataError, match="clock offset"):
        align([frame(0.0, 600.0)], ramp(), clock_sigma_s=float("nan"))


def test_the_coin_cell_is_aligned_by_its_log(shared_data: Path) -> None:
    pytest.importorskip("NewareNDA")
    path = shared_data / "xrd/operando_coin_cell/coincell8.zip"
    series = with_log(read(path).frames, read_frame_log(path, member="*.csv"))
    assert series[0].start_time == datetime(2025, 7, 2, 19, 5, 59, 614000)
    assert series[0].duration_s == pytest.approx(56.553)
    (cell,) = read_cycler(path, member="*.ndax").measurements
    result = align(series, cell, clock_sigma_s=30.0)
    # The first frame was measured 131 s before the cycler started; the next three during its rest at 3.098 V.
    assert result[0].flags == ("BEFORE_RECORD",)
    values, sigmas = voltages(result)
    np.testing.assert_allclose(values[1:4], 3.0977, atol=2e-4)
    assert [s.step for s in result] == [None, 1, 1, 1, 2]
    # The last one lies in the charge: the record's own points around it enclose the average.
    inside = (cell.time_s > result[4].start_s) & (cell.time_s < result[4].end_s)
    assert cell.voltage_V[inside].min() - 0.01 < values[4] < cell.voltage_V[inside].max() + 0.01
    assert sigmas[4] > sigmas[1]
    assert result[4].current is not None
    assert result[4].current.value == pytest.approx(0.3059, abs=1e-4)


def test_a_period_aligns_the_operando_series(shared_data: Path) -> None:
    path = shared_data / "xrd/operando_spinel_lab/rybakov_operando_raw.zip"
    plan = CyclerColumnsTable(time=0, voltage=1, current=2, time_unit="hms", signed=False)
    (cell,) = read_cycler(path, member="charge.txt", columns=plan).measurements
    result = align(with_period(read(path).frames, START, 1140.0), cell, clock_sigma_s=60.0, cycler_start=START)
    values, _ = voltages(result)
    assert np.nanargmax(values) == 46  # the last that ends before the charge does: 47 * 1140 s = 14.9 h of 15 h
    assert values[46] == pytest.approx(cell.voltage_V.max(), abs=1e-3)  # a plateau at 4.478 V
    assert [s.flags for s in result[85:]] == [("AFTER_RECORD",)] * 15
    assert result[84].flags[0] == "PARTIAL:0.21"


LOG = (
    "scan_number,start_time,end_time\n"
    "1,2024-01-01 12:00:00,2024-01-01 12:10:00\n"
    "2,2024-01-01 12:10:00,2024-01-01 12:20:00\n"
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("a,b\n1,2\n", "column 'scan_number' is missing"),
        (LOG + "3,2024-01-01 12:2", "line 4 has 2 columns"),
        (LOG + "1,2024-01-01 12:00:00,2024-01-01 12:10:00\n", "1 is there twice"),
        (LOG + "3,2024-01-01 12:30:00,2024-01-01 12:25:00\n", "ends at"),
        ("\0\0\0", "binary"),
    ],
)
def test_a_log_that_is_not_whole_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(ReaderError, match=reason):
        read_frame_log(tmp_path / "log.csv")


def test_a_frame_that_is_not_in_the_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    log = read_frame_log(tmp_path / "log.csv")
    frames = tuple(Pattern(AXIS, AXIS, source=f"scan_{i}.xy", index=i) for i in (1, 2, 3))
    assert [f.duration_s for f in with_log(frames[:2], log)] == [600.0, 600.0]
    with pytest.raises(DataError, match=r"frame 3 \(scan_3\.xy\) is not in the log"):
        with_log(frames, log)


@pytest.mark.parametrize("zone", ["+02:00", "Europe/Berlin"])
def test_a_recipe_gives_the_zone_that_one_of_both_clocks_lacks(tmp_path: Path, zone: str) -> None:
    rows = "".join(f"{k * 600},{3.0 + 0.1 * k:.1f}\n" for k in range(13))  # from 12:00 in summer, Berlin time
    (tmp_path / "cell.csv").write_text("time (s),voltage (V)\n" + rows)
    levels = [Level(0, 0, frame(1800.0, 1800.0, start=START.replace(month=7, tzinfo=UTC)))]
    given = {"file": "cell.csv", "clock_sigma_s": 5.0, "start": START.replace(month=7, hour=START.hour + 1)}
    with pytest.raises(DataError, match=r"that of the cycler has none \(give zone\)"):
        aligned(levels, CyclerTable.model_validate(given), tmp_path.joinpath)
    found, _, _, _ = aligned(levels, CyclerTable.model_validate(given | {"zone": zone}), tmp_path.joinpath)
    # the cycler starts at 13:00 there, 11:00 UTC; the frame is at 12:30 UTC: 90 min later
    assert found[0].voltage_V == pytest.approx(3.9)
    with pytest.raises(ValidationError, match="no time zone"):
        CyclerTable.model_validate(given | {"zone": "Europe/Atlantis"})
