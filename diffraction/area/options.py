"""What a recipe may say of the integration of images."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from layerscope.options import RecipeModel, RecipePath

__all__ = ["IntegrateTable"]


class IntegrateTable(RecipeModel):
    """How images of an area detector become patterns; its presence says that the files are images."""

    poni: RecipePath = Field(description="geometry and wavelength, as pyFAI calibrates and writes them")
    orientation: Literal[1, 2, 3, 4] | None = Field(
        default=None,
        description="corner at which the image begins, as pyFAI counts: 1 top left, 2 top right, 3 bottom right, "
        "4 bottom left seen from the sample; what the .poni file says, or 3, when not given",
    )
    mask: RecipePath | None = Field(
        default=None, description="image or .npy of which all but zeros are masked, beside what the detector masks"
    )
    dark: RecipePath | None = Field(default=None, description="image that is subtracted, of the same exposure")
    flat: RecipePath | None = Field(default=None, description="image of the relative response, by which is divided")
    npt: Annotated[int, Field(ge=50, le=100_000)] | None = Field(
        default=None, description="bins; three for each pixel along the longest radius when not given"
    )
    unit: Literal["2th_deg", "q_A^-1", "q_nm^-1"] = Field(default="2th_deg", description="in which bins are equal")
    radial_range: tuple[float, float] | None = Field(default=None, description="[low, high] in this unit")
    azimuth: tuple[float, float] | None = Field(
        default=None, description="[from, to] in degrees, from the horizontal towards the vertical; may pass 180"
    )
    polarization: Annotated[float, Field(ge=-1, le=1)] | None = Field(
        default=None, description="factor that is taken out, 1 for a beam polarised horizontally; none if not given"
    )
    solid_angle: bool = Field(default=True, description="whether pixels are divided by the solid angle that they see")
    splitting: Literal["no", "bbox", "full"] = Field(
        default="no", description="no: a pixel goes to one bin, so that errors of neighbours are independent"
    )
    algorithm: Literal["csr", "histogram"] = Field(default="csr", description="of pyFAI; csr is fast for many frames")
    errors: Literal["auto", "poisson", "azimuthal"] = Field(
        default="auto",
        description="poisson: pixels are counts; azimuthal: from their scatter around each ring; auto: poisson where "
        "pixels are whole numbers that scatter as counts",
    )
    dead_below: float | None = Field(
        default=None, description="pixels below this are dead; 0 for whole numbers when not given"
    )
    saturated_from: float | None = Field(
        default=None,
        description="pixels from this value on are saturated; what the file says, or the largest number of its type, "
        "when not given",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.radial_range is not None and not 0 <= self.radial_range[0] < self.radial_range[1]:
            raise ValueError("radial_range is [low, high], from 0 on")
        if self.azimuth is not None and not 0 < self.azimuth[1] - self.azimuth[0] <= 360:
            raise ValueError("azimuth is [from, to] with 0 < to - from <= 360 degrees")
        return self
