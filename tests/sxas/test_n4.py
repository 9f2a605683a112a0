"""N4 by linear combination: saturation, references of another place and width, what per boron means, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layerscope.spectra.sxas.n4 import Reference, fit_coordination, ratio_n4
from scipy.special import erf

from layerscope.errors import DataError

E = np.concatenate([np.arange(180, 190, 0.5), np.arange(1900, 2060, 2) / 10.0, np.arange(206, 226, 0.5)])
RANGE, PRE, POST = (186.0, 215.0), (181.0, 190.0), (218.0, 225.0)
NOISE = 5e-4


def per_boron(x: np.ndarray, four: bool, width: float = 0.8) -> np.ndarray:
    bands = (
        [(196.9, 1.4, 1.0), (199.3, 1.8, 2.6), (203.0, 5.0, 1.4)] if four else [(202.4, 4.2, 1.7), (205.6, 6.0, 0.9)]
    )
    y = 0.5 * (1.0 + erf((x - 197.0) / 1.5))
    y += sum(h * np.exp(-2.7726 * ((x - c) / w) ** 2) for c, w, h in bands)
    return y if four else y + 4.0 * 0.8 / width * np.exp(-2.7726 * ((x - 194.0) / width) ** 2)


def reference(four: bool, off: float = 0.0, width: float = 0.8, factor: float = 1.0) -> Reference:
    y = factor * (1.2 + 0.001 * (E - 200.0) + per_boron(E - off, four, width))
    y = y * (1.0 + NOISE * np.random.default_rng(int(four)).normal(size=E.size))
    return Reference.of("BO4" if four else "BO3", float(four), E, y, (NOISE * y) ** 2, PRE, POST)


def sample(n4: float, lost: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    whole = 1.0 + 0.002 * (E - 200.0) + (1 - n4) * per_boron(E, False) + n4 * per_boron(E, True)
    top = 1.0 + per_boron(E, False).max()
    y = 0.7 * whole / (1.0 + lost / (1.0 - lost) * whole / top)
    y = y * (1.0 + NOISE * np.random.default_rng(9).normal(size=E.size))
    return E, y, (NOISE * y) ** 2


@pytest.mark.parametrize("lost", [0.0, 0.3])
def test_n4_is_right_whatever_saturation_takes_and_foreign_atoms_absorb(lost: float) -> None:
    fit = fit_coordination(sample(0.4, lost), [reference(False), reference(True)], RANGE)
    assert fit.n4.value == pytest.approx(0.4, abs=0.01)
    assert abs(fit.n4.value - 0.4) < 3 * fit.n4.sigma
    assert set(fit.n4.budget) == {"counting", "saturation", "background", "energy_scale", "ensemble", "references"}


def test_references_at_another_place_and_resolution_are_moved_and_made_as_sharp() -> None:
    broad = [reference(False, 0.1, 0.9), reference(True, 0.1)]
    fit = fit_coordination(sample(0.3), broad, RANGE)
    assert fit.n4.value == pytest.approx(0.3, abs=0.012)
    assert fit.best.value("shift")[0] == pytest.approx(-0.1, abs=0.02)
    assert fit.best.value("broadening")[0] < 0.0


def test_references_that_misfit_are_not_mended_by_leaving_one_out_and_sharpening_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2] / "reference_data")
    from _generate.sxas_bk import X, per_boron

    rng = np.random.default_rng(1)

    def drawn(y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        y = y * (1.0 + 3e-4 * rng.normal(size=X.size))
        return X, y, (3e-4 * y) ** 2

    three, four = (per_boron(X - off, kind, 0.62) for off, kind in ((0.05, False), (-0.1, True)))  # not moved alike
    both = [
        Reference.of(name, float(k), *drawn(1.1 + y), PRE, POST)
        for k, (name, y) in enumerate((("BO3", three), ("BO4", four)))
    ]
    fit = fit_coordination(drawn(1.0 + 0.7 * per_boron(X, False, 0.6) + 0.3 * per_boron(X, True, 0.6)), both, RANGE)
    assert fit.n4.value == pytest.approx(0.3, abs=0.02)
    assert any(flag.startswith("OVERDISPERSED") for flag in fit.flags)


def test_the_scale_in_which_a_reference_was_measured_does_not_matter() -> None:
    one = fit_coordination(sample(0.3), [reference(False), reference(True)], RANGE).n4.value
    two = fit_coordination(sample(0.3), [reference(False, factor=7.0), reference(True)], RANGE).n4.value
    assert two == pytest.approx(one, abs=1e-6)


def test_a_sample_without_four_coordinate_boron_gives_none() -> None:
    fit = fit_coordination(sample(0.0), [reference(False), reference(True)], RANGE)
    assert abs(fit.n4.value) < max(3 * fit.n4.sigma, 0.01)
    assert sum(fit.weights.values()) == pytest.approx(1.0)


def test_a_kind_of_boron_that_no_reference_shows_is_flagged() -> None:
    energy, y, variance = sample(0.2)
    y = y + 0.3 * np.exp(-2.7726 * ((energy - 192.2) / 0.6) ** 2)
    fit = fit_coordination((energy, y, variance), [reference(False), reference(True)], RANGE)
    assert any(flag.startswith("RESIDUAL_STRUCTURE") for flag in fit.flags)


def test_parts_of_the_references_make_up_the_fit() -> None:
    curves = fit_coordination(sample(0.4), [reference(False), reference(True)], RANGE).curves
    assert np.ptp(curves["data"] - curves["fit"]) < 0.05
    assert curves["BO3"].max() > curves["BO4"].max()


def test_n4_from_the_share_of_pi_needs_the_totals_of_the_references() -> None:
    r3, r4, t, n4 = 0.30, 0.001, 1.10, 0.4
    ratio = ((1 - n4) * r3 * t + n4 * r4) / ((1 - n4) * t + n4)
    value, sigma = ratio_n4((ratio, 0.003), (r3, 0.002), (r4, 0.001), (t, 0.02))
    assert value == pytest.approx(n4, abs=1e-9)
    assert sigma == pytest.approx(0.0114, rel=0.2)
    assert ratio_n4((ratio, 0.0), (r3, 0.0), (r4, 0.0), (1.0, 0.0))[0] - n4 == pytest.approx(-0.022, abs=0.003)


def test_references_of_one_kind_only_are_refused() -> None:
    with pytest.raises(DataError, match="three and one with four"):
        fit_coordination(sample(0.2), [reference(False)], RANGE)


def test_a_reference_that_ends_too_soon_is_refused() -> None:
    whole = reference(True)
    cut = Reference("BO4", 1.0, whole.energy[:80], whole.signal[:80], whole.variance[:80])
    with pytest.raises(DataError, match="does not reach"):
        fit_coordination(sample(0.2), [reference(False), cut], RANGE)
