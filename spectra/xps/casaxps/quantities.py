"""From a stored fit and its refit to quantities of the record: our numbers with errors, CasaXPS' beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from layerscope.records import Quantity
from layerscope.runs.arrays import SeriesParameter
from layerscope.runs.build import finite_bounds, held, measured, some

from .model import Key
from .refitted import CasaRefit
from .stored_fit import SeriesProblem
from .weigh import StoredFit

__all__ = [
    "NAMES",
    "array_parameters",
    "calibration",
    "drawn_areas",
    "net_areas",
    "refined",
    "shape_notes",
    "stored_quantities",
]

NAMES = {"center": "position", "fwhm": "fwhm", "area": "area"}
"""What records call the parameters of a component."""


def shape_notes(problem: SeriesProblem) -> tuple[str, ...]:
    """Return what a reader of positions and widths must know of the line shapes."""
    shapes = ", ".join(f"{name}: {c.line_shape}" for name, c in zip(problem.labels, problem.components, strict=True))
    notes = [f"line shapes: {shapes}"]
    if any(c.shape.kind in ("LA", "LF") for c in problem.components):
        notes.append(
            "widths are the numbers that CasaXPS states: for LA and LF twice the half width on the side of low binding "
            "energy; positions are those of the line before it is smoothed, not of its maximum"
        )
    return tuple(notes)


def calibration(problem: SeriesProblem) -> list[Quantity]:
    """Return what CasaXPS' calibration adds to binding energies, if it adds anything."""
    if problem.shift_eV == 0.0:
        return []
    return [held("charge.shift", problem.shift_eV, "eV")]


def stored_quantities(problem: SeriesProblem) -> list[Quantity]:
    """Return CasaXPS' numbers, in its own terms; it states no errors."""
    return [
        held(
            f"x.casaxps_{name}",
            _as_stored(problem, p, component.parameters[p].value),
            "counts/s*eV" if p == "area" else "eV",
            label,
        )
        for label, component in zip(problem.labels, problem.components, strict=True)
        for p, name in NAMES.items()
    ]


def net_areas(stored: StoredFit, noise: float) -> list[Quantity]:
    """Return the area of the counts above the stored background within the region, and that of the stored curves."""
    (ours, sigma), theirs = stored.net_area, stored.net_area_drawn
    scale, unit = stored.problem.area_scale, "counts/s*eV"
    net = measured("peak.net_area", ours / scale, noise * sigma / scale, unit, kind="counting")
    return [*some([net]), held("x.casaxps_net_area", theirs / scale, unit)]


def drawn_areas(stored: StoredFit, noise: float) -> tuple[Quantity, ...]:
    """Return the area of each drawn curve with what counting alone gives as its error."""
    scale, labels = stored.problem.area_scale, stored.problem.labels
    return some(
        measured("peak.area", area / scale, noise * sigma / scale, "counts/s*eV", labels[i], kind="counting")
        for i, (area, sigma) in stored.areas.items()
    )


def _as_stored(problem: SeriesProblem, parameter: str, value: float) -> float:
    """Bring a value of the problem into CasaXPS' frame: calibrated energies, rates."""
    if parameter == "area":
        return value / problem.area_scale
    return value + problem.shift_eV if parameter == "center" else value


def refined(again: CasaRefit, i: int, parameter: str) -> Quantity:
    """Return one of our numbers, with CasaXPS' as the start and its bounds."""
    problem = again.model.problem
    stored, (value, sigma) = problem.components[i].parameters[parameter], again.values[i, parameter]
    unit = "counts/s*eV" if parameter == "area" else "eV"
    name, label, state = f"peak.{NAMES[parameter]}", problem.labels[i], again.states[i, parameter]
    value = _as_stored(problem, parameter, value)
    scale = problem.area_scale if parameter == "area" else 1.0
    more: dict[str, Any]
    if state == "tied":
        leader = problem.labels[stored.link or 0]
        tie = f"{stored.factor:g} * ({leader})" if stored.factor != 1.0 else f"({leader}) {stored.offset:+g} eV"
        more = {"role": "constrained", "expr": tie}
    else:
        start, *bounds = (_as_stored(problem, parameter, v) for v in (stored.value, stored.min, stored.max))
        more = {"role": "refined", "initial": start, **finite_bounds(*bounds)}
    return measured(name, value, sigma / scale, unit, label, **more) or held(name, value, unit, label)


def array_parameters(problem: SeriesProblem, values: Mapping[Key, tuple[float, float]]) -> dict[str, SeriesParameter]:
    """Return positions and widths, in the frame of the file."""
    found = {}
    for i, (label, component) in enumerate(zip(problem.labels, problem.components, strict=True)):
        for p in ("center", "fwhm"):
            stored, (value, sigma) = component.parameters[p], values[i, p]
            found[f"{label}_{p}"] = SeriesParameter(
                np.array([value]),
                np.array([sigma]),
                "eV",
                stored.value,
                stored.min if stored.vary and math.isfinite(stored.min) else None,
                stored.max if stored.vary and math.isfinite(stored.max) else None,
                "shared" if sigma > 0 else "fixed",
            )
    return found
