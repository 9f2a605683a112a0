"""A misfit that the residual shows warns in the series, its levels, and what rests on them; other regions stay ok."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layerscope.records import ResultRecord
from layerscope.runs.execute import execute

LEVELS = 4
RECIPE = """
layerscope = 1
pipeline = "xps"
sample = "s"
[[series]]
files = ["profile.vms"]
[[regions]]
region = "O 1s"
shift = "none"
[[regions.components]]
species = "lattice oxide"
[[regions]]
region = "Mn 3s"
shift = "none"
[[regions.components]]
species = "low"
custom = true
position_eV = 84.0
[[regions.components]]
species = "high"
custom = true
optional = true
position_eV = { value = 88.7, scope = "level", min = 88.0, max = 89.4 }
parameters.mixing = { expr = "low_mixing" }
[quantification]
factors = { "Mn 3s" = 0.2 }
factors_source = "a test"
attenuation_exponent = 0.0
[mn_valence]
low = "low"
high = "high"
"""
Lines = tuple[tuple[float, float, float], ...]  # place (eV), width (eV), area


@pytest.fixture(scope="module")
def run(reference_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., list[ResultRecord]]]:
    """Return a function that fits O 1s and Mn 3s of four levels with given lines of Mn 3s."""
    sys.path.insert(0, str(reference_data))
    from _generate.simulation import Level, Line, Window, measure
    from _generate.vamas import VamasOptions, write_vamas

    windows = (
        Window("O 1s", 524.0, 536.0, 0.1, 0.2, 5, 0.01, 2000.0, 0.0),
        Window("Mn 3s", 78.0, 96.0, 0.1, 0.2, 5, 0.01, 2000.0, 0.0),
    )

    def one(k: int, manganese: Lines) -> Level:
        of = {"O 1s": ((529.55, 1.4, 60_000.0),), "Mn 3s": manganese}
        made = {
            window.region: tuple(
                Line("x", window.region, at, width, 0.3, area, 1.0, 1.0) for at, width, area in of[window.region]
            )
            for window in windows
        }
        measured = (measure(w, made[w.region], shift=0.0, stream=(7, k, n)) for n, w in enumerate(windows))
        return Level(10.0 * k, None, 0.0, {"O": 0.5, "Mn": 0.5}, tuple(measured))

    def records(*manganese: Lines, more: str = "") -> list[ResultRecord]:
        folder = tmp_path_factory.mktemp("profile")
        levels = [one(k, manganese[min(k, len(manganese) - 1)]) for k in range(LEVELS)]
        (folder / "profile.vms").write_bytes(write_vamas(levels, VamasOptions("s", "test", ("simulated",))))
        (folder / "recipe.toml").write_text(RECIPE.replace('"none"', '"charge"', 1) + more if more else RECIPE)
        return execute(folder / "recipe.toml", folder / "out", figures=False).run.records

    yield records
    sys.path.remove(str(reference_data))


DOUBLET: Lines = ((84.0, 2.2, 12_000.0), (88.7, 2.4, 8_000.0))


def of(records: list[ResultRecord], method: str, region: str | None = None) -> list[ResultRecord]:
    return [r for r in records if r.method == method and r.state.region == region]


def test_a_line_that_no_component_describes_warns_in_all_that_rests_on_it(
    run: Callable[..., list[ResultRecord]],
) -> None:
    records = run((*DOUBLET, (91.5, 1.6, 900.0)))
    levels, series = of(records, "xps.region", "Mn 3s"), of(records, "xps.series", "Mn 3s")
    assert [r.status for r in (*levels, *series)] == ["warning"] * (LEVELS + 1)
    assert all(any(flag.startswith(("RESIDUAL", "OVERDISP")) for flag in r.flags) for r in (*levels, *series))
    for method in ("xps.composition", "xps.composition_profile", "xps.valence"):
        found = [r for r in records if r.method == method]
        assert found, method
        assert {r.status for r in found} == {"warning"}, method
        assert all(any("Mn 3s" in flag for flag in r.flags) for r in found), method
    assert {r.status for r in records if r.state.region == "O 1s"} == {"ok"}


REFERENCE = """
[charge]
kind = "line"
region = "Mn 3s"
species = "low"
energy_eV = 84.0
"""


def test_a_misfit_of_the_reference_region_reaches_every_region_that_takes_its_shift(
    run: Callable[..., list[ResultRecord]],
) -> None:
    records = run((*DOUBLET, (91.5, 1.6, 900.0)), more=REFERENCE)
    dependent = [*of(records, "xps.region", "O 1s"), *of(records, "xps.series", "O 1s")]
    assert [r.status for r in dependent] == ["warning"] * (LEVELS + 1)
    assert all("CHARGE_REFERENCE_MISFIT:Mn 3s" in r.flags for r in dependent)
    own = of(records, "xps.region", "Mn 3s")
    assert not any("CHARGE_REFERENCE_MISFIT" in flag for r in own for flag in r.flags)


def test_a_reference_that_fits_warns_nowhere(run: Callable[..., list[ResultRecord]]) -> None:
    records = run(DOUBLET, more=REFERENCE)
    assert len(of(records, "xps.region", "O 1s")) == LEVELS
    assert not any("CHARGE_REFERENCE_MISFIT" in flag for r in records for flag in r.flags)


def test_nothing_warns_where_the_model_is_right(run: Callable[..., list[ResultRecord]]) -> None:
    records = run(DOUBLET)
    assert {r.status for r in records} == {"ok"}
    assert len([r for r in records if r.method == "xps.valence"]) == LEVELS


def test_a_valence_without_one_of_its_lines_is_refused_and_says_so(run: Callable[..., list[ResultRecord]]) -> None:
    records = run(DOUBLET[:1])
    (refused,) = [r for r in records if r.status == "failed"]
    assert refused.method == "xps.valence"
    assert refused.problem is not None
    assert refused.problem.kind == "data"
    assert "high of Mn 3s is not in the fit" in refused.problem.message
