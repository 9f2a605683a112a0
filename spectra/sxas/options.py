"""What a recipe may say of scans: their files, what columns mean, how they are normalised and aligned."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from layerscope.measured import options
from layerscope.measured.delimited import Column, ColumnsTable

from .scan import SIGNALS

__all__ = ["Mode", "ScanColumnsTable", "SeriesTable"]

Mode = Literal["tey", "aey", "pey", "tfy", "pfy", "ipfy", "mu"]
"""A signal that can stand for the absorption."""


class ScanColumnsTable(ColumnsTable):
    """What the columns of a plain text file mean, and how they are written."""

    energy: Column = Field(default=0, description="column of the photon energy: its name, or its number from 0")
    energy_unit: Literal["eV", "keV"] = Field(default="eV", description="of the photon energy")
    i0: Column | None = Field(default=None, description="column of the incident flux")
    i0_other: Column | None = Field(default=None, description="column of a second monitor")
    tey: Column | None = Field(default=None, description="column of the total electron yield")
    aey: Column | None = Field(default=None, description="column of the Auger electron yield")
    pey: Column | None = Field(default=None, description="column of the partial electron yield")
    tfy: Column | None = Field(default=None, description="column of the total fluorescence yield")
    pfy: Column | None = Field(default=None, description="column of a partial fluorescence yield")
    ipfy: Column | None = Field(default=None, description="column of an inverse partial fluorescence yield")
    mu: Column | None = Field(default=None, description="column of an absorption, divided by the flux already")
    reference: Column | None = Field(default=None, description="column of the reference sample's signal")
    diode: Column | None = Field(default=None, description="column of a photodiode in place of the sample")
    dwell_s: Column | None = Field(default=None, description="column of the counting time of each point, s")
    divided: bool = Field(default=False, description="the signals are divided by the incident flux already")
    edge: str = Field(default="", description="edge that was measured, e.g. 'O K'")

    @property
    def roles(self) -> dict[str, Column]:
        """Columns of the channels by role."""
        names = (*SIGNALS, "i0", "i0_other", "reference", "diode")
        found = {name: getattr(self, name) for name in names}
        return {name: column for name, column in found.items() if column is not None}

    @model_validator(mode="after")
    def _some_signal(self) -> Self:
        if not set(self.roles) & set(SIGNALS):
            raise ValueError(f"columns: name the column of a signal, one of {', '.join(SIGNALS)}")
        return self


class SeriesTable(options.SeriesTable):
    """The scans of one sample at one edge: repeats, each in a file of its own or several in one."""

    columns: ScanColumnsTable | None = Field(default=None, description="meaning of the columns of a text file")
