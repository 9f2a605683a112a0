"""Figures of followed reflections and of two engines, and the words in figures: against numbers made by hand."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from layerscope.diffraction.figure_data import collect_views
from layerscope.diffraction.peaks import figures
from layerscope.diffraction.rietveld.comparison_figures import (
    collect_comparisons,
    draw_comparisons,
    parameter_label,
)
from layerscope.diffraction.rietveld.figures import draw as draw_rietveld

from layerscope.records import FitQuality

CASE = Path(__file__).parents[1] / "exports" / "xrd_case.py"
_SPEC = importlib.util.spec_from_file_location("xrd_case_kinds", CASE)
assert _SPEC is not None
assert _SPEC.loader is not None
case = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(case)

SPACING = {"(101)": 2.40, "Al (111)": 2.338}
VOLTS = (*case.VOLTAGE[:7], None)  # the record of the cycler ends before the last frame


def saved(drawings):
    """Draw figures; return their files."""
    return [file for drawing in drawings for file in drawing.draw()]


def columns(path):
    with path.open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    return {name: [row[k] for row in rows if row[k] != ""] for k, name in enumerate(header)}


def numbers(path, header):
    return np.array([float(cell) for cell in columns(path)[header]])


# --- reflections -------------------------------------------------------------------------------------------------


def spacing(name, frame):
    return SPACING[name] - (0.002 * frame if name == "(101)" else 0.0)


def add_reflection(run, name, *, sample="P", width=True):
    """Add a followed reflection: (101) moves and broadens without the instrument, aluminium has one width."""
    stem = f"case_{sample}_LCO_{name.replace(' ', '_').replace('(', '').replace(')', '')}"
    refs = run.series(case.arrays(sample, stem, metadata={"wavelength_A": 1.5405929}, components={}))
    ids = []
    for frame in case.USED:
        found = [
            case.number("lattice.d_spacing", spacing(name, frame), 0.0004, "angstrom", name),
            case.number("peak.position", 37.0 + 0.03 * frame, 0.004, "deg", name),
            case.number("peak.fwhm", 0.15 + (0.01 * frame if width else 0.0), 0.002, "deg", name),
        ]
        if width:
            found.append(case.number("peak.sample_fwhm", 0.08 + 0.01 * frame, 0.003, "deg", name))
        ids.append(run.add(f"{name} {frame}", "xrd_peaks.shift", sample, frame, refs, found))
    run.add(f"{name} all", "xrd_peaks.reflection", sample, None, refs, [], parents=tuple(ids))


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reflections")
    run = case.Folder(folder / "run", "xrd_peaks")
    refs = run.series(case.arrays("P", "case_P_LCO_003"))
    ids = []
    for frame in case.USED:
        found = case.fraction_quantities("P", frame)
        found.append(case.number("peak.position", case.position("O3'", frame), 0.003, "deg", "O3'"))
        ids.append(run.add(f"P{frame}", "xrd_peaks.frame", "P", frame, refs, found))
    run.add("P series", "xrd_peaks.series", "P", None, refs, case.events("P"), parents=tuple(ids))
    add_reflection(run, "(101)")
    add_reflection(run, "Al (111)", width=False)
    finished = run.finish()
    with pytest.MonkeyPatch.context() as patch:  # the figures of phases are looked at elsewhere
        for name in ("map_figure", "_waterfall", "_deconvolution", "amounts_figure"):
            patch.setattr(figures, name, lambda *given, stem, **named: (stem,))
        return folder / "figures", saved(figures.draw(finished, folder / "figures"))


def test_reflections_of_a_sample_share_a_figure_beside_its_phases(followed):
    _, files = followed
    stems = {path.stem for path in files}
    assert stems >= {"case_P_LCO_101_Al_111_reflections", "case_P_LCO_101_Al_111_reflections_map"}
    assert stems >= {f"case_P_LCO_003_{kind}" for kind in ("map", "waterfall", "frames", "fractions")}
    assert len(stems) == 6


def test_spacings_are_drawn_with_one_standard_error_against_voltage_and_time(followed):
    folder, _ = followed
    table = folder / "case_P_LCO_101_Al_111_reflections.csv"
    charged = [f for f in case.USED if f <= 4]
    for ending, frames in ((", charge", charged), (", discharge", [f for f in case.USED if f >= 4])):
        volts = numbers(table, f"b: (101){ending}: voltage [V]")
        assert list(volts) == [case.VOLTAGE[f] for f in frames]
        head = f"b: (101){ending}: spacing"
        np.testing.assert_allclose(numbers(table, f"{head} [angstrom]"), [spacing("(101)", f) for f in frames])
        np.testing.assert_allclose(
            numbers(table, f"{head} high [angstrom]") - numbers(table, f"{head} low [angstrom]"), 2 * 0.0004
        )
    hours = numbers(table, "c: (101): time [h]")
    np.testing.assert_allclose(hours, [0.5 * f for f in case.USED])
    np.testing.assert_allclose(numbers(table, "c: (101): spacing [angstrom]"), [spacing("(101)", f) for f in case.USED])


def test_the_half_width_is_that_without_the_instrument_and_a_shared_one_has_no_panel(followed):
    folder, _ = followed
    table = columns(folder / "case_P_LCO_101_Al_111_reflections.csv")
    (header,) = [
        name for name in table if name.startswith("e: (101): FWHM") and "low" not in name and "high" not in name
    ]
    assert "instrument removed" in header
    np.testing.assert_allclose([float(v) for v in table[header]], [0.08 + 0.01 * f for f in case.USED])
    assert not [name for name in table if "Al (111)" in name and "FWHM" in name]


def test_the_caption_of_reflections_names_events_and_errors(followed):
    folder, _ = followed
    caption = json.loads((folder / "case_P_LCO_101_Al_111_reflections.json").read_text())["caption"]
    assert "one standard error" in caption
    assert "onsets and ends" in caption
    svg = (folder / "case_P_LCO_101_Al_111_reflections.svg").read_text()
    assert svg.count("stroke-dasharray") >= 4  # discharge and the guides of events


def test_a_map_of_reflections_has_their_fitted_positions(followed):
    folder, _ = followed
    table = folder / "case_P_LCO_101_Al_111_reflections_map.csv"
    for panel, name in (("b", "(101)"), ("c", "Al (111)")):
        drawn = numbers(table, f"{panel}, tracks: {name}: position: two_theta [deg]")
        np.testing.assert_allclose(drawn, [37.0 + 0.03 * f for f in case.USED])


# --- engines -----------------------------------------------------------------------------------------------------

DIFFERENCES = {
    "O3/cell/a": (1e-5, 2e-5, "angstrom"),
    "O3/cell/b": (1e-5, 2e-5, "angstrom"),
    "O3/cell/c": (0.0008, 0.0002, "angstrom"),
    "O3/site/O/z": (-0.0001, 0.0002, "1"),
    "O3/scale": (195.0, 1.0, "1"),
    "instrument/u": (-0.009, 0.0006, "deg^2"),
    "background/3": (0.5, 1.0, "counts"),
}


def engines_run(folder, frames):
    """Two engines on the same frames: differences grow by a tenth of sigma a frame."""
    run = case.Folder(folder, "rietveld")
    ids = {}
    for engine in ("rietx", "gsas2"):
        shape = (frames, case.WIDE.size)
        fit = np.full(shape, 100.0)
        stated = case.SeriesArrays(
            name=f"case_{engine}", technique="rietveld", title="LCO", sample="P-LCO", axis=case.WIDE,
            axis_name="two_theta", axis_unit="deg", levels=case.PERIOD_S * np.arange(frames), level_name="time",
            level_unit="s", counts=fit, variance=fit, fit=fit, background=fit - 5.0, residual=0.0 * fit,
            intensity_unit="counts", area_unit="counts*deg",
            metadata=case.META,
            frames=np.arange(frames),
        )  # fmt: skip
        refs = run.series(stated)
        for frame in range(frames):
            found = [case.number("phase.fraction", 1.0, None, "1", "O3")]
            found += [case.number("lattice.a", 2.815, 1e-4, "angstrom", "O3")]
            quality = FitQuality(chi2=1.0, n_data=9, rwp=0.07, rexp=0.06, gof=1.1)
            ids[engine, frame] = run.add(
                f"{engine}{frame}", f"rietveld.{engine}", "P", frame, refs, found, quality=quality, recipe=case.LIBRARY
            )
    for frame in range(frames):
        found = [
            case.number("comparison.difference", value + 0.1 * frame * sigma, sigma, unit, name, role="derived")
            for name, (value, sigma, unit) in DIFFERENCES.items()
        ]
        parents = (ids["rietx", frame], ids["gsas2", frame])
        run.add(
            f"both{frame}", "rietveld.comparison", "P", frame, (), found, parents=parents, notes=("differ: c",),
            recipe={"agree_within": 3.0},
        )  # fmt: skip
    return run.finish()


def test_differences_of_engines_stand_in_standard_errors_with_their_names(tmp_path):
    run = engines_run(tmp_path / "run", 1)
    files = saved(draw_rietveld(run, tmp_path / "figures"))
    assert [p.stem for p in files if p.suffix == ".png" and "engines" in p.stem] == ["case_rietx_gsas2_engines"]
    table = columns(tmp_path / "figures" / "case_rietx_gsas2_engines.csv")
    judged = dict(zip(table["judged: parameter"], map(float, table["judged: difference / sigma [1]"]), strict=True))
    assert judged == pytest.approx({"O3/cell/a": 0.5, "O3/cell/c": 4.0, "O3/site/O/z": -0.5})  # b is a
    rest = dict(
        zip(table["not judged: parameter"], map(float, table["not judged: difference / sigma [1]"]), strict=True)
    )
    assert rest == pytest.approx({"O3/scale": 195.0, "instrument/u": -15.0, "background/3": 0.5})
    about = json.loads((tmp_path / "figures" / "case_rietx_gsas2_engines.json").read_text())
    assert "differ: c" in about["caption"]
    assert len(about["records"]) == 2  # the comparison and the first engine's refinement


def test_differences_of_a_series_run_along_its_frames_a_panel_a_phase(tmp_path):
    run = engines_run(tmp_path / "run", 5)
    views = list(collect_views(run))
    (found,) = collect_comparisons(run, views)
    files = saved(draw_comparisons([found], {0: (0, 4)}, tmp_path / "figures"))
    stems = [p.stem for p in files if p.suffix == ".png"]
    assert stems == [f"case_rietx_gsas2_engines_{kind}" for kind in ("frame_000", "frame_004", "frames")]
    table = tmp_path / "figures" / "case_rietx_gsas2_engines_frames.csv"
    drawn = numbers(table, "a: O3/cell/c: difference / sigma [1]")
    np.testing.assert_allclose(drawn, 4.0 + 0.1 * np.arange(5))
    assert not [name for name in columns(table) if "scale" in name or "instrument" in name]
    caption = json.loads(table.with_suffix(".json").read_text())["caption"]
    assert "5 of 15 lie beyond" in caption


def test_many_parameters_take_two_columns_of_the_page(tmp_path, monkeypatch):
    many = {f"O3/site/O{k}/{axis}": (0.0002, 0.0001, "1") for k in range(20) for axis in "xyz"}

    monkeypatch.setitem(globals(), "DIFFERENCES", many)
    run = engines_run(tmp_path / "run", 1)
    (found,) = collect_comparisons(run, collect_views(run))
    saved(draw_comparisons([found], {}, tmp_path / "figures"))
    about = json.loads((tmp_path / "figures" / "case_rietx_gsas2_engines.json").read_text())
    assert about["size_mm"][0] == 183.0
    table = columns(tmp_path / "figures" / "case_rietx_gsas2_engines.csv")
    assert len(table["a: judged: parameter"]) + len(table["b: judged: parameter"]) == 60


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("O3/cell/c", "$c$"),
        ("O3/site/O/z", "$z$(O)"),
        ("O3/site/Li/b_iso", "$B$(Li)"),
        ("O3/site/B/occupancy", "occupancy(B)"),
        ("O3/weight_fraction", "weight fraction"),
        ("instrument/sh_l", "axial divergence"),
        ("background/3", "term 3"),
        ("line/0", "line 0"),
    ],
)
def test_parameters_are_printed_as_the_field_calls_them(name, label):
    assert parameter_label(name) == label
