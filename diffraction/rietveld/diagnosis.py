"""What a reader must know of a refinement beyond its numbers: lines of another wavelength, occupancies hardly seen."""

from __future__ import annotations

from layerscope.errors import DataError

from ..series import Frame
from .checks import contrast_warnings
from .job import Job
from .result import RietveldResult
from .wavelength import likely_wavelength

__all__ = ["contrast", "wrong_wavelength"]


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
