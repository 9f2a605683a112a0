"""The geometry of a divergent-beam (Bragg–Brentano) diffractometer, in lengths and angles that can be measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from layerscope.options import Positive, RecipeModel

__all__ = ["REFINABLE", "Geometry"]

Length = Annotated[float, Field(gt=0, le=100)]
REFINABLE: dict[str, tuple[float, float, float]] = {
    "attenuation_per_mm": (20.0, 1.0, 1e4),
    "divergence_deg": (0.1, 0.05, 5.0),
    "emission_width": (0.03, 0.3, 2.0),
    "passband_per_ev": (1e-3, -0.05, 0.05),
    "slit_length_mm": (1.0, 0.5, 60.0),
    "slit_width_mm": (0.02, 0.01, 2.0),
    "soller_deg": (0.3, 0.5, 20.0),
    "source_length_mm": (1.0, 0.5, 60.0),
    "specimen_length_mm": (1.0, 0.5, 60.0),
    "tail_high_mm": (0.05, 0.02, 5.0),
    "tail_low_mm": (0.05, 0.02, 5.0),
    "tail_share": (5e-3, 0.0, 0.5),
}
"""What a standard can tell about its diffractometer: typical change, lower and upper bound of each."""


class Geometry(RecipeModel):
    """Everything between the anode and the detector that shifts and smears a line."""

    source_width_mm: Length = Field(default=0.04, description="focus as seen at the take-off angle")
    source_length_mm: Length = Field(default=12.0, description="focus along the axis")
    specimen_length_mm: Length = Field(default=12.0, description="lit part of the specimen along the axis")
    slit_width_mm: Length = Field(default=0.2, description="receiving slit, or pixel of a strip detector")
    slit_length_mm: Length = Field(default=12.0, description="receiving slit along the axis")
    divergence_deg: Annotated[float, Field(gt=0, le=10)] = Field(
        default=1.0, description="full equatorial divergence; the specimen is flat and wider than the beam"
    )
    soller_deg: Annotated[float, Field(gt=0, le=30)] | None = Field(
        default=None,
        description="full opening Δ of the Soller slits: 1 - 2|β|/Δ passes at axial angle β; none without",
    )
    attenuation_per_mm: Positive | None = Field(
        default=None, description="linear attenuation of the powder as packed; opaque without"
    )
    tail_low_mm: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="reach of the tube tails (Bergmann et al. 2000, Mater. Sci. Forum 347, 303)"
    )
    tail_high_mm: Annotated[float, Field(ge=0)] = Field(default=0.0, description="to higher angles")
    tail_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="of the intensity that comes evenly from the anode beside the focus"
    )
    emission_width: Positive = Field(default=1.0, description="factor on the natural widths")
    passband_per_ev: float = Field(default=0.0, description="relative slope of the monochromator's passband")
    refine: tuple[str, ...] = Field(default=(), description="what the pattern of a standard is to tell, by name")

    @model_validator(mode="after")
    def _refinable(self) -> Self:
        for name in self.refine:
            if name not in REFINABLE:
                raise ValueError(f"{name!r} cannot be refined; these can: {', '.join(REFINABLE)}")
            if getattr(self, name) is None:
                raise ValueError(f"{name} is to be refined and needs a value to start from")
        return self

    def with_values(self, values: Mapping[str, float]) -> Geometry:
        """Return the geometry with what was refined in place, nothing left to refine."""
        found = {name: float(values[name]) for name in self.refine}
        return self.model_copy(update={**found, "refine": ()})
