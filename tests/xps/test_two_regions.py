"""Auger parameters and thicknesses of layers, against spectra summed slice by slice over depth."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from layerscope.spectra.xps.overlayer import LayerModel, fit_thickness, thickness

from layerscope.errors import DataError
from layerscope.records import ResultRecord
from layerscope.runs.execute import execute

PATH_NM, RATIO, ANGLES = 3.0, 0.8, np.array([0.0, 30.0, 45.0, 60.0])


@pytest.fixture(scope="module", autouse=True)
def generators(reference_data: Path) -> Iterator[None]:
    sys.path.insert(0, str(reference_data))
    yield
    sys.path.remove(str(reference_data))


def sliced(d_nm: float, angle: float, upper: float = PATH_NM, below: float = PATH_NM) -> tuple[float, float]:
    """Sum what slices of 0.01 nm give through what lies over them: layer and substrate, each 1 per nm of path."""
    depth = np.arange(0.005, 80.0, 0.01)
    cosine = np.cos(np.deg2rad(angle))
    in_layer = depth < d_nm
    layer = RATIO / upper * np.exp(-depth / (upper * cosine))[in_layer].sum() * 0.01
    through = np.exp(-d_nm / (below * cosine))
    substrate = through / below * np.exp(-(depth - d_nm) / (below * cosine))[~in_layer].sum() * 0.01
    return float(layer / cosine), float(substrate / cosine)


def model(r_inf: float = RATIO, upper: float = PATH_NM, below: float = PATH_NM) -> LayerModel:
    return LayerModel(upper, below, 0.11, r_inf, 0.1)


@pytest.mark.parametrize(("upper", "below"), [(3.0, 3.0), (2.4, 3.1), (3.1, 2.0)])
@pytest.mark.parametrize("d_nm", [0.3, 2.0, 7.0])
def test_a_ratio_gives_back_the_thickness_that_slices_were_summed_for(d_nm: float, upper: float, below: float) -> None:
    pairs = [sliced(d_nm, angle, upper, below) for angle in ANGLES]
    ratio = np.array([layer / substrate for layer, substrate in pairs])
    assert thickness(ratio, model(RATIO, upper, below), ANGLES) == pytest.approx(d_nm, rel=0.01)


def test_a_ratio_slightly_below_zero_gives_a_thickness_slightly_below_zero() -> None:
    (found,) = thickness(np.array([-0.02]), model(), np.array([0.0]))
    assert found == pytest.approx(PATH_NM * np.log1p(-0.02 / RATIO), rel=1e-6)


def test_intervals_of_a_fit_over_angles_cover_the_truth_and_the_bulk_ratio_can_be_fitted() -> None:
    rng, spread = np.random.default_rng(3), 0.03
    exact = np.array([np.log(np.divide(*sliced(3.0, angle))) for angle in ANGLES])
    inside = {True: 0, False: 0}
    for _ in range(100):
        measured = exact + spread * rng.standard_normal(ANGLES.size)
        for free in inside:
            known = LayerModel(PATH_NM, PATH_NM, 0.0, np.nan if free else RATIO, 0.0)
            found = fit_thickness(measured, spread**2 * np.eye(ANGLES.size), known, ANGLES)
            inside[free] += abs(found.value - 3.0) < found.sigma
    for free, count in inside.items():
        assert 54 <= count <= 82, free  # 68 of 100 are meant


def test_angles_that_disagree_say_so_and_widen_the_error() -> None:
    exact = np.array([np.log(np.divide(*sliced(3.0, angle))) for angle in ANGLES])
    counting = 0.01**2 * np.eye(ANGLES.size)
    agree = fit_thickness(exact, counting, model(), ANGLES)
    assert agree.agree
    assert agree.parts["angles"] == 0.0
    assert agree.parts["attenuation_length"] == pytest.approx(0.33, rel=0.02)
    other = fit_thickness(exact - np.array([0.0, 0.0, 0.0, 0.4]), counting, model(), ANGLES)
    assert not other.agree
    assert other.parts["angles"] > 5 * other.parts["counting"]
    assert abs(other.value - 3.0) < 2 * np.hypot(other.parts["angles"], other.parts["counting"])


def test_fewer_angles_than_values_are_refused() -> None:
    with pytest.raises(DataError, match="1 angles do not set 2 values"):
        fit_thickness(np.array([0.1]), np.eye(1), model(np.nan), np.array([0.0]))


def run(folder: Path, regions: list[tuple[tuple, list[tuple]]], recipe: str) -> tuple[ResultRecord, ...]:
    """Simulate levels of regions: (name, low, high) and, a level, lines (position, fwhm, area); charged by 3.3 eV."""
    from _generate.simulation import Level, Line, Window, measure
    from _generate.vamas import VamasOptions, write_vamas

    levels = []
    for k in range(len(regions[0][1])):
        measured = []
        for n, ((name, low, high), lines) in enumerate(regions):
            own = tuple(Line(f"l{i}", name, p, w, 0.2, a, None, 1.0) for i, (p, w, a) in enumerate(lines[k]))
            window = Window(name, low, high, 0.1, 0.2, 5, 0.005, 500.0, 0.0)
            measured.append(measure(window, own, shift=3.3, stream=(91, k, n)))
        levels.append(Level(10.0 * k, None, 3.3, {}, tuple(measured)))
    (folder / "p.vms").write_bytes(write_vamas(levels, VamasOptions("S", "test", ("simulated",))))
    (folder / "r.toml").write_text('layerscope = 1\npipeline = "xps"\nsample = "S"\n' + recipe)
    records = execute(folder / "r.toml", folder / "out", figures=False).run.records
    assert not [r for r in records if r.status == "failed"], [r.problem for r in records if r.problem]
    return records


def of(records: tuple[ResultRecord, ...], method: str) -> list[ResultRecord]:
    found = [r for r in records if r.method == method]
    return sorted(found, key=lambda r: (r.state.angle_deg or 0.0, r.state.etch_time_s or 0.0))


LAYER = """
[[series]]
files = ["p.vms"]
angles_deg = [0, 30, 45, 60]
[charge]
kind = "none"
[[regions]]
region = "Al 2p"
shift = "none"
[[regions.components]]
species = "metal"
custom = true
position_eV = { value = 76.0, min = 74.5, max = 77.5 }
[[regions.components]]
species = "oxide"
custom = true
position_eV = { value = 79.0, min = 77.5, max = 81.0 }
[[overlayer]]
name = "oxide"
region = "Al 2p"
species = ["oxide"]
substrate = ["metal"]
length_nm = 3.0
"""


def spectra(d_nm: float, scale: float = 40000.0) -> list[tuple[tuple, list[tuple]]]:
    levels = []
    for angle in ANGLES:
        layer, substrate = sliced(d_nm, float(angle))
        levels.append([(72.7, 0.9, scale * substrate), (75.7, 1.5, scale * layer)])
    return [(("Al 2p", 70.0, 86.0), levels)]


def test_a_series_of_angles_gives_the_thickness_at_each_and_one_for_all(tmp_path: Path) -> None:
    records = run(tmp_path, spectra(3.0), LAYER + "r_inf = 0.8\nlength_sigma = 0.15\n")
    levels = of(records, "xps.layer")
    assert [r.state.angle_deg for r in levels] == list(ANGLES)
    for record in levels:
        found = record.get("layer.thickness", "oxide")
        assert set(found.budget) == {"counting", "background", "r_inf", "attenuation_length"}
        own = np.hypot(found.budget["counting"], found.budget["background"])
        assert abs((found.value or 0.0) - 3.0) < 3 * own
        assert found.budget["attenuation_length"] == pytest.approx(0.15 * (found.value or 0.0))
    (whole,) = of(records, "xps.layer_series")
    found = whole.get("layer.thickness", "oxide")
    assert abs((found.value or 0.0) - 3.0) < 3 * np.hypot(found.budget["counting"], found.budget["background"])
    assert found.budget["counting"] < 0.1
    assert not [flag for flag in whole.flags if flag.startswith("ANGLES_DISAGREE")]
    assert "agree on one thickness" in whole.notes[0]


def test_the_bulk_ratio_can_be_left_to_the_angles(tmp_path: Path) -> None:
    records = run(tmp_path, spectra(3.0, 200000.0), LAYER + 'r_inf = "fit"\n')
    assert not of(records, "xps.layer")  # one angle alone sets no two values
    (whole,) = of(records, "xps.layer_series")
    found, bulk = whole.get("layer.thickness", "oxide"), whole.get("layer.bulk_ratio", "oxide")
    assert abs((found.value or 0.0) - 3.0) < 3 * np.hypot(found.budget["counting"], found.budget["background"])
    assert abs((bulk.value or 0.0) - RATIO) < 3 * (bulk.sigma or 0.0)


def test_where_nothing_of_the_substrate_is_seen_a_lower_end_is_stated(tmp_path: Path) -> None:
    records = run(tmp_path, spectra(40.0), LAYER + "r_inf = 0.8\n")
    for record in of(records, "xps.layer"):
        found = record.get("layer.thickness", "oxide")
        assert found.value is None
        assert found.low is not None
        assert 3.0 < found.low < 40.0


AUGER = """
[[series]]
files = ["p.vms"]
[charge]
kind = "none"
[[regions]]
region = "Cu 2p"
shift = "free"
[[regions.components]]
species = "Cu2O"
custom = true
position_eV = { value = 935.5, min = 932.0, max = 939.0 }
[[regions]]
region = "Cu 3p"
shift = "free"
[[regions.components]]
species = "Cu LMM"
custom = true
position_eV = { value = 573.0, min = 569.0, max = 577.0 }
[[auger_parameter]]
core_region = "Cu 2p"
core = "Cu2O"
auger_region = "Cu 3p"
auger = "Cu LMM"
name = "Cu"
"""


def test_an_auger_parameter_is_free_of_charging(tmp_path: Path) -> None:
    """Both lines are charged by 3.3 eV; of the sum, 932.4 + 1486.6 - 569.8 = 1849.2, nothing of it is left."""
    pairs = [(("Cu 2p", 926.0, 946.0), 932.4, 1.2), (("Cu 3p", 563.0, 585.0), 569.8, 3.0)]
    regions = [(window, [[(place, width, 30000.0)]] * 2) for window, place, width in pairs]
    records = of(run(tmp_path, regions, AUGER), "xps.auger_parameter")
    assert len(records) == 2
    for record in records:
        found = record.get("auger.parameter", "Cu")
        assert found.budget["photon_energy"] == 0.1
        assert abs((found.value or 0.0) - 1849.2) < 3 * np.hypot(found.budget["core"], found.budget["auger"])
        assert np.hypot(found.budget["core"], found.budget["auger"]) < 0.05


def test_published_parameters_within_the_error_are_named_the_nearest_first() -> None:
    from layerscope.spectra.xps.auger import AugerParameterTable, states_near

    table = AugerParameterTable(core_region="Cu 2p3/2", core="a", auger_region="Cu LMM", auger="b")
    assert [s.species for s in states_near(table, 1849.2, 0.1)] == ["Cu2O"]
    assert {s.species for s in states_near(table, 1851.1, 0.05)} == {"Cu", "CuO", "Cu(OH)2"}
    assert states_near(table, 1855.0, 0.1) == ()
    said = {s.species: s.source.rpartition(" (")[2] for s in states_near(table, 1851.2, 0.3)}
    assert said == {"Cu": "secondary)", "CuO": "unverified)", "Cu(OH)2": "unverified)"}


def test_a_line_that_is_not_seen_has_no_auger_parameter(tmp_path: Path) -> None:
    regions = [
        (("Cu 2p", 926.0, 946.0), [[(932.4, 1.2, 30000.0)]] * 2),
        (("Cu 3p", 563.0, 585.0), [[(569.8, 3.0, 30000.0)], [(569.8, 3.0, 0.0)]]),
    ]
    (record,) = of(run(tmp_path, regions, AUGER), "xps.auger_parameter")
    assert record.state.etch_time_s == 0.0
