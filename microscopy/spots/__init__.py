"""What the transform of a window shows: spots, rings and speckle, with their errors."""
