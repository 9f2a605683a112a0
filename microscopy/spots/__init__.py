"""What the transform of a window shows: spots, rings and speckle, with their errors."""

from .find import find_spots
from .model import Rings, Spots
from .rings import find_rings
from .shapes import SpotShapes, spot_shapes
from .speckle import Speckle, crystallinity

__all__ = ["Rings", "Speckle", "SpotShapes", "Spots", "crystallinity", "find_rings", "find_spots", "spot_shapes"]
