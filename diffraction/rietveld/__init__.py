"""Rietveld refinement with two engines behind one model and one result.

A `Problem` says what is refined, a `RefinementPlan` in which order; `refine` runs one engine on one pattern,
`refine_series` on a series, and `compare` judges two engines. Engines load when they are used.
"""
