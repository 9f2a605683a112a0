"""What absorption adds to a report: how deep a yield looks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from layerscope.records import ResultRecord
from layerscope.report import Reach

__all__ = ["depths", "yield_depth"]

# B. H. Frazer, B. Gilbert, B. R. Sonderegger, G. De Stasio, Surf. Sci. 537 (2003) 161: largest depth that total
# electron yield saw through chromium, 15 angstrom at 77 eV to 141 angstrom at 929 eV
_ENDS_EV, _ENDS_NM = (77.0, 929.0), (1.5, 14.1)
_SAID = ("coordination.fraction", "edge.shift")


def yield_depth(energy: float) -> float:
    """Return how deep total electron yield looks at most, nm.

    Parameters
    ----------
    energy : float
        Of the edge, eV.

    Returns
    -------
    float
        Along a power law between the ends of what was measured through chromium from 77 to 929 eV (Frazer et al. 2003);
        the depth of the nearer end beyond them.
    """
    inside = min(max(energy, _ENDS_EV[0]), _ENDS_EV[1])
    power = math.log(_ENDS_NM[1] / _ENDS_NM[0]) / math.log(_ENDS_EV[1] / _ENDS_EV[0])
    return float(_ENDS_NM[0] * (inside / _ENDS_EV[0]) ** power)


def depths(records: Sequence[ResultRecord]) -> list[Reach]:
    """Return coordinations and shifts of each spectrum of total electron yield, from the surface to where it looks."""
    energies = {
        (record.state.sample, record.state.region): quantity.value
        for record in records
        for quantity in record.quantities
        if record.method == "sxas.spectrum" and quantity.name == "edge.position" and quantity.value is not None
    }
    found = []
    for record in records:
        energy = energies.get((record.state.sample, record.state.region))
        said = tuple(q for q in record.quantities if q.name in _SAID)
        if record.technique != "sxas" or energy is None or not said or record.recipe.get("mode") != "tey":
            continue
        how = f"largest probing depth of total electron yield at {energy:.0f} eV (Frazer et al. 2003, through chromium)"
        found.append(Reach(record, 0.0, yield_depth(energy), said, how))
    return found
