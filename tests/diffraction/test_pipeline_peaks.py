"""The pipeline xrd_peaks from files to records, against simulated truth."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from layerscope.diffraction.figure_data import collect_views
from layerscope.diffraction.peaks.components import lco_003
from layerscope.diffraction.peaks.recipe import PeaksRecipe
from pipeline_series import (
    AXIS,
    FRAMES,
    H13_FROM,
    HEAD,
    IG_FROM,
    SERIES,
    WIDTHS,
    counts,
    line,
    text,
    voltages,
    weights,
    write_recipe,
    write_series,
)

import layerscope
from layerscope.records import ResultRecord
from layerscope.runs.execute import execute
from layerscope.runs.load import Run
from layerscope.runs.plan import check_plan, make_plan
from layerscope.runs.present import summary_tables
from layerscope.runs.recipe import parse_recipe

LABELS = ("O3'", "O3'/H1-3", "H1-3")


def run_of(recipe: Path) -> Run:
    execute(recipe, recipe.parent / "run", figures=False)
    return layerscope.load_run(recipe.parent / "run")


def frames_of(run: Run) -> dict[int, ResultRecord]:
    return {r.state.frame: r for r in run.records if r.method == "xrd_peaks.frame" and r.state.frame is not None}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("plain")
    write_series(folder, "P")
    write_series(folder, "B", seed=5, slow=0.5)
    other = SERIES.replace('"P', '"B')
    compare = 'compare = { samples = ["P", "B"] }\n'
    return run_of(write_recipe(folder, HEAD + compare + SERIES + other))


def test_weight_fractions_of_every_frame_equal_the_truth_within_their_errors(plain: Run) -> None:
    frames = frames_of(plain.select(sample="P"))
    truth = weights()
    assert len(frames) == FRAMES
    pulls = []
    for f, record in frames.items():
        for k, label in enumerate(LABELS):
            found = [q for q in record.quantities if q.name == "phase.fraction" and q.component == label]
            if found and found[0].sigma is not None and found[0].value is not None:
                # the truth has the very factors of the recipe: what is left is the counting part of the error
                pulls.append((found[0].value - truth[k, f]) / found[0].budget["counting"])
    assert len(pulls) > 60
    assert np.abs(pulls).max() < 4.5
    assert 0.7 < np.std(pulls) < 1.3


def test_the_recipe_of_a_record_holds_what_the_library_gave(plain: Run) -> None:
    record = frames_of(plain.select(sample="P"))[0]
    components = lco_003()
    assert record.recipe["window"] == [components.low_deg, components.high_deg]
    assert record.recipe["hardware"] is False
    declared = {c.id: c.intensity_per_weight for c in components.components}
    assert record.recipe["intensity_per_weight"] == {**declared, **record.recipe["intensity_per_weight"]}
    assert parse_recipe(PeaksRecipe, record.recipe, "recipe.toml").resolved() == record.recipe


def test_the_total_is_the_sum_of_its_phases_and_its_error_holds_their_covariance(plain: Run) -> None:
    record = frames_of(plain.select(sample="P"))[FRAMES - 1]
    total = record.get("phase.total_fraction", "O3'/H1-3 + H1-3")
    parts = [record.get("phase.fraction", label) for label in LABELS]
    assert total.value == pytest.approx(sum(q.value for q in parts[1:] if q.value is not None))
    assert total.sigma == pytest.approx(parts[0].sigma)  # what is not O3' is the rest
    alone = np.hypot(*(q.sigma or 0.0 for q in parts[1:]))
    assert total.sigma < alone


def test_weight_fractions_part_their_error_into_counts_and_structures_and_areas_do_not(plain: Run) -> None:
    record = frames_of(plain.select(sample="P"))[FRAMES - 1]
    parts = {label: record.get("phase.fraction", label) for label in LABELS}
    for label, found in parts.items():
        assert set(found.budget) == {"counting", "structure factor"}
        assert found.sigma == pytest.approx(np.hypot(*found.budget.values()))
        area = record.get("phase.area_fraction", label)
        assert area.budget == {}
        assert area.sigma == pytest.approx(found.budget["counting"], rel=0.2)
    # two phases: d f / d ln g = f (1 - f), with 5.9 and 5.1 per cent; the intergrowth shares both
    share = parts[LABELS[0]].value
    assert share is not None
    assert 0.03 * share * (1 - share) < parts[LABELS[0]].budget["structure factor"] < 0.078 * share * (1 - share)


def test_onsets_stand_in_the_series_record_in_volts_seconds_and_frames(plain: Run) -> None:
    series = plain.select(method="xrd_peaks.series", sample="P").records[0]
    for label, begins in (("O3'/H1-3", IG_FROM), ("H1-3", H13_FROM)):
        frame = series.get("phase.onset_frame", label)
        assert frame.value is not None
        assert abs(frame.value - begins) < 4 * (frame.sigma or 0.0)
        assert series.get("phase.onset_time", label).value == pytest.approx(600.0 * frame.value)
        assert series.get("phase.onset_voltage", label).value == pytest.approx(4.30 + 0.012 * frame.value, abs=1e-4)
    assert len(series.parents) == FRAMES


def test_an_absent_phase_has_a_limit_near_its_onset_and_no_position(plain: Run) -> None:
    record = frames_of(plain.select(sample="P"))[12]
    absent = record.get("phase.fraction", "H1-3")
    assert absent.upper_limit is not None
    assert 0 < absent.upper_limit < 0.02
    with pytest.raises(KeyError):
        record.get("peak.position", "H1-3")


def test_the_difference_of_two_samples_is_that_of_their_truths(plain: Run) -> None:
    record = next(r for r in plain.records if r.method == "xrd_peaks.difference")
    mean = record.get("phase.total_fraction_difference", "O3'/H1-3 + H1-3, mean")
    truth = (weights()[1:].sum(axis=0) - weights(0.5)[1:].sum(axis=0)).mean()
    assert mean.value is not None
    assert mean.sigma is not None
    assert abs(mean.value - truth) < 4 * mean.budget["counting"]
    assert mean.value > 20 * mean.budget["counting"]
    assert mean.sigma == pytest.approx(np.hypot(mean.budget["counting"], mean.budget["structure factor"]))
    assert record.state.sample == "P - B"


def test_the_arrays_hold_every_frame_its_lines_and_the_voltage(plain: Run) -> None:
    name = next(n for n in plain.arrays if n.endswith("P_003"))
    arrays = plain.arrays[name]
    assert arrays.counts.shape[0] == FRAMES
    assert (arrays.level_name, arrays.axis_unit) == ("time", "deg")
    assert set(LABELS) <= set(arrays.components)
    np.testing.assert_allclose(arrays.parameters["cell_voltage"].values, voltages())
    total = arrays.background + sum(arrays.components[n] for n in arrays.components)
    np.testing.assert_allclose(total, arrays.fit, rtol=1e-6, atol=1e-6)


def test_the_tables_show_fractions_onsets_and_the_difference(plain: Run) -> None:
    titles = [t.title for t in summary_tables(plain)]
    assert {"P: weight fractions", "P: onset and end", "P - B: difference between samples"} <= set(titles)
    table = next(t for t in summary_tables(plain) if t.title == "P: weight fractions")
    assert table.columns[:2] == ("frame", "voltage / V")
    assert len(table.rows) == FRAMES
    assert table.rows[12][table.columns.index("H1-3")].startswith("< ")


def test_a_second_run_finds_everything_done(plain: Run) -> None:
    again = execute(plain.folder.parent / "recipe.toml", plain.folder, figures=False)
    assert (again.done, again.reused) == (0, 1)


def test_a_bad_frame_is_one_failed_record_and_the_others_stay_as_they_are(plain: Run, tmp_path: Path) -> None:
    y = counts(3)
    dark, short = text(np.zeros_like(AXIS)), text(y[20][:90], AXIS[:90])
    shifted = text(y[7], AXIS + 0.007)
    write_series(tmp_path, "P", {3: dark, 20: short, 7: shifted, 5: "this is no pattern\n"})
    run = run_of(write_recipe(tmp_path, HEAD + SERIES))
    failed = {r.state.frame: r for r in run.records if r.status == "failed"}
    assert set(failed) == {3, 5, 7, 20}
    reasons = {f: r.problem.message for f, r in failed.items() if r.problem is not None}
    assert "zero" in reasons[3]
    assert "206 points from 17.007 to 21.107 deg, the series 206 from 17 to 21.1 deg" in reasons[7]
    assert "90 points from 17 to 18.78 deg, the series 206" in reasons[20]
    assert not any(str(tmp_path) in m for m in reasons.values())
    good = frames_of(run.select(lambda r: r.status != "failed"))
    assert len(good) == FRAMES - 4
    before = frames_of(plain.select(sample="P"))
    for f in (0, 12, 25):
        value, was = good[f].get("phase.fraction", "O3'"), before[f].get("phase.fraction", "O3'")
        assert value.value == pytest.approx(was.value, abs=2 * (was.sigma or 1e-3))
        assert good[f].state.voltage_V == pytest.approx(voltages()[f])
    whole = next(r for r in run.records if r.method == "xrd_peaks.series")
    assert whole.quality is not None
    assert "FRAMES_FAILED:3,5,7,20" in whole.quality.flags


def test_voltages_come_from_the_cycler_by_clock_with_their_error(tmp_path: Path) -> None:
    write_series(tmp_path, "P")
    time = np.arange(0, 600.0 * (FRAMES - 2), 30.0)  # the record ends before the last two frames
    rows = [f"{t:.0f};{4.30 + 0.012 * t / 600.0:.6f}\n" for t in time]
    (tmp_path / "cycler.csv").write_text("Time [s];Voltage [V]\n" + "".join(rows))
    cycler = """
[[series]]
name = "P"
files = ["P.zip"]
frames = { start = 2025-01-01T10:01:00, period_s = 600.0, duration_s = 300.0 }
[series.cycler]
file = "cycler.csv"
columns = { time = "Time [s]", voltage = "Voltage [V]", delimiter = ";" }
start = 2025-01-01T10:00:00
clock_offset_s = 60.0
clock_sigma_s = 50.0
"""
    run = run_of(write_recipe(tmp_path, HEAD + cycler))
    frames = frames_of(run)
    # frame 4 lasts from 60 + 2400 to 60 + 2700 s by the diffractometer's clock, and 60 s more by the cycler's
    assert frames[4].state.voltage_V == pytest.approx(4.30 + 0.012 * (120 + 2400 + 150) / 600, abs=1e-5)
    assert frames[FRAMES - 1].state.voltage_V is None
    whole = run.select(method="xrd_peaks.series").records[0]
    assert whole.quality is not None
    assert any(f.startswith(f"NO_VOLTAGE:{FRAMES - 2}") for f in whole.quality.flags)
    onset = whole.get("phase.onset_voltage", "O3'/H1-3")
    assert onset.budget["voltage"] >= 0.012 * 50 / 600  # clocks alone: slope times their error
    assert onset.sigma is not None
    assert onset.sigma > onset.budget["fit"]
    assert {i.path for i in frames[4].inputs} == {"P.zip", "cycler.csv"}
    # figures draw what the cycler recorded, from the arrays of the run alone
    (view,) = (v for v in collect_views(run) if v.series.components("phase.fraction"))
    clock, voltage = view.cell
    seconds = clock * view.seconds_per_unit
    assert seconds.size > 15 * (FRAMES - 5)
    assert 270.0 <= seconds[0] < 300.0  # the middle of the first frame by the cycler's clock
    assert seconds[-1] == time[-1]
    assert voltage == pytest.approx(4.30 + 0.012 * seconds / 600.0, abs=1e-5)


REFLECTION = """layerscope = 1
pipeline = "xrd_peaks"
sample = "spinel"
components = "none"
radiation = { anode = "Cu" }
reflections = [
  { name = "(220)", range_2theta = [29.8, 31.8], d_to_a = 2.8284271247461903, axial = false, instrument_fwhm = 0.05 },
]
[[series]]
files = ["s.zip"]
"""


def test_a_single_reflection_is_followed_with_shift_cell_and_own_width(tmp_path: Path) -> None:
    x = np.arange(29.0, 33.0, 0.02)
    places = np.linspace(30.56, 30.90, 8)
    rng = np.random.default_rng(1)
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for i, place in enumerate(places):
            archive.writestr(f"s_{i}.xy", text(rng.poisson(80 + 500 * line(x, place, WIDTHS[0])).astype(float), x))
    run = run_of(write_recipe(tmp_path, REFLECTION))
    records = {r.state.frame: r for r in run.records if r.method == "xrd_peaks.shift"}
    a = 1.5405929 / (2 * np.sin(np.radians(places) / 2)) * np.sqrt(8)
    for i, place in enumerate(places):
        found, cell = records[i].get("peak.position", "(220)"), records[i].get("lattice.a", "(220)")
        assert abs((found.value or 0) - place) < 4.5 * (found.sigma or 0)
        assert abs((cell.value or 0) - a[i]) < 4.5 * (cell.sigma or 0)
        own, measured = records[i].get("peak.sample_fwhm", "(220)"), records[i].get("peak.fwhm", "(220)")
        assert (own.value or 0) < (measured.value or 0)
    shift = records[7].get("peak.shift", "(220)")
    assert abs((shift.value or 0) - 0.34) < 4.5 * (shift.sigma or 0)


def test_the_003_line_can_be_followed_alone_beside_the_series_of_its_components(tmp_path: Path) -> None:
    write_series(tmp_path, "P")
    alone = 'reflections = [{ name = "(003)", range_2theta = [18.1, 18.95], axial = false }]\n'
    run = run_of(write_recipe(tmp_path, HEAD + alone + SERIES))
    assert not [r for r in run.records if r.status == "failed"]
    assert {name.rpartition("P_")[2] for name in run.arrays} == {"003", "003_alone"}
    assert len([r for r in run.records if r.method == "xrd_peaks.shift"]) == FRAMES


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('anode = "Cu"', "wavelength = 0.70932"), "check range_2theta and the wavelength"),
        (('anode = "Cu"', "wavelength = 0.15406"), "in nm"),
        (("hardware = false", 'hardware = ["PTFE_10"]'), "PTFE_10"),
        (("hardware = false", 'total = ["IGX"]'), "IGX"),
        (("hardware = false", 'components = "lco_004"'), "lco_004"),
        (('files = ["P.zip"]', 'files = ["absent.zip"]'), "no such file"),
        (('voltage_V = "voltage_V"', 'voltage_V = "U"'), "column 'U' is missing"),
    ],
)
def test_check_says_what_is_wrong_before_anything_runs(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    write_series(tmp_path, "P")
    recipe = write_recipe(tmp_path, (HEAD + SERIES).replace(*change))
    found = ""
    try:
        problems = check_plan(make_plan(recipe))
        found = " ".join(f"{p.message} {p.hint}" for _, p in problems)
    except layerscope.errors.LayerscopeError as error:
        found = f"{error} {error.hint}"
    assert words in found


def test_components_that_do_not_describe_the_window_give_no_fractions(tmp_path: Path) -> None:
    foreign = 450.0 * line(AXIS, 20.85, 0.2)  # in every frame, above the window of the components
    frames = {k: text(y + np.round(foreign)) for k, y in enumerate(counts(3))}
    write_series(tmp_path, "P", frames)
    (record,) = run_of(write_recipe(tmp_path, HEAD + SERIES)).records
    assert record.status == "failed"
    assert record.quantities == ()
    assert record.arrays
    assert record.problem is not None
    assert "003 is not described" in record.problem.message
