"""Powder CIF of diffraction runs, read back with gemmi and with our own reader."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from layerscope.diffraction.exports import FORMATS
from layerscope.diffraction.readers import read

from layerscope.records.formatting import parse_value

gemmi = pytest.importorskip("gemmi", reason="gemmi is not installed (pip install 'layerscope[xrd]')")

_SPEC = importlib.util.spec_from_file_location("xrd_case", Path(__file__).with_name("xrd_case.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
case = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(case)


@pytest.fixture(scope="module")
def peaks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("peaks")
    run = case.peaks_run(folder / "run")
    return run, FORMATS["pdcif"](run, folder)


@pytest.fixture(scope="module")
def refined(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rietveld")
    run = case.rietveld_run(folder / "run")
    (path,) = FORMATS["pdcif"](run, folder)
    return run, path, gemmi.cif.read(str(path))


def patterns(document):
    return [block for block in document if block.find_values("_pd_meas_2theta_scan")]


def column(block, tag):
    return np.array([float(text) for text in block.find_values(tag)])


def test_each_frame_is_one_block_with_its_whole_profile(peaks):
    run, paths = peaks
    assert [path.name for path in paths] == ["case_P_LCO_003.cif", "case_B_LCO_003.cif"]
    arrays = run.arrays["case_P_LCO_003"].load()
    blocks = patterns(gemmi.cif.read(str(paths[0])))
    assert [block.name for block in blocks] == [f"case_P_LCO_003_frame_{f:04d}" for f in case.USED]
    for level, block in enumerate(blocks):
        assert np.array_equal(column(block, "_pd_meas_counts_total"), arrays.counts[level])
        np.testing.assert_allclose(column(block, "_pd_meas_2theta_scan"), arrays.axis, rtol=1e-7)
        np.testing.assert_allclose(column(block, "_pd_calc_intensity_total"), arrays.fit[level], rtol=1e-6)
        np.testing.assert_allclose(column(block, "_pd_proc_intensity_bkg_calc"), 60.0, rtol=1e-6)
        np.testing.assert_allclose(column(block, "_pd_proc_ls_weight"), 1.0 / arrays.variance[level], rtol=1e-6)


def test_phase_masses_are_percentages_with_their_uncertainty(peaks):
    _, paths = peaks
    for block, frame in zip(patterns(gemmi.cif.read(str(paths[0]))), case.USED, strict=True):
        found = {
            gemmi.cif.as_string(row[0]): (row[1], row[2])
            for row in block.find("_pd_phase_mass.", ["phase_id", "percent", "percent_su"])
        }
        truth = {p: v for p, v in case.shares("P", frame).items() if v is not None}
        assert set(found) == set(truth)
        for phase, (percent, su) in found.items():
            assert float(percent) == pytest.approx(100.0 * truth[phase])
            assert su == "." if len(truth) == 1 else float(su) == pytest.approx(100.0 * case.SIGMA[phase])


def test_a_phase_that_was_not_detected_is_named_with_its_limit(peaks):
    _, paths = peaks
    first = patterns(gemmi.cif.read(str(paths[0])))[0]
    words = gemmi.cif.as_string(first.find_value("_pd_proc_ls_special_details"))
    assert "H1-3 not detected: below 0.73 % by weight (95 %)" in words


def test_agreement_and_radiation_stand_in_the_block(refined):
    _, _, document = refined
    block = patterns(document)[0]
    assert float(block.find_value("_pd_proc_ls_prof_wR_factor")) == pytest.approx(0.0692)
    assert float(block.find_value("_pd_proc_ls_prof_wR_expected")) == pytest.approx(0.0414)
    assert float(block.find_value("_refine_ls_goodness_of_fit_all")) == pytest.approx(1.67)
    assert list(column(block, "_diffrn_radiation_wavelength")) == [1.5405929, 1.5444274]
    assert list(column(block, "_diffrn_radiation_wavelength_wt")) == [1.0, 0.5]


def test_every_name_is_one_of_the_dictionaries_of_the_iucr(peaks, refined):
    known = json.loads(Path(__file__).with_name("cif_names.json").read_text("utf-8"))
    names = {name for dictionary, names in known.items() if dictionary != "about" for name in names}
    used = set()
    for path in (*peaks[1], refined[1]):
        for item in (item for block in gemmi.cif.read(str(path)) for item in block):
            used |= set(item.loop.tags) if item.loop is not None else {item.pair[0]}
    assert used == names  # a name that is not listed is looked up in the dictionary before it is written


def test_cells_of_all_phases_stand_in_the_pattern_with_uncertainties(refined):
    _, _, document = refined
    block = patterns(document)[3]
    rows = block.find("_cell.", ["structure_id", "length_a", "length_a_su", "length_c", "angle_gamma_su"])
    for row in rows:
        a, c = case.cell(row.str(0), 3)
        assert [float(row[k]) for k in (1, 2, 3)] == pytest.approx([a, 1e-4, c])
        assert row[4] == "."
    assert [row.str(0) for row in rows] == ["O3", "H1-3"]


def test_structures_open_as_crystals_with_refined_cell_and_sites(refined):
    _, _, document = refined
    blocks = [block for block in document if block.find_value("_cell_length_a")]
    assert len(blocks) == 2 + 3 * 2  # O3 alone in two frames, then both
    structure = gemmi.make_small_structure_from_block(blocks[-1])
    a, c = case.cell("H1-3", 4)
    assert structure.spacegroup.xhm() == "R -3 m:H"
    assert structure.cell.parameters == pytest.approx((a, a, c, 90, 90, 120), rel=1e-4)
    assert {site.element.name for site in structure.sites} == {"Li", "Co", "O"}
    value, su = parse_value(blocks[-1].find_value("_cell_length_c"))
    assert (value, su) == (pytest.approx(c, abs=1e-3), pytest.approx(1e-3))
    oxygen = next(row for row in blocks[0].find("_atom_site_", ["label", "fract_z"]) if row[0] == "O")
    assert oxygen[1] == "0.2602(4)"


def test_blocks_refer_to_each_other(refined):
    _, _, document = refined
    for pattern in patterns(document):
        structures = {gemmi.cif.as_string(v) for v in pattern.find_values("_pd_phase_block_id")}
        own = gemmi.cif.as_string(pattern.find_value("_pd_block_id"))
        linked = {
            gemmi.cif.as_string(b.find_value("_pd_block_id"))
            for b in document
            if b.find_value("_pd_block_diffractogram_id")
            and gemmi.cif.as_string(b.find_value("_pd_block_diffractogram_id")) == own
        }
        assert structures == linked


def test_our_own_reader_opens_the_patterns_with_errors_and_wavelength(refined):
    run, path, _ = refined
    arrays = run.arrays["case_rietx"].load()
    series = read(path)
    assert len(series.frames) == 5
    for level, frame in enumerate(series.frames):
        assert np.array_equal(frame.intensity, arrays.counts[level])
        np.testing.assert_allclose(frame.variance, arrays.variance[level], rtol=1e-5)
        assert frame.radiation.alpha1 == 1.5405929
        assert frame.radiation.ratio == 0.5


def test_text_that_a_cif_cannot_hold_as_it_is_reads_back_as_one_value(tmp_path):
    from layerscope.diffraction.pdcif_export import _text

    for text in (
        "plain",
        "two words",
        "it's 5 µm",
        '"both" it\'s',
        "_tag",
        "data_x",
        "# no comment",
        "a\n;b",
        "loop_",
        "",
    ):
        document = gemmi.cif.read_string(f"data_x\n_a {_text(text)}\n_b 1\n")
        found = gemmi.cif.as_string(document[0].find_value("_a"))
        assert found.replace("\n ;", "\n;") == text.encode("ascii", "xmlcharrefreplace").decode()
        assert document[0].find_value("_b") == "1"


def test_the_same_run_gives_the_same_ascii_bytes(peaks, tmp_path):
    run, paths = peaks
    again = FORMATS["pdcif"](run, tmp_path)
    for first, second in zip(paths, again, strict=True):
        assert first.read_bytes() == second.read_bytes()
        assert first.read_bytes().isascii()
