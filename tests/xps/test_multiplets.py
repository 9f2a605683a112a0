"""Multiplet templates: the data, one line in the fit, and what they are worth on measured reference spectra."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layerscope.spectra.xps.knowledge import species
from layerscope.spectra.xps.multiplets import MultipletTemplate, get_template, load_templates
from layerscope.spectra.xps.options import RegionTable
from layerscope.spectra.xps.peakmodel import build_model
from layerscope.spectra.xps.readers import read
from layerscope.spectra.xps.regionfit import fit_region
from layerscope.spectra.xps.regionresult import RegionData, RegionFit
from layerscope.spectra.xps.species import load_species
from numpy.typing import NDArray
from simulated_lines import Line, lines_with_step

from layerscope.errors import DataError, RecipeError
from layerscope.fitting.series import Series, fit_batch
from layerscope.reference import make_entry
from layerscope.runs.execute import execute

FloatArray = NDArray[np.float64]

X = np.round(np.arange(636.0, 650.001, 0.1), 2)
MIXTURE = {"Mn2O3": (640.75, 1.05, 30000.0), "MnO2": (642.05, 1.2, 50000.0)}  # first peak, width factor, area
AS_ONE = [{"species": name, "template": name} for name in MIXTURE]


def drawn(reference_data: Path, seed: int = 3, **scale: float) -> RegionData:
    """Draw Mn 2p3/2 of a mixture from the file of the templates, by the formula of the pseudo-Voigt."""
    table = tomllib.loads((reference_data / "multiplets" / "manganese.toml").read_text(encoding="utf-8"))
    lines: list[Line] = []
    for entry in table["multiplet"]:
        if entry["id"] in MIXTURE:
            first, wider, area = MIXTURE[entry["id"]]
            area *= scale.get(entry["id"], 1.0) / sum(peak["area"] for peak in entry["peaks"])
            width = wider * entry["fwhm_eV"]
            lines += [(first + p["offset_eV"], width * p["width"], 0.25, area * p["area"]) for p in entry["peaks"]]
    mu = 1500.0 + lines_with_step(X, lines, 0.02)
    counts = np.random.default_rng(seed).poisson(mu)[None].astype(float)
    return RegionData(X, counts, np.ones(1), np.zeros(1))


def fitted(data: RegionData, *components: Mapping[str, Any], line: str = "Mn 2p3/2") -> RegionFit:
    table = {"region": line, "shift": "none", "components": list(components)}
    return fit_region(RegionTable.model_validate(table), data)


def test_the_oxides_and_hydroxides_of_the_cathodes_have_templates_with_source_and_status() -> None:
    known = {template.id: template for template in load_templates()}
    assert {"MnO", "Mn2O3", "MnO2", "Fe2O3", "CoO", "Co3O4", "Co(OH)2", "NiO", "Ni(OH)2"} <= set(known)
    assert all(len(template.source) > 10 for template in known.values())
    opened = {name for name, template in known.items() if template.status == "read"}
    assert not opened, "their tables are quoted; none was opened"


def test_a_template_is_highest_where_another_source_puts_the_line_of_its_compound() -> None:
    library = {(entry.id, entry.line): entry for entry in load_species()}
    compared = 0
    for template in load_templates():
        entry = library.get((template.id, template.line))
        if entry is not None:
            compared += 1
            assert entry.low_eV - 0.5 <= template.position_eV + template.crest_eV <= entry.high_eV + 0.5, template.id
    assert compared >= 11


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"peaks": []}, "peaks"),
        ({"peaks": [{"offset_eV": 0.1, "area": 1.0, "width": 1.0}]}, "first peak"),
        ({"peaks": [{"offset_eV": 0.0, "area": 0.0, "width": 1.0}]}, "area"),
        ({"source": ""}, "source"),
    ],
)
def test_a_faulty_template_is_refused(change: dict[str, Any], words: str) -> None:
    sound = get_template("MnO2", "Mn 2p3/2").model_dump()
    with pytest.raises(DataError, match=words):
        make_entry(MultipletTemplate, sound | change, "mine")


def test_a_mixture_is_recovered_with_one_area_one_position_and_one_width_each(reference_data: Path) -> None:
    fit = fitted(drawn(reference_data), *AS_ONE).fit
    assert fit.batch.evaluator.layout.all_names[:6] == (
        *(f"Mn2O3_{name}" for name in ("center", "fwhm", "mixing")),
        *(f"MnO2_{name}" for name in ("center", "fwhm", "mixing")),
    )
    for name, (first, wider, area) in MIXTURE.items():
        truth = {"center": first, "fwhm": wider * get_template(name, "Mn 2p3/2").fwhm_eV, "area": area}
        for key, value in truth.items():
            sigma = fit.sigma(f"{name}_{key}")[0]
            assert abs(fit.value(f"{name}_{key}")[0] - value) < 4.0 * sigma, (name, key)
    assert fit.redchi < 1.0 + 5.0 * np.sqrt(2.0 / X.size)


def test_the_stated_error_of_a_share_is_the_scatter_of_repeated_measurements(reference_data: Path) -> None:
    table = RegionTable.model_validate({"region": "Mn 2p3/2", "shift": "none", "components": AS_ONE})
    built = build_model(table, table.background, "none")
    counts = np.stack([drawn(reference_data, seed).y for seed in range(60)])
    batch = fit_batch(built.model, built.parameters, Series(X, counts), scopes=built.scopes)
    z = []
    for one in batch:
        shares, covariance = one.fractions(["Mn2O3_area", "MnO2_area"])
        z.append((shares[1, 0] - 50000.0 / 80000.0) / np.sqrt(covariance[1, 0, 1, 0]))
    assert 0.75 < np.sqrt(np.mean(np.square(z))) < 1.3
    assert np.abs(z).max() < 4.0


def test_one_peak_a_compound_gets_the_share_wrong(reference_data: Path) -> None:
    result = fitted(drawn(reference_data), *({"species": name} for name in MIXTURE))
    share, sigma = result.shares[0][1, 0], result.share_sigma[1, 0]
    assert abs(share - 50000.0 / 80000.0) > 5.0 * sigma


def test_an_oxide_that_is_not_there_is_not_found(reference_data: Path) -> None:
    optional = [AS_ONE[0], AS_ONE[1] | {"optional": True}]
    assert len(fitted(drawn(reference_data, MnO2=0.0), *optional).components) == 1
    assert len(fitted(drawn(reference_data, MnO2=0.3), *optional).components) == 2


def test_like_keeps_the_ratio_of_the_published_widths(reference_data: Path) -> None:
    fit = fitted(drawn(reference_data), AS_ONE[0], AS_ONE[1] | {"like": "Mn2O3", "like_spread": 0}).fit
    assert fit.value("MnO2_fwhm")[0] / fit.value("Mn2O3_fwhm")[0] == pytest.approx(0.84 / 1.75)
    assert fit.value("MnO2_mixing")[0] == fit.value("Mn2O3_mixing")[0]


def test_a_custom_species_takes_its_position_from_the_template_and_what_the_recipe_says_goes_first() -> None:
    def center(**said: Any) -> Any:
        component = {"species": "birnessite", "custom": True, "template": "MnO2"} | said
        table = RegionTable.model_validate({"region": "Mn 2p", "components": [component]})
        return build_model(table, table.background, "none").parameters["birnessite_center"]

    assert (center().value, center().min, center().max) == pytest.approx((641.9, 641.3, 642.5))
    said = center(position_eV={"value": 642.2, "min": 642.0, "max": 642.4})
    assert (said.value, said.min, said.max) == (642.2, 642.0, 642.4)


def test_a_doublet_of_multiplets_is_the_group_twice(reference_data: Path) -> None:
    component = AS_ONE[1] | {"doublet": True}
    table = RegionTable.model_validate({"region": "Mn 2p", "components": [component]})
    model = build_model(table, table.background, "none").model
    [line] = model.components
    x = np.linspace(630.0, 670.0, 801)
    both = line.line.evaluate(x, [[641.9, 0.84, 0.3, 11.67, 0.5]]).value[0]
    group = get_template("MnO2", "Mn 2p3/2").shape("pseudo_voigt")
    one, other = (group.evaluate(x, [[center, 0.84, 0.3]]).value[0] for center in (641.9, 641.9 + 11.67))
    np.testing.assert_allclose(both, (one + 0.5 * other) / 1.5, rtol=1e-12)


def test_a_template_that_is_not_known_names_those_of_the_line() -> None:
    for line, name, words in (
        ("Mn 2p3/2", "MnO3", r"unknown template for Mn 2p3/2: 'MnO3'.*MnO2"),
        ("Mn 3s", "MnO2", r"for Mn 3s: 'MnO2'.*Co 2p3/2.*Mn 2p3/2"),
    ):
        table = RegionTable.model_validate({"region": line, "components": [{"species": "MnO2", "template": name}]})
        with pytest.raises(RecipeError, match=words):
            build_model(table, table.background, "none")


def test_the_list_of_species_names_the_templates_with_their_peaks() -> None:
    table = species(("Mn", "2p3/2"))
    by_name = {row[1]: row for row in table.rows}
    assert {"MnO2", "template MnO2", "template MnO"} <= set(by_name)
    assert by_name["template MnO2"][2] == "641.9"
    assert "+1 (26%)" in by_name["template MnO2"][4]
    assert len(species(("template",)).rows) == len(load_templates())


RECIPE = """
layerscope = 1
pipeline = "xps"
sample = "Mn oxides"
[[series]]
files = ["mn.txt"]
[series.columns]
region = "Mn 2p3/2"
[[regions]]
region = "Mn 2p3/2"
shift = "none"
[[regions.components]]
species = "Mn2O3"
template = "Mn2O3"
[[regions.components]]
species = "MnO2"
template = "MnO2"
"""


def test_records_and_tables_hold_one_species_a_template(reference_data: Path, tmp_path: Path) -> None:
    data = drawn(reference_data)
    rows = "\n".join(f"{e:.2f} {c:.0f}" for e, c in zip(data.x, data.y[0], strict=True))
    (tmp_path / "mn.txt").write_text(f"energy counts\n{rows}\n", encoding="utf-8")
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    run = execute(tmp_path / "recipe.toml", tmp_path / "out", figures=False).run
    assert {record.status for record in run.records} <= {"ok", "warning"}
    for name in ("peak.area", "peak.position", "species.fraction"):
        components = [q.component for r in run.records for q in r.quantities if q.name == name]
        assert sorted(set(map(str, components))) == ["Mn2O3", "MnO2"], name
    [whole] = [r for r in run.records if r.method == "xps.series"]
    assert sum("quoted from memory (unverified)" in note for note in whole.notes) == 2
    [share] = [q for r in run.records for q in r.quantities if (q.name, q.component) == ("species.fraction", "MnO2")]
    assert share.sigma is not None
    assert abs(share.value - 0.625) < 4.0 * share.sigma
    [first] = [q for r in run.records for q in r.quantities if (q.name, q.component) == ("peak.position", "Mn2O3")]
    others = {other.species: other for other in first.competing}
    assert "MnO" in others  # NIST SRD 20 gives the highest point of the line, 641.7 here, and not the first peak
    assert others["MnO2"].distance_sigma == 0.0
    assert first.value == pytest.approx(640.75, abs=0.1)


@pytest.mark.parametrize(
    ("file", "compound", "window", "tolerance"),
    [
        ("Mn", "MnO", (636.0, 649.5), 0.1),
        ("Co", "CoO", (775.0, 793.0), 0.1),
        ("Co", "Co3O4", (775.0, 793.0), 0.3),
        ("Ni", "NiO", (848.0, 870.5), 0.1),
    ],
)
def test_a_measured_reference_spectrum_is_met_where_the_template_was_published(
    shared_data: Path, file: str, compound: str, window: tuple[float, float], tolerance: float
) -> None:
    spectra = read(shared_data / "xps" / f"{file}_references.vms").spectra
    [spectrum] = [s for s in spectra if s.sample == compound and s.region.endswith("2p")]
    inside = (spectrum.axis > window[0]) & (spectrum.axis < window[1])
    x, y = spectrum.axis[inside], spectrum.intensity[inside]
    order = np.argsort(x)
    data = RegionData(x[order], y[order][None], np.ones(1), np.zeros(1))
    line = f"{file} 2p3/2"
    group = fitted(data, {"species": compound, "template": compound}, line=line).fit
    peak = fitted(data, {"species": compound}, line=line).fit
    published = get_template(compound, line)
    assert abs(group.value(f"{compound}_center")[0] - published.position_eV) < tolerance
    assert group.chi2 < 0.35 * peak.chi2
