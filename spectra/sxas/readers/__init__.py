"""Readers of beamline files, one module a format; see `layerscope.measured.formats.Reader` for what a module holds."""
