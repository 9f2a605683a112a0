"""What is said of a fit that does not describe the pattern: why, where, and no number."""

from __future__ import annotations

from layerscope.errors import FitError
from layerscope.fitting.quality import left_over_at
from layerscope.fitting.series_fit import SeriesFit
from layerscope.records import ResultRecord
from layerscope.runs.build import quality_of
from layerscope.runs.pipeline import RunContext

from .frames import Frame, FrameSeries
from .radiation import FloatArray

__all__ = ["refusal", "refused_record"]

SMOOTHED_DEG = 0.05  # over which a residual is averaged before its place is named


def refusal(name: str, flag: str, two_theta: FloatArray, residual: FloatArray, hint: str) -> FitError:
    """Return the error of a fit that does not describe a pattern.

    Parameters
    ----------
    name : str
        What was fitted.
    flag : str
        Its ``GROSS_MISFIT``, with the detail.
    two_theta, residual : ndarray, shape (n,)
        Degrees, and (data - fit)/sigma.
    hint : str
        What to do.
    """
    detail = flag.partition(":")[2]
    if "%" not in detail:
        what = f"{name}: the intensities scatter far more than counts do, {detail}: the errors would mean nothing"
        return FitError(what, hint='noise = "scaled" where the intensities are no counts')
    at = left_over_at(two_theta, residual, SMOOTHED_DEG)
    return FitError(f"{name} is not described: {detail}; the most stands at {at:.2f} degrees", hint=hint)


def refused_record(
    context: RunContext,
    series: FrameSeries,
    fit: SeriesFit,
    flag: str,
    name: str,
    method: str,
    at: tuple[int, Frame] | None,
) -> ResultRecord:
    """Return the failed record of lines, or of one frame of them, that their model does not describe.

    Parameters
    ----------
    context : RunContext
    series : FrameSeries
    fit : SeriesFit
    flag : str
        ``GROSS_MISFIT`` with the detail.
    name : str
        Of the lines.
    method : str
        Of the record.
    at : tuple of (int, Frame), optional
        Place in the fit, and frame; the whole series when not given.
    """
    row = int(fit.pattern_chi2.argmax()) if at is None else at[0]
    frame = None if at is None else at[1]
    what = name if frame is None else f"frame {frame.index} of {name}"
    hint = "correct the window, declare the line that stands there (neighbours, components), or leave it out"
    return context.failed(
        refusal(what, flag, fit.x[row], fit.residual[row], hint),
        state=series.state(frame, name),
        inputs=series.inputs(f"{name}@series" if frame is None else name, *([] if frame is None else [frame])),
        method=method,
        quality=quality_of(fit, [flag], None if at is None else row, r_factors=at is not None),
    )
