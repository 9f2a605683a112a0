"""The line shapes: one protocol, the location-scale shapes, those of XPS, and their running integrals."""
