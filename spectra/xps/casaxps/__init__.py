"""Fits that CasaXPS stored in VAMAS files: read, redrawn, refitted."""
