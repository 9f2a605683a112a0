"""What ``layerscope export`` writes of a diffraction run: the phase-fraction table, powder CIF, and NXmonopd patterns.

The pipelines of this wing hand out `FORMATS` from their method ``exports()``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from layerscope.runs.store import write_atomic

from .figure_data import SeriesView, collect_views
from .phase_table import PhaseSeries, collect_series, number_columns

if TYPE_CHECKING:
    from layerscope.runs.load import Run

__all__ = ["FORMATS", "export_monopd", "export_pdcif", "export_phases", "views_by_stem"]


def _with_phases(run: Run) -> dict[str, list[PhaseSeries]]:
    """Return the series that have phase fractions, by pipeline."""
    found: dict[str, list[PhaseSeries]] = {}
    for series in collect_series(run.records):
        if series.phases:
            found.setdefault(series.method.partition(".")[0], []).append(series)
    return found


def export_phases(run: Run, folder: Path) -> list[Path]:
    """Write ``phase_fractions_<pipeline>.parquet`` and ``.csv``: one row a frame, numbers with their standard errors.

    Parameters
    ----------
    run : Run
        Only its records are used.
    folder : Path
        Must exist.

    Returns
    -------
    list of Path
        Empty where no record has a phase fraction.
    """
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    written = []
    for pipeline, series in _with_phases(run).items():
        table = number_columns(series)
        stem = folder / f"phase_fractions_{pipeline}"
        parquet, text = io.BytesIO(), io.BytesIO()
        pq.write_table(table, parquet, compression="zstd")
        pc.write_csv(table, text, pc.WriteOptions(quoting_style="needed"))
        for ending, buffer in (("parquet", parquet), ("csv", text)):
            path = stem.with_name(f"{stem.name}.{ending}")
            write_atomic(path, buffer.getvalue())
            written.append(path)
    return written


def views_by_stem(run: Run) -> dict[str, SeriesView]:
    """Return the views of a run by a file name that no two share: two methods may rest on the same arrays."""
    views = [view for view in collect_views(run) if view.series.phases]
    stems = [view.series.name for view in views]
    return {
        name if stems.count(name) == 1 else f"{name}_{view.series.method.replace('.', '_')}": view
        for name, view in zip(stems, views, strict=True)
    }


def export_pdcif(run: Run, folder: Path) -> list[Path]:
    """Write ``<series>.cif``: powder CIF, one data block a pattern.

    Raises
    ------
    StoreError
        If arrays of the run are missing or damaged.
    """
    from .pdcif_export import pdcif_text

    written = []
    for stem, view in views_by_stem(run).items():
        path = folder / f"{stem}.cif"
        write_atomic(path, pdcif_text(view).encode("ascii"))
        written.append(path)
    return written


def export_monopd(run: Run, folder: Path) -> list[Path]:
    """Write ``<series>_monopd.nxs``: patterns with their fit as NXmonopd, one entry a pattern.

    Raises
    ------
    StoreError
        If arrays of the run are missing or damaged.
    """
    from .nexus import write_monopd

    written: list[Path] = []
    for name in run.arrays:
        series = run.arrays[name].load()
        if series.axis_name == "two_theta":
            path = folder / f"{name}_monopd.nxs"
            write_monopd(path, series)
            written.append(path)
    return written


FORMATS: Mapping[str, Callable[[Run, Path], list[Path]]] = MappingProxyType(
    {
        "phases": export_phases,
        "pdcif": export_pdcif,
        "nxmonopd": export_monopd,
    }
)
"""Formats of this wing for ``layerscope export``."""
