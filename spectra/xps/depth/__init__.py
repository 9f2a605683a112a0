"""Courses over depth: onset, saturation and smooth transitions of amounts, with intervals.

`fit_depth_profile` is the way in. Behind it, in the order of work: `shapes` (three rises, levels, whitened data),
`models` (chi2 on grids and the best fit of a model), `choice` (all candidates and BIC), `zoom` (the neighbourhood of an
optimum, thresholds by simulation), `intervals` (times and levels read off it), `profile_fit` (the verdict).
"""

from __future__ import annotations

from .intervals import ChangePoint
from .profile import DepthProfileFit
from .profile_fit import fit_depth_profile

__all__ = ["ChangePoint", "DepthProfileFit", "fit_depth_profile"]
