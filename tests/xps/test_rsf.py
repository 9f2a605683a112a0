"""Relative sensitivity factors: values, conventions, and what is derived."""

from __future__ import annotations

import pytest
from layerscope.spectra.xps.rsf import get_rsf_set, load_rsf_sets

from layerscope.errors import DataError, RecipeError

LINES = (
    "B 1s;C 1s;N 1s;O 1s;F 1s;P 2p;Si 2p;S 2p;Cl 2p;Li 1s;Mn 2p;Co 2p;Ni 2p;In 3d;Sn 3d;In 3d5/2;Sn 3d5/2;"
    "Na 1s;Al 2p;Ti 2p;Fe 2p;Cu 2p;Zr 3d;Nb 3d;La 3d;Ti 2p3/2;Fe 2p3/2;Cu 2p3/2;Zr 3d5/2;Nb 3d5/2;La 3d5/2"
)


def test_every_set_covers_the_elements_of_the_cathodes_and_is_relative_to_carbon() -> None:
    for name, rsf in load_rsf_sets().items():
        assert [line for line in LINES.split(";") if not rsf.has(line)] == [], name
        assert rsf.factor("C 1s").value == 1.0
        assert rsf.status in ("read", "secondary")
        assert rsf.source


def test_at_least_three_sets_of_different_kind_exist() -> None:
    assert {rsf.kind for rsf in load_rsf_sets().values()} == {"cross-section", "average-matrix", "empirical"}
    assert len(load_rsf_sets()) >= 3


def test_scofield_values_are_the_published_ones() -> None:
    published = {"B 1s": 0.486, "O 1s": 2.93, "F 1s": 4.43, "Mn 2p": 13.91, "In 3d": 22.54, "Si 2p": 0.817}
    scofield = get_rsf_set("scofield")
    assert {line: scofield.factor(line).value for line in published} == published


@pytest.mark.parametrize(
    ("line", "low", "high"),
    [("B 1s", 0.376, 0.572), ("F 1s", 3.2, 4.45), ("In 3d", 22.5, 32.3), ("Mn 2p", 9.5, 13.95), ("Ni 2p", 14.1, 22.2)],
)
def test_sets_disagree_by_no_more_than_the_known_spread(line: str, low: float, high: float) -> None:
    values = [rsf.factor(line).value for rsf in load_rsf_sets().values()]
    assert low <= min(values) < max(values) <= high


def test_magnesium_and_tungsten_are_in_the_sets_whose_sources_give_them() -> None:
    having = {line: {name for name, one in load_rsf_sets().items() if one.has(line)} for line in ("Mg 1s", "W 4f")}
    assert having == {
        "Mg 1s": {"scofield", "thermo_al", "wagner_1981"},
        "W 4f": {"scofield", "thermo_al", "wagner_1981", "kratos"},
    }


def test_wagner_factors_are_the_published_ones_on_the_carbon_scale() -> None:
    wagner = get_rsf_set("wagner_1981")
    assert wagner.factor("F 1s").value == pytest.approx(1.0 / 0.25)
    assert wagner.factor("Sn 3d5/2").value == pytest.approx(4.3 / 0.25)
    assert wagner.transmission == "inverse-energy"


def test_a_component_is_derived_from_the_whole_and_back_by_2j_plus_1_and_says_so() -> None:
    wagner = get_rsf_set("wagner_1981")
    whole = wagner.factor("In 3d")
    assert whole.derived
    assert whole.value == pytest.approx(wagner.factor("In 3d5/2").value / 0.6)
    amrsf = get_rsf_set("amrsf")
    assert amrsf.factor("mn2p3/2").value == pytest.approx(amrsf.factor("Mn 2p").value * 2 / 3)
    assert not amrsf.factor("Sn 3d5/2").derived


def test_whole_doublet_and_component_of_one_set_are_never_mixed_up() -> None:
    for rsf in load_rsf_sets().values():
        for whole, part, share in (
            ("Sn 3d", "Sn 3d5/2", 0.6),
            ("In 3d", "In 3d5/2", 0.6),
            ("Co 2p", "Co 2p3/2", 2 / 3),
        ):
            assert rsf.factor(part).value / rsf.factor(whole).value == pytest.approx(share, rel=0.03)


def test_a_missing_line_names_the_sets_that_have_it() -> None:
    with pytest.raises(RecipeError, match=r"'wagner_1981' has no value for 'Mn 3s'.*scofield"):
        get_rsf_set("wagner_1981").factor("Mn 3s")
    with pytest.raises(RecipeError, match="give it in the recipe"):
        get_rsf_set("scofield").factor("U 4f")


def test_an_unknown_set_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"unknown RSF set 'schofield'.*scofield"):
        get_rsf_set("schofield")


def test_factors_of_a_recipe_are_scaled_to_carbon_and_checked() -> None:
    base = get_rsf_set("kratos")
    rsf = base.extended({"C1s": 0.314, "Sn3d5/2": 4.725}, "CorrectedRSF of the file")
    assert rsf.factor("Sn 3d5/2").value == pytest.approx(4.725 / 0.314)
    assert rsf.factor("O 1s").value == pytest.approx(base.factor("O 1s").value / 0.314)
    assert (rsf.includes_attenuation, rsf.transmission) == (base.includes_attenuation, base.transmission)
    assert rsf.source.endswith("Sn3d5/2: CorrectedRSF of the file")
    with pytest.raises(DataError, match=r"greater than 0 'values\.B 1s'"):
        base.extended({"B 1s": -0.1}, "nowhere")
    with pytest.raises(DataError, match="source"):
        base.extended({"B 1s": 1.0}, "")
