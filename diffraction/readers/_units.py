"""Units of angles, lengths and momentum transfers in NeXus files."""

from __future__ import annotations

import math

__all__ = ["ANGLE_UNITS", "LENGTH_UNITS", "Q_UNITS"]

ANGLE_UNITS = {"": 1.0, "deg": 1.0, "degree": 1.0, "degrees": 1.0, "2th_deg": 1.0}
ANGLE_UNITS |= dict.fromkeys(("rad", "radian", "radians", "2th_rad"), 180 / math.pi)
LENGTH_UNITS = {"": 1.0, "angstrom": 1.0, "angstroms": 1.0, "a": 1.0, "å": 1.0, "nm": 10.0, "m": 1e10}
Q_UNITS = dict.fromkeys(("1/angstrom", "angstrom^-1", "1/a", "1/å", "a^-1", "å^-1", "q_a^-1"), 1.0)
Q_UNITS |= dict.fromkeys(("1/nm", "nm^-1", "q_nm^-1"), 0.1)
