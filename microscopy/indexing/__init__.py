"""From the spots of a window to the phases that explain them, with probabilities."""

from .index import UNKNOWN_SCALE, index_grains, index_spots
from .library import Library, library_of
from .model import NO_LATTICE, OTHER_LATTICE, Candidate, Kind, Ranking
from .rings import index_rings
from .standard import lock_scale

__all__ = [
    "NO_LATTICE",
    "OTHER_LATTICE",
    "UNKNOWN_SCALE",
    "Candidate",
    "Kind",
    "Library",
    "Ranking",
    "index_grains",
    "index_rings",
    "index_spots",
    "library_of",
    "lock_scale",
]
