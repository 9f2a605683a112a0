"""The recipes of the simulated cases recover what `truth.json` says, with errors neither too small nor too big.

The fits behind the records are looked at as well, because a series of levels that share shapes has
correlated errors: whether they are right shows in the residuals *whitened* with the full covariance, which must be
independent standard normal numbers, and not in single values.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import erf
from scipy.stats import binom, chi2

from layerscope.records import Quantity, ResultRecord
from layerscope.runs.execute import execute
from layerscope.runs.load import load_run

FloatArray = NDArray[np.float64]

CASES = ("xps_b1s_li_rich", "xps_b1s_lco_cei", "xps_in3d_null")
#: the recipe's name of a species, where the truth has another
RENAMED = {("O 1s", "surface oxygen"): ("surface O", None), ("B 1s", "P 2s"): ("LixPOyFz", None)}
RENAMED |= {("Mn 3s", "Mn 3s low"): ("Mn 3s", "Mn 3s 7S"), ("Mn 3s", "Mn 3s high"): ("Mn 3s", "Mn 3s 5S")}
IMPLAUSIBLE = 1e-3  # of a single check among some dozens: a right programme fails one in a few hundred draws of noise


Fitted: TypeAlias = Mapping[str, Any]
"""What a region was fitted with: the arrays that ``noted_fits`` keeps."""


@dataclass
class Case:
    """A run of one case beside its truth."""

    truth: dict[str, Any]
    records: tuple[ResultRecord, ...]
    fits: list[Fitted] = field(default_factory=list)

    def level(self, file: str, level: int) -> dict[str, Any]:
        found: dict[str, Any] = self.truth["files"][file]["levels"][level]
        return found

    def area(self, file: str, region: str, species: str, level: int) -> float:
        """True area in counts*eV; 0 where the species is absent."""
        name, line = RENAMED.get((region, species), (species, None))
        lines = self.level(file, level)["regions"][region]["lines"]
        return float(sum(x["area_counts_eV"] for x in lines if x["species"] == name and line in (None, x["line"])))

    def position(self, file: str, region: str, species: str) -> float | None:
        """Position without charging (eV) of the first line of a species, None where the file has no such line."""
        name, line = RENAMED.get((region, species), (species, None))
        for level in self.truth["files"][file]["levels"]:
            for entry in level["regions"][region]["lines"]:
                if entry["species"] == name and line in (None, entry["line"]) and entry["area_counts_eV"] > 0:
                    return float(entry["position_eV"])
        return None

    def of(self, method: str, file: str, region: str | None = None) -> list[ResultRecord]:
        return [
            r
            for r in self.records
            if r.method == method and r.inputs[0].path == file and (region is None or r.state.region == region)
        ]

    def quantity(self, file: str, region: str, name: str, component: str) -> list[Quantity | None]:
        """Return a quantity of every level, None where it is not stated."""
        rows: list[Quantity | None] = []
        for record in sorted(self.of("xps.region", file, region), key=lambda r: level_of(r)):
            rows.append(next((q for q in record.quantities if (q.name, q.component) == (name, component)), None))
        return rows


def level_of(record: ResultRecord) -> int:
    return int(record.inputs[0].selector.rsplit("=", 1)[1])


@pytest.fixture(scope="session")
def cases(reference_data: Path, reference_run: Callable[[str], Path]) -> Mapping[str, Case]:
    """Read the run of every case, and the fits behind its records."""
    found = {}
    for name in CASES:
        run = reference_run(f"{name}/recipe.toml")
        truth = json.loads((reference_data / name / "truth.json").read_text(encoding="ascii"))
        fits = [dict(np.load(file)) for file in sorted((run.parent / "fits").iterdir())]
        found[name] = Case(truth, load_run(run).records, fits)
    return found


def whitened(difference: FloatArray, covariance: FloatArray) -> FloatArray:
    """Turn correlated residuals into independent ones of unit variance; directions that are not free are left out."""
    values, vectors = np.linalg.eigh(covariance)
    free = values > 1e-9 * values.max()
    return np.asarray((vectors[:, free].T @ difference) / np.sqrt(values[free]))


def true_areas(case: Case, fitted: Fitted, species: FloatArray) -> FloatArray:
    levels = range(fitted["areas"].shape[1])
    file, region = str(fitted["path"]), str(fitted["region"])
    return np.array([[case.area(file, region, name, k) for k in levels] for name in species])


def area_residuals(case: Case, fitted: Fitted) -> FloatArray:
    """Return the whitened residuals of all areas of a region, which bear no prior knowledge of the truth."""
    size = fitted["areas"].size
    difference = fitted["areas"] - true_areas(case, fitted, fitted["species"]) / fitted["live_time_s"]
    return whitened(difference.ravel(), fitted["covariance"].reshape(size, size))


def fraction_residuals(case: Case, fitted: Fitted) -> FloatArray:
    """Return the whitened residuals of the shares, at levels where the region is there at all."""
    truth = true_areas(case, fitted, fitted["own"])
    # a share is a ratio: only far from zero are its errors those of a normal distribution
    there = np.flatnonzero(fitted["total"] > 20.0 * np.sqrt(np.diag(fitted["total_covariance"])))
    if len(truth) < 2 or not there.size:
        return np.zeros(0)
    difference = (fitted["shares"] - truth / np.where(truth.sum(axis=0) > 0, truth.sum(axis=0), 1.0))[1:, there]
    block = fitted["share_covariance"][1:][:, there][:, :, 1:][:, :, :, there]
    return whitened(difference.ravel(), block.reshape(difference.size, difference.size))


def assert_plausible(residuals: Sequence[float] | FloatArray) -> None:
    """Check that independent standard normal residuals lie within 1 and 2 sigma as often as they should."""
    z = np.abs(np.asarray(residuals))
    for bound in (1.0, 2.0):
        expected = erf(bound / math.sqrt(2.0))
        inside = int((z <= bound).sum())
        tail = min(binom.cdf(inside, z.size, expected), binom.sf(inside - 1, z.size, expected))
        assert tail > IMPLAUSIBLE / 2, f"{inside} of {z.size} within {bound:g} sigma, {expected:.0%} expected"


@pytest.mark.parametrize("case", CASES)
def test_areas_of_every_region_agree_with_the_truth_by_chi_square(cases: Mapping[str, Case], case: str) -> None:
    run = cases[case]
    for fitted in run.fits:
        z = area_residuals(run, fitted)
        probability = 2.0 * min(chi2.sf(z @ z, z.size), chi2.cdf(z @ z, z.size))
        where = f"{fitted['path']} {fitted['region']}: chi2 {z @ z:.1f} of {z.size}"
        assert probability > IMPLAUSIBLE, where


def test_areas_of_all_cases_lie_within_one_and_two_sigma_as_often_as_stated(cases: Mapping[str, Case]) -> None:
    residuals = np.concatenate([area_residuals(run, f) for run in cases.values() for f in run.fits])
    assert residuals.size > 250
    assert_plausible(residuals)
    assert abs(residuals.mean()) < 3.0 / math.sqrt(residuals.size)


def test_shares_of_all_cases_lie_within_one_and_two_sigma_as_often_as_stated(cases: Mapping[str, Case]) -> None:
    residuals = np.concatenate([fraction_residuals(run, f) for run in cases.values() for f in run.fits])
    assert residuals.size > 80
    assert_plausible(residuals)


def test_corrected_positions_agree_with_the_truth(cases: Mapping[str, Case]) -> None:
    residuals = []
    for run in cases.values():
        for fitted in run.fits:
            file, region = str(fitted["path"]), str(fitted["region"])
            for species, of_each_level in zip(fitted["species"], fitted["of_each_level"], strict=True):
                truth = run.position(file, region, species)
                found = run.quantity(file, region, "peak.position", species)
                if truth is None or of_each_level or found[0] is None or not found[0].budget["fit"]:
                    continue
                # one position for the whole series: its error at one level is all there is to test
                assert found[0].value is not None
                residuals.append((found[0].value - truth) / found[0].budget["fit"])
                assert found[0].sigma == pytest.approx(math.hypot(0.2, found[0].budget["fit"]))
    assert len(residuals) > 25
    assert_plausible(residuals)


def test_charging_shifts_agree_with_the_truth(cases: Mapping[str, Case]) -> None:
    residuals = []
    for run in cases.values():
        for record in run.records:
            if record.method == "xps.region" and record.state.region == "C 1s":
                shift = next(q for q in record.quantities if q.name == "charge.shift")
                truth = run.level(record.inputs[0].path, level_of(record))["charge_shift_eV"]
                assert shift.value is not None
                residuals.append((-shift.value - truth) / shift.budget["fit"])  # what is added undoes the charging
    assert len(residuals) == 2 * 6 + 2 * 10 + 3
    assert_plausible(residuals)


def test_positions_without_correction_would_be_wrong_by_many_sigma(cases: Mapping[str, Case]) -> None:
    run = cases["xps_b1s_li_rich"]
    shifts = [run.level("li_rich_5000.vms", k)["charge_shift_eV"] for k in range(6)]
    sigma = [q.budget["fit"] for q in run.quantity("li_rich_5000.vms", "B 1s", "peak.position", "B-O-B") if q]
    assert np.median(np.abs(shifts) / np.array(sigma)) > 10.0


# --- li_rich: TM-O-B ------------------------------------------------------------------------------------------------


def series_quantity(run: Case, file: str, region: str, name: str, component: str) -> Quantity:
    record = run.of("xps.series", file, region)[0]
    return next(q for q in record.quantities if (q.name, q.component) == (name, component))


@pytest.mark.parametrize("file", ["li_rich_5000.vms", "li_rich_300.vms"])
def test_tm_o_b_is_needed_and_appears_and_saturates_when_it_truly_does(cases: Mapping[str, Case], file: str) -> None:
    run = cases["xps_b1s_li_rich"]
    record = run.of("xps.series", file, "B 1s")[0]
    need = {a.name: a for a in record.alternatives if a.comparison == "need of TM-O-B"}
    assert need["with TM-O-B"].chosen
    assert (need["without TM-O-B"].delta_bic or 0.0) > 100.0
    truth = run.truth["summary"]
    for name, kink in (("onset", "tm_o_b_onset_time_s"), ("saturation", "tm_o_b_saturation_time_s")):
        q = series_quantity(run, file, "B 1s", f"species.{name}_time", "TM-O-B")
        # stated at 68 %: twice as wide, it must hold the truth
        low, high = q.low if q.low is not None else 0.0, q.high if q.high is not None else math.inf
        half = 0.5 * (high - low)
        assert low - half <= truth[kink] <= high + half, f"{name} {low:.1f}-{high:.1f} s, truth {truth[kink]} s"
    plateau = series_quantity(run, file, "B 1s", "species.plateau", "TM-O-B")
    assert plateau.value is not None
    assert plateau.sigma is not None
    assert abs(plateau.value - truth["tm_o_b_saturated_fraction"]) < 3.0 * plateau.sigma


@pytest.mark.parametrize("file", ["li_rich_5000.vms", "li_rich_300.vms"])
def test_tm_o_b_at_the_surface_is_an_upper_limit_above_the_truth(cases: Mapping[str, Case], file: str) -> None:
    surface = cases["xps_b1s_li_rich"].quantity(file, "B 1s", "species.fraction", "TM-O-B")[0]
    assert surface is not None
    assert surface.upper_limit is not None
    assert 0.0 < surface.upper_limit < 0.1


@pytest.mark.parametrize("file", ["li_rich_5000.vms", "li_rich_300.vms"])
def test_joint_fit_states_far_smaller_errors_on_tm_o_b_than_single_levels(cases: Mapping[str, Case], file: str) -> None:
    run = cases["xps_b1s_li_rich"]
    joint = run.quantity(file, "B 1s", "species.fraction", "TM-O-B")[1:]
    single = run.quantity(file, "B 1s", "species.fraction_single_level", "TM-O-B")[1:]
    ratios = np.array(
        [s.sigma / j.sigma for j, s in zip(joint, single, strict=True) if j and s and j.sigma and s.sigma]
    )
    assert ratios.size == 5
    # The error that a level alone states depends on its own noise and scatters from 1.3 to 10 (a level alone may run
    # into a bound), so only the root mean square is held to something here. The bound below is free of that scatter.
    assert math.sqrt(float(np.mean(ratios**2))) > 2.5


def expectation(x: FloatArray, level: dict[str, Any], p: Mapping[str, float]) -> FloatArray:
    """Write the model of the case once more: two pseudo-Voigts, their integrals, a straight line."""
    background = level["regions"]["B 1s"]["background"]
    y = p["b0"] + p["b1"] * (x - background["reference_eV"])
    for center, area in ((p["c1"], p["a1"]), (p["c2"], p["a2"])):
        t = (x - center - p["shift"]) / p["fwhm"]
        gauss = 2.0 * math.sqrt(math.log(2.0) / math.pi) / p["fwhm"] * np.exp(-4.0 * math.log(2.0) * t**2)
        lorentz = 2.0 / (math.pi * p["fwhm"] * (1.0 + 4.0 * t**2))
        step = (1 - p["mixing"]) * 0.5 * (1.0 + erf(2.0 * math.sqrt(math.log(2.0)) * t))
        step += p["mixing"] * (0.5 + np.arctan(2.0 * t) / math.pi)
        y = y + area * ((1 - p["mixing"]) * gauss + p["mixing"] * lorentz + p["k"] * step)
    return np.asarray(y)


def fisher_rows(level: dict[str, Any]) -> tuple[list[str], FloatArray, dict[str, float]]:
    """Return the names of the parameters of a level, d(expected)/d(parameter)/sqrt(expected), and the truth."""
    region = level["regions"]["B 1s"]
    x = region["low_eV"] + region["step_eV"] * np.arange(region["points"])
    truth = {
        "c1": 192.0,
        "c2": 191.1,
        "fwhm": 1.5,
        "mixing": 0.3,
        "k": region["background"]["shirley_k_per_eV"],
        "shift": level["charge_shift_eV"],
        "a1": region["lines"][0]["area_counts_eV"],
        "a2": region["lines"][1]["area_counts_eV"],
        "b0": region["background"]["baseline_counts"],
        "b1": region["background"]["baseline_slope_counts_per_eV"],
    }
    mu = expectation(x, level, truth)
    rows = []
    for name, value in truth.items():
        h = 1e-4 * max(abs(value), 0.1)
        up, down = truth | {name: value + h}, truth | {name: value - h}
        rows.append((expectation(x, level, up) - expectation(x, level, down)) / (2 * h) / np.sqrt(mu))
    return list(truth), np.array(rows), truth


def fraction_sigma(covariance: FloatArray, at: tuple[int, int], truth: Mapping[str, float]) -> float:
    total = truth["a1"] + truth["a2"]
    gradient = np.array([-truth["a2"], truth["a1"]]) / total**2
    return float(math.sqrt(gradient @ covariance[np.ix_(at, at)] @ gradient))


@pytest.mark.parametrize("file", ["li_rich_5000.vms", "li_rich_300.vms"])
def test_stated_joint_errors_are_the_cramer_rao_bound_and_three_times_below_single_levels(
    cases: Mapping[str, Case], file: str
) -> None:
    run = cases["xps_b1s_li_rich"]
    levels = [run.level(file, k) for k in range(6)]
    parts = [fisher_rows(level) for level in levels]
    names = parts[0][0]
    shared = [names.index(n) for n in ("c1", "c2", "fwhm", "mixing", "k")]
    local = [names.index(n) for n in ("shift", "a1", "a2", "b0", "b1")]
    size = len(shared) + 6 * len(local)
    information = np.zeros((size, size))
    shift_sigma = [q.budget["fit"] for q in run.quantity(file, "B 1s", "charge.shift", "C-C/C-H") if q]
    single = []
    for k, (_, rows, truth) in enumerate(parts):
        at = [*range(len(shared)), *range(len(shared) + k * len(local), len(shared) + (k + 1) * len(local))]
        block = rows[shared + local] @ rows[shared + local].T
        information[np.ix_(at, at)] += block
        information[at[len(shared)], at[len(shared)]] += 1.0 / shift_sigma[k] ** 2
        if truth["a2"] == 0:
            continue  # the position of a line that is not there cannot be found
        alone = [i for i in range(len(names)) if names[i] != "shift"]  # nothing to tell it from the positions
        inverse = np.linalg.inv(rows[alone] @ rows[alone].T)
        places = (alone.index(names.index("a1")), alone.index(names.index("a2")))
        single.append(fraction_sigma(inverse, places, truth))
    joint_covariance = np.linalg.inv(information)
    joint = []
    for k, (_, _, truth) in enumerate(parts):
        first = len(shared) + k * len(local)
        joint.append(fraction_sigma(joint_covariance, (first + 1, first + 2), truth))
    ratio = np.array(single) / np.array(joint[1:])
    assert ratio.min() > 3.0
    stated = [q.sigma for q in run.quantity(file, "B 1s", "species.fraction", "TM-O-B") if q]
    assert np.allclose(stated, joint, rtol=0.15 if file == "li_rich_5000.vms" else 0.3)


@pytest.mark.parametrize("file", ["li_rich_5000.vms", "li_rich_300.vms"])
def test_valence_of_manganese_is_recovered_by_the_law_of_the_simulation(cases: Mapping[str, Case], file: str) -> None:
    run = cases["xps_b1s_li_rich"]
    records = sorted(run.of("xps.valence", file), key=level_of)
    truth = run.truth["summary"]["mn_valence"]
    values = [next(q for q in r.quantities if q.name == "valence.mn") for r in records]
    residuals = [(q.value - t) / q.budget["splitting"] for q, t in zip(values, truth, strict=True) if q.value]
    assert len(residuals) == 6
    assert float(np.square(residuals).sum()) < chi2.isf(IMPLAUSIBLE, 6)
    assert all(q.component == "Mn 3s, galakhov" for q in values)
    assert all(q.sigma == pytest.approx(math.hypot(*q.budget.values())) for q in values)
    if file == "li_rich_5000.vms":  # enough counts to see it fall
        assert (values[0].value or 0.0) - (values[-1].value or 0.0) > 4.0 * (values[0].sigma or 1.0)


# --- In 3d: nothing there, and something there ----------------------------------------------------------------------


@pytest.mark.parametrize("file", ["li3incl6_before.vms", "li3incl6_4.7V.vms"])
def test_absent_indium_oxide_is_a_limit_below_one_percent_that_holds_zero(cases: Mapping[str, Case], file: str) -> None:
    oxide = cases["xps_in3d_null"].quantity(file, "In 3d", "species.fraction", "In2O3")[0]
    assert oxide is not None
    assert oxide.upper_limit is not None
    assert oxide.value is not None
    assert oxide.sigma
    assert 0.0 < oxide.upper_limit < 0.01
    assert oxide.limit_confidence == 0.95
    assert abs(oxide.value) < 2.0 * oxide.sigma
    assert "<" in oxide.text()


def test_five_percent_of_indium_oxide_are_found_at_more_than_ten_sigma(cases: Mapping[str, Case]) -> None:
    oxide = cases["xps_in3d_null"].quantity("li3incl6_4.7V_oxide.vms", "In 3d", "species.fraction", "In2O3")[0]
    assert oxide is not None
    assert oxide.value is not None
    assert oxide.sigma is not None
    assert oxide.upper_limit is None
    assert oxide.value / oxide.sigma > 10.0
    assert abs(oxide.value - 0.05) < 2.0 * oxide.sigma


# --- LiCoO2 with boron ----------------------------------------------------------------------------------------------


def test_b_f_is_found_only_after_cycling(cases: Mapping[str, Case]) -> None:
    run = cases["xps_b1s_lco_cei"]
    cycled = run.quantity("lco_100_cycles.pro", "B 1s", "species.fraction", "B-F")
    truth = run.truth["summary"]["b_f_fraction_cycled"]
    residuals = [(q.value - t) / q.sigma for q, t in zip(cycled, truth, strict=True) if q and q.value and q.sigma]
    assert len(residuals) >= 6
    assert max(abs(r) for r in residuals) < 3.5
    for q in cycled[:5]:
        assert q is not None
        assert q.upper_limit is None
    whole = series_quantity(run, "lco_pristine.vms", "B 1s", "species.fraction", "B-F")
    assert whole.upper_limit is not None
    assert 0.0 < whole.upper_limit < 0.01
    for q in run.quantity("lco_pristine.vms", "B 1s", "peak.area", "B-F")[:5]:
        assert q is not None
        assert q.value is not None
        assert abs(q.value) < 4.0 * (q.sigma or 0.0)


def composition(run: Case, file: str) -> list[ResultRecord]:
    return sorted(run.of("xps.composition", file), key=level_of)


@pytest.mark.parametrize("file", ["lco_pristine.vms", "lco_100_cycles.pro"])
def test_boron_beyond_the_coating_is_an_upper_limit(cases: Mapping[str, Case], file: str) -> None:
    deepest = composition(cases["xps_b1s_lco_cei"], file)[-1]
    assert deepest.state.depth_nm == pytest.approx(40.5)
    boron = next(q for q in deepest.quantities if (q.name, q.component) == ("composition.atomic_fraction", "B"))
    assert boron.upper_limit is not None
    assert 0.0 < boron.upper_limit < 0.5
    # no share of what is not there
    region = next(r for r in cases["xps_b1s_lco_cei"].of("xps.region", file, "B 1s") if level_of(r) == 9)
    assert not [q for q in region.quantities if q.name == "species.fraction"]


@pytest.mark.parametrize(("region", "species"), [("F 1s", "LiF"), ("F 1s", "LixPFy"), ("P 2p", "LixPOyFz")])
def test_lines_absent_before_cycling_are_limits_or_compatible_with_zero(
    cases: Mapping[str, Case], region: str, species: str
) -> None:
    run = cases["xps_b1s_lco_cei"]
    areas = run.quantity("lco_pristine.vms", region, "peak.area", species)
    pulls = [q.value / q.sigma for q in areas if q and q.value is not None and q.sigma]
    assert len(pulls) == 10
    assert_plausible(pulls)
    stated = [q for q in areas if q and q.upper_limit is not None]
    assert len(stated) >= 8  # 95 % intervals of Feldman and Cousins exclude zero in one of twenty
    assert all(q.upper_limit is not None and q.upper_limit > 0 for q in stated)


def recipe_text(value: Any) -> str:
    """Write a value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {recipe_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(recipe_text(v) for v in value) + "]"
    return json.dumps(value)


def test_without_the_overlap_boron_is_too_high_by_what_phosphorus_adds(
    cases: Mapping[str, Case], reference_data: Path, tmp_path: Path
) -> None:
    run = cases["xps_b1s_lco_cei"]
    file = "lco_100_cycles.pro"
    recipe = tomllib.loads((reference_data / "xps_b1s_lco_cei" / "recipe.toml").read_text(encoding="utf-8"))
    del recipe["overlap"], recipe["quantification"]
    recipe["series"] = [s for s in recipe["series"] if s["files"] == [file]]
    recipe["regions"] = [r for r in recipe["regions"] if r["region"] in ("B 1s", "C 1s")]
    boron = next(r for r in recipe["regions"] if r["region"] == "B 1s")
    boron["components"] = [c for c in boron["components"] if c["species"] != "P 2s"]
    path = tmp_path / "without.toml"
    path.write_text("\n".join(f"{k} = {recipe_text(v)}" for k, v in recipe.items()), encoding="utf-8")
    blind = Case(
        run.truth,
        execute(path, tmp_path / "out", data=reference_data / "xps_b1s_lco_cei", figures=False).run.records,
    )

    def boron_pulls(case: Case, *parts: str) -> tuple[FloatArray, FloatArray]:
        """Return deviations in the given parts of the error, or in the whole of it, and as shares of the truth."""
        rows = []
        for k in range(6):
            live = case.level(file, k)["regions"]["B 1s"]["live_time_s"]
            truth = sum(case.area(file, "B 1s", s, k) for s in ("B-O", "B-F")) / live
            found = [case.quantity(file, "B 1s", "peak.area", s)[k] for s in ("B-O", "B-F")]
            area = sum(q.value for q in found if q and q.value is not None)
            sigma = math.hypot(*(q.budget[part] for q in found if q for part in parts or q.budget))
            rows.append(((area - truth) / sigma, area / truth - 1.0))
        return np.array([r[0] for r in rows]), np.array([r[1] for r in rows])

    with_overlap, small = boron_pulls(run)
    without, bias = boron_pulls(blind, "counting", "shape")  # another background cannot be told from the overlap
    assert np.abs(with_overlap).max() < 3.5
    assert np.abs(small).max() < 0.15
    assert bias.min() > 0.15  # P 2s adds 0.30 to 0.46 of boron's own area here
    assert without.min() > 5.0


def true_composition(reference_data: Path, case: Case, file: str, level: int, regions: Sequence[str]) -> FloatArray:
    """Turn true areas into atomic fractions by the recipe's formula, area / (RSF * transmission), no attenuation."""
    table = tomllib.loads((reference_data / "rsf" / "scofield.toml").read_text(encoding="utf-8"))
    factors = next(v for v in table.values() if isinstance(v, dict) and "C 1s" in v)
    entry = case.truth["files"][file]
    amounts = []
    for name in regions:
        region = case.level(file, level)["regions"][name]
        own = [x for x in region["lines"] if x["fraction"] is not None]
        area = sum(x["area_counts_eV"] for x in own) / region["live_time_s"]
        kinetic = entry["excitation_energy_eV"] - {"B 1s": 191.8, "C 1s": 285.5, "O 1s": 530.7, "F 1s": 685.3}.get(
            name, own[0]["position_eV"] if own else 134.0
        )
        transmission = (kinetic / 1000.0) ** -entry["transmission_exponent"]
        amounts.append(area / (factors[name] * transmission))
    return np.array(amounts) / sum(amounts)


@pytest.mark.parametrize("name", CASES)
def test_atomic_fractions_agree_with_those_of_the_true_areas(
    cases: Mapping[str, Case], reference_data: Path, name: str
) -> None:
    run = cases[name]
    residuals = []
    for file in run.truth["files"]:
        for record in composition(run, file):
            level = level_of(record) if record.state.etch_time_s is not None else 0
            found = [q for q in record.quantities if q.name == "composition.atomic_fraction"]
            elements = [q.component or "" for q in found]
            regions = list(run.level(file, level)["regions"])
            regions = [next(r for r in regions if r.split()[0] == e) for e in elements]
            truth = 100.0 * true_composition(reference_data, run, file, level, regions)
            for q, t in list(zip(found, truth, strict=True))[1:]:  # they add up to 100: one tells nothing new
                assert q.value is not None
                assert q.sigma is not None
                # centres are means over the lines: allow two parts in a thousand for the kinetic energy
                residuals.append((q.value - t) / math.hypot(q.budget["counting"], 0.002 * t))
                assert abs(q.value - t) < 2.0 * q.sigma
            assert sum(q.value or 0.0 for q in found) == pytest.approx(100.0)
    assert np.abs(residuals).max() < 4.5
    # levels share shapes, so these are correlated: only a gross misstatement shows here
    assert 0.5 < math.sqrt(float(np.mean(np.square(residuals)))) < 1.7


def test_composition_states_its_error_parts_apart(cases: Mapping[str, Case]) -> None:
    for run in cases.values():
        for record in run.records:
            for q in record.quantities:
                if q.name == "composition.atomic_fraction":
                    always = {"counting", "background", "rsf_set", "charge_reference"}
                    assert (
                        always
                        <= set(q.budget)
                        <= always | {"line_shape", "width_course", "width_spread", "alternatives"}
                    )
                    assert q.sigma == pytest.approx(math.sqrt(sum(v**2 for v in q.budget.values())))


def test_every_assignment_of_boron_names_its_competitors_with_sources(cases: Mapping[str, Case]) -> None:
    run = cases["xps_b1s_lco_cei"]
    for species in ("B-O", "B-F"):
        q = run.quantity("lco_100_cycles.pro", "B 1s", "peak.position", species)[0]
        assert q is not None
        assert q.competing
        assert all(a.source and a.low_eV <= a.high_eV for a in q.competing)
    tm = cases["xps_b1s_li_rich"].quantity("li_rich_5000.vms", "B 1s", "peak.position", "TM-O-B")[0]
    assert tm is not None
    assert any(a.line.startswith("P 2s") for a in tm.competing)
