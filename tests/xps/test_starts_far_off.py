"""Lines that stand off their starts, and charging of many eV: inputs that once gave a limit under a peak."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from layerscope.records import Quantity, ResultRecord
from layerscope.runs.execute import execute


@pytest.fixture(scope="module")
def starts(shared_data: Path) -> Path:
    folder = shared_data.parent / "cases" / "xps_start"
    if not folder.is_dir():
        pytest.skip(f"inputs that once failed not found at {folder}")
    return folder


def level(case: str, starts: Path, out: Path, region: str) -> ResultRecord:
    run = execute(starts / f"{case}.toml", out / "run", figures=False).run
    return next(r for r in run.records if r.method == "xps.region" and r.state.region == region)


def quantity(record: ResultRecord, name: str, component: str) -> Quantity:
    return next(q for q in record.quantities if q.name == name and q.component == component)


def test_a_clean_line_two_ev_off_its_start_is_found(starts: Path, tmp_path: Path) -> None:
    record = level("start_off", starts, tmp_path, "B 1s")
    position = quantity(record, "peak.position", "X")
    assert position.value == pytest.approx(190.0, abs=0.02)
    assert quantity(record, "peak.area", "X").value > 10_000
    assert record.quality is not None
    assert record.quality.redchi < 1.5


CARBON = {"C-C/C-H": (284.8, 8000.0, 1.2), "C-O": (286.3, 2400.0, 1.3), "O-C=O": (288.9, 900.0, 1.3)}  # eV, height, eV
SHIFTS = [("s1", 1.0), ("s4", 4.0)]
"""What s1 and s4 were drawn from: lines on a flat background of 600, their height 30 % Lorentzian, moved together.

C-C is 0.71 of the heights and, since it is the narrowest, 0.69 of the areas.
"""


@pytest.mark.parametrize(("case", "shift"), SHIFTS)
def test_the_two_widths_of_carbon_describe_the_files_without_a_free_parameter(
    case: str, shift: float, starts: Path
) -> None:
    x, y = np.loadtxt(starts / f"{case}.csv", delimiter=",", skiprows=1).T
    u = [2.0 * (x - at - shift) / fwhm for at, _, fwhm in CARBON.values()]
    lines = [0.7 * np.exp(-np.log(2) * v**2) + 0.3 / (1.0 + v**2) for v in u]
    expected = 600.0 + sum(h * line for (_, h, _), line in zip(CARBON.values(), lines, strict=True))
    excess = (((y - expected) ** 2 / expected).sum() - x.size) / np.sqrt(2.0 * x.size)
    assert abs(excess) < 3.0


@pytest.mark.parametrize(("case", "shift"), SHIFTS)
def test_three_lines_of_carbon_keep_their_shares_under_charging(
    case: str, shift: float, starts: Path, tmp_path: Path
) -> None:
    run = execute(starts / f"{case}.toml", tmp_path / "run", figures=False).run
    record = next(r for r in run.records if r.method == "xps.region")
    series = next(r for r in run.records if r.method == "xps.series")
    areas = {name: height * fwhm for name, (_, height, fwhm) in CARBON.items()}
    heights = {}
    for name, area in areas.items():
        share = quantity(record, "species.fraction", name)
        assert share.sigma is not None
        assert share.value == pytest.approx(area / sum(areas.values()), abs=2.0 * share.sigma)
        assert share.sigma < 0.02
        fwhm, mixing = (quantity(series, f"peak.{what}", name).value for what in ("fwhm", "mixing"))
        crest = (1.0 - mixing) * 2.0 * np.sqrt(np.log(2) / np.pi) + mixing * 2.0 / np.pi
        heights[name] = quantity(record, "peak.area", name).value * crest / fwhm
    assert heights["C-C/C-H"] / sum(heights.values()) == pytest.approx(0.71, abs=0.01)
    assert abs(quantity(record, "charge.shift", "C-C/C-H").value) == pytest.approx(shift, abs=0.05)


def test_a_reference_line_charged_by_four_ev_gives_the_scale_of_all_regions(starts: Path, tmp_path: Path) -> None:
    record = level("charge_c1s", starts, tmp_path, "F 1s")
    assert quantity(record, "peak.position", "LiF").value == pytest.approx(685.0, abs=0.1)
    assert record.status == "ok"


def test_a_strong_asymmetric_doublet_is_no_limit(starts: Path, tmp_path: Path) -> None:
    record = level("pd_casa_la", starts, tmp_path, "Pd 3d")
    assert quantity(record, "peak.position", "Pd").value == pytest.approx(335.1, abs=0.05)
    assert record.quality is not None
    assert record.quality.redchi < 1.3


def test_an_active_background_is_asked_for_where_the_lines_together_stand_out(starts: Path, tmp_path: Path) -> None:
    run = execute(starts / "null_shirley_zero.toml", tmp_path / "run", figures=False).run
    (name,) = [n for n in run.arrays if n.endswith("B_1s")]
    strength = np.asarray(run.arrays[name].parameters["shirley_k"].values)
    assert strength[0] > 0.02


def test_a_profile_whose_weak_line_is_dropped_gives_all_its_levels(starts: Path, tmp_path: Path) -> None:
    run = execute(starts / "crash_s070.toml", tmp_path / "run", figures=False).run
    assert not run.failed
    assert len([r for r in run.records if r.method == "xps.region"]) == 6
