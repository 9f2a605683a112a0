"""From the spots of a window to the phases that explain them, with probabilities."""

from .model import NO_LATTICE, OTHER_LATTICE, Candidate, Kind, Ranking

__all__ = ["NO_LATTICE", "OTHER_LATTICE", "Candidate", "Kind", "Ranking"]
