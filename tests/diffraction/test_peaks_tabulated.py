"""Lines read from tables against the same lines evaluated point by point."""

from __future__ import annotations

import numpy as np
import pytest
from layerscope.diffraction.peaks import tabulated
from layerscope.diffraction.peaks.lines import DiffractionLine
from layerscope.diffraction.peaks.tabulated import TabulatedLine
from layerscope.diffraction.radiation import tube_radiation

from layerscope.errors import FitError

CU = tube_radiation("Cu")
AXIS = 17.0 + 0.02 * np.arange(201)


def rows(shape, low=18.2, high=19.9, count=60):
    centers = np.random.default_rng(3).uniform(low, high, count)
    return np.column_stack([centers, *(np.full(count, v) for v in shape)])


def deviation(tables, line, axis, p):
    ours, wanted = tables.evaluate(axis, p), line.evaluate(axis, p)
    derivatives = [
        np.abs(ours.jac[:, i] - wanted.jac[:, i]).max() / np.abs(wanted.jac[:, i]).max()
        for i in range(wanted.jac.shape[1])
        if wanted.jac[:, i].any()
    ]
    return np.abs(ours.value - wanted.value).max() / wanted.value.max(), max(derivatives)


@pytest.mark.parametrize(
    ("shape", "step"),
    [
        ((0.1, 0.45, 0.016), 0.02),
        ((0.06, 0.9, 0.012), 0.02),
        ((0.25, 0.0, 0.02), 0.02),
        ((0.05, 0.5, 0.01), 0.05),
    ],
)
def test_tables_give_the_line_to_a_millionth_of_its_height(shape, step):
    axis = np.arange(17.0, 21.0, step)
    line = DiffractionLine(CU)
    value, derivative = deviation(TabulatedLine.of(line), line, axis, rows(shape))
    assert 0 < value < 1e-6  # not zero: it was read from tables
    assert derivative < 5e-5


def test_tch_profiles_and_lines_without_axial_divergence_are_tabulated_too():
    line = DiffractionLine(CU, profile="tch")
    value, derivative = deviation(TabulatedLine.of(line), line, AXIS, rows((0.08, 0.05, 0.015)))
    assert 0 < value < 1e-6
    assert derivative < 5e-5
    line = DiffractionLine(CU, axial=False)
    value, derivative = deviation(TabulatedLine.of(line), line, AXIS, rows((0.1, 0.4)))
    assert 0 < value < 1e-6
    assert derivative < 5e-5


def test_derivative_by_the_position_is_that_of_the_tables_themselves():
    """What is minimised and what its slope is must agree, however coarse the tables are."""
    tables, p = TabulatedLine.of(DiffractionLine(CU)), rows((0.1, 0.45, 0.016), 18.51, 18.99)
    up, down = p.copy(), p.copy()
    up[:, 0] += 1e-6
    down[:, 0] -= 1e-6
    numeric = (tables.evaluate(AXIS, up).value - tables.evaluate(AXIS, down).value) / 2e-6
    slope = tables.evaluate(AXIS, p).jac[:, 0]
    np.testing.assert_allclose(slope, numeric, atol=1e-6 * np.abs(slope).max())


def test_a_line_for_positions_only_has_no_other_derivatives():
    line = DiffractionLine(CU, only_position=True)
    tables = TabulatedLine.of(line)
    p = rows((0.1, 0.45, 0.016))
    values = tables.evaluate(AXIS, p)
    assert not values.jac[:, 1:].any()
    np.testing.assert_allclose(values.jac[:, 0], line.evaluate(AXIS, p).jac[:, 0], atol=2e-3)
    assert tables.evaluate(AXIS, p, derivatives=False).jac.shape[1] == 0


def test_a_row_does_not_depend_on_the_rows_beside_it():
    tables, p = TabulatedLine.of(DiffractionLine(CU)), rows((0.1, 0.45, 0.016), 17.2, 20.8)
    together = tables.evaluate(AXIS, p)
    for i in (0, 17, 59):
        np.testing.assert_allclose(tables.evaluate(AXIS, p[i : i + 1]).value[0], together.value[i], rtol=1e-12)


def test_what_tables_cannot_serve_is_evaluated_point_by_point(monkeypatch):
    def never(*_args, **_kwargs):
        raise AssertionError("tabulated")

    monkeypatch.setattr(tabulated, "_tables", never)
    line = DiffractionLine(CU)
    tables = TabulatedLine.of(line)
    p = rows((0.1, 0.45, 0.016))
    widths = p.copy()
    widths[3, 1] = 0.2
    uneven = AXIS + 1e-4 * np.sin(np.arange(AXIS.size))
    low = rows((0.1, 0.45, 0.02), 3.0, 3.5)  # where axial divergence changes a line within a tenth of a degree
    for axis, q in ((AXIS, widths), (uneven, p), (np.tile(AXIS, (60, 1)), p), (AXIS - 15.0, low)):
        np.testing.assert_array_equal(tables.evaluate(axis, q).value, line.evaluate(axis, q).value)


def test_lines_outside_the_circle_and_integrals_are_refused():
    tables = TabulatedLine.of(DiffractionLine(CU))
    with pytest.raises(FitError, match="outside 0 to 180"):
        tables.evaluate(AXIS, [-1.0, 0.1, 0.4, 0.01])
    with pytest.raises(FitError, match="inelastic"):
        tables.evaluate(AXIS, [19.0, 0.1, 0.4, 0.01], integral=True)
    with pytest.raises(FitError, match="fwhm"):
        tables.evaluate(AXIS, [19.0, 0.0, 0.4, 0.01])
