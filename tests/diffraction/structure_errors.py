"""How well the intensities of the declared lines are known, from the errors of their structures: first order.

``reference_data/peaks/lco_003_structures.toml`` holds the errors of the structures; what follows from them stands as
``intensity_error`` in ``lco_003.toml``.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, replace
from importlib.resources import files

from layerscope.diffraction.peaks.components import ComponentSet
from layerscope.diffraction.peaks.structure import intensity_of

from layerscope.crystals import Phase, Site, load_phase
from layerscope.errors import DataError


@dataclass(frozen=True)
class StructureError:
    """How well one parameter of a structure is known.

    Attributes
    ----------
    component : str
        Identifier in the set of components.
    parameter : str
        ``a``, ``c``, ``Co-O`` (Å), ``z:<site>``, ``occupancy:<site>`` (1) or ``b_iso:<site>`` (Å^2), see `perturbed`.
    sigma : float
        One standard error.
    source, status : str
        Where it comes from; ``read`` or ``assumed``.
    """

    component: str
    parameter: str
    sigma: float
    source: str
    status: str


def structure_errors(components: ComponentSet) -> tuple[StructureError, ...]:
    """Return the declared errors of the structures of a set, ``reference_data/peaks/<name>_structures.toml``.

    Raises
    ------
    DataError
        If the table is missing or not as it must be.
    """
    where = f"peaks/{components.name}_structures.toml"
    entry = files("layerscope.reference_data").joinpath("peaks", f"{components.name}_structures.toml")
    if not entry.is_file():
        raise DataError("the errors of the structures are not declared", source=where)
    try:
        rows = tuple(StructureError(**row) for row in tomllib.loads(entry.read_text(encoding="utf-8"))["error"])
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise DataError(f"not a table of errors: {error!r}", source=where) from error
    for row in rows:
        if row.component not in components.ids or not row.sigma > 0 or row.status not in ("read", "assumed"):
            raise DataError(f"{row.component}, {row.parameter} is not declared as it must be", source=where)
    return rows


def factor_errors(components: ComponentSet, wavelength: float) -> dict[str, float]:
    """Return the relative error of the intensity per weight of every component that has a structure.

    First order: half the difference of the logarithm of the intensity at plus and minus one standard error of a
    parameter, added in squares over the parameters, which are taken for independent.

    Parameters
    ----------
    components : ComponentSet
    wavelength : float
        Å.

    Raises
    ------
    DataError
        As `structure_errors` and `perturbed`.
    """
    variance: dict[str, float] = {c.id: 0.0 for c in components.components if c.phase}
    for row in structure_errors(components):
        component = components[row.component]
        phase = load_phase(component.phase)
        high, low = (
            math.log(intensity_of(perturbed(phase, row.parameter, sign * row.sigma), component, wavelength))
            for sign in (1.0, -1.0)
        )
        variance[row.component] += (0.5 * (high - low)) ** 2
    return {name: math.sqrt(value) for name, value in variance.items()}


def perturbed(phase: Phase, parameter: str, shift: float) -> Phase:
    """Return a trigonal layered oxide with one parameter shifted.

    Parameters
    ----------
    phase : Phase
        Slabs of one cobalt layer between two of oxygen, stacked along c (hexagonal axes).
    parameter : str
        ``c``: the slabs keep their thickness and the gaps take the change. ``a``: the distance Co-O is kept. ``Co-O``:
        oxygen moves along c. ``z:Co``: slabs move as a whole. ``occupancy:<site>``, ``b_iso:<site>``.
    shift : float
        In the unit of the parameter (Å, fraction of c, 1, Å^2).

    Raises
    ------
    DataError
        If the structure has no such parameter.
    """
    kind, _, label = parameter.partition(":")
    if kind in ("occupancy", "b_iso"):
        if label not in {s.label for s in phase.sites}:
            raise DataError(f"{phase.name} has no site {label!r}", source=parameter)
        sites = tuple(
            replace(s, **{kind: max(getattr(s, kind) + shift, 0.0)}) if s.label == label else s for s in phase.sites
        )
        return replace(phase, sites=sites)
    if parameter not in ("a", "c", "Co-O", "z:Co"):
        raise DataError(f"no parameter {parameter!r}", source=phase.name, hint="a, c, Co-O, z:Co, occupancy:, b_iso:")
    a, c = phase.cell[0], phase.cell[2]
    new_a, new_c = a + shift * (kind == "a"), c + shift * (kind == "c")
    cobalt = next((s for s in phase.sites if s.label == "Co"), None)
    if cobalt is None:
        raise DataError(f"{phase.name} has no site 'Co'", source=parameter)
    z = cobalt.z + shift * (kind == "z")
    moved: list[Site] = []
    for site in phase.sites:
        if site.element.startswith("O"):
            site = _ridden(site, cobalt.z, z, phase.space_group, (a, c), (new_a, new_c), shift * (kind == "Co-O"))
        moved.append(replace(site, z=z) if site is cobalt else site)
    return replace(phase, cell=(new_a, new_a, new_c, *phase.cell[3:]), sites=tuple(moved))


def _ridden(
    oxygen: Site,
    z: float,
    new_z: float,
    group: str,
    cell: tuple[float, float],
    new_cell: tuple[float, float],
    stretch: float,
) -> Site:
    """Return an oxygen site that stays with its slab: the image of cobalt at `z` next to it along c."""
    centring = (0.0, 1.0 / 3.0, 2.0 / 3.0) if group.startswith("R") else (0.0,)
    images = [(sign, t + n) for sign in (1.0, -1.0) for t in centring for n in (-1.0, 0.0, 1.0)]
    sign, at = min(images, key=lambda i: abs(i[0] * z + i[1] - oxygen.z))
    height = (oxygen.z - sign * z - at) * cell[1]  # Å above the cobalt layer
    bond = math.sqrt(height**2 + cell[0] ** 2 / 3.0) + stretch
    new_height = math.copysign(math.sqrt(bond**2 - new_cell[0] ** 2 / 3.0), height)
    return replace(oxygen, z=sign * new_z + at + new_height / new_cell[1])
