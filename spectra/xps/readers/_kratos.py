"""What the fields of a Kratos dataset mean, in the binary file and in its text alike.

The numbers of the fields were read off two public programs that know them, and off a third by another author that
knows the text; none of their code is used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeAlias

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.measurement import IntensityUnit

from ..dataset import FloatArray, Spectrum, normalise_region

__all__ = ["ARRAYS", "NUMBERS", "Fields", "spectra"]

Fields: TypeAlias = "dict[int, str | float | np.ndarray]"

TECHNIQUE, SCAN, START, STEP, ABSCISSA, DWELL, UNIT, ORDINATE = 1, 2, 3, 4, 5, 7, 9, 12
NAME, PASS, SWEEPS, DATE, LENS, ANODE, X_RAYS, POSITION = 37, 42, 99, 151, 3049, 3053, 3080, 3087
WORK_FUNCTION, SYMBOL, TRANSITION, TF_ENERGY, TF_VALUE = 3112, 3113, 3114, 5615, 5616
NUMBERS = frozenset({START, STEP, DWELL, PASS, SWEEPS, WORK_FUNCTION})
ARRAYS = frozenset({ORDINATE, TF_ENERGY, TF_VALUE})
UNITS: dict[str, IntensityUnit] = {
    "counts": "counts",
    "counts/s": "counts/s",
    "counts/sec": "counts/s",
    "cps": "counts/s",
}
PHOTON_EV = {"AL": 1486.6, "MG": 1253.6, "AG": 2984.2}
"""Nominal energies: the file names the anode, and says no energy."""


def spectra(raw: RawFile, objects: Sequence[tuple[str, Fields]]) -> list[Spectrum]:
    """Return the spectra among the objects of a dataset, in its order.

    Parameters
    ----------
    raw : RawFile
    objects : sequence of tuple
        Name of each, and its fields by their numbers.

    Raises
    ------
    ReaderError
        If an object lacks what a spectrum needs, or none is a spectrum.
    """
    found: list[Spectrum] = []
    skipped: list[str] = []
    sample = ""
    for block, (name, fields) in enumerate(objects):
        sample = str(fields.get(POSITION, sample)).strip()
        if not isinstance(fields.get(ORDINATE), np.ndarray) or START not in fields:
            continue  # a position, a counter, a delay
        photon = _photon(fields)
        if photon is None or "XPS" not in str(fields.get(TECHNIQUE, "F_XPS")) or "MAP" in str(fields.get(SCAN, "")):
            skipped.append(name)
        else:
            found.append(_spectrum(raw, name, fields, photon, sample, block))
    if not found:
        why = f"; {', '.join(skipped)}: no XPS spectrum, or of an unknown anode" if skipped else ""
        raise raw.error(f"none of {len(objects)} objects is an XPS spectrum{why}")
    more = {"skipped": ", ".join(skipped)} if skipped else {}
    return [replace(spectrum, metadata={**spectrum.metadata, **more}) for spectrum in found]


def _photon(fields: Fields) -> float | None:
    said = f"{fields.get(X_RAYS, '')} {fields.get(ANODE, '')}".upper()
    anode = next((a for a in PHOTON_EV if re.search(rf"(?:_|\b){a}(?:_|\b)", said)), None)
    return None if anode is None else PHOTON_EV[anode]


def _spectrum(raw: RawFile, name: str, fields: Fields, photon: float, sample: str, block: int) -> Spectrum:
    start, step, counts = fields[START], fields.get(STEP), np.asarray(fields[ORDINATE], dtype=np.float64)
    if not isinstance(start, float) or not isinstance(step, float) or step == 0:
        raise raw.error(f"{name}: start or step of the energies is missing")
    if "kinetic" not in str(fields.get(ABSCISSA, "kinetic")).lower():
        raise raw.error(f"{name}: {fields[ABSCISSA]} instead of kinetic energies")
    kinetic = start + step * np.arange(counts.size, dtype=np.float64)
    label = f"{fields.get(SYMBOL, '')} {fields.get(TRANSITION, '')}".strip() or name.rpartition("/")[0] or name
    return Spectrum(
        region=normalise_region(label),
        region_label=label,
        axis=photon - kinetic,
        intensity=counts,
        intensity_unit=UNITS.get(str(fields.get(UNIT, "counts")).strip().lower(), "arbitrary"),
        dwell_time_s=_positive(fields, DWELL),
        scans=int(_positive(fields, SWEEPS) or 0) or None,
        transmission=_transmission(fields, kinetic),
        pass_energy_eV=_positive(fields, PASS),
        excitation_energy_eV=photon,
        work_function_eV=_positive(fields, WORK_FUNCTION),
        start_time=_date(str(fields.get(DATE, ""))),
        sample=sample,
        block=block,
        metadata={
            "lens": str(fields.get(LENS, "")),
            "photon energy": "nominal: the file names the anode",
        },
    )


def _positive(fields: Fields, field: int) -> float | None:
    value = fields.get(field)
    return value if isinstance(value, float) and value > 0 else None


def _transmission(fields: Fields, kinetic: FloatArray) -> FloatArray | None:
    """Return the transmission at the energies of a spectrum; None where its table does not reach."""
    energy, value = fields.get(TF_ENERGY), fields.get(TF_VALUE)
    if not isinstance(energy, np.ndarray) or not isinstance(value, np.ndarray) or energy.shape != value.shape:
        return None
    order = np.argsort(energy)
    inside = energy.size > 1 and energy.min() <= kinetic.min() and kinetic.max() <= energy.max()
    return np.interp(kinetic, energy[order], value[order]) if inside and bool((value > 0).all()) else None


def _date(text: str) -> datetime | None:
    """Return the moment of ``yy/mm/dd hh:mm:ss``, without a zone as the file has none."""
    try:
        return datetime.strptime(text.strip(), "%y/%m/%d %H:%M:%S")
    except ValueError:
        return None
