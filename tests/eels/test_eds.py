from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layerscope.spectra.eels.eds.fit import count_lines, design, tune
from layerscope.spectra.eels.eds.lines import Detector, atomic_weights, family, known_families
from pydantic import ValidationError

from layerscope.records import Quantity, ResultRecord
from layerscope.runs.execute import execute
from layerscope.runs.load import Run
from layerscope.runs.plan import make_plan

from .simulated_xrays import CHANNELS, ENERGY, mean_counts, write_hspy, write_msa

pytest.importorskip("rsciio", reason="rosettasciio is not installed (pip install 'layerscope[em]')")

LINES = {"C K": 400.0, "O K": 2000.0, "Co L": 800.0, "Al K": 300.0, "Co K": 1600.0, "Cu K": 400.0}
NAMES = ["B K", *LINES]
HEAD = 'layerscope = 1\npipeline = "eds"\nsample = "LCO"\n'
FACTORS = 'relative_to = "O K"\nfactors = [{ line = "Co K", k = 1.9, sigma = 0.2 }]\n'


def recipe(folder: Path, series: str, more: str = "", lines: list[str] | None = None) -> Path:
    path = folder / "recipe.toml"
    path.write_text(f"{HEAD}lines = {lines or NAMES}\n{more}[[series]]\n{series}\n".replace("'", '"'))
    return path


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """Return the recipe of a scan of five places, cobalt in the last three."""
    rng = np.random.default_rng(7)
    for place in range(5):
        lines = {**LINES, **({"Co L": 0.0, "Co K": 0.0} if place < 2 else {})}
        write_msa(tmp_path / f"p{place}.msa", rng.poisson(mean_counts(lines)))
    return recipe(tmp_path, 'files = ["p*.msa"]\nstep_nm = 2.0', FACTORS)


def done(path: Path) -> Run:
    return execute(path, path.parent / "run", figures=False).run


def places(run: Run) -> list[ResultRecord]:
    return [r for r in run.records if r.method == "eds.lines"]


def of(record: ResultRecord, component: str, name: str = "peak.net_area") -> Quantity:
    return next(q for q in record.quantities if q.name == name and q.component == component)


def test_lines_of_the_table_have_sources_and_lie_where_they_should() -> None:
    assert len(known_families()) > 100
    assert family("B K").energy == pytest.approx(183.3, abs=0.5)
    assert family("Co K").energy == pytest.approx(6925, abs=6)
    assert family("Co K").weights[1] == pytest.approx(0.13, abs=0.01)
    assert atomic_weights()["Co"] == pytest.approx(58.933, abs=0.01)


def test_a_line_has_its_counts_its_width_and_with_a_tail_as_many() -> None:
    borders = np.arange(5000.0, 8000.0, 1.0)
    middle = 0.5 * (borders[1:] + borders[:-1])
    line = Detector(130.0).spectrum(borders, family("Mn K"))
    alpha = line[middle < 6200]
    assert alpha.sum() == pytest.approx(1.0, abs=1e-6)
    above_half = middle[: alpha.size][alpha > 0.5 * alpha.max()]
    assert np.ptp(above_half) == pytest.approx(130.0, abs=2.0)
    tailed = Detector(130.0, tail=0.05).spectrum(borders, family("Mn K"))
    assert tailed.sum() == pytest.approx(line.sum(), rel=1e-4)
    assert tailed[middle < 5700].sum() > 10 * line[middle < 5700].sum()


def test_width_and_axis_of_the_detector_are_found_in_the_sum() -> None:
    counts = np.random.default_rng(2).poisson(20 * mean_counts(LINES, offset=6.0, fwhm=138.0)).astype(float)
    inside = ENERGY > 100
    made = design(ENERGY[inside], [family(name) for name in NAMES], 2e5, Detector(130.0))
    tuned = tune(made, counts[inside], (10.0, 10.0, 0.002, 0.02))
    assert tuned.detector.offset_eV == pytest.approx(6.0, abs=1.5)
    assert tuned.detector.fwhm_eV == pytest.approx(138.0, abs=2.5)


def test_counting_errors_of_overlapping_lines_are_the_scatter_of_repeats() -> None:
    counts = np.random.default_rng(3).poisson(mean_counts(LINES, offset=0.0), (600, CHANNELS)).astype(float)
    inside = ENERGY > 100
    made = design(ENERGY[inside], [family(name) for name in NAMES], 2e5, Detector(133.0))
    tuned = tune(made, counts[:, inside].sum(axis=0), (10.0, 10.0, 0.002, 0.02))
    found = count_lines(made, counts[:, inside], tuned, 1.0)
    upwards = 1.0 + np.sqrt(found.value.std(axis=0, ddof=1) ** 2 + 0.75)
    assert found.parts()["counting"].mean(axis=0) == pytest.approx(upwards, rel=0.12)
    for k, name in enumerate(NAMES):
        error = np.sqrt(sum(part[:, k].mean() ** 2 for part in found.parts().values()))
        assert abs(found.value[:, k].mean() - LINES.get(name, 0.0)) < 1.2 * error, name


def test_counts_along_a_scan_hold_the_truth_and_what_is_absent_has_a_limit(scan: Path) -> None:
    run = done(scan)
    assert len(places(run)) == 5
    for number, record in enumerate(places(run)):
        assert record.state.depth_nm == 2.0 * number
        for name in NAMES:
            found = of(record, name)
            right = LINES.get(name, 0.0) * (0.0 if name.startswith("Co") and number < 2 else 1.0)
            assert found.value is not None
            assert found.sigma
            assert set(found.budget) == {"counting", "ensemble", "background", "response"}
            assert abs(found.value - right) < 3.5 * found.sigma, (number, name)
            assert (found.upper_limit is not None) == (right == 0.0), (number, name)
            assert (f"NOT_DETECTED:{name}" in record.flags) == (right == 0.0)


def test_ratios_hold_the_error_of_their_factor_and_a_limit_where_the_element_is_not(scan: Path) -> None:
    run = done(scan)
    weights = atomic_weights()
    right = 1.9 * LINES["Co K"] / LINES["O K"] * weights["O"] / weights["Co"]
    for number, record in enumerate(places(run)):
        ratio = of(record, "Co/O", "composition.atomic_ratio")
        assert ratio.value is not None
        if number < 2:
            assert ratio.upper_limit is not None
        else:
            assert ratio.upper_limit is None
            assert ratio.value == pytest.approx(right, abs=3 * float(ratio.sigma or 0))
            assert ratio.budget["factor"] == pytest.approx(ratio.value * 0.2 / 1.9)


def test_a_line_that_was_not_named_is_flagged(scan: Path) -> None:
    lines = [name for name in NAMES if name != "Al K"]
    run = done(recipe(scan.parent, 'files = ["p*.msa"]', lines=lines))
    flags = [flag for flag in places(run)[0].flags if flag.startswith("UNEXPLAINED_LINE")]
    assert flags
    assert 1450 < float(flags[0].partition(":")[2].split()[0]) < 1530


def test_a_map_has_its_profile_and_the_counts_of_every_place(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    rows = [[rng.poisson(mean_counts({**LINES, "Co K": 1600.0 * (x > 2)}, 0.5)) for x in range(6)] for _ in range(4)]
    write_hspy(tmp_path / "map.hspy", np.array(rows).astype("uint16"))
    path = recipe(tmp_path, 'files = ["map.hspy"]\nmap = true')
    found = execute(path, tmp_path / "run")
    assert not found.failed
    assert not found.warnings
    assert len(places(found.run)) == 6
    arrays = {name: one.load() for name, one in found.run.arrays.items()}
    (cobalt,) = [one for one in arrays.values() if one.metadata.get("line") == "Co K"]
    assert cobalt.counts.shape == (4, 6)
    assert cobalt.axis.tolist() == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    pulls = (cobalt.counts - 1600.0 * (np.arange(6) > 2)) / np.sqrt(cobalt.variance)
    assert np.abs(pulls).max() < 4.0
    profile = [of(record, "Co K").value for record in places(found.run)]
    assert np.allclose(cobalt.counts.sum(axis=0), np.array(profile, float), rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("harm", ["EELS", "zeros", "NaN", "another axis"])
def test_bad_spectra_cost_themselves_and_check_says_so(scan: Path, harm: str) -> None:
    path = scan.parent / "p1.msa"
    text = path.read_text()
    if harm == "EELS":
        text = text.replace("SIGNALTYPE : EDS", "SIGNALTYPE : ELS")
    elif harm == "another axis":
        text = text.replace("XPERCHAN : 0.01", "XPERCHAN : 0.02")
    else:
        head, _, body = text.partition("#SPECTRUM :\n")
        rows = body.splitlines()
        rows[:-1] = [", ".join(["0" if harm == "zeros" else "nan"] * 10)] * (len(rows) - 1)
        text = head + "#SPECTRUM :\n" + "\n".join(rows) + "\n"
    path.write_text(text)
    (planned,) = make_plan(scan).recipes
    problems = planned.pipeline.check(planned.recipe)
    found = execute(scan, scan.parent / "run", figures=False)
    assert len(problems) == len(found.failed) == 1
    assert found.failed[0].problem is not None
    assert found.failed[0].problem.message == problems[0].message
    assert found.exit_code == 2


def test_a_line_outside_the_data_is_refused_by_check_and_run(scan: Path) -> None:
    path = recipe(scan.parent, 'files = ["p*.msa"]', lines=["O K", "Zr K"])
    (planned,) = make_plan(path).recipes
    assert "Zr K" in planned.pipeline.check(planned.recipe)[0].message
    assert execute(path, path.parent / "run", figures=False).exit_code == 3


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"factors": [{"line": "Co K", "k": 1.9, "sigma": 0.2}]}, "relative_to"),
        ({"relative_to": "Ni K"}, "not among the lines"),
        ({"lines": ["O K", "Xx K"]}, "unknown X-ray line"),
    ],
)
def test_recipes_that_mean_nothing_are_refused(more: dict[str, object], words: str) -> None:
    from layerscope.spectra.eels.eds.options import EdsRecipe

    content = {
        "layerscope": 1,
        "pipeline": "eds",
        "sample": "s",
        "series": [{"files": ["a"]}],
        "lines": ["O K", "Co K"],
    }
    with pytest.raises(ValidationError, match=words):
        EdsRecipe.model_validate({**content, **more})
