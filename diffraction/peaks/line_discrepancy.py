"""Lines whose errors know that they may have another shape than the model's.

Where residuals of neighbouring points agree, the symmetric lines of the joint fit are not those of the sample or of the
instrument. What is beyond the noise and beyond all that the fit can explain is taken for a smooth relative error of the
lines (`layerscope.fitting.discrepancy`): frames of one phase tell about the shape that all lines share, the others,
what is then left, about each further line. One generalised least-squares step moves amounts, places and widths and
gives their errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting import SeriesFit
from layerscope.fitting.discrepancy import Discrepancy, Linear, estimate, generalised, linear

from ..radiation import FloatArray
from .joint import JointFit

__all__ = ["LineErrors", "with_line_discrepancy"]

IntArray = NDArray[np.intp]

STRUCTURED = 3.0
"""Standard errors by which reduced chi-square, or products of neighbouring residuals, must exceed those of noise."""

NEIGHBOURS = 4
"""Distances (points) over which residuals are compared."""

FRAMES = 24
"""Most frames, spread over the series, that tell about one shape."""


@dataclass(frozen=True)
class LineErrors:
    """A joint fit and what wrong shapes do to it.

    Attributes
    ----------
    joint : JointFit
        After the generalised step, with its covariance.
    plain : SeriesFit
        Before.
    found : mapping of str to Discrepancy
        Of the shape that all lines share (``""``) and of single lines.
    """

    joint: JointFit
    plain: SeriesFit
    found: Mapping[str, Discrepancy] = field(default_factory=dict)

    def moved(self, name: str) -> FloatArray:
        """Return by how much the step moved a parameter or amount in each frame, shape (F,): a part of its error."""
        return np.asarray(self.joint.fit.value(name) - self.plain.value(name))


def with_line_discrepancy(joint: JointFit) -> LineErrors:
    """Return the joint fit after a step with what its residuals say about its shapes; as it is where they are noise.

    Parameters
    ----------
    joint : JointFit
        Its errors are those of the covariance.
    """
    fit = joint.fit
    several = joint.present.sum(axis=0) > 1
    groups = [np.flatnonzero(~several), np.flatnonzero(several)]
    if fit.sigma_kind != "covariance" or not any(_structured(fit, rows) for rows in groups):
        return LineErrors(joint, fit)
    at, curves = linear(fit), _curves(joint)
    found: dict[str, Discrepancy] = {}
    roots: list[FloatArray] = []
    if (~several).any():
        found[""] = _estimated(at, curves.sum(axis=0), [], np.flatnonzero(~several))
        roots = [found[""].roots(at, curve) for curve in curves] if found[""].amplitude > 0 else []
    for name, curve, there in zip(joint.names[1:], curves[1:], joint.present[1:], strict=True):
        rows = np.flatnonzero(several & there)
        if rows.size:
            found[name] = _estimated(at, curve, roots, rows)
            roots += [found[name].roots(at, curve)] if found[name].amplitude > 0 else []
    if not roots:
        return LineErrors(joint, fit, found)
    return LineErrors(replace(joint, fit=generalised(fit, at, roots)), fit, found)


def _structured(fit: SeriesFit, rows: IntArray) -> bool:
    """Tell whether residuals of some frames are larger than noise, or neighbouring ones agree more often."""
    r = fit.residual[rows]
    if not r.size:
        return False
    own = fit.n_estimated / fit.n_patterns  # parameters a frame
    measured = int((fit.root_weight[rows] > 0).sum())
    freedom = max(measured - own * rows.size, 1.0)
    if float((r**2).sum()) / freedom > 1.0 + STRUCTURED * float(np.sqrt(2.0 / freedom)):
        return True
    total = sum(float((r[:, k:] * r[:, :-k]).sum()) for k in range(1, NEIGHBOURS + 1))
    return total > STRUCTURED * float((r**2).mean()) * float(np.sqrt(r.size * NEIGHBOURS))


def _curves(joint: JointFit) -> FloatArray:
    """Return the counts of every line, shape (K, F, n)."""
    curves, _ = joint.fit.component_curves()
    return np.stack([curves[n] * on[:, None] for n, on in zip(joint.names, joint.present, strict=True)])


def _estimated(at: Linear, counts: FloatArray, roots: list[FloatArray], rows: IntArray) -> Discrepancy:
    """Return the discrepancy of a curve that some frames show, beside what is known of wrong shapes before."""
    rows = rows[np.unique(np.linspace(0, rows.size - 1, min(rows.size, FRAMES)).round().astype(int))]
    part = Linear(at.x, at.root_weight[rows], at.residual[rows], at.own[rows], at.shared[rows])
    if roots:
        part = part.whitened([b[rows] for b in roots])
    return estimate(part, counts[rows], np.arange(rows.size))
