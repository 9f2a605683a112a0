"""Courses over depth: onset, saturation and smooth transitions of amounts, with intervals."""
