"""Mean oxidation state of manganese from the exchange splitting of Mn 3s, by a named law and with its error.

Several linear laws are in use. Over the range of oxides they differ by a few tenths, which is often more than the
statistical error, so the spread between the laws is part of the error, and the name of the law part of the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from pydantic import Field

from layerscope.errors import DataError
from layerscope.options import RecipeModel
from layerscope.reference import find_entry

from .dataset import FloatArray

__all__ = ["LAWS", "Mn3sLaw", "MnValence", "MnValenceTable", "get_law", "mn_valence"]

# Splittings of the reference oxides, MnO2 to MnO (eV): 4.5 to 6.1 in the compilation at xpsfitting.com.
SPLITTING_RANGE_EV = (4.5, 6.1)


class MnValenceTable(RecipeModel):
    """Mean oxidation state of Mn from the splitting of Mn 3s."""

    region: str = Field(default="Mn 3s", description="with both components of Mn 3s")
    low: str = Field(description="component at lower binding energy")
    high: str = Field(description="component at higher binding energy")
    law: str = Field(
        default="beyreuther", description="splitting to valence: beyreuther or galakhov; the other one is the error"
    )


@dataclass(frozen=True)
class Mn3sLaw:
    """A linear law: valence = intercept + slope * splitting.

    Attributes
    ----------
    name : str
        Key in recipes and records.
    intercept : float
        Valence at zero splitting.
    slope_per_eV : float
        Change of valence per eV of splitting.
    source, status : str
        Where it comes from, and whether that was opened.
    """

    name: str
    intercept: float
    slope_per_eV: float
    source: str
    status: str = "unverified"


LAWS: Mapping[str, Mn3sLaw] = MappingProxyType(
    {
        "galakhov": Mn3sLaw("galakhov", 8.956, -1.126, "usually credited to Galakhov et al. 2002; not opened"),
        "beyreuther": Mn3sLaw("beyreuther", 9.67, -1.27, "usually credited to Beyreuther et al. 2006; not opened"),
    }
)


def get_law(name: str) -> Mn3sLaw:
    """Return a law by its name.

    Raises
    ------
    RecipeError
        Unknown name.
    """
    return find_entry(LAWS, name, "Mn 3s law")


@dataclass(frozen=True)
class MnValence:
    """Oxidation state with its error budget; every array has the shape of the splitting.

    Attributes
    ----------
    value, sigma : ndarray
        Mean oxidation state and total standard error.
    statistical, law_spread : ndarray
        Parts of the error: from the splitting, and from the choice of law.
    law : str
        Name of the law that gave `value`.
    by_law : mapping
        Value by every law.
    out_of_range : ndarray of bool
        True where the splitting lies outside that of the reference oxides, or the value outside 2 to 4.
    """

    value: FloatArray
    sigma: FloatArray
    statistical: FloatArray
    law_spread: FloatArray
    law: str
    by_law: Mapping[str, FloatArray]
    out_of_range: npt.NDArray[np.bool_]


def mn_valence(splitting_eV: npt.ArrayLike, sigma_eV: npt.ArrayLike, law: str = "beyreuther") -> MnValence:
    """Return the mean oxidation state of Mn from its 3s splitting.

    Parameters
    ----------
    splitting_eV : array-like, shape (...)
        Exchange splitting of Mn 3s (eV).
    sigma_eV : array-like, broadcastable
        Its standard error (eV).
    law : str, default "beyreuther"
        One of `LAWS`.

    Returns
    -------
    MnValence
        Value, error, parts of the error and flags. The spread is the standard deviation of the values by all laws.

    Raises
    ------
    RecipeError
        Unknown law.
    DataError
        If a splitting is not positive and finite, or an error negative.
    """
    chosen = get_law(law)
    splitting, sigma = np.broadcast_arrays(np.asarray(splitting_eV, dtype=float), np.asarray(sigma_eV, dtype=float))
    if not (np.all(np.isfinite(splitting)) and np.all(splitting > 0.0)):
        raise DataError("a Mn 3s splitting must be positive and finite", source="Mn 3s")
    if not (np.all(np.isfinite(sigma)) and np.all(sigma >= 0.0)):
        raise DataError("the error of a Mn 3s splitting is missing or negative", source="Mn 3s")
    by_law = {name: entry.intercept + entry.slope_per_eV * splitting for name, entry in LAWS.items()}
    value = by_law[law]
    statistical = np.abs(chosen.slope_per_eV) * sigma
    spread = np.std(np.stack(list(by_law.values())), axis=0, ddof=1)
    low, high = SPLITTING_RANGE_EV
    outside = (splitting < low) | (splitting > high) | (value < 2.0) | (value > 4.0)
    return MnValence(value, np.hypot(statistical, spread), statistical, spread, law, MappingProxyType(by_law), outside)
