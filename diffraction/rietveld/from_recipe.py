"""From a recipe and its frames to what the engines take: patterns, phases, instrument, plan."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path

from layerscope.crystals import (
    CELL,
    FREE_CELL,
    Phase,
    Site,
    SiteMixing,
    available_phases,
    check_phase,
    crystal_system,
    load_phase,
)
from layerscope.errors import LayerscopeError, RecipeError
from layerscope.measured.archive import one_member
from layerscope.measured.files import load
from layerscope.measured.noise import with_poisson_errors
from layerscope.measured.text import decode

from ..frames import Frame, FrameSeries
from ..radiation import Radiation
from .gsas_prm import is_prm, to_instprm
from .model import Diffractometer, Instrument, PowderPattern, PowderPhase, Problem
from .recipe import GuestTable, InstrumentTable, PhaseTable, RietveldRecipe

__all__ = ["check_probe", "powder_pattern", "problem_of", "resolved_phase", "with_instrument"]

SAME_WAVELENGTH = 2e-3
_NEUTRONS = "the model has X-ray form factors only, no scattering lengths of neutrons"
_NEUTRONS_HINT = "le_bail = true gives the cells; the pipeline xrd_peaks follows single lines"


def check_probe(recipe: RietveldRecipe, series: FrameSeries) -> None:
    """Refuse neutron data: their intensities are not those of X-rays, and nothing in the answer would say so.

    Parameters
    ----------
    recipe : RietveldRecipe
    series : FrameSeries

    Raises
    ------
    RecipeError
        Unless only cells are asked for (Le Bail).
    """
    if recipe.le_bail:
        return
    table = series.table.radiation or recipe.radiation
    probe = None if table is None else table.probe
    if probe == "neutron":
        raise RecipeError(_NEUTRONS, source="radiation.probe", hint=_NEUTRONS_HINT)
    if probe is not None:
        return
    for frame in series.levels:
        found = frame.measurement.metadata
        if found.get("probe") == "neutron":
            raise RecipeError(
                f"these are neutrons, says the header ({found.get('probe_from', '')}): {_NEUTRONS}",
                source=series.files[frame.file].path,
                hint=f"{_NEUTRONS_HINT}; radiation.probe = 'x-ray' where the header misleads",
            )


def powder_pattern(frame: Frame, factor: float, noise: str) -> PowderPattern:
    """Return a frame as the engines take it, with the errors that its noise has.

    Parameters
    ----------
    frame : Frame
    factor : float
        Variance over mean, for ``noise = "scaled"``.
    noise : {"poisson", "scaled"}

    Raises
    ------
    DataError
        If the pattern cannot be refined, see `PowderPattern.check`.
    """
    pattern = frame.measurement if noise != "scaled" else with_poisson_errors(frame.measurement, factor)
    return PowderPattern.from_dataset(pattern, name=f"frame {frame.index}")


def problem_of(recipe: RietveldRecipe, radiation: Radiation) -> Problem:
    """Return the refinement that a recipe asks for.

    Parameters
    ----------
    recipe : RietveldRecipe
        Located, see `with_instrument`.
    radiation : Radiation
        Of the series.

    Raises
    ------
    RecipeError, DataError, ReaderError
        If a phase is not known or cannot be meant.
    """
    return Problem(
        phases=tuple(resolved_phase(recipe, table) for table in recipe.phases),
        instrument=_instrument(recipe.instrument, radiation),
        background=recipe.background,
        limits=recipe.range_2theta,
        le_bail=recipe.le_bail,
    )


def resolved_phase(recipe: RietveldRecipe, table: PhaseTable) -> PowderPhase:
    """Return a phase from the library or from a file, with what the recipe changes.

    Raises
    ------
    RecipeError, DataError, ReaderError
        Naming the phase.
    """
    try:
        phase = _loaded(recipe, table)
    except LayerscopeError as error:
        error.source = table.file or f"phases.{table.name}"
        raise
    cell = {key: getattr(table, key) for key in CELL if getattr(table, key) is not None}
    if cell:
        phase = phase.with_cell(**cell)
    for guest in table.guests:
        phase = _with_guest(phase, guest)
    if table.guests:
        check_phase(phase, source=f"phases.{table.name}.guests", bonds=False)
    sites = []
    for site in phase.sites:
        sites.append(replace(site, refine_occupancy=True) if site.label in table.refine_occupancy else site)
    for label in table.refine_occupancy:
        phase.site(label)  # refuses a label that is not there
    axis = table.texture_axis or (phase.texture_axis if table.texture else None)
    more: dict[str, float] = {}
    if table.size_nm is not None:
        more["size_nm"] = table.size_nm
    if table.microstrain_ppm is not None:
        more["microstrain_ppm"] = table.microstrain_ppm
    powder = PowderPhase.of(replace(phase, sites=tuple(sites), texture_axis=axis), **more)
    return powder.usable(le_bail=recipe.le_bail)


def _with_guest(phase: Phase, guest: GuestTable) -> Phase:
    """Return the phase with one more element on a site: the host gives what the guest takes, Biso is shared."""
    host = phase.site(guest.site)
    if guest.occupancy > host.occupancy:
        raise RecipeError(
            f"phase {phase.name}: {guest.element} cannot take {guest.occupancy:g} of {guest.site}, "
            f"which holds {host.occupancy:g}",
            source=f"phases.{phase.name}.guests",
        )
    label = guest.label or f"{guest.element}_{guest.site}"
    if any(s.label == label for s in phase.sites):
        raise RecipeError(
            f"phase {phase.name}: a site is called {label!r} already", source=f"phases.{phase.name}.guests"
        )
    new = Site(label, guest.element, *host.xyz, guest.occupancy, host.b_iso, host.refine_xyz, True, host.refine_b_iso)
    sites = [replace(s, occupancy=s.occupancy - guest.occupancy) if s.label == host.label else s for s in phase.sites]
    rule = next((r for r in phase.mixing if host.label in r.labels), None)
    mixing = [r for r in phase.mixing if r is not rule]
    labels = (host.label,) if rule is None else rule.labels
    total = host.occupancy if rule is None else rule.total
    return replace(phase, sites=(*sites, new), mixing=(*mixing, SiteMixing((*labels, label), total)))


def _bare(table: PhaseTable) -> Phase:
    """Return a phase without atoms, for Le Bail."""
    where = f"phases.{table.name}"
    symbol = str(table.space_group).strip()
    symbol = f"{symbol}:H" if symbol.startswith("R") and ":" not in symbol else symbol
    phase = Phase(table.name, symbol, (1.0, 1.0, 1.0, 90.0, 90.0, 120.0), (), source="the recipe")
    system = crystal_system(phase)  # the angle of 120 degrees chooses hexagonal axes for R groups
    needed, tied = FREE_CELL[system]
    missing = [key for key in needed if getattr(table, key) is None]
    if missing:
        raise RecipeError(f"the phase is {system}: its cell needs {', '.join(missing)}", source=where)
    found = {key: getattr(table, key) for key in needed}
    found |= {key: found[value] if isinstance(value, str) else value for key, value in tied.items()}
    for key in CELL:
        given = getattr(table, key)
        if given is not None and abs(given - found[key]) > 1e-9:
            raise RecipeError(f"the phase is {system}: {key} is {found[key]:g}, not {given:g}", source=where)
    return replace(phase, cell=tuple(float(found[key]) for key in CELL))


def _loaded(recipe: RietveldRecipe, table: PhaseTable) -> Phase:
    if table.space_group is not None:
        return _bare(table)
    if table.file is None:
        if table.library not in available_phases():  # a library name is no path
            hint = f"known: {', '.join(available_phases())}"
            raise RecipeError(f"phase {table.library!r} is not in the library", hint=hint)
        return load_phase(str(table.library), name=table.name)
    path = recipe.resolve(table.file)
    if table.member is None:
        return load_phase(str(path), name=table.name)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(table.member).name
        copy.write_bytes(one_member(load(path), table.member).data)
        return load_phase(str(copy), name=table.name)


def with_instrument(recipe: RietveldRecipe, radiation: Radiation) -> RietveldRecipe:
    """Return the recipe with every value of its instrument: what it does not give is what ``instprm`` says.

    Parameters
    ----------
    recipe : RietveldRecipe
        Located.
    radiation : Radiation
        Of the series.

    Raises
    ------
    ReaderError, DataError
        If the instrument parameters cannot be read.
    RecipeError
        If they are those of a neutron diffractometer, or of another wavelength.
    """
    table = recipe.instrument
    if table.instprm is None:
        return recipe
    text = decode(one_member(load(recipe.resolve(table.instprm)), table.instprm_member).data)
    try:
        text = to_instprm(text) if is_prm(text) else text
        found = Instrument.from_instprm(text)
    except LayerscopeError as error:
        error.source = table.instprm
        raise
    if not recipe.le_bail and re.search(r"^\s*Type\s*:\s*PN", text, re.MULTILINE):
        raise RecipeError(f"the instrument is one for neutrons: {_NEUTRONS}", source=table.instprm, hint=_NEUTRONS_HINT)
    if abs(found.wavelengths[0] / radiation.alpha1 - 1) > SAME_WAVELENGTH:
        raise RecipeError(
            f"the instrument's wavelength is {found.wavelengths[0]:g} Å, that of the series {radiation.alpha1:g} Å",
            source=table.instprm,
        )
    missing = set(Diffractometer.model_fields) - table.model_fields_set
    whole = table.model_copy(update={name: getattr(found, name) for name in missing})
    return recipe.model_copy(update={"instrument": whole}).located(recipe.folder)


def _instrument(table: InstrumentTable, radiation: Radiation) -> Instrument:
    waves = (radiation.alpha1,) if radiation.alpha2 is None else (radiation.alpha1, radiation.alpha2)
    values = {name: getattr(table, name) for name in Diffractometer.model_fields}
    return Instrument(**values, wavelengths=waves, ratio=0.0 if radiation.ratio is None else radiation.ratio)
