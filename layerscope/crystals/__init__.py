"""Crystallography for every technique: structures with their sources, symmetry, reflections, zones."""

from .adapter import (
    FREE_CELL,
    Contact,
    Reflections,
    cell_atoms,
    cell_content,
    contacts,
    crystal_system,
    load_gemmi,
    reflections,
    scattering_power,
)
from .checks import check_formula, check_phase
from .library import available_phases, load_phase, phase_from_cif, phase_from_table, read_phase_table
from .model import CELL, Bond, CellRange, Phase, Site, SiteMixing, cell_volume
from .zones import RingPattern, ZonePattern, rings, zone_pattern, zone_patterns

__all__ = [
    "CELL",
    "FREE_CELL",
    "Bond",
    "CellRange",
    "Contact",
    "Phase",
    "Reflections",
    "RingPattern",
    "Site",
    "SiteMixing",
    "ZonePattern",
    "available_phases",
    "cell_atoms",
    "cell_content",
    "cell_volume",
    "check_formula",
    "check_phase",
    "contacts",
    "crystal_system",
    "load_gemmi",
    "load_phase",
    "phase_from_cif",
    "phase_from_table",
    "read_phase_table",
    "reflections",
    "rings",
    "scattering_power",
    "zone_pattern",
    "zone_patterns",
]
