"""Figures of diffraction runs: what stands in them is what stands in the records, and the bytes repeat."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from layerscope.diffraction.figure_data import collect_views, phase_colours
from layerscope.diffraction.figure_series import amounts_figure
from layerscope.diffraction.peaks.figures import chosen_frames
from layerscope.diffraction.peaks.figures import draw as draw_peaks
from layerscope.diffraction.rietveld.figures import chosen_patterns
from layerscope.diffraction.rietveld.figures import draw as draw_rietveld
from layerscope.diffraction.rietveld.ticks import tick_positions

from layerscope.errors import StoreError
from layerscope.figures.parts import thinned

CASE = Path(__file__).parents[1] / "exports" / "xrd_case.py"
_SPEC = importlib.util.spec_from_file_location("xrd_case", CASE)
assert _SPEC is not None
assert _SPEC.loader is not None
case = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(case)

ENDINGS = ("pdf", "svg", "png", "csv", "json")


def saved(drawings):
    """Draw figures; return their files."""
    return [file for drawing in drawings for file in drawing.draw()]


@pytest.fixture(scope="module")
def peaks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("peaks")
    run = case.peaks_run(folder / "run")
    views = collect_views(run)
    amounts_figure(views, phase_colours(views), folder / "figures" / "both")
    return run, folder, saved(draw_peaks(run.select(sample="P-LCO"), folder / "figures"))


@pytest.fixture(scope="module")
def refined(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rietveld")
    run = case.rietveld_run(folder / "run")
    return run, folder, saved(draw_rietveld(run, folder / "figures"))


def columns(path):
    """Return the columns of a figure's table by header, without the empty cells at their ends."""
    with path.open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    return {name: [row[k] for row in rows if row[k] != ""] for k, name in enumerate(header)}


def numbers(path, header):
    return np.array([float(cell) for cell in columns(path)[header]])


def test_a_series_has_its_figures_and_the_samples_one_together(peaks):
    _, folder, files = peaks
    stems = [f"case_P_LCO_003_{kind}" for kind in ("map", "waterfall", "frames", "fractions")]
    assert files == [folder / "figures" / f"{stem}.{ending}" for stem in stems for ending in ENDINGS]
    assert all(path.stat().st_size > 0 for path in files)


def test_fractions_against_voltage_are_those_of_the_records_with_one_sigma(peaks):
    _, folder, _ = peaks
    table = folder / "figures" / "both.csv"
    there = [f for f in case.USED if f <= 4]
    voltage = numbers(table, "a: voltage, charge [V]")
    assert list(voltage) == [case.VOLTAGE[f] for f in there]
    drawn = columns(table)["a: O3′/H1-3, charge: weight fraction [1]"]
    low = columns(table)["a: O3′/H1-3, charge: weight fraction low [1]"]
    for frame, value, edge in zip(there, drawn, low, strict=True):
        truth = case.shares("P", frame)["O3'/H1-3"]
        if truth is None:
            assert math.isnan(float(value))
        else:
            assert float(value) == truth
            assert float(edge) == pytest.approx(truth - case.SIGMA["O3'/H1-3"])


def test_a_phase_below_its_limit_is_drawn_as_a_limit_and_not_as_a_value(peaks):
    _, folder, _ = peaks
    limits = numbers(folder / "figures" / "both.csv", "a: H1-3, charge: upper limit (95 %): weight fraction [1]")
    assert list(limits) == [case.LIMIT] * 3


def test_onsets_and_ends_are_drawn_with_their_intervals(peaks):
    _, folder, _ = peaks
    table = folder / "figures" / "both.csv"
    for panel, shift in (("a", 0.0), ("b", 0.02)):
        np.testing.assert_allclose(
            numbers(table, f"{panel}: O3′/H1-3: onset: voltage [V]"), np.array([4.483, 4.485, 4.487]) + shift
        )
    # known only from above: drawn at the closed end of its interval
    assert list(numbers(table, "a: H1-3: onset: voltage [V]")) == [4.56] * 3


def test_events_on_the_time_axis_are_in_its_unit(peaks):
    run, _, _ = peaks
    view = collect_views(run)[0]
    onset = next(e for e in view.events("time") if e.kind == "onset")
    assert view.clock_unit == "h"
    assert onset.value == pytest.approx(0.85)
    assert onset.text == "0.850(17)"


def test_samples_stand_in_the_order_of_the_recipe(peaks):
    run, _, _ = peaks
    assert [view.series.sample for view in collect_views(run)] == ["P-LCO", "B-LCO"]


def test_a_lost_frame_does_not_shift_the_ones_behind_it(peaks):
    run, folder, _ = peaks
    view = collect_views(run)[0]
    row = view.series.rows.index(next(r for r in view.series.rows if r.frame == 4))
    arrays = run.arrays["case_P_LCO_003"].load()
    assert view.level[row] == case.USED.index(4)
    table = columns(folder / "figures" / "case_P_LCO_003_waterfall.csv")
    (header,) = [
        name
        for name in table
        if name.startswith("frame 4, 4.600 V") and "two_theta" not in name and "′" not in name and "H1-3" not in name
    ]
    inside = (arrays.axis >= 18.5 - 0.55) & (arrays.axis <= 19.6 + 0.55)
    drawn = np.array([float(v) for v in table[header]])
    counts = arrays.counts[case.USED.index(4)][inside]
    np.testing.assert_allclose(np.diff(drawn), np.diff(counts), atol=1e-9)


def test_arrays_that_miss_a_frame_of_the_records_are_refused(tmp_path):
    run = case.peaks_run(tmp_path / "run", samples=("P",))
    series = case.arrays("P", "case_P_LCO_003")
    cut = {k: getattr(series, k)[:5] for k in ("levels", "counts", "variance", "fit", "background", "residual")}
    components = {name: curve[:5] for name, curve in series.components.items()}
    shorter = case.arrays("P", "case_P_LCO_003", components=components, frames=series.frames[:5], **cut)
    case.write_series(run.folder / "arrays" / "case_P_LCO_003.nxs", shorter)
    with pytest.raises(StoreError, match="not in the arrays"):
        collect_views(run)


def test_chosen_frames_hold_both_ends_the_onset_and_the_most_of_each_phase(peaks):
    run, _, _ = peaks
    view = collect_views(run)[0]
    frames = [case.USED[row] for row in chosen_frames(view)]
    assert {0, 2, 4, 7} <= set(frames)
    assert frames == sorted(set(frames))
    assert len(chosen_frames(view, most=3)) == 3


def test_phases_have_colours_of_their_own_that_do_not_depend_on_the_run(peaks, refined):
    first, second = (phase_colours(collect_views(run)) for run, _, _ in (peaks, refined))
    assert len(set(first.values())) == len(first) == 3
    assert first["H1-3"] == second["H1-3"]


def test_long_series_are_thinned_evenly():
    assert list(thinned(5, 10)) == [0, 1, 2, 3, 4]
    rows = thinned(1000, 300)
    assert len(rows) <= 300
    assert set(np.diff(rows)) == {4}


def test_provenance_names_records_inputs_and_the_width_of_the_page(peaks):
    run, folder, _ = peaks
    whole = json.loads((folder / "figures" / "both.json").read_text())
    assert set(whole["records"]) == {record.record_id for record in run.records}
    assert set(whole["inputs"]) == {"P.zip", "B.zip"}
    assert whole["size_mm"][0] == 183.0
    single = json.loads((folder / "figures" / "case_P_LCO_003_waterfall.json").read_text())
    assert single["size_mm"][0] == 89.0
    assert len(single["records"]) == len(case.USED)


def test_a_rietveld_plot_holds_the_pattern_the_difference_and_ticks_at_bragg_angles(refined):
    run, folder, _ = refined
    arrays = run.arrays["case_rietx"].load()
    table = folder / "figures" / "case_rietx_rietveld_frame_004.csv"
    np.testing.assert_array_equal(
        numbers(table, "profile: observed: square root of the intensity [sqrt(counts)]"), np.sqrt(arrays.counts[4])
    )
    np.testing.assert_allclose(
        numbers(table, "difference: residual: residual / sigma [1]"),
        (arrays.counts[4] - arrays.fit[4]) / np.sqrt(arrays.variance[4]),
    )
    for phase, order in (("O3", 3), ("H1-3", 6)):
        _, c = case.cell(phase, 4)
        bragg = math.degrees(2.0 * math.asin(1.5405929 * order / (2.0 * c)))
        ticks = numbers(table, f"ticks: {phase}: two_theta [deg]")
        assert np.abs(ticks - bragg).min() < 1e-4
        assert (np.diff(ticks) > 0).all()


def test_ticks_of_the_engine_come_before_those_of_the_cell(tmp_path):
    run = case.rietveld_run(tmp_path / "run", ticks=True)
    arrays = run.arrays["case_rietx"].load()
    found = tick_positions(run.records[0], arrays, 0)
    assert {phase: list(angle) for phase, angle in found.items()} == {"O3": [18.9, 38.5], "H1-3": []}
    assert len(tick_positions(run.records[1], arrays, 1)["O3"]) > 2


def test_a_sequence_is_drawn_along_its_frames_and_cells_as_changes(refined):
    _, folder, files = refined
    assert {path.stem for path in files} >= {"case_rietx_map", "case_rietx_cells", "case_rietx_fractions"}
    table = columns(folder / "figures" / "case_rietx_cells.csv")
    (header,) = [name for name in table if "change of a [%]" in name and "O3" in name]
    np.testing.assert_allclose(
        [float(v) for v in table[header]], [-100 * 0.001 * f / 2.815 for f in range(5)], atol=1e-9
    )
    (header,) = [name for name in table if "change of c [%]" in name and "H1-3" in name]
    changes = [float(v) for v in table[header]]
    assert math.isnan(changes[0])
    assert changes[2] == 0.0


def test_the_worst_pattern_and_the_one_with_most_of_a_phase_are_plotted(refined):
    run, _, _ = refined
    (view,) = collect_views(run)
    assert chosen_patterns(view) == [0, 4]


def test_another_process_draws_the_same_bytes(peaks, tmp_path):
    run, folder, _ = peaks
    script = (
        "import sys; from pathlib import Path; from layerscope.runs.load import load_run\n"
        "from layerscope.diffraction.peaks import figures\n"
        "from layerscope.diffraction.figure_data import collect_views, phase_colours\n"
        "from layerscope.diffraction.figure_series import map_figure\n"
        "view, _ = views = collect_views(load_run(Path(sys.argv[1])))\n"
        "stem = Path('case_P_LCO_003_map')\n"
        "map_figure(view, phase_colours(views), stem, figures.limits_of(view), tracks=True)\n"
    )
    subprocess.run([sys.executable, "-P", "-c", script, str(run.folder)], cwd=tmp_path, check=True, capture_output=True)
    for ending in ENDINGS:
        name = f"case_P_LCO_003_map.{ending}"
        assert (tmp_path / name).read_bytes() == (folder / "figures" / name).read_bytes()


def test_a_run_without_frames_gives_no_figure(peaks, tmp_path):
    run, _, _ = peaks
    nothing = run.select(method="xrd_peaks.series")
    assert saved(draw_peaks(nothing, tmp_path)) == []
    assert saved(draw_rietveld(nothing, tmp_path)) == []
