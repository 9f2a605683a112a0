"""Rietveld refinement with two engines behind one model and one result."""
