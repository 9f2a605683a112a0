"""The modified Auger parameter: kinetic energy of an Auger line plus binding energy of a core level of the same atom.

Charging moves both lines of one spectrum alike, one up and the other down, so that the sum is free of it [1]_. It
rests on positions as measured: no charge reference enters, nor does its error.

References
----------
.. [1] C. D. Wagner, Faraday Discuss. Chem. Soc. 60, 291 (1975), doi:10.1039/DC9756000291.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import hypot
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from layerscope.options import Positive, RecipeModel
from layerscope.records import Assignment
from layerscope.reference import parse_entries, read_tables

from .dataset import FloatArray, normalise_region

__all__ = ["AugerParameterTable", "KnownAugerParameter", "auger_parameter", "known_auger_parameters", "states_near"]

NEAR_SIGMA = 3.0
"""Standard errors up to which a published parameter is a state that it could be."""
PHOTON_SIGMA_EV = 0.1
"""Standard error of the photon energy that files and laboratories write for a laboratory source: 1486.6 to 1486.7."""


class AugerParameterTable(RecipeModel):
    """One Auger parameter."""

    core_region: str = Field(description="region with the core level, 'Cu 2p3/2'")
    core: str = Field(description="its species in that region")
    auger_region: str = Field(description="region with the Auger line, over the binding energy as every other")
    auger: str = Field(description="its component in that region: the strongest maximum of the group")
    name: str = Field(default="", description="what it is called; the two regions if left out")

    @property
    def label(self) -> str:
        """Name in records."""
        return self.name or f"{normalise_region(self.core_region)} + {normalise_region(self.auger_region)}"


class KnownAugerParameter(RecipeModel):
    """A published Auger parameter: an entry of ``reference_data/auger``."""

    id: str = Field(description="chemical state")
    label: str = Field(description="what it is, in words")
    core: str = Field(description="core level")
    auger: str = Field(description="series of Auger lines")
    low_eV: Positive = Field(description="lowest published value")
    high_eV: Positive = Field(description="highest published value")
    source: str = Field(min_length=1, description="citation")
    status: Literal["read", "secondary", "unverified"] = Field(description="whether the source was opened")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low_eV > self.high_eV:
            raise ValueError("low_eV lies above high_eV")
        return self


@lru_cache(maxsize=1)
def known_auger_parameters() -> tuple[KnownAugerParameter, ...]:
    """Return the published parameters, read once and checked."""
    return tuple(parse_entries(KnownAugerParameter, read_tables("auger"), "parameter"))


def auger_parameter(
    core_eV: FloatArray, core_sigma: FloatArray, auger_eV: FloatArray, auger_sigma: FloatArray, photon_eV: float
) -> tuple[FloatArray, FloatArray, Mapping[str, FloatArray]]:
    """Return the modified Auger parameter, its standard error and the parts of it.

    Parameters
    ----------
    core_eV, core_sigma : ndarray, shape (L,)
        Binding energy of the core level as measured, and its standard error (eV).
    auger_eV, auger_sigma : ndarray, shape (L,)
        The same of the Auger line, on the scale of binding energies.
    photon_eV : float
        With which both were brought to that scale (eV).

    Returns
    -------
    value, sigma : ndarray, shape (L,)
        ``photon - auger + core`` (eV). The positions are taken as independent: what they share, a shift that both were
        told of beforehand, would only lessen the error.
    parts : mapping of str to ndarray, shape (L,)
        ``core``, ``auger`` and ``photon_energy``.
    """
    parts = {"core": core_sigma, "auger": auger_sigma, "photon_energy": np.full(core_eV.shape, PHOTON_SIGMA_EV)}
    sigma = np.sqrt(sum((part**2 for part in parts.values()), start=np.zeros(core_eV.shape)))
    return photon_eV - auger_eV + core_eV, sigma, parts


def states_near(table: AugerParameterTable, value: float, sigma: float) -> tuple[Assignment, ...]:
    """Return the published states of the same core level within three standard errors, the nearest first."""
    found = []
    for one in known_auger_parameters():
        if one.core != normalise_region(table.core_region):
            continue
        distance = max(one.low_eV - value, value - one.high_eV, 0.0) / hypot(sigma, 1e-9)
        if distance <= NEAR_SIGMA:
            line = f"{one.core} + {one.auger}"
            source = f"{one.source} ({one.status})"
            found.append(
                Assignment(
                    species=one.id,
                    line=line,
                    low_eV=one.low_eV,
                    high_eV=one.high_eV,
                    source=source,
                    distance_sigma=distance,
                )
            )
    return tuple(sorted(found, key=lambda state: state.distance_sigma or 0.0))
