"""Spectra of the electron microscope: energy losses (EELS), and X-rays (EDS) in the package `eds`."""
