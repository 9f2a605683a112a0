"""A technique of its own package: spectra of one line as text, followed through a series."""
