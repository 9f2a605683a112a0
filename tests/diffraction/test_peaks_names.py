"""Names of lines with their probabilities, sets that a user writes, amounts that stay amounts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from layerscope.diffraction.peaks.bragg import d_from_two_theta
from layerscope.diffraction.peaks.components import ComponentSet, available_sets, component_set, lco_003, read_set
from layerscope.diffraction.peaks.difference import compare_totals
from layerscope.diffraction.peaks.frames import FrameData
from layerscope.diffraction.peaks.joint import fit_joint
from layerscope.diffraction.peaks.line_series import Counting
from layerscope.diffraction.peaks.lines import DiffractionLine
from layerscope.diffraction.peaks.model import LineModel, LineShape
from layerscope.diffraction.peaks.names import CERTAIN_NAME, OTHER, LineCourse, name_lines
from layerscope.diffraction.peaks.quantities import frame_flags, series_flags
from layerscope.diffraction.peaks.series import SeriesOptions, analyse_series
from layerscope.diffraction.peaks.stages import State, _indistinct, _overlooked
from layerscope.diffraction.peaks.structure import calculated_factors
from layerscope.diffraction.peaks.tracks import trajectory
from layerscope.diffraction.radiation import tube_radiation
from pipeline_series import (
    AXIS,
    FRAMES,
    HEAD,
    PER_WEIGHT,
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
from layerscope.errors import DataError, LayerscopeError
from layerscope.records import ResultRecord
from layerscope.runs.execute import execute
from layerscope.runs.load import Run

CU = tube_radiation("Cu")


def run_of(recipe: Path) -> Run:
    execute(recipe, recipe.parent / "run", figures=False)
    return layerscope.load_run(recipe.parent / "run")


VOLTS = np.linspace(4.30, 4.62, 40)


def course(first_frame: int, low_deg: float, high_deg: float, ratio: float | None = None, falls: bool = False):
    """Return a line that runs between two angles from a frame to the end, and grows or falls."""
    frames = np.arange(first_frame, 40)
    d, _ = d_from_two_theta(np.linspace(low_deg, high_deg, frames.size), CU.alpha1)
    amount = np.linspace(1.0, 0.3, frames.size) if falls else np.linspace(0.02, 0.4, frames.size)
    return LineCourse(frames, d, amount, ratio)


def probability(found, line_number: int, phase: str) -> float:
    return sum(entry.probability for entry in found if entry.phases[line_number] == phase)


def test_a_second_line_in_the_tail_of_the_intergrowth_takes_the_name_of_no_other_phase():
    """The line at 19.6 degrees is H1-3 whatever lies below it, and nothing there is O1, which lives at 20.7."""
    lines = [
        course(0, 18.46, 18.88, 1.0, falls=True),
        course(25, 19.02, 19.15, 4.8),
        course(25, 19.23, 19.32, 4.0),
        course(32, 19.50, 19.61, 1.2),
    ]
    for volts in (VOLTS, None):
        found = name_lines(lines, lco_003(), volts)
        assert sum(entry.probability for entry in found) == pytest.approx(1.0, abs=1e-6)
        assert probability(found, 0, "O3") > 0.99
        assert probability(found, 3, "H13") > 0.9
        assert max(probability(found, k, "O1") for k in range(4)) < 1e-3
        assert max(probability(found, 2, phase) for phase in (*lco_003().ids, OTHER)) < CERTAIN_NAME


def test_lines_of_the_declared_kind_have_certain_names():
    lines = [course(0, 18.46, 18.88, 1.0, falls=True), course(18, 19.1, 19.2, 1.5), course(28, 19.5, 19.6, 1.2)]
    best = name_lines(lines, lco_003(), VOLTS)[0]
    assert best.phases == ("O3", "IG", "H13")
    assert best.probability > CERTAIN_NAME


@pytest.mark.parametrize("place", [20.0, 20.15])
def test_a_line_between_the_windows_is_another_line(place):
    lines = [course(0, 18.46, 18.88, 1.0, falls=True), course(20, place, place, 1.0)]
    assert name_lines(lines, lco_003(), VOLTS)[0].phases == ("O3", OTHER)


def test_a_phase_does_not_come_before_the_voltage_at_which_it_is_known():
    lines = [course(0, 18.46, 18.7, 1.0, falls=True), course(10, 19.5, 19.6, 1.2)]
    late, early = (name_lines(lines, lco_003(), v) for v in (VOLTS, VOLTS - 0.5))
    assert probability(late, 1, "H13") > 0.9
    assert probability(early, 1, "H13") < 0.1


# -- series -----------------------------------------------------------------------------------------------------------


def patterns(parts, seed: int = 5, scale: float = 600.0):
    """Return counts of lines given as (share by frame, position by frame, width)."""
    expected = np.full((FRAMES, AXIS.size), 120.0)
    for share, place, width in parts:
        for f in np.flatnonzero(share > 0):
            expected[f] += scale * share[f] * line(AXIS, place[f], width)
    return np.random.default_rng(seed).poisson(expected).astype(float)


F = np.arange(FRAMES) / (FRAMES - 1)
OPTIONS = SeriesOptions()


@pytest.fixture(scope="module")
def tailed():
    """A series whose intergrowth has a broad line with a tail, as stacks of layers have."""
    w = weights()
    parts = [
        (w[0], 18.46 + 0.40 * F, 0.11),
        (0.5 * w[1], 19.02 + 0.08 * F, 0.30),
        (0.5 * w[1], 19.28 + 0.08 * F, 0.25),
        (w[2], 19.50 + 0.10 * F, 0.12),
    ]
    return w, analyse_series(AXIS, patterns(parts, scale=2500.0), CU, voltage_V=voltages(), options=OPTIONS)


def test_h13_keeps_its_name_beside_an_intergrowth_with_a_tail_and_doubt_is_said(tailed):
    truth, found = tailed
    assert "O1" not in found.phases
    row = found.phases.index("H13")
    np.testing.assert_allclose(np.nanmax(found.position[row]), 19.6, atol=0.03)
    flags = {flag.partition(":")[0] for flag in series_flags(found)}
    assert flags & {"NAME_UNCERTAIN", "LINE_SHAPE"}
    assert found.total(["H13"])[0][-1] == pytest.approx(truth[2, -1], abs=0.05)


def test_fractions_under_every_labelling_lie_in_0_to_1_and_sum_to_1(tailed):
    for labelling in tailed[1].labellings[:6]:
        other = tailed[1].relabelled(labelling)
        counted = np.array([bool(p) for p in other.phases])
        here = np.where(other.present & counted[:, None], other.weight_fraction, 0.0)
        np.testing.assert_allclose(here.sum(axis=0), 1.0, atol=1e-9)
        assert (here > -1e-12).all()
        assert (here < 1 + 1e-12).all()
        np.testing.assert_allclose(other.weight_fraction_covariance.sum(axis=(1, 2)), 0.0, atol=1e-9)


def joint_of(places, present, seed=1):
    """Fit two lines jointly; `present` of shape (2, F)."""
    line_of = DiffractionLine(CU, axial=False)
    frames = present.shape[1]
    x = np.arange(17.5, 20.6, 0.02)
    share = np.array([0.7, 0.3])
    expected = 100.0 + 600.0 * sum(s * line(x, p, 0.12) for s, p in zip(share, places, strict=True))
    y = np.random.default_rng(seed).poisson(np.tile(expected, (frames, 1))).astype(float)
    data = FrameData(x, y, np.tile(expected, (frames, 1)), np.ones(y.shape, bool))
    model = LineModel(line_of, LineShape({"a": 0.12, "b": 0.12}, 0.4, 0.0), polynomial=0)
    position = np.tile(np.array(places)[:, None], (1, frames))
    joint = fit_joint(data, ("a", "b"), present, position, np.full((2, frames), 0.01), np.array([99.0, 9.0]), model)
    return State(data, replace(model, shape=joint.shape), OPTIONS, (18.2, 20.4)), joint


def test_two_lines_at_one_place_are_one():
    _, joint = joint_of((18.800, 18.806), np.ones((2, 6), bool))
    none, twins = _indistinct(joint)
    assert ((none | twins).sum(axis=0) == 1).all()
    apart, _ = joint_of((18.80, 19.30), np.ones((2, 6), bool))[1], None
    assert not any(found.any() for found in _indistinct(apart))


def test_an_amount_beyond_doubt_is_not_declared_absent():
    present = np.ones((2, 16), bool)
    present[1, 10:] = False
    state, joint = joint_of((18.80, 19.30), present)
    frames = np.arange(16)
    courses = [trajectory(n, frames, np.full(16, p), np.full(16, 0.003), 16) for n, p in (("a", 18.80), ("b", 19.30))]
    np.testing.assert_array_equal(_overlooked(state, joint, courses)[1], frames >= 10)


def test_an_amount_that_is_clear_and_yet_left_out_is_said(tailed):
    found = tailed[1]
    free, sigma = found.free_fraction.copy(), found.free_sigma.copy()
    row, frame = found.phases.index("H13"), 3
    free[row, frame], sigma[row, frame] = 0.39, 0.012
    said = frame_flags(replace(found, free_fraction=free, free_sigma=sigma), frame)
    assert any(flag.startswith("PHASE_BY_PERSISTENCE") for flag in said)
    assert not any(flag.startswith("PHASE_BY_PERSISTENCE") for flag in frame_flags(found, 0))


def test_what_a_wrong_shape_brings_to_a_difference_does_not_average_out(tailed):
    """Half of the variance from shapes: of the mean over frames it is as large as of a frame, that of counts is not."""
    found = tailed[1]
    whole = found.weight_fraction_covariance
    halved = Counting(found.area_covariance, found.position_sigma, found.fwhm_sigma, whole, 0.5 * whole)
    parted = compare_totals(replace(found, counting=halved), replace(found, counting=halved), names=("IG", "H13"))
    of_one = np.nan_to_num(found.total(("IG", "H13"))[1])
    np.testing.assert_allclose(np.hypot(parted.sigma, parted.model_sigma), np.sqrt(2) * of_one, rtol=1e-6, atol=1e-9)
    assert parted.mean_model_sigma == pytest.approx(of_one.mean(), rel=1e-6)  # sqrt(2) from two, sqrt(1/2) a part
    assert parted.mean_model_sigma > 1.5 * parted.mean_sigma


# -- records ----------------------------------------------------------------------------------------------------------


def write(folder: Path, name: str, y) -> None:
    write_series(folder, name, {k: text(row) for k, row in enumerate(y)})


def two_series(folder: Path, second, extra: str = "") -> list[ResultRecord]:
    write_series(folder, "P", seed=3)
    write(folder, "B", second)
    other = SERIES.replace('"P', '"B')
    compare = f'\n[compare]\nsamples = ["P", "B"]\nphases = ["IG", "H13"]\n{extra}'
    return list(run_of(write_recipe(folder, HEAD + SERIES + other + compare)).records)


def without_h13():
    w = weights(0.6)
    areas = np.array([w[0] + w[2], w[1]]) * PER_WEIGHT[:2, None]
    return patterns([(areas[0], 18.46 + 0.40 * F, WIDTHS[0]), (areas[1], 19.10 + 0.10 * F, WIDTHS[1])])


def test_samples_that_hold_different_phases_are_not_compared_unless_the_recipe_says_so(tmp_path):
    records = two_series(tmp_path, without_h13())
    (refused,) = [r for r in records if r.status == "failed"]
    assert "H1-3" in refused.problem.message
    assert "may_be_absent" in refused.problem.hint
    folder = tmp_path / "told"
    folder.mkdir()
    records = two_series(folder, without_h13(), 'may_be_absent = ["H13"]\n')
    (compared,) = [r for r in records if r.method == "xrd_peaks.difference"]
    assert "COMPONENTS_DIFFER:H1-3" in compared.flags
    assert compared.status == "warning"
    assert compared.quantities[0].value > 0


def test_where_a_name_is_uncertain_there_is_a_total_for_each_naming_and_no_result(tmp_path):
    """A line at the border of two windows, in one of two samples."""
    w = weights() * PER_WEIGHT[:, None]
    parts = [(w[0], 18.46 + 0.40 * F, 0.11), (w[1] + w[2], np.full(FRAMES, 19.43), 0.13)]
    records = two_series(tmp_path, patterns(parts), 'may_be_absent = ["IG", "H13"]\n')
    (compared,) = [r for r in records if r.method == "xrd_peaks.difference"]
    assert len(compared.quantities) >= 2
    assert all("naming" in q.component for q in compared.quantities)
    assert any(flag.startswith("NAME_UNCERTAIN") for flag in compared.flags)
    (series,) = [r for r in records if r.method == "xrd_peaks.series" and r.state.sample == "B"]
    names = [a for a in series.alternatives if a.comparison == "names of the lines"]
    assert [a.chosen for a in names] == [True] + [False] * (len(names) - 1)
    assert sum(a.probability for a in names) == pytest.approx(1.0, abs=0.03)
    last = max(
        (r for r in records if r.method == "xrd_peaks.frame" and r.state.sample == "B"), key=lambda r: r.state.frame
    )
    assert last.status == "warning"
    assert [a for a in last.alternatives if a.comparison == "names of the lines"] == names
    totals = [q.component for q in last.quantities if q.name in ("phase.fraction", "phase.total_fraction")]
    assert totals
    assert all("naming" in component for component in totals)


def test_a_foreign_line_in_the_window_is_named_so_and_is_in_no_fraction(tmp_path):
    y = counts(3) + np.round(60.0 * line(AXIS, 20.1, 0.15))
    write(tmp_path, "P", y)
    records = run_of(write_recipe(tmp_path, HEAD + SERIES)).records
    (series,) = [r for r in records if r.method == "xrd_peaks.series"]
    assert "UNNAMED_LINE" in series.flags
    assert any("20.1" in note for note in series.notes)
    for record in (r for r in records if r.method == "xrd_peaks.frame"):
        truth = dict(zip(("O3'", "O3'/H1-3", "H1-3"), weights()[:, record.state.frame], strict=True))
        for q in record.quantities:
            if q.name == "phase.fraction" and q.sigma and q.upper_limit is None:
                assert abs(q.value - truth[q.component]) < 4.5 * q.sigma


# -- sets -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", available_sets())
def test_shipped_sets_are_complete_and_say_where_they_come_from(name):
    found = component_set(name)
    assert found.name == name
    for c in found.components:
        assert c.source
        low, high = (float(v) for v in d_from_two_theta([found.high_deg, found.low_deg], CU.alpha1)[0])
        assert c.d_A[0] < high
        assert c.d_A[1] > low or c.id == "O1"
        place = float(d_from_two_theta([c.two_theta_deg], CU.alpha1)[0][0])
        assert c.d_A[0] <= place <= c.d_A[1]


def test_the_four_materials_are_there():
    assert set(available_sets()) == {"lco_003", "lno_003", "lrmo_003", "nmc_003"}
    assert component_set("nmc_003").ids == component_set("lno_003").ids == ("H1", "M", "H2", "H3")


def test_two_phase_steps_of_linio2_have_their_names():
    """H1 gives way to M, M to H2, and H3 appears far above: one after the other, each beside the one before."""
    volts = np.linspace(3.5, 4.3, 40)

    def step(first: int, last: int, low: float, high: float, falls: bool) -> LineCourse:
        frames = np.arange(first, last)
        d, _ = d_from_two_theta(np.linspace(low, high, frames.size), CU.alpha1)
        grows = np.minimum(1.0, (frames - first + 1) / 6)
        fades = np.minimum(1.0, (last - frames) / 6) if falls else np.ones(frames.size)
        return LineCourse(frames, d, grows * fades if first else fades, 1.0)

    lines = [
        step(0, 14, 18.74, 18.66, True),
        step(9, 22, 18.50, 18.46, True),
        step(18, 36, 18.40, 18.36, True),
        step(31, 40, 19.65, 19.75, False),
    ]
    found = name_lines(lines, component_set("lno_003"), volts)
    assert found[0].phases == ("H1", "M", "H2", "H3")
    assert probability(found, 3, "H3") > CERTAIN_NAME


def test_the_line_of_a_nickel_rich_oxide_is_h3_once_its_spacing_has_turned():
    u = np.linspace(0, 1, 36)
    place = 18.74 - 1.48 * u * (1 - u) + 0.24 * u**2  # 18.74, 18.43, 18.98
    y = patterns([(np.ones(FRAMES), np.interp(F, u, place), 0.12)])
    options = SeriesOptions(components=component_set("nmc_003"))
    found = analyse_series(AXIS, y, CU, voltage_V=3.6 + 0.7 * F, options=options)
    assert found.phases == ("H1", "H3")
    turn = int(np.interp(F, u, place).argmin())
    assert abs(int(np.flatnonzero(found.present[1])[0]) - turn) <= 2
    assert found.events == ()


def test_intensities_are_not_calculated_for_components_without_a_structure():
    with pytest.raises(DataError, match="H1, M, H2, H3"):
        calculated_factors(component_set("nmc_003"), CU.alpha1)


OWN = """[series]
name = "mine"
reflection = "003"
low_deg = 18.2
high_deg = 20.4

[[component]]
id = "A"
label = "alpha"
order = 0
side = "first"
two_theta_deg = 18.6
d_A = [4.66, 4.84]
intensity_per_weight = 1.0
colour = "#112233"
source = "mine"

[[component]]
id = "B"
label = "beta"
order = 1
side = "high"
two_theta_deg = 19.1
d_A = [4.58, 4.69]
intensity_per_weight = 1.1
source = "mine"
"""


def test_a_set_of_the_users_own_names_the_lines_and_stands_among_the_inputs(tmp_path):
    write(tmp_path, "P", without_h13())
    (tmp_path / "mine.toml").write_text(OWN)
    recipe = HEAD + 'components_file = "mine.toml"\ntotal = ["B"]\n' + SERIES
    records = run_of(write_recipe(tmp_path, recipe)).records
    frames = [r for r in records if r.method == "xrd_peaks.frame"]
    assert {q.component for r in frames for q in r.quantities if q.name == "phase.fraction"} == {"alpha", "beta"}
    assert any(entry.path == "mine.toml" for entry in frames[0].inputs)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("d_A = [4.58, 4.69]", "d_A = [4.69, 4.58]"), "range"),
        (("colour =", "color ="), "color"),
        (('colour = "#112233"', 'colour = "red;url(x)"'), "colour"),
        (('id = "B"', 'id = "B_area"'), "id"),
        (('id = "B"', 'id = "A"'), "alike"),
        (('side = "high"', 'side = "first"'), "first"),
        (('source = "mine"', ""), "source"),
        (("intensity_per_weight = 1.1", "intensity_per_weight = -1.0"), "intensity_per_weight"),
        (("[series]", "[series"), "TOML"),
    ],
)
def test_a_set_that_is_not_as_it_must_be_is_refused_by_the_key(tmp_path, change, words):
    path = tmp_path / "mine.toml"
    path.write_text(OWN.replace(*change))
    with pytest.raises(LayerscopeError, match=words):
        read_set(path, "mine.toml")


@pytest.mark.parametrize("path", ["../mine.toml", "/etc/hosts", "C:/mine.toml", "~/mine.toml"])
def test_a_set_outside_the_recipes_folder_is_refused(tmp_path, path):
    write(tmp_path, "P", without_h13())
    with pytest.raises(LayerscopeError, match="path"):
        run_of(write_recipe(tmp_path, HEAD + f'components_file = "{path}"\n' + SERIES))


def test_an_excluded_phase_is_no_answer():
    found = lco_003().without(("O1", "H13"))
    assert found.ids == ("O3", "O3p")  # the intergrowth mixes layers of H1-3
    assert found.stacking is None
    assert isinstance(found, ComponentSet)
    lines = [course(0, 18.46, 18.88, 1.0, falls=True), course(28, 19.5, 19.6, 1.2)]
    assert name_lines(lines, found, VOLTS)[0].phases == ("O3", OTHER)
    with pytest.raises(DataError, match="first"):
        lco_003().without(("O3",))
    with pytest.raises(DataError, match="no component"):
        lco_003().without(("O2",))
