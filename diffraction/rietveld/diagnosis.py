"""What a reader must know of a refinement beyond its numbers: lines of another wavelength, occupancies hardly seen."""

from __future__ import annotations

import math

from layerscope.errors import DataError
from layerscope.flags import threshold

from ..frames import Frame
from .contrast import contrast_warnings
from .job import Job
from .result import RietveldResult
from .wavelength import likely_wavelength

__all__ = ["broad_phases", "contrast", "wrong_wavelength"]


def wrong_wavelength(job: Job, frame: Frame) -> None:
    """Refuse a pattern that the model does not describe when it would at another wavelength.

    Parameters
    ----------
    job : Job
    frame : Frame
        One of its frames.

    Raises
    ------
    DataError
        Naming the wavelength, and the anode that has it.
    """
    if job.recipe.le_bail:
        return
    given = job.problem.instrument.wavelengths[0]
    found = likely_wavelength(job.patterns[frame.index].within(job.problem.limits), job.problem)
    if found is None:
        return
    raise DataError(
        f"the wavelength is likely wrong: {found.text(given)}",
        source=job.series.files[frame.file].path,
        hint=f"correct radiation; if it is right, the cells are {given / found.value:.3f} times those of the recipe",
    )


def broad_phases(job: Job, result: RietveldResult) -> list[str]:
    """Return flags of phases whose lines are so wide that background and noise pass for them.

    The width is that of the refined size, ``(180/π) λ / L``, in degrees at low angle. Beyond the threshold (sizes
    below 4.4 nm with Cu K-alpha) it follows the background rather than lines.
    """
    found = []
    for phase in result.phases:
        size = phase.size_nm
        if size.sigma is None or not size.value > 0.0:
            continue
        width = math.degrees(job.problem.instrument.wavelengths[0] / (10.0 * size.value))
        if width > threshold("BROAD_PHASE"):
            found.append(f"BROAD_PHASE:{phase.name} has lines {width:.1f} degrees wide")
    return found


def contrast(job: Job, result: RietveldResult) -> list[str]:
    """Return in words which refined occupancies X-rays can hardly tell."""
    found = []
    for phase in job.problem.phases:
        if not result.has_phase(phase.name):
            continue
        sites = result.phase(phase.name).sites
        for warning in contrast_warnings(phase):
            if sites[warning.site]["occupancy"].sigma is not None:
                found.append(f"weak contrast: {warning.message}")
    return found
