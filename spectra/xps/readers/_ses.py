"""What the text and the Igor waves of Scienta's SES have in common: the entries of a region and what they mean."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.measurement import IntensityUnit
from layerscope.measured.text import positive, whole

from ..dataset import FloatArray, Spectrum, normalise_region
from ._base import binding_energy

__all__ = ["ses_spectrum"]


def ses_spectrum(
    raw: RawFile,
    entries: Mapping[str, str],
    axis: FloatArray,
    counts: FloatArray,
    *,
    axis_label: str,
    region: int = 1,
    general: Mapping[str, str] | None = None,
) -> Spectrum:
    """Return the spectrum of a region.

    SES does not write the unit of its intensities: whole numbers are taken as counts, others as a rate, and
    ``metadata["unit"]`` says so.

    Parameters
    ----------
    raw : RawFile
    entries : mapping of str to str
        Of the region, as SES names them.
    axis, counts : ndarray, shape (n,)
        Energies (eV) as in the file, and intensities added up over slices.
    axis_label : str
        What the file calls the axis.
    region : int, default 1
        Number of the region in the file.
    general : mapping of str to str, optional
        Entries of the whole file.

    Raises
    ------
    ReaderError
        If the energies are neither kinetic nor binding, or kinetic without a photon energy.
    """
    label = entries.get("Region Name", "") or f"Region {region}"
    photon, sweeps = positive(entries.get("Excitation Energy")), whole(entries.get("Number of Sweeps"))
    unit: IntensityUnit = "counts" if bool((counts == np.round(counts)).all()) else "counts/s"
    return Spectrum(
        region=normalise_region(label),
        region_label=label,
        axis=binding_energy(raw, f"region {region} ({label})", axis_label, axis, photon),
        intensity=counts,
        intensity_unit=unit,
        dwell_time_s=_dwell(entries, sweeps),
        scans=sweeps,
        pass_energy_eV=positive(entries.get("Pass Energy")),
        excitation_energy_eV=photon,
        sample=entries.get("Sample", ""),
        block=region - 1,
        comments=tuple(filter(None, [entries.get("Comments", "")])),
        metadata={
            **(general or {}),
            **{key: value for key, value in entries.items() if "scale" not in key.lower()},
            "unit": f"{unit}, taken from the values: the format does not name it",
        },
    )


def _dwell(entries: Mapping[str, str], sweeps: int | None) -> float | None:
    """Return the time per point and sweep in s; a swept detector visits a point with each of its channels."""
    total = positive(entries.get("Time per Spectrum Channel"))
    if total is not None and sweeps:
        return total / sweeps
    step = positive(entries.get("Step Time"))
    return None if step is None else step / 1000.0
