"""Powder diffraction: readers, in-situ series, cycler data, peaks and Rietveld refinement."""
