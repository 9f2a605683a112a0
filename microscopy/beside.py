"""What other techniques say of the same sample along its depth, as far as records of the run hold it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layerscope.figures.views import Points
from layerscope.records import ResultRecord

__all__ = ["Course", "courses_along_depth"]

NAMES = ("peak.net_area", "composition.atomic_fraction", "composition.atomic_ratio")
"""Quantities that follow composition along a line scan."""
LEAST, MOST = 3, 6


@dataclass(frozen=True, eq=False)
class Course:
    """One quantity along the depth of a sample.

    Attributes
    ----------
    label : str
        Its component.
    source : str
        Technique and quantity, for people.
    depth_nm : ndarray, shape (n,)
        Below the surface, ascending.
    points : Points
        Over the largest value.
    records : tuple of ResultRecord
        It comes from.
    """

    label: str
    source: str
    depth_nm: NDArray[np.float64]
    points: Points
    records: tuple[ResultRecord, ...]


def courses_along_depth(records: Sequence[ResultRecord], sample: str, technique: str) -> list[Course]:
    """Return what techniques other than this one measured along the depth of a sample, the strongest first.

    Parameters
    ----------
    records : sequence of ResultRecord
        Of the run.
    sample, technique : str
    """
    own = [r for r in records if r.state.sample == sample and r.technique != technique and r.state.depth_nm is not None]
    own.sort(key=lambda record: record.state.depth_nm or 0.0)
    found: list[tuple[float, Course]] = []
    keys = dict.fromkeys((q.name, q.component) for r in own for q in r.quantities if q.name in NAMES and q.component)
    first = next((name for name in NAMES if any(key[0] == name for key in keys)), "")
    for name, component in (key for key in keys if key[0] == first):
        rows = [(r, q) for r in own for q in r.quantities if (q.name, q.component) == (name, component)]
        points = Points.of([q for _, q in rows])
        most = float(np.nanmax(points.value, initial=0.0))
        if points.known.sum() < LEAST or most <= 0:
            continue
        scaled = Points(points.value / most, points.sigma / most, points.limit / most, points.confidence)
        depth = np.array([r.state.depth_nm for r, _ in rows], float)
        source = f"{rows[0][0].technique.upper()}: {name.rpartition('.')[2].replace('_', ' ')}"
        found.append((most, Course(str(component), source, depth, scaled, tuple(r for r, _ in rows))))
    return [course for _, course in sorted(found, key=lambda pair: -pair[0])[:MOST]]
