"""Columns of the model of stacks: what may be added to line and order makes no intensity, and slopes are slopes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from layerscope.diffraction.peaks import stack_beside
from layerscope.diffraction.peaks.components import lco_003
from layerscope.diffraction.peaks.lines import DiffractionLine
from layerscope.diffraction.peaks.model import HeldLine
from layerscope.diffraction.peaks.stack_beside import line_left_over, strange_lines
from layerscope.diffraction.peaks.stack_freedom import LINE_TERMS, MIXED_TERMS
from layerscope.diffraction.peaks.stack_model import LINE, MIXED, StackModel
from layerscope.diffraction.peaks.stack_series import StackSeries, keep_likely
from layerscope.diffraction.radiation import tube_radiation
from numpy.typing import NDArray

from layerscope.fitting.discrepancy import Linear

FloatArray = NDArray[np.float64]
AXIS = np.arange(16.8, 21.21, 0.04)
VALUES = {
    "fwhm": 0.08,
    "mixing": 0.4,
    "axial": 0.02,
    "ln_layers": 5.0,
    "ln_layers_mixed": 4.9,
    "ln_layers_alternating": 4.8,
    "size_spread": 0.3,
    "p": 0.15,
    "r": 0.7,
    "p_after": 0.1,
    "mean_spacing": 4.52,
    "filled_spacing": 4.70,
    "tail": 0.004,
    "variance": 1e-6,
    "charge": 0.8,
    "course": 4.701,
}


@pytest.fixture(scope="module")
def model() -> StackModel:
    stacking = lco_003().stacking
    assert stacking is not None
    return StackModel(stacking, DiffractionLine(tube_radiation("Cu")), AXIS, width=0.08, mixing=0.4)


def columns(model: StackModel, changes: dict[str, float]) -> FloatArray:
    values = {**VALUES, **dict.fromkeys((*LINE, *MIXED), 0.0), **changes}
    q = np.array([[values.get(n, 1.0) for n in model.nonlinear_names]])
    return model.basis(AXIS[None], q, derivatives=False).columns[0, :3]


def test_what_is_added_to_the_line_and_to_the_order_makes_no_intensity(model: StackModel) -> None:
    plain = columns(model, {})
    for k in (0, 1, LINE_TERMS - 1):
        changed = columns(model, {f"line_{k}": 0.2})
        assert not np.allclose(changed, plain, rtol=1e-3)
        assert changed.sum(axis=1) == pytest.approx(plain.sum(axis=1), rel=0.01)
    for k in (0, MIXED_TERMS - 1):
        changed = columns(model, {f"mixed_{k}": 0.1})
        assert np.array_equal(changed[[0, 2]], plain[[0, 2]])
        assert changed[1].sum() == pytest.approx(plain[1].sum(), rel=2e-3)


def test_slopes_of_the_columns_are_those_of_the_columns(model: StackModel) -> None:
    values = {**VALUES, **{n: 0.03 * (-1) ** k for k, n in enumerate((*LINE, *MIXED))}}
    q = np.array([[values.get(n, 1.0) for n in model.nonlinear_names]])
    looked_at = {"p", "p_after", "mean_spacing", "filled_spacing", "tail", "variance", "line_2", "mixed_3"}
    for term in model.basis(AXIS[None], q).derivatives:
        if model.nonlinear_names[term.parameter] not in looked_at:
            continue
        name = model.nonlinear_names[term.parameter]
        up, down, step = q.copy(), q.copy(), 1e-9 if name == "variance" else 1e-6
        up[0, term.parameter] += step
        down[0, term.parameter] -= step
        ends = [model.basis(AXIS[None], one, derivatives=False).columns[0, term.column] for one in (up, down)]
        numeric = (ends[0] - ends[1]) / (2.0 * step)
        assert np.allclose(term.values[0], numeric, atol=0.01 * max(np.abs(numeric).max(), 1e-4)), (name, term.column)


def test_a_stack_that_is_likely_is_kept_beside_frames_that_hold_it_for_sure_and_nowhere_else() -> None:
    significance = np.array([[0.2, 1.5, 0.1, 1.4, 1.8, 5.0, 6.0, 2.0, 0.5, 2.0]])
    every = np.ones(significance.shape, bool)
    assert keep_likely(every, significance, 2)[0].tolist() == [False] * 3 + [True] * 5 + [False] * 2


def test_a_line_belongs_to_nothing_if_it_has_no_phase_and_is_there_before_a_second_phase_is() -> None:
    frames = np.arange(20)
    joint = SimpleNamespace(present=np.stack([frames >= 0, frames >= 9, frames > 1, frames > 10, frames > 5]))
    names = SimpleNamespace(phases=("O3p", "IG", "", "", ""))
    series = cast("Any", SimpleNamespace(joint=joint, labellings=(names,)))
    # the third is seen in 7 of 9 frames of one phase, the fourth comes with the intergrowth, the last in 3 of 9
    assert strange_lines(series).tolist() == [False, False, True, False, False]


def test_stacks_whose_amounts_trade_places_are_said_to_be_alike() -> None:
    covariance = np.diag([4.0, 1.0, 1.0])[None] + 0.0
    covariance[0, 1, 2] = covariance[0, 2, 1] = -0.8
    fit = SimpleNamespace(covariance_within=lambda _: covariance)
    for there, said in ((True, ("STACKS_ALIKE:IG~H13 -0.80",)), (False, ())):
        read = SimpleNamespace(
            fit=SimpleNamespace(fit=fit, areas=()),
            present=np.array([[True], [True], [there]]),
            stacking=SimpleNamespace(names=("O3p", "IG", "H13")),
        )
        assert StackSeries.alike(cast("Any", read), 0) == said


def test_a_line_that_stacks_leave_over_is_found_outside_them_and_nothing_is_found_in_noise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames, u = 12, np.linspace(-1.0, 1.0, AXIS.size)
    noise = np.random.default_rng(3).standard_normal((frames, AXIS.size))
    later = (np.arange(frames) > 5)[:, None]
    own = np.broadcast_to(np.stack([u**0, u, u**2], axis=1), (frames, AXIS.size, 3))

    def found(center: float, height: float) -> HeldLine | None:
        line = height * later * np.exp(-4 * np.log(2) * ((AXIS - center) / 0.15) ** 2)
        at = Linear(AXIS, np.ones((frames, AXIS.size)), noise + line, own, np.zeros((frames, AXIS.size, 0)))
        monkeypatch.setattr(stack_beside, "linear", lambda _: at)
        return line_left_over(cast("Any", SimpleNamespace(fit=None)), 0.1, (18.6, 19.6))

    line = found(19.9, 6.0)
    assert line is not None
    assert line.center == pytest.approx(19.9, abs=0.03)
    assert 0.1 <= line.fwhm <= 0.3
    assert found(19.2, 6.0) is None
    assert found(19.9, 0.0) is None
