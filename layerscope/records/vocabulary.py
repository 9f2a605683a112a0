"""The names a quantity may have, each with its dimension and a one-line meaning, and the units of each dimension.

A group that adds a technique of its own may use names beginning with ``x.``: those stand outside the vocabulary, and
only their unit is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

__all__ = ["DIMENSIONS", "VOCABULARY", "Term", "check_name_and_unit", "nearest", "units_of"]

DIMENSIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "dimensionless": ("1",),
        "fraction": ("1", "%"),
        "energy": ("eV",),
        "inverse_energy": ("1/eV",),
        "energy_squared": ("eV^2",),
        "intensity": ("counts", "counts/s", "1"),
        "energy_area": ("counts*eV", "counts/s*eV", "eV"),
        "angle_area": ("counts*deg", "counts/s*deg"),
        "time": ("s", "min", "h"),
        "rate": ("1/s",),
        "etch_rate": ("nm/s", "nm/min"),
        "length": ("nm", "angstrom", "mm"),
        "volume": ("angstrom^3", "nm^3"),
        "inverse_length": ("1/nm", "1/angstrom"),
        "potential": ("V",),
        "specific_capacity": ("mAh/g",),
        "angle": ("deg",),
        "angle_squared": ("deg^2",),
        "temperature": ("K",),
        "strain": ("1", "%"),
        "density": ("g/cm^3",),
        "displacement_squared": ("angstrom^2",),
    }
)


@dataclass(frozen=True)
class Term:
    """One name of the vocabulary: its meaning and the dimensions that its unit may have."""

    name: str
    dimensions: tuple[str, ...]
    meaning: str

    @property
    def units(self) -> tuple[str, ...]:
        """Every unit the quantity may be given in."""
        return tuple(dict.fromkeys(unit for dimension in self.dimensions for unit in DIMENSIONS[dimension]))


def _terms(*rows: tuple[str, str, str]) -> Mapping[str, Term]:
    terms = {name: Term(name, tuple(dimensions.split()), meaning) for name, dimensions, meaning in rows}
    assert len(terms) == len(rows), "a name is declared twice"  # noqa: S101
    return MappingProxyType(terms)


VOCABULARY: Mapping[str, Term] = _terms(
    ("peak.position", "energy angle", "centre of a peak on the measured axis, after charge correction if any"),
    ("peak.fwhm", "energy angle", "full width at half maximum"),
    ("peak.gaussian_fwhm", "energy angle", "full width at half maximum of the Gaussian part of a Voigt shape"),
    ("peak.lorentzian_fwhm", "energy angle", "full width at half maximum of the Lorentzian part of a Voigt shape"),
    ("peak.area", "energy_area angle_area intensity", "area under a component, background not included"),
    ("peak.height", "intensity", "height of a component at its maximum"),
    ("peak.mixing", "fraction", "Lorentzian share of a pseudo-Voigt shape"),
    ("peak.asymmetry", "dimensionless", "asymmetry parameter of a line shape"),
    ("peak.tail_exponent", "dimensionless", "exponent of the tail of a line shape, alpha or beta of LA"),
    ("peak.tail_width", "dimensionless", "width of the Gaussian that smooths a tailed shape, m of LA"),
    ("peak.splitting", "energy angle", "distance of two lines, such as the spin-orbit or exchange splitting"),
    ("peak.ratio", "dimensionless", "area ratio of the lines of a doublet"),
    ("peak.shift", "energy angle", "shift of a level against the series"),
    ("peak.sample_fwhm", "angle", "half width with that of the instrument removed"),
    ("peak.net_area", "energy_area angle_area intensity", "area of a whole region above its background"),
    ("coordination.fraction", "fraction", "share of an element's atoms with a coordination number"),
    ("coordination.saturation", "fraction", "share of the signal that saturation takes at the maximum"),
    ("background.offset", "intensity", "constant background"),
    ("background.slope", "intensity inverse_energy dimensionless", "linear background per unit of the axis"),
    ("background.coefficient", "intensity dimensionless", "coefficient of a background term"),
    ("background.shirley_strength", "inverse_energy dimensionless", "inelastic background step per unit of peak area"),
    ("background.tougaard_b", "energy_squared", "strength B of a Tougaard loss function"),
    ("background.tougaard_c", "energy_squared", "width C of a Tougaard loss function"),
    ("background.tougaard_d", "energy_squared", "width D of the three-parameter Tougaard loss function"),
    ("species.fraction", "fraction", "share of a chemical species in the area of its line"),
    ("species.fraction_single_level", "fraction", "share of a species when its level is fitted alone, for comparison"),
    ("species.plateau", "fraction", "share at which a species stays"),
    ("species.fraction_change", "fraction", "difference of a species' share between two states"),
    ("species.onset_time", "time", "etch time at which a species appears"),
    ("species.saturation_time", "time", "etch time at which a species' share stops changing"),
    ("species.onset_depth", "length", "depth at which a species appears"),
    ("species.saturation_depth", "length", "depth at which a species' share stops changing"),
    ("species.surface_level", "fraction", "share of a species at the surface, by the chosen model of its profile"),
    ("species.deep_level", "fraction", "share of a species in the depth, by the chosen model of its profile"),
    ("species.rise_time", "time", "etch time at which a species that was there before begins to rise"),
    ("species.settled_time", "time", "etch time at which a falling species reaches its lower level"),
    ("species.half_time", "time", "etch time at the middle of a smooth transition"),
    ("species.edge_time", "time", "etch time from 16 % to 84 % of a smooth transition"),
    ("species.decay_time", "time", "etch time in which a share approaches its deep level to 1/e"),
    ("species.rise_depth", "length", "depth at which a species that was there before begins to rise"),
    ("species.settled_depth", "length", "depth at which a falling species reaches its lower level"),
    ("species.half_depth", "length", "depth of the middle of a smooth transition"),
    ("species.edge_depth", "length", "width of a smooth transition from 16 % to 84 %"),
    ("species.decay_depth", "length", "depth over which a share approaches its deep level to 1/e"),
    ("species.fall_time", "time", "etch time at which a species begins to fall"),
    ("species.gone_time", "time", "etch time at which a species is gone"),
    ("species.fall_depth", "length", "depth at which a species begins to fall"),
    ("species.gone_depth", "length", "depth at which a species is gone"),
    ("element.probability", "fraction", "probability that an element is there, by all its lines in a survey"),
    ("composition.atomic_fraction", "fraction", "share of an element among the quantified atoms"),
    ("composition.species_atomic_fraction", "fraction", "share of a chemical species among the quantified atoms"),
    ("composition.atomic_ratio", "dimensionless", "ratio of two elements' atoms"),
    ("charge.shift", "energy", "correction added to measured binding energies"),
    ("charge.shift_spread", "energy", "spread of the shifts of levels that no reference line tells"),
    ("charge.reference_position", "energy", "measured position of the line that the charge reference rests on"),
    ("attenuation.length", "length", "inelastic mean free path or effective attenuation length"),
    ("attenuation.probing_depth", "length", "depth from which 95 % of a line's signal comes in a uniform solid"),
    ("etch.rate", "etch_rate", "depth removed per unit of etch time"),
    ("etch.depth", "length", "depth reached by etching"),
    ("overlap.p2s_area", "energy_area", "area of P 2s inside the B 1s region, foretold from P 2p"),
    ("overlap.area", "energy_area", "area of a foreign line inside a region"),
    ("auger.parameter", "energy", "kinetic energy of an Auger line plus binding energy of a core level"),
    ("valence.mn", "dimensionless", "mean oxidation state of manganese by a named law"),
    ("valence.co", "dimensionless", "mean oxidation state of cobalt by a named law"),
    ("valence.ni", "dimensionless", "mean oxidation state of nickel by a named law"),
    ("edge.position", "energy", "position of an absorption edge by a named criterion"),
    ("edge.step", "intensity dimensionless", "height of an absorption edge"),
    ("edge.level", "intensity dimensionless", "value at one energy, line before the edge taken off"),
    ("edge.shift", "energy", "position of an edge less that of the first sample"),
    ("edge.white_line_height", "intensity dimensionless", "height of the white line"),
    ("edge.area", "energy_area", "net intensity of an edge between stated energies"),
    ("edge.share", "fraction", "share of a part of an edge, such as its pre-peak, in its net intensity"),
    ("edge.share_ratio", "dimensionless", "share of a band over that in the first sample"),
    ("edge.share_change", "fraction", "difference of such a share to a reference place of the scan"),
    ("edge.maximum", "energy", "where the smoothed net intensity of an edge is highest"),
    ("edge.maximum_change", "energy", "difference of such a maximum to a reference place of the scan"),
    ("edge.white_line_ratio", "dimensionless", "L3 / L2 intensity ratio above a step"),
    ("edge.branching_ratio", "dimensionless", "L3 / (L2 + L3) intensity ratio"),
    ("phase.fraction", "fraction", "weight or area share of a phase"),
    ("phase.area_fraction", "fraction", "share of a phase in the intensity of one reflection"),
    ("phase.total_fraction", "fraction", "weight share of several phases together, with their covariance"),
    ("phase.total_fraction_difference", "fraction", "difference of a total fraction between two samples"),
    ("phase.layer_fraction", "fraction", "share of layers: of a phase among all, or of one kind in an intergrowth"),
    ("phase.layer_fraction_difference", "fraction", "difference of summed shares of layers between two samples"),
    ("phase.block_length", "dimensionless", "mean number of layers of a block of one kind in an intergrowth"),
    ("phase.onset_voltage", "potential", "cell voltage at which a phase appears"),
    ("phase.onset_time", "time", "time at which a phase appears"),
    ("phase.onset_frame", "dimensionless", "frame, with its fraction, at which a phase appears"),
    ("phase.end_voltage", "potential", "cell voltage at which a phase is gone"),
    ("phase.end_time", "time", "time at which a phase is gone"),
    ("phase.end_frame", "dimensionless", "frame, with its fraction, at which a phase is gone"),
    ("phase.scale", "dimensionless", "scale factor of a phase in the units of the engine"),
    ("phase.texture", "dimensionless", "March coefficient of the preferred orientation; 1 for none"),
    ("phase.crystallite_size", "length", "volume-weighted crystallite size"),
    ("phase.microstrain", "strain", "root-mean-square strain"),
    ("phase.density", "density", "crystal density"),
    ("lattice.a", "length", "lattice parameter a"),
    ("lattice.b", "length", "lattice parameter b"),
    ("lattice.c", "length", "lattice parameter c"),
    ("lattice.alpha", "angle", "lattice angle alpha"),
    ("lattice.beta", "angle", "lattice angle beta"),
    ("lattice.gamma", "angle", "lattice angle gamma"),
    ("lattice.volume", "volume", "volume of the unit cell"),
    ("lattice.d_spacing", "length", "distance of lattice planes"),
    ("lattice.d_spacing_tail", "length", "mean of what spacings within the beam lie below the largest one"),
    ("lattice.d_spacing_change", "length", "change of a distance of lattice planes against a reference"),
    ("lattice.g_vector", "inverse_length", "length of a reciprocal-lattice vector"),
    ("lattice.angle", "angle", "angle between two sets of lattice planes"),
    ("lattice.rotation", "angle", "direction of a zone's first reflection in an image, from x towards y"),
    ("lattice.strain", "strain", "change of a lattice against a reference of the same image"),
    ("image.pixel", "length", "size of a pixel as stated"),
    ("image.scale", "dimensionless", "true length over length by the stated pixel size of an image"),
    ("image.anisotropy", "strain", "half the difference of the stretch of an image along x and along y"),
    ("image.shear", "strain", "shear of an image in its plane, half the change of the right angle"),
    ("image.drift", "length", "largest distance that a sample drifted by between two frames of a stack"),
    ("image.crystallinity", "fraction", "share of a transform's power that stands in spots above its level"),
    ("spot.elongation", "dimensionless", "length over width of a spot, its window included: 1 for a perfect lattice"),
    ("spot.arc_spread", "angle", "standard deviation of a spot's direction, that of the window taken off"),
    ("atom.occupancy", "fraction", "occupancy of a site"),
    ("atom.coordinate", "dimensionless", "fractional coordinate of a site"),
    ("atom.uiso", "displacement_squared", "isotropic mean-square displacement"),
    ("instrument.zero_shift", "angle energy", "offset of the instrument's axis"),
    ("instrument.dispersion", "energy", "energy from one channel to the next"),
    ("instrument.axial_divergence", "dimensionless", "S/L or S/L + H/L of the axial divergence, see the notes"),
    ("instrument.gaussian_width", "angle_squared", "coefficient u, v or w of the Gaussian width squared"),
    ("instrument.lorentzian_width", "angle", "coefficient x or y of the Lorentzian width"),
    ("instrument.displacement", "length", "displacement of the sample from the axis"),
    ("layer.thickness", "length", "thickness of a layer"),
    ("layer.boundary", "length", "mean place of the boundary between two layers along the normal of the surface"),
    ("layer.roughness", "length", "standard deviation of a boundary along the surface, counting noise taken off"),
    ("layer.normal", "angle", "direction of the normal of a surface in an image, into the material, from x towards y"),
    ("layer.thickness_spread", "length", "standard deviation of a thickness between places or images of a sample"),
    ("layer.bulk_ratio", "dimensionless", "ratio of a layer's line to that of its substrate if both were bulk"),
    ("layer.coverage", "fraction", "share of a surface covered by a layer"),
    ("fit.serial_factor", "dimensionless", "factor by which serial correlation enlarges standard errors"),
    ("noise.factor", "dimensionless", "variance over mean of the intensities: 1 for counts"),
    (
        "comparison.difference",
        "dimensionless fraction length volume angle angle_squared displacement_squared intensity angle_area",
        "difference of one parameter between two engines, with the larger of their standard errors",
    ),
    ("signal.total", "intensity energy_area", "integrated signal"),
)


def nearest(word: str, known: list[str] | tuple[str, ...]) -> str | None:
    """Return the known word nearest to `word`, or None when none is near.

    Parameters
    ----------
    word : str
        What the user wrote.
    known : list or tuple of str
        What would have been understood.
    """
    by_lower = {candidate.lower(): candidate for candidate in known}
    found = get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.5)
    return by_lower[found[0]] if found else None


def units_of(name: str) -> tuple[str, ...]:
    """Return the units that a quantity of this name may be given in.

    Parameters
    ----------
    name : str
        A name of the vocabulary, or one beginning with ``x.``.

    Raises
    ------
    ValueError
        If the name is neither.
    """
    if name in VOCABULARY:
        return VOCABULARY[name].units
    if name.startswith("x.") and len(name) > 2:
        return tuple(dict.fromkeys(unit for units in DIMENSIONS.values() for unit in units))
    near = nearest(name, list(VOCABULARY))
    advice = f"did you mean {near!r}?" if near else "names outside it begin with 'x.'"
    raise ValueError(f"{name!r} is not in the vocabulary; {advice}")


def check_name_and_unit(name: str, unit: str) -> None:
    """Check that the name is known and that the unit belongs to the dimension declared for it.

    Parameters
    ----------
    name, unit : str
        Name and unit of a quantity.

    Raises
    ------
    ValueError
        If the name is unknown, or the unit is not one of its units.
    """
    units = units_of(name)
    if unit not in units:
        raise ValueError(f"unit {unit!r} does not fit {name!r}; expected one of {', '.join(units)}")
