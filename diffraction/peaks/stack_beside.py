"""Lines that belong to no stack: found among the lines of a series, or in what stacks leave of it.

Such a line has a place and a width of its own, which do not move, and an area in every frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.discrepancy import linear

from .line_series import LineSeries
from .model import HeldLine
from .stack_fit import StackFit

__all__ = ["STRANGE", "line_left_over", "strange_line", "strange_lines"]

BoolArray = NDArray[np.bool_]

STRANGE = "beside_"
"""What the name of a line begins with that belongs to nothing."""

WIDTHS = (1.0, 1.7, 3.0)
"""Widths that are tried, in those of a sharp line."""

APART = 1.0
"""How many of its own widths such a line lies at least outside the stacks where only residuals tell of it."""


def strange_lines(series: LineSeries) -> BoolArray:
    """Return which fitted lines belong to nothing: of no phase, and there before a second phase is, shape (K,).

    Others that come with a further phase are the shape of a mixed stack, which lines of their own describe by several.
    """
    joint = series.joint
    unnamed = np.array([not phase for phase in series.labellings[0].phases])
    unnamed[0] = False
    alone = ~joint.present[1:][~unnamed[1:]].any(axis=0)
    seen = joint.present[:, alone].sum(axis=1)
    return np.asarray(unnamed & (seen >= 3) & (2 * seen >= alone.sum()))


def strange_line(series: LineSeries, k: int) -> HeldLine:
    """Return a fitted line as one that does not move."""
    joint, name = series.joint, series.joint.names[k]
    center, area = (
        float(np.median(joint.fit.value(f"{name}_{part}")[joint.present[k]])) for part in ("center", "area")
    )
    return HeldLine(STRANGE + name, center, joint.shape.width(name), area)


def line_left_over(fitted: StackFit, sharp: float, ends: tuple[float, float]) -> HeldLine | None:
    """Return the line that explains most of the residuals of a fit, if it is worth its parameters by BIC.

    Only places outside the stacks are looked at: what is left between them, and comes with them, is their shape.

    Parameters
    ----------
    fitted : StackFit
    sharp : float
        Width of a sharp line (degrees).
    ends : (float, float)
        Lowest and highest angle of ordered and alternating stacks.
    """
    at = linear(fitted.fit)
    n, (frames, _) = at.x.size, at.residual.shape
    norm = np.sqrt(np.einsum("lnd,lnd->ld", at.own, at.own))
    span, _ = np.linalg.qr(at.own / np.where(norm > 0, norm, 1.0)[:, None])
    left = (at.residual - (span @ (span.transpose(0, 2, 1) @ at.residual[..., None]))[..., 0])[:, :n]
    best: tuple[float, HeldLine] | None = None
    for width in sharp * np.array(WIDTHS):
        centers = at.x[(at.x < ends[0] - APART * width) | (at.x > ends[1] + APART * width)]
        centers = centers[(centers > at.x[0] + width) & (centers < at.x[-1] - width)]
        if not centers.size:
            continue
        shape = np.exp(-4.0 * np.log(2.0) * ((at.x - centers[:, None]) / width) ** 2)
        seen = shape * at.root_weight[:, None]  # (L, centers, n)
        alone = (seen**2).sum(axis=2) - ((seen @ span[:, :n]) ** 2).sum(axis=2)
        height = np.maximum((seen * left[:, None]).sum(axis=2), 0.0) / np.maximum(alone, 1e-9)
        gain = (height**2 * alone).sum(axis=0)
        k = int(gain.argmax())
        if best is None or gain[k] > best[0]:
            area = float(height[:, k].mean()) * width
            best = float(gain[k]), HeldLine(f"{STRANGE}stacks", float(centers[k]), float(width), area)
    price = (frames + 3.0) * float(np.log((at.root_weight > 0).sum()))
    return best[1] if best is not None and best[0] > price else None
