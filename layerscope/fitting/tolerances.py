"""When a fit counts as converged, and where a descent takes other ways."""

from __future__ import annotations

from dataclasses import dataclass

MEMORY = 0.9  # how much of a parameter's old scale a new one keeps: forgetting lets far starts come home
MINIMUM = 1e-9  # relative reduction of chi2 that an undamped step may still promise at a minimum
MERGED = (
    1e-12  # squared share of a derivative beside the columns that leaves no digit of the slope to judge a minimum by
)
ROUNDING = 1e-15  # relative rounding of the data: a misfit that only this makes cannot be reduced
FAST = 1e-3  # relative reduction of chi2 below which a step may turn out to be the last but one
#: Reduction of chi2 in units of the noise by a last step whose end is not evaluated any more, and by one left out.
LAST, LEFT = 2e-10, 3e-13
PLATEAU = 1e2  # damping at which a start from which no step has led down counts as a plateau
PLATEAU_PROMISE = 1e-6  # relative reduction that an undamped step promises on one, and not at a minimum
STUCK = 1e18  # damping at which a series is given up
RIDGE = 1e-8  # of the diagonal: keeps directions that the data do not determine out of an undamped step


@dataclass(frozen=True)
class Tolerances:
    """When a fit counts as converged.

    Attributes
    ----------
    reduction : float
        Relative reduction of chi2 that a further step promises.
    step : float
        Relative change of every parameter.
    max_iterations : int
    weights : float
        Relative change of every weight that follows the model.
    retries : bool
        Whether a series that has not converged, or is not determined, is tried again with other dampings.
    """

    reduction: float = 1e-15
    step: float = 1e-12
    max_iterations: int = 400
    weights: float = 1e-7
    retries: bool = True
