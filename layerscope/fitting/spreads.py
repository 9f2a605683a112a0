"""What is known beforehand of parameters that are alike: how much is drawn with everything else.

References
----------
Chung, Y. et al. (2013). Psychometrika 78, 685-709. doi:10.1007/s11336-013-9328-2 (widths that are not zero)
West, M. (1987). Biometrika 74, 646-648. doi:10.1093/biomet/74.3.646 (mixtures over the scale of a normal prior)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.series_fit import SeriesFit

__all__ = ["WIDER", "Alike", "CommonWidth"]

FloatArray = NDArray[np.float64]

WIDTHS = 24  # of a common prior that are weighed
WIDER = 2.5  # times the spread that is stated: parameters may be less alike than is thought


@dataclass(frozen=True)
class CommonWidth:
    """A parameter of each pattern that lies about zero with a width that all patterns share.

    Attributes
    ----------
    name : str
    scale : float
        Of the prior of the width, in the parameter's unit: a Maxwell distribution, whose mean is 1.6 times this. It is
        zero at zero: amounts can soak up what the parameter does, and then no width looks as likely as a real one.
    reach : float
        How far from zero it is looked for.
    """

    name: str
    scale: float
    reach: float

    @cached_property
    def widths(self) -> FloatArray:
        """Widths that are weighed, evenly spaced in their logarithm."""
        return np.geomspace(self.scale / 30.0, 6.0 * self.scale, WIDTHS)

    @cached_property
    def log_prior(self) -> FloatArray:
        """Logarithm of their prior, up to a constant, a width for each step of the logarithm."""
        return np.asarray(3.0 * np.log(self.widths) - 0.5 * (self.widths / self.scale) ** 2)


@dataclass(frozen=True)
class Alike:
    """Shared parameters that lie about zero within a spread that was stated, or, as likely, within `WIDER` times it.

    Attributes
    ----------
    spread : mapping of str to float
        Standard deviation of each parameter's normal prior, as the fit knows it. All are wider, or none.
    """

    spread: Mapping[str, float]

    def log_ratio(self, fit: SeriesFit, shared: FloatArray) -> FloatArray:
        """Return the logarithm of their prior over that of the fit, for shared parameters (W, S), shape (W,)."""
        places = {p.name: k for k, p in enumerate(fit.batch.evaluator.layout.shared)}
        names = [name for name in self.spread if name in places]
        square = np.sum(
            [(shared[:, places[n]] / self.spread[n]) ** 2 for n in names] or [np.zeros(len(shared))], axis=0
        )
        wide = 0.5 * square * (1.0 - WIDER**-2) - len(names) * np.log(WIDER)
        return np.asarray(np.logaddexp(0.0, wide) - np.log(2.0))
