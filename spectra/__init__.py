"""Spectroscopies: X-ray photoelectron spectroscopy, and others as they are added."""
