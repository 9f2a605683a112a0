from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from layerscope.spectra.xps.dataset import (
    Spectrum,
    XpsDataset,
    normalise_region,
    require_etch_times,
)
from layerscope.spectra.xps.readers import read

from layerscope.errors import DataError
from layerscope.measured.noise import count_quantum
from layerscope.measured.series import Level, stack_levels


def spectrum(region: str = "B 1s", level: int = 0, **changes: object) -> Spectrum:
    base = Spectrum(np.linspace(186.0, 196.0, 51), np.full(51, 100.0), region=region, region_label=region, level=level)
    return replace(base, **changes)  # type: ignore[arg-type]


def dataset(*spectra: Spectrum) -> XpsDataset:
    return XpsDataset(Path("profile.vms"), "vamas", "layerscope.vamas", "1", "0" * 64, 1, spectra)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("B1s", "B 1s"),
        ("b 1s", "B 1s"),
        ("Fe2p Scan", "Fe 2p"),
        ("Sn3d5", "Sn 3d5/2"),
        ("In3d5/2", "In 3d5/2"),
        ("Su1s", "Survey"),
        ("wide", "Survey"),
        ("XPS Survey", "Survey"),
        ("Survey Scan", "Survey"),
        ("Survey spectrum", "Survey"),
        ("wide_scan", "Survey"),
        ("XPS wide", "Survey"),
        ("Overview", "Survey"),
        ("XPS  Survey 2", "Survey 2"),
        ("widening", "widening"),
        ("O KLL", "O KLL"),
        ("C 1s/12", "C 1s/12"),
        ("Valence  band", "Valence band"),
        ("Xx1s", "Xx1s"),
    ],
)
def test_region_names_are_written_as_the_field_does(label: str, expected: str) -> None:
    assert normalise_region(label) == expected


def test_a_sound_spectrum_passes() -> None:
    spectrum().check("file.vms")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"intensity": np.r_[np.full(50, 1.0), np.nan]}, "NaN"),
        ({"intensity": np.r_[np.full(50, 1.0), np.inf]}, "infinite"),
        ({"intensity": np.r_[np.full(50, 1.0), -3.0]}, "negative"),
        ({"intensity": np.full(50, 1.0)}, "50 counts for 51 energies"),
        ({"axis": np.r_[np.linspace(186.0, 196.0, 50), np.nan]}, "not finite"),
        ({"axis": np.r_[np.linspace(186.0, 196.0, 50), 196.0]}, "do not rise"),
        ({"axis": np.array([190.0]), "intensity": np.array([1.0])}, "only 1 point;"),
        ({"transmission": np.zeros(51)}, "not positive"),
        ({"transmission": np.ones(50)}, "does not match"),
    ],
)
def test_values_that_no_analysis_could_use_are_refused_with_file_and_region(
    changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        spectrum(**changes).check("file.vms")
    assert caught.value.source == "file.vms"
    assert "B 1s" in caught.value.message


def test_levels_come_back_in_order_whatever_the_spelling_of_the_region() -> None:
    data = dataset(spectrum(level=1), spectrum("C 1s"), spectrum(level=0))
    assert [s.level for s in data.levels("b1s")] == [0, 1]
    assert data.regions() == ("B 1s", "C 1s")


def test_an_absent_region_is_named_together_with_those_that_are_there() -> None:
    with pytest.raises(DataError, match=r"no region 'P 2p'.*B 1s, C 1s"):
        dataset(spectrum(), spectrum("C 1s")).levels("P2p")


def test_a_level_with_another_axis_is_left_out_but_for_rounding() -> None:
    other = [np.linspace(186.0, 196.0, 51) + shift for shift in (0.0, 1e-6, 0.1)]
    levels = [Level(k, 0, spectrum(level=k, axis=axis)) for k, axis in enumerate(other)]
    stacked = stack_levels(levels, least=5)
    assert stacked.intensity.shape == (2, 51)
    (left_out,) = stacked.rejected
    assert "level 2 of 'B 1s' has 51 points from 186.1 to 196.1 eV, the series 51 from 186" in str(left_out.error)


def test_a_region_of_several_samples_asks_which() -> None:
    data = dataset(spectrum(sample="Co metal"), spectrum(sample="CoO"))
    with pytest.raises(DataError, match=r"several samples.*'Co metal', 'CoO'"):
        data.levels("B 1s")
    assert data.levels("B 1s", sample="CoO")[0].sample == "CoO"


def test_etch_times_are_returned_in_order() -> None:
    levels = tuple(spectrum(level=i, etch_time_s=t) for i, t in enumerate((0.0, 10.0, 20.0)))
    assert require_etch_times(levels).tolist() == [0.0, 10.0, 20.0]


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ((0.0, None, None), "no etch time for level 1, 2"),
        ((0.0, -1.0, 2.0), "negative"),
        ((0.0, float("nan"), 2.0), "not finite"),
        ((0.0, 10.0, 10.0), "do not rise"),
    ],
)
def test_a_profile_without_usable_etch_times_is_refused(times: tuple[float | None, ...], reason: str) -> None:
    levels = tuple(spectrum(level=i, etch_time_s=t) for i, t in enumerate(times))
    with pytest.raises(DataError, match=reason):
        require_etch_times(levels, "profile.vms")


def test_rates_become_counts_by_dwell_time_and_scans() -> None:
    rate = spectrum(intensity_unit="counts/s", dwell_time_s=0.2, scans=5)
    assert rate.real_counts() == pytest.approx(np.full(51, 100.0 * 0.2 * 5))
    assert spectrum(dwell_time_s=0.2, scans=5).real_counts() == pytest.approx(np.full(51, 100.0))
    with pytest.raises(DataError, match="rate"):
        spectrum(intensity_unit="counts/s", dwell_time_s=0.2).real_counts()


def test_the_step_of_the_counts_is_found() -> None:
    counts = np.random.default_rng(1).poisson(800.0, 51).astype(float)
    assert count_quantum(spectrum(intensity=counts)) == 1.0
    assert count_quantum(spectrum(intensity=10.0 * counts)) == 10.0
    assert count_quantum(spectrum(intensity=10.0 * counts + 0.3)) == 1.0
    assert count_quantum(spectrum(intensity=np.full(51, 100.0))) == 1.0
    as_rate = (10.0 * counts / 0.8).astype(np.float32).astype(float)
    assert count_quantum(spectrum(intensity=as_rate, intensity_unit="counts/s", dwell_time_s=0.08, scans=10)) == 10.0


@pytest.mark.parametrize(("region", "step"), [("C 1s", 1.0), ("Si 2p", 1.0), ("Sn 3d5/2", 10.0)])
def test_the_noise_of_real_counts_is_that_of_their_step(shared_data: Path, region: str, step: float) -> None:
    pulls = []
    for level in read(shared_data / "xps" / "SnO2_10nm_1.pro").levels(region):
        assert count_quantum(level) == step
        flat = level.real_counts()[-25:]  # the far side of the line, 5 eV
        noise = np.diff(flat, n=4) / np.sqrt(70.0)  # 70 is the sum of the squares of 1 4 6 4 1
        pulls.append(noise / np.sqrt(step * flat[2:-2]))
    assert np.std(pulls) == pytest.approx(1.0, abs=0.15)
