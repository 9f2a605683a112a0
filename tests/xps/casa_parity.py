"""Our numbers beside those that CasaXPS stored, in CasaXPS' own terms: calibrated energies, areas in counts/s*eV."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from layerscope.spectra.xps.casaxps.stored_fit import SeriesProblem


class Pair(NamedTuple):
    """One number of CasaXPS and ours; sigma is NaN for what was not refined."""

    casaxps: float
    ours: float
    sigma: float

    @property
    def pull(self) -> float:
        return (self.ours - self.casaxps) / self.sigma


def parity(problem: SeriesProblem, values: Mapping[tuple[int, str], tuple[float, float]]) -> dict[str, Pair]:
    """Return a pair for each position, width and area that there is a value of, by component and parameter."""
    found = {}
    for i, (label, component) in enumerate(zip(problem.labels, problem.components, strict=True)):
        for name, parameter in component.parameters.items():
            if (i, name) in values:
                shift = problem.shift_eV if name == "center" else 0.0
                scale = 1.0 / problem.area_scale if name == "area" else 1.0
                ours, sigma = values[i, name]
                pair = Pair(parameter.value * scale + shift, ours * scale + shift, sigma * scale)
                found[f"{label} {name}"] = pair
    return found
