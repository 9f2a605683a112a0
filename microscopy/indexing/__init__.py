"""Which phases and zone axes explain the spots or rings, with which probability, and what would decide between them."""
