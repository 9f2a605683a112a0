"""A spectrum of the electron microscope, or a spectrum image: one spectrum at each place of a line or a map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError
from layerscope.measured.measurement import Measurement, Recording

__all__ = ["SpectrumImage", "SpectrumRecording"]


@dataclass(frozen=True, eq=False)
class SpectrumImage(Measurement):
    """What a file of the microscope holds: energies (eV), and the spectrum of every place; `intensity` is their sum.

    Parameters
    ----------
    image : ndarray, shape (rows, columns, n), optional
        In the type of the file; None where there is one spectrum.
    step_nm : (float, float)
        Distance of rows and of columns; NaN where the file gives none.
    kind : str
        ``"EELS"``, ``"EDS"``, or nothing where the file does not say.
    title : str
        As the file has it.
    beam_kV : float, optional
    """

    image: NDArray[Any] | None = None
    step_nm: tuple[float, float] = (np.nan, np.nan)
    kind: str = ""
    title: str = ""
    beam_kV: float | None = None

    AXIS_WORDS: ClassVar[tuple[str, str]] = ("an energy", "energies")

    @property
    def name(self) -> str:
        """What the messages call it."""
        return f"spectrum {self.index}" + (f" ({self.source})" if self.source else "")

    @property
    def axis_name(self) -> str:
        """What the axis is."""
        return "energy_loss" if self.kind != "EDS" else "photon_energy"

    @property
    def axis_unit(self) -> str:
        """Unit of the axis."""
        return "eV"

    @property
    def may_be_negative(self) -> bool:
        """Energy losses are read out above a dark level that was taken off; X-rays are counted."""
        return self.kind != "EDS"

    @property
    def places(self) -> tuple[int, int]:
        """Rows and columns."""
        return (1, 1) if self.image is None else (self.image.shape[0], self.image.shape[1])

    def placed(self, index: int, source: str, scan: int) -> Self:
        """Return it with its place in what was read. Zeros at the end are as measured: X-rays end with the beam."""
        return replace(self, index=index, source=source, scan=scan).ascending()

    def reordered(self, order: slice | NDArray[np.intp]) -> Self:
        """Return it with its points in another order."""
        one = super().reordered(order)
        return one if self.image is None else replace(one, image=self.image[..., order])

    def check(self, source: str | Path | None = None) -> None:
        """Refuse values that no analysis could use, see `Measurement.check`; at every place.

        Raises
        ------
        DataError
        """
        super().check(source)
        if self.image is not None and not np.isfinite(self.image).all():
            raise DataError(f"{self.name} has places whose counts are NaN or infinite", source=source)


@dataclass(frozen=True, eq=False)
class SpectrumRecording(Recording[SpectrumImage]):
    """The spectra of a file, a folder or an archive."""
