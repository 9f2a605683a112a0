"""Data, fit, background, components and parameters of a region as arrays of the run folder."""

from __future__ import annotations

import numpy as np

from layerscope.runs.arrays import SeriesArrays, SeriesParameter

from .profile import Profile
from .regionresult import RegionFit
from .series import LEVEL_UNITS, RegionSpectra, metadata

__all__ = ["region_arrays"]


def region_arrays(profile: Profile, result: RegionFit, spectra: RegionSpectra) -> SeriesArrays:
    """Return the arrays of a region at all its levels.

    Parameters
    ----------
    profile : Profile
    result : RegionFit
    spectra : RegionSpectra
        What was fitted.

    Returns
    -------
    SeriesArrays
        Energies as measured (eV); intensities in the unit of the spectra, NaN at points that hold no counts.
    """
    fit = result.fit
    times = spectra.times if spectra.times is not None else np.zeros(spectra.y.shape[0])
    info = metadata(spectra.spectra)
    info |= {
        "background": result.background.label,
        "redchi": fit.redchi,
        "aic": fit.aic,
        "bic": fit.bic,
        "charge_reference": profile.recipe.charge.species,
        "charge_reference_energy_eV": profile.recipe.charge.energy_eV,
        **{f"shape:{c.species}": c.line_shape for c in result.components},
        **{f"color_order:{c.species}": i for i, c in enumerate(result.components)},
    }
    return SeriesArrays.of_fit(
        fit,
        {c.name: c.species for c in result.components},
        name=profile.context.series_name(*((profile.series.name,) if profile.series.name else ()), result.region.name),
        technique="xps",
        title=f"{profile.sample}: {result.region.name}",
        sample=profile.sample,
        axis_name="binding_energy",
        axis_unit="eV",
        levels=times,
        level_name=profile.level_kind,
        level_unit=LEVEL_UNITS[profile.level_kind],
        parameters=_parameters(result),
        intensity_unit=spectra.unit,
        area_unit=f"{spectra.unit}*eV",
        metadata=info,
        base=profile.context.base,
    )


def _parameters(result: RegionFit) -> dict[str, SeriesParameter]:
    """Return every declared and tied parameter at all levels."""
    fit, found = result.fit, {}
    for name in fit.batch.evaluator.layout.all_names:
        p = result.built.parameters[name]
        sigma = fit.sigma(name)
        scope = result.built.scopes.get(name, "shared")
        fixed = not (sigma > 0).any()
        found[name] = SeriesParameter(
            fit.value(name),
            np.where(sigma > 0, sigma, np.nan),
            _unit(name),
            float(p.init_value) if p.init_value is not None else None,
            float(p.min) if np.isfinite(p.min) else None,
            float(p.max) if np.isfinite(p.max) else None,
            "fixed" if fixed else "shared" if scope == "shared" else "pattern" if scope == "per_pattern" else "smooth",
        )
    return found


def _unit(name: str) -> str:
    if name.endswith(("_center", "_fwhm", "_splitting")) or name == "shift":
        return "eV"
    return {"shirley_k": "1/eV", "tougaard_b": "eV^2", "tougaard_c": "eV^2", "tougaard_d": "eV^2"}.get(name, "1")
