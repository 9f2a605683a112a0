"""What a record says of a joint fit: how good it is, and its flags in the record's form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from layerscope.records import FitQuality

if TYPE_CHECKING:
    from layerscope.fitting import SeriesFit

__all__ = ["fit_quality", "record_flag"]


def fit_quality(fit: SeriesFit, flags: Sequence[str] = ()) -> FitQuality:
    """Return how good the joint fit of a series is.

    Parameters
    ----------
    fit : SeriesFit
    flags : sequence of str
        In the record's form.

    Returns
    -------
    FitQuality
        Measured points and the parameters that they determine, priors not counted; Durbin-Watson as the mean over the
        patterns.
    """
    return FitQuality(
        chi2=fit.chi2,
        redchi=fit.redchi,
        aic=fit.aic,
        bic=fit.bic,
        n_data=fit.n_points,
        n_free=fit.n_estimated,
        durbin_watson=float(np.clip(fit.durbin_watson().mean(), 0.0, 4.0)),
        converged=fit.converged,
        flags=tuple(flags),
    )


def record_flag(text: str) -> str:
    """Bring a flag of the fit engine into the record's form NAME or NAME:detail."""
    head, _, rest = text.partition(" ")
    return text if ":" in head or not rest else f"{head}:{rest}"
