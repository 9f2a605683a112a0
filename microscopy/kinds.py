"""Kinds of the records of micrographs; apart from what makes these, which tables of a run need not load."""

__all__ = ["IMAGE", "LAYERS", "REGION", "SERIES"]

IMAGE, REGION, LAYERS, SERIES = "hrtem.image", "hrtem.region", "hrtem.layers", "hrtem.series"
