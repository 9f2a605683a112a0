"""Survey spectra: which elements are there, with a probability each, and how much of them by integrated regions."""
