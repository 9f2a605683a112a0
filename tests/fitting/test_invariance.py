"""What must not change a result: the order of points and patterns, units, scale, an added constant, another process."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import lmfit
import numpy as np
import pytest
from fit_oracles import NAMES, axis, b1s_counts, b1s_model, b1s_parameters

from layerscope.fitting import PatternModel, Series, SeriesFit, Smooth, fit_series

AREAS = np.array([[3000.0, 900.0, 800.0], [2500.0, 1500.0, 700.0], [2000.0, 1800.0, 900.0]])
SHIFTS = np.array([0.0, 0.1, -0.07])
X = axis()
SCOPES = {"shift": "per_pattern"}
BACKGROUNDS = ["none", "shirley", "tougaard_u2", "tougaard_u3"]


def counts(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(b1s_counts(AREAS, SHIFTS, step=0.04)).astype(float)


def declared(model: PatternModel) -> lmfit.Parameters:
    p = b1s_parameters(model)
    p["A_center"].set(value=192.0, vary=False)
    p["shift"].set(vary=True, min=-0.6, max=0.6)
    return p


def fitted(x: np.ndarray = X, y: np.ndarray | None = None, active: str = "shirley", **options: object) -> SeriesFit:
    model = b1s_model(active=active)
    weights = options.pop("weights", "poisson")
    series = Series(x, counts() if y is None else y, **options)  # type: ignore[arg-type]
    return fit_series(model, declared(model), series, scopes=SCOPES, weights=weights)  # type: ignore[arg-type]


def everything(fit: SeriesFit) -> bytes:
    """Return the bits of all that a result says."""
    parts = [np.asarray(fit.value(n)).tobytes() + np.asarray(fit.sigma(n)).tobytes() for n in fit.names]
    parts += [
        fit.expected.tobytes(),
        np.array([fit.chi2, fit.bic, fit.misfit]).tobytes(),
        "".join(fit.flags()).encode(),
    ]
    return b"".join(parts)


def same(first: SeriesFit, second: SeriesFit, *, factor: dict[str, float] | None = None) -> None:
    """Values agree to 1e-4 of their error, errors to 1e-4; `factor` is second over first."""
    for name in first.names:
        scale = (factor or {}).get(name, 1.0)
        sigma = np.maximum(first.sigma(name), 1e-12)
        np.testing.assert_allclose(second.value(name) / scale, first.value(name), rtol=1e-9, atol=1e-4 * sigma.max())
        np.testing.assert_allclose(second.sigma(name) / scale, first.sigma(name), rtol=1e-4, atol=1e-15)


@pytest.mark.parametrize("active", BACKGROUNDS)
def test_order_of_points_changes_not_a_bit(active: str) -> None:
    y, order = counts(), np.random.default_rng(1).permutation(X.size)
    plain = fitted(y=y, active=active)
    assert everything(fitted(X[::-1], y[:, ::-1], active)) == everything(plain)
    assert everything(fitted(X[order], y[:, order], active)) == everything(plain)


def test_order_of_points_of_own_axes_masks_offsets_and_columns_changes_not_a_bit() -> None:
    rng = np.random.default_rng(2)
    x = np.array([X, X + 0.013, X - 0.02])
    use = rng.random((3, X.size)) > 0.1
    extra = {"offset": np.full((3, X.size), 20.0), "use": use, "columns": {"wave": np.sin(x)}}
    order = np.array([rng.permutation(X.size) for _ in range(3)])

    def shuffled(a: np.ndarray) -> np.ndarray:
        return np.take_along_axis(a, order, axis=1)

    mixed = {"offset": extra["offset"], "use": shuffled(use), "columns": {"wave": shuffled(np.sin(x))}}
    plain = fitted(x, counts(), **extra)
    assert everything(fitted(shuffled(x), shuffled(counts()), **mixed)) == everything(plain)


@pytest.mark.parametrize("active", ["none", "shirley"])
def test_unit_of_the_axis_changes_only_the_unit_of_the_result(active: str) -> None:
    unit = 1000.0  # meV
    plain = fitted(active=active)
    model = b1s_model(active=active)
    p = declared(model)
    for q in p.values():
        if q.expr is None and ("center" in q.name or "fwhm" in q.name or q.name == "shift"):
            q.set(value=q.value * unit, min=q.min * unit, max=q.max * unit)
    if active == "shirley":
        p["shirley_k"].set(value=p["shirley_k"].value / unit, max=p["shirley_k"].max / unit)
    other = fit_series(model, p, Series(X * unit, counts()), scopes=SCOPES)
    factor = {n: unit for n in plain.names if any(k in n for k in ("center", "fwhm", "area", "shift"))}
    same(plain, other, factor=factor | {"shirley_k": 1 / unit})
    assert other.chi2 == pytest.approx(plain.chi2, rel=1e-9)
    assert other.bic == pytest.approx(plain.bic, rel=1e-9)


LINEAR = [f"{n}_area" for n in NAMES] + ["background_0", "background_1"]


@pytest.mark.parametrize("weights", ["given", "none"])
@pytest.mark.parametrize("factor", [1e-9, 0.37, 1e6])
def test_scale_of_the_intensity_changes_only_areas_and_background(weights: str, factor: float) -> None:
    y, variance = counts(), b1s_counts(AREAS, SHIFTS, step=0.04)
    plain = fitted(y=y, variance=variance, weights=weights)
    scaled = fitted(y=y * factor, variance=variance * factor**2, weights=weights)
    same(plain, scaled, factor=dict.fromkeys(LINEAR, factor))
    expected = plain.chi2 * (factor**2 if weights == "none" else 1.0)
    assert scaled.chi2 == pytest.approx(expected, rel=1e-8)


def test_counts_scaled_with_their_exposure_are_the_same_measurement() -> None:
    same(fitted(), fitted(y=counts() * 4.0, exposure=0.25), factor=dict.fromkeys(LINEAR, 4.0))


@pytest.mark.parametrize("active", ["none", "shirley"])
def test_constant_added_to_the_intensity_goes_into_the_background_alone(active: str) -> None:
    y, variance = counts(), b1s_counts(AREAS, SHIFTS, step=0.04)
    plain = fitted(y=y, active=active, variance=variance, weights="given")
    lifted = fitted(y=y + 1000.0, active=active, variance=variance, weights="given")
    assert lifted.chi2 == pytest.approx(plain.chi2, rel=1e-8)
    np.testing.assert_allclose(lifted.value("background_0"), plain.value("background_0") + 1000.0, rtol=1e-6)
    for name in plain.names:
        if name != "background_0":
            sigma = max(plain.sigma(name).max(), 1e-12)
            np.testing.assert_allclose(lifted.value(name), plain.value(name), atol=1e-4 * sigma)
            np.testing.assert_allclose(lifted.sigma(name), plain.sigma(name), rtol=1e-5)


def test_position_of_the_axis_moves_only_the_positions() -> None:
    plain = fitted()
    model = b1s_model(active="shirley")
    p = declared(model)
    for name in NAMES:
        q = p[f"{name}_center"]
        q.set(value=q.value - 150.0, min=q.min - 150.0, max=q.max - 150.0)
    moved = fit_series(model, p, Series(X - 150.0, counts()), scopes=SCOPES)
    for name in plain.names:
        back = 150.0 if name.endswith("_center") else 0.0
        sigma = max(plain.sigma(name).max(), 1e-9)
        np.testing.assert_allclose(moved.value(name) + back, plain.value(name), atol=1e-4 * sigma)
        np.testing.assert_allclose(moved.sigma(name), plain.sigma(name), rtol=1e-5)


@pytest.mark.parametrize("scope", ["per_pattern", Smooth(2)])
def test_order_of_patterns_only_reorders_the_result(scope: object) -> None:
    order, time = [2, 0, 1], np.array([0.0, 10.0, 30.0])
    model = b1s_model(active="shirley")
    fits = [
        fit_series(
            model,
            declared(model),
            Series(X, counts()[pick], variable=time[pick]),
            scopes={"shift": scope},  # type: ignore[dict-item]
        )
        for pick in ([0, 1, 2], order)
    ]
    assert fits[1].chi2 == pytest.approx(fits[0].chi2, rel=1e-9)
    for name in fits[0].names:
        sigma = max(fits[0].sigma(name).max(), 1e-12)
        np.testing.assert_allclose(fits[1].value(name), fits[0].value(name)[order], atol=1e-4 * sigma)
        np.testing.assert_allclose(fits[1].sigma(name), fits[0].sigma(name)[order], rtol=1e-5)


def test_order_of_components_changes_nothing() -> None:
    fits = []
    for names in (NAMES, ("C", "A", "B")):
        model = b1s_model(names, active="shirley")
        p = model.make_parameters()
        for name, centre in zip("ABC", (192.0, 191.08, 193.48), strict=True):
            p[f"{name}_center"].set(value=centre, min=centre - 0.8, max=centre + 0.8, vary=name != "A")
        for name in "BC":
            p[f"{name}_fwhm"].set(expr="A_fwhm")
            p[f"{name}_mixing"].set(expr="A_mixing")
        p["A_fwhm"].set(value=1.35, min=0.4, max=4.0)
        p["shift"].set(vary=True, min=-0.6, max=0.6)
        fits.append(fit_series(model, p, Series(X, counts()), scopes=SCOPES))
    assert fits[1].chi2 == pytest.approx(fits[0].chi2, rel=1e-9)
    for name in fits[0].names:
        sigma = max(fits[0].sigma(name).max(), 1e-12)
        np.testing.assert_allclose(fits[1].value(name), fits[0].value(name), atol=1e-4 * sigma)
        np.testing.assert_allclose(fits[1].sigma(name), fits[0].sigma(name), rtol=1e-5)


def test_input_is_left_as_it_was() -> None:
    x, y = X[::-1].copy(), counts()
    model = b1s_model(active="tougaard_u2")
    p = declared(model)
    before = (x.copy(), y.copy(), repr(p))
    fit_series(model, p, Series(x, y), scopes=SCOPES)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])
    assert repr(p) == before[2]


@pytest.mark.parametrize("active", BACKGROUNDS)
def test_same_input_gives_the_same_bits_twice(active: str) -> None:
    assert everything(fitted(active=active)) == everything(fitted(active=active))


SCRIPT = """
import hashlib, sys
sys.path.append({folder!r})
sys.path.append({helper!r})
import test_invariance
print(hashlib.sha256(test_invariance.everything(test_invariance.fitted())).hexdigest())
"""


def test_same_input_gives_the_same_bits_in_another_process(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    script = SCRIPT.format(folder=here, helper=here)
    run = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=120
    )
    assert run.stdout.strip() == hashlib.sha256(everything(fitted())).hexdigest()
