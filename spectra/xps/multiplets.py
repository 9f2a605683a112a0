"""Templates of multiplets: of which peaks the 2p3/2 line of one compound of a transition metal is made, with sources.

A compound of Mn, Fe, Co, Ni or Cu shows a group of peaks in 2p3/2, none of which is a species. A component with a
template is the whole group as one line: one position, one area, one width, and so one species in records and tables.
The data live in ``reference_data/multiplets/*.toml``.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Annotated, Self

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from layerscope.fitting.shapes import Multiplet, get_shape
from layerscope.options import Positive, RecipeModel, not_empty
from layerscope.reference import find_entry, parse_entries, read_tables

from .dataset import normalise_region
from .species import Status, is_of_line

__all__ = ["MultipletPeak", "MultipletTemplate", "get_template", "load_templates"]


class MultipletPeak(RecipeModel):
    """One peak of a multiplet, against the first one."""

    offset_eV: float = Field(description="distance from the first peak, up in binding energy")
    area: Positive = Field(description="area on a scale that the peaks share")
    width: Positive = Field(description="width over that of the first peak")


class MultipletTemplate(RecipeModel):
    """The peaks of one compound in one core level: an entry of ``reference_data/multiplets``."""

    id: str = Field(description="name in recipes; unique within a line")
    line: str = Field(description="core level, 'Mn 2p3/2'")
    label: str = Field(description="what it is, in words")
    position_eV: Positive = Field(description="binding energy of the first peak")
    fwhm_eV: Positive = Field(description="full width at half maximum of the first peak, as published")
    peaks: Annotated[tuple[MultipletPeak, ...], AfterValidator(not_empty)] = Field(description="the first one included")
    source: str = Field(min_length=1, description="citation")
    status: Status = Field(description="read, secondary (quoted by another work or a copy) or unverified")
    notes: str = Field(default="", description="remarks")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.peaks[0].offset_eV, self.peaks[0].width) != (0.0, 1.0):
            raise ValueError("the first peak has offset_eV 0 and width 1")
        return self

    @cached_property
    def crest_eV(self) -> float:
        """Distance of the highest point of the published group from its first peak: what others call its position."""
        x = np.arange(-1.0, max(peak.offset_eV for peak in self.peaks) + 1.0, 0.01)
        return float(x[np.argmax(self.shape("gaussian").evaluate(x, [[0.0, self.fwhm_eV]]).value[0])])

    def shape(self, base: str) -> Multiplet:
        """Return the group as one line, each of its peaks of the shape of that name."""
        offsets, areas, widths = zip(*((p.offset_eV, p.area, p.width) for p in self.peaks), strict=True)
        return Multiplet(get_shape(base), offsets, areas, widths)


@lru_cache(maxsize=1)
def load_templates() -> tuple[MultipletTemplate, ...]:
    """Return every template of ``reference_data/multiplets``, read once and checked."""
    return tuple(parse_entries(MultipletTemplate, read_tables("multiplets"), "multiplet"))


def get_template(name: str, line: str) -> MultipletTemplate:
    """Return the template of a core level by its name.

    Parameters
    ----------
    name : str
        For example ``"MnO2"``.
    line : str
        ``"Mn 2p3/2"``; ``"Mn 2p"`` also finds the entries of ``"Mn 2p3/2"``.

    Raises
    ------
    RecipeError
        Unknown name; the message names the nearest ones of the line.
    """
    wanted = normalise_region(line)
    known = {template.id: template for template in load_templates() if is_of_line(template.line, wanted)}
    others = ", ".join(sorted({template.line for template in load_templates()}))
    return find_entry(known, name, f"template for {wanted}:", hint=f"; there are templates for {others}")
