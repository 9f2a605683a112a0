"""What the reference cases say is what they said when it was last taken on purpose: records, arrays and figure tables.

A difference is either a mistake, or a mended fault: then it stands in the changelog, the version of its method was
raised, and the lines are taken anew with ``python tests/contract/locked.py RUN_FOLDER CASE``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import layerscope.runs.execute as runs

from .locked import alike, content, differences, locked

CASES = {
    "xps_b1s_li_rich": "xps_b1s_li_rich/recipe.toml",
    "xps_b1s_lco_cei": "xps_b1s_lco_cei/recipe.toml",
    "xps_in3d_null": "xps_in3d_null/recipe.toml",
    "insitu_lco_003": "insitu_lco_003/recipe.toml",
    "insitu_lco_003_rietveld": "insitu_lco_003/recipe_rietveld.toml",
    "eels_line_lco": "eels_line_lco/recipe.toml",
    "hrtem_lco_coated": "hrtem_lco_coated/recipe.toml",
    "hrtem_cei_rings": "hrtem_cei_rings/recipe.toml",
    "hrtem_streaked": "hrtem_streaked/recipe.toml",
    "sxas_ok_lco": "sxas_ok_lco/recipe.toml",
    "sxas_bk_cei": "sxas_bk_cei/recipe.toml",
}
REAL = {"casaxps_feo": "xps", "gan_o1s_series": "xps/gan_o1s_series"}


def assert_unchanged(case: str, run: Path) -> None:
    now, then = content(run), locked(case)
    found = {part: differences(now[part], then[part]) for part in then}
    shown = [
        f"{case} {part}: {len(lines)} lines differ\n" + "\n".join(lines[:12]) for part, lines in found.items() if lines
    ]
    assert not shown, "\n".join(shown)


@pytest.mark.parametrize("case", CASES)
def test_records_arrays_and_figure_tables_of_the_reference_cases_are_unchanged(
    case: str, reference_run: Callable[[str], Path]
) -> None:
    assert_unchanged(case, reference_run(CASES[case]))


@pytest.mark.parametrize("case", REAL)
def test_records_and_arrays_of_real_measurements_are_unchanged(case: str, shared_data: Path, tmp_path: Path) -> None:
    recipe = Path(__file__).parents[2] / "docs" / "recipes" / f"{case}.toml"
    runs.execute(recipe, tmp_path / "run", data=shared_data / REAL[case], figures=False)
    assert_unchanged(case, tmp_path / "run")


def test_a_number_may_differ_by_a_part_of_its_error_but_words_may_not() -> None:
    line = "refined covariance eV value=530.123456 sigma=0.01"
    assert alike("refined covariance eV value=530.123499 sigma=0.01", line)
    assert not alike("refined covariance eV value=530.4 sigma=0.01", line)
    assert not alike("derived covariance eV value=530.123456 sigma=0.01", line)
