"""Whether the data say anything of a component: of a line that lies beyond them no amount can be stated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import LayerscopeError, RecipeError
from layerscope.flags import threshold

from .options import ComponentTable, RegionTable
from .peakmodel import BuiltModel, build_model

if TYPE_CHECKING:
    from layerscope.fitting.result import SeriesFit

__all__ = ["out_of_reach", "without_data"]

FloatArray = NDArray[np.float64]

BEYOND_EV = 50.0  # how far beyond the data the area of a line is looked for
LEVELS_AT_ONCE = 100  # whose lines are worked out together
FOREIGN_MARGIN_EV = 3.0  # a line of another element may reach in from beyond: its tail is fitted, its amount not used


def out_of_reach(region: RegionTable, x: FloatArray, reach_eV: float, where: str) -> list[RecipeError]:
    """Return an error for each component whose position cannot lie within the data.

    Parameters
    ----------
    region : RegionTable
    x : ndarray, shape (n,)
        Energies of the data (eV), ascending.
    reach_eV : float
        By how much charging may have moved all lines.
    where : str
        Key of the region in the recipe.
    """
    try:
        parameters = build_model(region, region.background, "none").parameters
    except LayerscopeError:
        return []  # told with the faults of the recipe
    errors = []
    for index, c in enumerate(region.components):
        center = parameters[f"{c.name}_center"]
        if center.expr:
            continue
        low, high = (float(center.min), float(center.max)) if center.vary else (float(center.value),) * 2
        margin = reach_eV + (FOREIGN_MARGIN_EV if c.foreign else 0.0)
        places = [0.0, float(parameters[f"{c.name}_splitting"].value)] if c.doublet else [0.0]
        if all(high + place < x[0] - margin or low + place > x[-1] + margin for place in places):
            span = f"{low:g} eV" if low == high else f"{low:g} to {high:g} eV"
            errors.append(
                RecipeError(
                    f"{where}.components[{index}].position_eV: {c.species!r}, at {span}, cannot lie within the data of "
                    f"{region.name}, {x[0]:g} to {x[-1]:g} eV: nothing can be said of it",
                    hint="correct the position or its bounds, widen range_eV, or leave the component out",
                )
            )
    return errors


def without_data(built: BuiltModel, fit: SeriesFit) -> tuple[ComponentTable, ...]:
    """Return the region's own components of whose line too little lies within the data, at every level."""
    least = threshold("NO_DATA")
    return tuple(c for c in built.components if not c.foreign and _inside(c, built, fit) < least)


def _inside(c: ComponentTable, built: BuiltModel, fit: SeriesFit) -> float:
    """Return the share of a line's area that lies within the data, at the level where it is largest."""
    line = next(x for x in built.model.components if x.name == c.name).line
    par = np.stack([fit.value(f"{c.name}_{name}") for name in line.parameters], axis=1)
    par[:, 0] += fit.value("shift")
    x = fit.x[0]
    step = float(np.median(np.diff(x)))
    beyond = step * np.arange(1, int(BEYOND_EV / step) + 1)
    axis = np.concatenate([x[0] - beyond[::-1], x, x[-1] + beyond])
    inside = (axis >= x[0]) & (axis <= x[-1])
    most = 0.0
    for part in np.array_split(par, max(len(par) // LEVELS_AT_ONCE, 1)):
        curve = line.evaluate(axis[None], part, derivatives=False).value
        whole = np.trapezoid(curve, axis, axis=1)
        most = max(
            most, float((np.trapezoid(curve[:, inside], axis[inside], axis=1) / np.maximum(whole, 1e-300)).max())
        )
    return most
