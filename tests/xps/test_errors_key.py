"""The key ``errors`` of a recipe says where the errors of a region's numbers come from; values stay what they are."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from layerscope.errors import RecipeError
from layerscope.records import Quantity, ResultRecord
from layerscope.runs.execute import execute

RECIPE = """
layerscope = 1
pipeline = "xps"
sample = "Li-rich oxide with Li2B4O7"
{errors}
[[series]]
files = ["li_rich_300.vms"]
[[regions]]
region = "B 1s"
shift = "none"
background.kind = "polynomial"
[[regions.components]]
species = "B-O-B"
[[regions.components]]
species = "TM-O-B"
like = "B-O-B"
like_spread = 0
"""


@pytest.fixture(scope="module")
def run(reference_data: Path, tmp_path_factory: pytest.TempPathFactory):
    @cache
    def run(errors: str) -> tuple[ResultRecord, ...]:
        folder = tmp_path_factory.mktemp("errors")
        (folder / "recipe.toml").write_text(RECIPE.format(errors=errors))
        data = reference_data / "xps_b1s_li_rich"
        return execute(folder / "recipe.toml", folder / "run", data=data, figures=False).run.records

    return run


def pairs(plain: tuple[ResultRecord, ...], other: tuple[ResultRecord, ...]) -> list[tuple[Quantity, Quantity]]:
    """Quantities of both runs that were fitted to the region, one by one."""
    found = []
    for a, b in zip(plain, other, strict=True):
        assert (a.method, a.state) == (b.method, b.state)
        others = {q.label: q for q in b.quantities}
        found += [(q, others[q.label]) for q in a.quantities if q.sigma_kind == "covariance" and q.label in others]
    return found


FITTED = ("peak.area", "peak.position", "peak.fwhm", "peak.mixing", "species.fraction")


def test_bootstrap_gives_the_same_values_with_errors_of_its_own_that_agree_on_clean_lines(run) -> None:
    drawn = [(a, b) for a, b in pairs(run(""), run('errors = "bootstrap"')) if a.name in FITTED]
    assert {a.name for a, _ in drawn} == set(FITTED)
    for a, b in drawn:
        assert b.value == a.value
        assert b.sigma_kind == "bootstrap"
        assert b.sigma != a.sigma
    assert np.median([b.sigma / a.sigma for a, b in drawn]) == pytest.approx(1.0, abs=0.15)  # type: ignore[operator]


def test_number_of_draws_and_seed_are_the_recipes(run) -> None:
    table = "errors = { kind = 'bootstrap', draws = 60, seed = 3 }"
    assert run(table)[0].recipe["errors"] == {"kind": "bootstrap", "draws": 60, "seed": 3}
    assert run("")[0].recipe["errors"]["kind"] == "covariance"
    other = pairs(run(""), run(table.replace("3", "4")))
    assert any(b.sigma != c.sigma for (_, b), (_, c) in zip(pairs(run(""), run(table)), other, strict=True))


def test_profile_states_an_interval_beside_the_error(run) -> None:
    profiled = [(a, b) for a, b in pairs(run(""), run('errors = "profile"')) if a.name in FITTED[:4]]
    for a, b in profiled:
        assert (b.value, b.sigma, b.sigma_kind) == (a.value, a.sigma, "covariance")
        assert b.confidence == 0.6827
        assert a.confidence is None
        assert b.low is not None
        assert b.high is not None
        assert b.low < b.value < b.high  # type: ignore[operator]
    widths = [0.5 * (b.high - b.low) / b.sigma for _, b in profiled]  # type: ignore[operator]
    assert 0.9 < np.median(widths) < 1.3  # few counts: the misfit is no parabola


def test_unknown_errors_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(errors='errors = "jackknife"'))
    with pytest.raises(RecipeError, match="bootstrap"):
        execute(path, tmp_path / "run", figures=False)
