"""The bias of a cell by the geometry of a divergent beam, traced by simulation and taken out."""
