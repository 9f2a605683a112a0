"""What the transform of a window shows: spots, rings and speckle, with their errors."""

from .find import find_spots
from .model import Rings, Spots

__all__ = ["Rings", "Spots", "find_spots"]
