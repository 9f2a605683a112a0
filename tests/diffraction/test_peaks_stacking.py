"""Intensities of stacks of filled and empty interlayers against stacks written down layer by layer."""

from __future__ import annotations

import numpy as np
import pytest
from layerscope.diffraction.peaks.stacking import (
    Layer,
    Sizes,
    Stacked,
    Uneven,
    alternating,
    block_length,
    filled_only,
    mixed,
    share_of_empty,
)
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

Q = np.linspace(1.20, 1.46, 120)
LAYER = Layer(Q, 38.0 - 4.0 * Q, np.full(Q.size, 0.6))
FILLED, EMPTY = np.array([4.70, 4.76]), np.array([4.35, 4.30])
SIZES = Sizes(60.0, 0.3)


def amplitudes(empty: NDArray[np.bool_], filled: float, gap: float) -> FloatArray:
    """Return the squared sum over the layers of crystallites whose interlayers are empty or not, (C, N), over N."""
    height = np.zeros((empty.shape[0], 1))
    total = np.zeros((empty.shape[0], Q.size), complex)
    for j in range(empty.shape[1]):
        guest = np.where(empty[:, j, None], 0.0, LAYER.guest * np.exp(0.5j * Q * filled))
        total += (LAYER.slab + guest) * np.exp(1j * Q * height)
        height += np.where(empty[:, j, None], gap, filled)
    return np.abs(total) ** 2 / empty.shape[1]


def sampled(p: float, r: float, count: int, layers: int) -> NDArray[np.bool_]:
    rng = np.random.default_rng(4)
    empty = np.zeros((count, layers + 200), bool)
    for j in range(2, empty.shape[1]):
        chance = np.where(empty[:, j - 1], 0.0, np.where(empty[:, j - 2], r, p))
        empty[:, j] = rng.random(count) < chance
    return empty[:, 200:]


@pytest.mark.parametrize(("p", "r"), [(0.15, 0.6), (0.4, 0.4), (0.3, 0.1)])
def test_a_mixed_stack_scatters_as_the_mean_of_stacks_drawn_layer_by_layer(p: float, r: float) -> None:
    stacks = sampled(p, r, 3000, 40)
    each = amplitudes(stacks, FILLED[0], EMPTY[0])
    formula = mixed(LAYER, FILLED, EMPTY, p, r, Sizes(40.0, 1e-9)).value[0]
    error = each.std(axis=0) / np.sqrt(len(each))
    assert (np.abs(formula - each.mean(axis=0)) < 4.5 * error + 1e-3 * formula.max()).all()
    assert stacks.mean() == pytest.approx(share_of_empty(p, r), abs=0.004)


def test_ordered_stacks_scatter_as_their_layers_say() -> None:
    ordered, turns = np.zeros((1, 40), bool), (np.arange(40) % 2 == 0)[None]
    even = Sizes(40.0, 1e-9)
    exact = amplitudes(ordered, FILLED[0], EMPTY[0])[0]
    assert np.allclose(filled_only(LAYER, FILLED, even).value[0], exact, atol=1e-3 * exact.max())
    mean = (amplitudes(turns, FILLED[0], EMPTY[0]) + amplitudes(~turns, FILLED[0], EMPTY[0]))[0] / 2
    assert np.allclose(alternating(LAYER, FILLED, EMPTY, even).value[0], mean, atol=1e-3 * mean.max())


def test_ordered_stacks_are_the_limits_of_a_mixed_one() -> None:
    filled = mixed(LAYER, FILLED, EMPTY, 1e-9, 0.5, SIZES).value
    turns = mixed(LAYER, FILLED, EMPTY, 1 - 1e-9, 1 - 1e-9, SIZES).value
    # a mixed stack has a few sizes for the distribution, the others have it all
    for limit, exact in (
        (filled, filled_only(LAYER, FILLED, SIZES)),
        (turns, alternating(LAYER, FILLED, EMPTY, SIZES)),
    ):
        assert np.allclose(limit, exact.value, atol=0.01 * exact.value.max())
        assert limit.sum() == pytest.approx(exact.value.sum(), rel=2e-3)


def test_derivatives_are_those_of_the_intensity() -> None:
    def shape(
        name: str, filled: FloatArray, empty: FloatArray, size: float, spread: float, p: float, r: float
    ) -> Stacked:
        sizes = Sizes(60.0 * np.exp(size), spread)
        if name == "filled":
            return filled_only(LAYER, filled, sizes)
        return mixed(LAYER, filled, empty, p, r, sizes) if p else alternating(LAYER, filled, empty, sizes)

    at = (FILLED, EMPTY, 0.0, 0.3, 0.22, 0.55)
    for name, values in (("filled", at), ("turns", (*at[:4], 0.0, 0.0)), ("mixed", at)):
        found = shape(name, *values)
        slopes = (found.by_filled, found.by_empty, *found.by_size, found.by_p, found.by_r)
        for k, analytic in enumerate(slopes):
            if analytic is None:
                continue
            step = 1e-6
            up, down = ([v + s * step * (i == k) for i, v in enumerate(values)] for s in (1, -1))
            numeric = (shape(name, *up).value - shape(name, *down).value) / (2 * step)
            near = 2e-5 if name == "mixed" else 8e-3 if k in (2, 3) else 1e-6  # slopes by the size are read from tables
            assert np.allclose(analytic, numeric, atol=near * max(np.abs(numeric).max(), 1e-6)), (name, k)


def test_a_range_of_one_has_one_probability_and_blocks_have_the_length_of_their_runs() -> None:
    assert share_of_empty(0.4, 0.4) == pytest.approx(0.4 / 1.4)
    stacks = sampled(0.25, 0.6, 400, 400)
    before, now, after = stacks[:, :-2], stacks[:, 1:-1], stacks[:, 2:]
    assert (after & now).sum() == 0
    pairs_end = before & ~now & ~after
    pairs = before & ~now
    assert block_length(0.25, 0.6)[0] == pytest.approx(2 * pairs.sum() / pairs_end.sum(), rel=0.03)


def test_derivatives_of_uneven_spacings_are_those_of_the_intensity() -> None:
    def shape(kind: str, filled: FloatArray, empty: FloatArray, tail: float, variance: float) -> Stacked:
        uneven = Uneven(np.full(2, tail), np.full(2, 1e-6 * variance))
        if kind == "filled":
            return filled_only(LAYER, filled, SIZES, uneven)
        return alternating(LAYER, filled, empty, SIZES, uneven.variance)

    for kind, variance in (("filled", 4.0), ("turns", 4.0), ("filled", -0.5), ("turns", -0.5)):
        at = (FILLED, EMPTY, 0.01, variance)
        found = shape(kind, *at)
        assert found.by_variance is not None
        for k, analytic in enumerate((found.by_filled, found.by_empty, found.by_tail, 1e-6 * found.by_variance)):
            if analytic is None:
                continue
            up, down = ([v + s * 1e-6 * (i == k) for i, v in enumerate(at)] for s in (1, -1))
            numeric = (shape(kind, *up).value - shape(kind, *down).value) / 2e-6
            near = 1e-5 if k < 2 else 5e-3  # slopes by tail and variance are read from tables
            assert np.allclose(analytic, numeric, atol=near * max(np.abs(numeric).max(), 1e-6)), (kind, k)


def test_uneven_stacks_scatter_as_the_mean_over_their_spacings() -> None:
    rng = np.random.default_rng(2)
    drawn = (FILLED[0] - rng.exponential(0.012, 4000)) * (1 + 0.002 * rng.standard_normal(4000))
    mean = filled_only(LAYER, drawn, SIZES).value.mean(axis=0)
    formula = filled_only(LAYER, FILLED[:1], SIZES, Uneven(np.array([0.012]), np.array([0.002**2]))).value[0]
    assert np.allclose(formula, mean, atol=0.04 * mean.max())


def sampled_far(p: float, after: float, r: float, count: int, layers: int) -> NDArray[np.bool_]:
    rng = np.random.default_rng(6)
    empty = np.zeros((count, layers + 200), bool)
    for j in range(3, empty.shape[1]):
        chance = np.where(empty[:, j - 2], r, np.where(empty[:, j - 3], after, p))
        empty[:, j] = rng.random(count) < np.where(empty[:, j - 1], 0.0, chance)
    return empty[:, 200:]


def test_an_order_of_range_three_is_that_of_stacks_drawn_layer_by_layer() -> None:
    p, after, r = 0.3, 0.05, 0.6
    stacks = sampled_far(p, after, r, 3000, 40)
    each = amplitudes(stacks, FILLED[0], EMPTY[0])
    formula = mixed(LAYER, FILLED, EMPTY, p, r, Sizes(40.0, 1e-9), after=after).value[0]
    error = each.std(axis=0) / np.sqrt(len(each))
    assert (np.abs(formula - each.mean(axis=0)) < 4.5 * error + 1e-3 * formula.max()).all()
    assert stacks.mean() == pytest.approx(share_of_empty(p, r, after), abs=0.004)
    two = mixed(LAYER, FILLED, EMPTY, 0.2, r, SIZES).value
    assert np.allclose(mixed(LAYER, FILLED, EMPTY, 0.2, r, SIZES, after=0.2).value, two, rtol=1e-4)


def test_derivatives_of_an_order_of_range_three_are_those_of_the_intensity() -> None:
    def shape(filled: FloatArray, empty: FloatArray, p: float, r: float, after: float) -> Stacked:
        return mixed(LAYER, filled, empty, p, r, SIZES, after=after)

    at = (FILLED, EMPTY, 0.3, 0.6, 0.1)
    found = shape(*at)
    for k, analytic in enumerate((found.by_filled, found.by_empty, found.by_p, found.by_r, found.by_after)):
        assert analytic is not None
        up, down = ([v + s * 1e-6 * (i == k) for i, v in enumerate(at)] for s in (1, -1))
        numeric = (shape(*up).value - shape(*down).value) / 2e-6
        assert np.allclose(analytic, numeric, atol=2e-5 * np.abs(numeric).max()), k
