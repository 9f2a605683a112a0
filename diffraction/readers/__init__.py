"""Readers of powder-diffraction files."""
