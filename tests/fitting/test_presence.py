"""Whether a line is there, decided by repetitions of the measurement without it: counts drawn by code of its own."""

from __future__ import annotations

import numpy as np
import pytest

from layerscope.fitting import Component, PatternModel, Series, fit_series
from layerscope.fitting import presence as module
from layerscope.fitting.presence import Presence, presence
from layerscope.fitting.series_fit import SeriesFit

X = np.arange(186.0, 199.0, 0.1)


def line(center: float) -> np.ndarray:
    u = (X - center) / 1.4
    gauss = np.exp(-4 * np.log(2) * u**2) * np.sqrt(4 * np.log(2) / np.pi) / 1.4
    return 0.7 * gauss + 0.3 / (1.4 * np.pi / 2 * (1 + 4 * u**2))


def counts(share: float, seed: int) -> np.ndarray:
    curve = 600.0 * ((1 - share) * line(192.0) + share * line(193.2)) + 100.0
    return np.random.default_rng(seed).poisson(np.tile(curve, (3, 1))).astype(float)


def fitted(names: tuple[str, ...], y: np.ndarray) -> SeriesFit:
    model = PatternModel([Component(n) for n in names])
    parameters = model.make_parameters()
    for name, at in zip(names, (192.0, 193.2), strict=False):
        parameters[f"{name}_center"].set(value=at, min=at - 0.5, max=at + 0.5)
        parameters[f"{name}_fwhm"].set(value=1.4, min=0.8, max=2.2)
        if name != names[0]:
            parameters[f"{name}_fwhm"].set(expr=f"{names[0]}_fwhm")
            parameters[f"{name}_mixing"].set(expr=f"{names[0]}_mixing")
    return fit_series(model, parameters, Series(X, y), nonnegative=True)


def asked(share: float, seed: int) -> Presence:
    y = counts(share, seed)
    places = [{"b_center": at} for at in (192.9, 193.5)]
    return presence(fitted(("a", "b"), y), fitted(("a",), y), places, draws=60, seed=seed)


def test_a_line_that_is_not_there_is_seldom_called_present() -> None:
    assert sum(asked(0.0, seed).present for seed in range(12)) <= 2  # 5 % are meant: three of twelve in 2 %


def test_a_line_of_a_fifth_is_called_present() -> None:
    assert all(asked(0.2, seed).present for seed in range(4))


@pytest.mark.parametrize(("share", "present"), [(0.0, False), (0.5, True)])
def test_how_it_was_decided_can_be_read(share: float, present: bool) -> None:
    found = asked(share, 3)
    assert found.present is present
    assert "chi2 falls by" in found.text()
    assert found.draws <= 60


def test_the_same_seed_gives_the_same_answer() -> None:
    assert asked(0.06, 1) == asked(0.06, 1)


def test_repetitions_fitted_in_parts_give_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = asked(0.06, 1)
    monkeypatch.setattr(module, "PATTERNS_AT_ONCE", 15)  # five repetitions of three patterns
    parts = asked(0.06, 1)
    assert whole.draws > 0
    assert (parts.draws, parts.p_value) == (whole.draws, whole.p_value)
