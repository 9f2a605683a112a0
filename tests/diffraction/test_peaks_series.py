"""The (003) series end to end on simulated frames with a known truth, and its parts on cases made for them."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from layerscope.diffraction.peaks import joint
from layerscope.diffraction.peaks.components import hardware_lines, lco_003
from layerscope.diffraction.peaks.difference import compare_totals, total_covariance
from layerscope.diffraction.peaks.frames import FrameData, fit_frames
from layerscope.diffraction.peaks.lines import DiffractionLine
from layerscope.diffraction.peaks.model import HeldLine, LineModel, LineShape
from layerscope.diffraction.peaks.readings import read_intergrowth
from layerscope.diffraction.peaks.search import FoundLine, find_lines
from layerscope.diffraction.peaks.selection import Guard, _candidate_sets, choose_sets, keep_persistent, runs
from layerscope.diffraction.peaks.series import SeriesOptions, analyse_series
from layerscope.diffraction.peaks.tabulated import TabulatedLine
from layerscope.diffraction.peaks.tracks import (
    Trajectory,
    link_lines,
    name_tracks,
    past_the_turn,
    trajectory,
    turning_frames,
)
from layerscope.diffraction.radiation import tube_radiation

from layerscope.errors import DataError, FitError
from layerscope.flags import status_of

CU = tube_radiation("Cu")
LINE = DiffractionLine(CU)
MODEL = LineModel(LINE, LineShape({"line": 0.1}, 0.45, 0.016), polynomial=1)


def _generator():
    """Load the generator of the benchmark: it shares no code with the package."""
    name = "xrd_003_simulation"
    path = Path(__file__).resolve().parents[2] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


sim = _generator()
OPTIONS = SeriesOptions(
    hardware=tuple(h for h in hardware_lines() if h.id == "PTFE_100"), intensity_per_weight=dict(sim.PER_WEIGHT)
)


def analysed(sample, seed=11, **changes):
    truth = sim.simulate(sample, 3000.0)
    options = replace(OPTIONS, **changes)
    return truth, analyse_series(
        truth.two_theta,
        truth.counts(seed),
        CU,
        time_s=truth.time_h * 3600,
        voltage_V=truth.voltage_V,
        options=options,
    )


@pytest.fixture(scope="module")
def p_lco():
    return analysed("P")


@pytest.fixture(scope="module")
def b_lco():
    return analysed("B")


def test_phases_fractions_and_shapes_of_a_series_are_those_of_the_truth(p_lco):
    truth, found = p_lco
    assert found.names == sim.NAMES
    assert (found.present == (truth.area > 0)).mean() > 0.97
    assert np.sqrt(((found.weight_fraction - truth.weight) ** 2).mean(axis=1)).max() < 0.006
    for k, name in enumerate(sim.NAMES):
        assert abs(found.fwhm[k] - sim.FWHM[name]) < 4 * found.fwhm_sigma[k]
    assert abs(found.axial[0] - sim.AXIAL) < 4 * found.axial[1]
    assert abs(found.mixing[0] - sim.MIXING) < 4 * found.mixing[1]
    assert abs(found.joint.fit.redchi - 1) < 0.06
    assert found.flags == ()
    assert status_of(found.joint.fit.flags()) == "ok"


def test_errors_of_fractions_and_positions_are_honest(p_lco):
    truth, found = p_lco
    several = found.present & (found.present.sum(axis=0) > 1) & (truth.area > 0)
    sigma = np.sqrt(np.einsum("fkk->kf", found.weight_fraction_covariance))
    pulls = ((found.weight_fraction - truth.weight) / np.where(sigma > 0, sigma, np.nan))[several]
    assert 0.75 < np.sqrt((pulls**2).mean()) < 1.3
    strong = several & (found.area_fraction > 0.1)
    pulls = ((found.position - truth.position) / found.position_sigma)[strong]
    assert 0.7 < np.sqrt((pulls**2).mean()) < 1.35
    np.testing.assert_allclose(found.weight_fraction.sum(axis=0), 1.0, rtol=1e-12)


def test_onsets_and_ends_lie_where_the_truth_has_them(p_lco, b_lco):
    for sample, (_, found) in (("P", p_lco), ("B", b_lco)):
        course = sim.SAMPLES[sample]
        for name in ("IG", "H13"):
            for kind, at in (("onset", course.appears[name]), ("end", course.leaves[name])):
                (event,) = [e for e in found.events if e.phase == name and e.kind == kind]
                assert abs(event.voltage_V.value - sim.voltage_at(np.array(at))) < 0.006
                assert event.time_s.low_95 < event.time_s.value < event.time_s.high_95
        assert {e.phase for e in found.events} == {"IG", "H13"}  # O3' is there from first to last


def test_the_cells_line_is_found_once_and_held(p_lco):
    truth, found = p_lco
    (line,) = found.hardware
    assert line.id == "PTFE_100"
    assert line.center == pytest.approx(sim.PTFE[0], abs=0.02)
    assert line.fwhm == pytest.approx(sim.PTFE[1], rel=0.15)
    assert line.area == pytest.approx(sim.PTFE[2] * truth.area[:, 0].sum(), rel=0.12)


def test_absent_phases_near_their_onset_have_an_upper_limit_that_holds(p_lco):
    truth, found = p_lco
    known = np.isfinite(found.upper_limit)
    assert not (known & found.present).any()
    assert known.sum() > 20
    assert (truth.share[known] <= found.upper_limit[known]).mean() > 0.9


def test_the_intergrowth_reads_as_layers_between_its_neighbours(p_lco):
    truth, found = p_lco
    reading = read_intergrowth(found)
    wavelength = CU.alpha1
    d = wavelength / (2 * np.sin(np.radians(truth.position) / 2))
    q = 2 * np.pi / d[1]
    wanted = np.sin(q * d[0]) / (np.sin(q * d[0]) - np.sin(q * d[2]))
    own = found.present.all(axis=0)
    pulls = ((reading.reading.fraction - wanted) / reading.reading.sigma)[own]
    assert np.sqrt((pulls**2).mean()) < 1.5
    assert not reading.borrowed[own].any()
    assert reading.borrowed[found.present[1] & ~found.present[2]].all()
    assert np.isnan(reading.reading.fraction[~found.present[1]]).all()


def test_samples_differ_by_what_the_truth_says(p_lco, b_lco):
    (truth_p, p), (truth_b, b) = p_lco, b_lco
    found = compare_totals(p, b, voltage=(4.50, 4.60))
    wanted = (truth_p.weight[1:].sum(axis=0) - truth_b.weight[1:].sum(axis=0))[
        np.isin(truth_p.voltage_V, found.voltage_V)
    ]
    assert abs(found.mean - wanted.mean()) < 4 * found.mean_sigma
    assert found.significance > 20
    assert found.p_value < 1e-6
    same = compare_totals(p, p, voltage=(4.50, 4.60))
    assert same.mean == 0.0
    with pytest.raises(DataError, match="share no voltage"):
        compare_totals(p, b, voltage=(5.0, 5.1))


def test_variance_of_a_total_is_that_of_its_parts(p_lco):
    _, found = p_lco
    counting, model = total_covariance(found, ("IG", "H13"))
    diagonal = np.diag(counting) + model**2
    np.testing.assert_allclose(np.sqrt(diagonal), found.total(("IG", "H13"))[1], rtol=1e-6, atol=1e-12)


def test_o3_becomes_o3_prime_at_the_turn_and_that_is_no_event():
    """Pristine O3 to 4.6 V: the angle returns to where it began, the name does not."""
    x = np.arange(17.6, 20.4, 0.02)
    u = np.linspace(0, 1, 36)
    position = 18.93 - 1.96 * u * (1 - u)  # to 18.44 and back to 18.93
    share = np.where(np.arange(36) >= 26, 0.03 * (np.arange(36) - 25), 0.0)
    expected = np.stack(
        [
            80 + 300 * ((1 - s) * sim.line(x, p, 0.1) + (s * sim.line(x, 19.35, 0.12) if s else 0.0))
            for p, s in zip(position, share, strict=True)
        ]
    )
    counts = np.random.default_rng(2).poisson(expected).astype(float)
    voltage = 3.9 + 0.7 * u
    found = analyse_series(x, counts, CU, voltage_V=voltage)
    assert found.names == ("O3", "O3p", "IG")
    turn = int(np.flatnonzero(found.present[1])[0])
    assert abs(turn - 17.5) <= 2
    np.testing.assert_array_equal(found.present[0], np.arange(36) < turn)
    assert [(e.phase, e.kind) for e in found.events] == [("IG", "onset")]
    assert abs(found.events[0].frame.value - 25) < 0.7


def test_tables_of_lines_change_no_number_of_the_joint_fit(p_lco, monkeypatch):
    """60 frames are too few for tables; with them every number is the same to a thousandth of its error."""
    plain = p_lco[1]
    monkeypatch.setattr(joint, "MANY", 1)
    _, tabulated = analysed("P")
    assert isinstance(tabulated.joint.model.line, TabulatedLine)
    assert not isinstance(plain.joint.model.line, TabulatedLine)
    np.testing.assert_array_equal(tabulated.present, plain.present)
    sigma = np.sqrt(np.einsum("fkk->kf", plain.weight_fraction_covariance))
    several = plain.present & (plain.present.sum(axis=0) > 1)
    change = np.abs(tabulated.weight_fraction - plain.weight_fraction)
    assert (change[several] < 1e-3 * sigma[several]).all()
    moved = np.abs(tabulated.position - plain.position) / plain.position_sigma
    assert moved[plain.present].max() < 1e-3
    np.testing.assert_allclose(tabulated.fwhm_sigma, plain.fwhm_sigma, rtol=1e-4)


def test_weight_fractions_follow_the_factors_that_were_given():
    truth, found = analysed("P", intensity_per_weight={"O3p": 1.0, "IG": 1.0, "H13": 1.0})
    np.testing.assert_allclose(found.weight_fraction, found.area_fraction, atol=1e-12)
    assert np.sqrt(((found.area_fraction - truth.share) ** 2).mean()) < 0.006


def test_a_series_of_one_phase_stays_one_phase():
    truth = sim.simulate("P", 3000.0)
    counts = truth.counts(4)[:20]
    found = analyse_series(truth.two_theta, counts, CU, options=OPTIONS)
    assert found.present.shape[0] == 1
    assert found.present.all()
    assert found.events == ()
    np.testing.assert_array_equal(found.weight_fraction, 1.0)


def test_rescaled_counts_give_the_same_fractions_and_wider_errors():
    truth = sim.simulate("P", 3000.0)
    rows = slice(20, 50)
    counts = truth.counts(8)
    base = replace(OPTIONS, reference_frames=(0, 1, 2))
    plain = analyse_series(truth.two_theta, counts[rows], CU, options=base)
    scaled = analyse_series(truth.two_theta, 4.0 * counts[rows], CU, options=replace(base, noise_factor=4.0))
    assert scaled.names == plain.names
    np.testing.assert_allclose(scaled.weight_fraction, plain.weight_fraction, atol=2e-3)
    wrong = analyse_series(truth.two_theta, 4.0 * counts[rows], CU, options=base)
    assert any(f.startswith("OVERDISPERSED") for f in wrong.joint.fit.flags())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"intensity": np.ones((60, 200))}, "do not fit"),
        ({"two_theta": np.ones(201)}, "ascend"),
        ({"time_s": np.zeros(60)}, "ascending times"),
        ({"voltage_V": np.zeros(5)}, "voltages"),
    ],
)
def test_input_that_does_not_fit_is_refused(change, message):
    truth = sim.simulate("P", 300.0)
    given = {"two_theta": truth.two_theta, "intensity": truth.counts(0)} | change
    with pytest.raises(DataError, match=message):
        analyse_series(given.pop("two_theta"), given.pop("intensity"), CU, options=OPTIONS, **given)


def test_a_dark_frame_is_named_and_a_series_without_a_line_is_refused():
    truth = sim.simulate("P", 300.0)
    counts = truth.counts(0)
    counts[7] = 0.0
    with pytest.raises(DataError, match="frame 7"):
        analyse_series(truth.two_theta, counts, CU, options=OPTIONS)
    flat = np.random.default_rng(0).poisson(50.0, counts.shape).astype(float)
    with pytest.raises((FitError, DataError)):
        analyse_series(truth.two_theta, flat, CU, options=OPTIONS)


# -- parts ------------------------------------------------------------------------------------------------------------


def frames_of(lines, n_frames=12, counts=3000.0, seed=0):
    """Return frames of lines (position, share) at one level, the background known."""
    x = np.arange(17.5, 20.6, 0.02)
    height = sim.line(x, 18.8, 0.1).max()
    expected = 100.0 + sum(counts / height * share * sim.line(x, place, 0.1) for place, share in lines)
    y = np.random.default_rng(seed).poisson(np.tile(expected, (n_frames, 1))).astype(float)
    return FrameData(x, y, np.tile(expected, (n_frames, 1)), np.ones(y.shape, bool))


def test_lines_are_found_without_names_and_no_others():
    data = frames_of([(18.70, 0.6), (19.15, 0.3), (19.55, 0.1)])
    found, _ = find_lines(data, MODEL, window=(18.2, 20.4))
    for lines in found:
        np.testing.assert_allclose([f.position for f in lines], [18.70, 19.15, 19.55], atol=0.02)
    empty, _ = find_lines(frames_of([(18.7, 0.0)]), MODEL, window=(18.2, 20.4))
    assert not any(empty)


def test_frames_fitted_side_by_side_equal_frames_fitted_alone():
    data = frames_of([(18.70, 0.7), (19.15, 0.3)])
    start = np.array([[18.72] * 12, [19.13] * 12])
    together = fit_frames(data, ("a", "b"), MODEL, start)
    for f in (0, 5, 11):
        alone = fit_frames(data.only(np.array([f])), ("a", "b"), MODEL, start[:, :1])
        np.testing.assert_allclose(alone.position[:, 0], together.position[:, f], atol=2e-5)
        np.testing.assert_allclose(alone.area[:, 0], together.area[:, f], rtol=1e-3)
    pulls = (together.position - np.array([[18.70], [19.15]])) / together.position_sigma
    assert 0.6 < np.sqrt((pulls**2).mean()) < 1.5


def found_lines(places, frames, area=100.0):
    return [[FoundLine(f, p(f), 0.003, area, 5.0) for p in places if p(f) is not None] for f in range(frames)]


def test_tracks_are_named_by_their_course_and_not_by_their_angle():
    """Twice the same sequence, the second 0.3 degrees higher: the names must not change."""
    for offset in (0.0, 0.3):
        lines = found_lines(
            [
                lambda f, o=offset: 18.5 + o + 0.008 * f,
                lambda f, o=offset: 19.0 + o + 0.002 * f if f > 12 else None,
                lambda f, o=offset: 19.4 + o if f > 25 else None,
            ],
            40,
        )
        named = name_tracks(link_lines(lines), lco_003(), CU.alpha1)
        assert set(named) == {"O3", "IG", "H13"}
        assert named["H13"].frames[0] == 26


def test_a_phase_that_comes_back_is_the_same_phase():
    lines = found_lines([lambda f: 18.8, lambda f: 19.2 if f < 10 or f > 30 else None], 40)
    named = name_tracks(link_lines(lines), lco_003(), CU.alpha1)
    assert set(named) == {"O3", "IG"}
    assert len(named["IG"].lines) == 19


def test_a_second_line_below_the_first_is_o3_prime():
    lines = found_lines([lambda f: 18.93 if f < 20 else None, lambda f: 18.70 if f > 8 else None], 30)
    named = name_tracks(link_lines(lines), lco_003(), CU.alpha1)
    assert set(named) == {"O3", "O3p"}
    assert named["O3p"].positions[0] == 18.70


def test_a_line_seen_in_isolated_frames_is_no_track():
    lines = found_lines([lambda f: 18.8, lambda f: 19.4 if f in (3, 9, 15, 21) else None], 30)
    assert len(link_lines(lines)) == 1


def test_the_misfit_of_a_flank_is_no_track():
    lines = [[FoundLine(f, 19.0, 0.003, 100.0, 5.0), FoundLine(f, 19.13, 0.01, 15.0, 2.0)] for f in range(20)]
    assert len(link_lines(lines, shoulder_deg=0.25)) == 1
    assert len(link_lines(lines, shoulder_deg=0.05)) == 2


def test_the_first_line_is_o3_until_its_spacing_turns():
    charge = np.linspace(0, 1, 41)
    position = np.concatenate([18.93 - 0.5 * charge[:21] * 2, 18.43 + 0.5 * charge[:21] * 2])
    voltage = np.linspace(3.8, 4.6, position.size)
    assert turning_frames(position) == (20,)
    np.testing.assert_array_equal(past_the_turn(position, voltage), np.arange(position.size) >= 20)
    np.testing.assert_array_equal(past_the_turn(position), np.arange(position.size) >= 20)
    # the way back: discharge from 4.6 V begins as O3' although its angle falls as that of O3 did
    back = past_the_turn(position, voltage[::-1])
    np.testing.assert_array_equal(back, np.arange(position.size) < 20)
    assert not past_the_turn(np.full(30, 18.93)).any()


def test_trajectories_read_forward_use_no_later_frame():
    frames = np.arange(5, 25)
    position = np.where(frames < 15, 18.5, 18.9)
    forward = trajectory("O3", frames, position, np.full(20, 0.003), 30, side="before")
    backward = trajectory("O3", frames, position, np.full(20, 0.003), 30, side="after")
    assert forward.position[14] == pytest.approx(18.5, abs=1e-6)
    assert backward.position[15] == pytest.approx(18.9, abs=1e-6)


def courses(frames, *places):
    return [
        Trajectory(name, np.full(frames, place), np.full(frames, 0.02), np.ones(frames, bool))
        for name, place in zip(("O3", "IG", "H13"), places, strict=False)
    ]


def chosen(data, places, guard=None, certain=None):
    k = len(places)
    sure = np.zeros((k, data.n_frames), bool)
    sure[0] = True
    shape = LineShape(dict.fromkeys(("O3", "IG", "H13"), 0.1), 0.45, 0.016)
    return choose_sets(
        data,
        courses(data.n_frames, *places),
        LineModel(LINE, shape, polynomial=1),
        guard=guard or Guard(),
        certain=sure if certain is None else certain,
    )


def test_sets_of_phases_are_those_that_are_there():
    there = frames_of([(18.7, 0.8), (19.15, 0.2)])
    assert chosen(there, (18.7, 19.15, 19.55)).present.tolist() == [[True] * 12, [True] * 12, [False] * 12]


def test_every_frame_is_offered_its_certain_lines_with_any_of_the_doubtful_ones():
    rng = np.random.default_rng(5)
    certain = rng.random((4, 60)) < 0.4
    doubt = (rng.random((4, 60)) < 0.4) & ~certain
    sets, table = _candidate_sets(certain, doubt)
    assert len(set(sets)) == len(sets)
    for f in range(60):
        offered = {sets[s] for s in np.flatnonzero(table[:, f])}
        wanted = {
            m
            for m in (tuple(k for k in range(4) if bits >> k & 1) for bits in range(16))
            if all(k in m for k in np.flatnonzero(certain[:, f])) and all(certain[k, f] or doubt[k, f] for k in m)
        }
        assert offered == wanted


def test_a_ghost_with_a_tiny_share_is_refused_whatever_it_gains():
    """A ripple of 0.3 % wins the BIC at enough counts; the guard keeps it out and says so."""
    data = frames_of([(18.7, 0.997), (19.15, 0.003)], counts=3e6)
    found = chosen(data, (18.7, 19.15))
    assert not found.present[1].any()
    assert len(found.rejected["IG"]) == 12
    assert chosen(data, (18.7, 19.15), guard=Guard(least_share=0.001)).present[1].all()


def test_a_ghost_on_the_flank_of_a_line_is_refused():
    data = frames_of([(18.7, 0.9), (18.73, 0.1)], counts=1e5)
    assert not chosen(data, (18.7, 18.73)).present[1].any()


def test_a_single_frame_does_not_switch_a_phase():
    quiet, loud = frames_of([(18.7, 1.0)]), frames_of([(18.7, 0.95), (19.15, 0.03)])
    y = quiet.y.copy()
    y[5] = loud.y[5]
    data = FrameData(quiet.x, y, quiet.variance, quiet.use)
    found = chosen(data, (18.7, 19.15), guard=Guard(switch_cost=200.0))
    assert not found.present[1].any()


def test_short_runs_go_and_short_gaps_close():
    row = np.array([[1, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1]], bool)
    kept = keep_persistent(row, 3)[0]
    assert runs(kept) == [(0, 8), (19, 20)]  # the run at the end may go on outside


def test_a_line_of_the_cell_takes_no_part_in_the_phases():
    data = frames_of([(18.7, 0.6), (19.3, 0.4)])
    model = replace(MODEL, held=(HeldLine("PTFE", 19.3, 0.1),))
    found, _ = find_lines(data, model, window=(18.2, 20.4))
    assert all(len(lines) == 1 for lines in found)
