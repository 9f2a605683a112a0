"""What ``layerscope export`` writes of an absorption run: NXxasproc, an Athena project, and XDI."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from layerscope.errors import StoreError
from layerscope.runs.store import write_atomic
from layerscope.version import __version__

if TYPE_CHECKING:
    from layerscope.measured.measurement import FloatArray
    from layerscope.runs.load import Run

__all__ = ["FORMATS", "export_athena", "export_nxxasproc", "export_xdi"]

Metadata = Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True)
class _Exported:
    """One spectrum of a run: its points that were used."""

    name: str
    title: str
    sample: str
    energy: FloatArray
    mu: FloatArray
    sigma: FloatArray
    normalised: FloatArray | None
    about: Metadata
    created: str

    def text(self, key: str) -> str:
        value = self.about.get(key)
        return "" if value is None else str(value)

    def number(self, key: str) -> float | None:
        value = self.about.get(key)
        return float(value) if isinstance(value, int | float) else None


def _spectra(run: Run) -> Iterator[_Exported]:
    """Yield the spectra of a run; arrays of fits are none."""
    created = {Path(a.file).stem: record.created for record in run.records for a in record.arrays}
    for name, lazy in run.arrays.items():
        if lazy.axis_name != "energy" or "mode" not in lazy.metadata or lazy.shape[0] != 1:
            continue
        series = lazy.load()
        used = np.isfinite(series.counts[0])
        normalised = next((curve[0][used] for curve in series.components.values()), None)
        yield _Exported(
            name=name,
            title=series.title,
            sample=series.sample,
            energy=series.axis[used],
            mu=series.counts[0][used],
            sigma=np.sqrt(series.variance[0][used]),
            normalised=normalised,
            about=series.metadata,
            created=created.get(name, str(run.info.get("created", ""))),
        )


def export_nxxasproc(run: Run, folder: Path) -> list[Path]:
    """Write ``<spectrum>_xasproc.nxs``: one NXxasproc entry each, with the hashes of the raw files.

    Parameters
    ----------
    run : Run
    folder : Path
        Must exist.

    Returns
    -------
    list of Path

    Raises
    ------
    StoreError
        If arrays are damaged, or a file cannot be written.
    """
    written = []
    for one in _spectra(run):
        path = folder / f"{one.name}_xasproc.nxs"
        write_atomic(path, _nexus(one, path))
        written.append(path)
    return written


def _nexus(one: _Exported, path: Path) -> bytes:
    from layerscope.runs.nexus_image import Group, file_image
    from layerscope.runs.nexus_layout import add_field, add_group, set_attribute

    root = Group(attributes={"NX_class": "NXroot", "default": "entry"})
    entry = add_group(root, "entry", "NXentry")
    set_attribute(entry, "default", "data")
    add_field(entry, "title", one.title)
    add_field(entry, "definition", "NXxasproc")
    add_field(add_group(entry, "sample", "NXsample"), "name", one.sample)
    process = add_group(entry, "XAS_data_reduction", "NXprocess")
    add_field(process, "program", "layerscope")
    add_field(process, "version", __version__)
    add_field(process, "date", one.created)
    parameters = add_group(process, "parameters", "NXparameters")
    add_field(parameters, "raw_file", one.text("raw_files"), description="SHA-256 and name, a line a file")
    for key, value in sorted(one.about.items()):
        if key != "raw_files" and value is not None:
            add_field(parameters, key, value)
    data = add_group(entry, "data", "NXdata")
    set_attribute(data, "signal", "data")
    set_attribute(data, "axes", ["energy"])
    set_attribute(data, "energy_indices", 0)
    add_field(data, "energy", one.energy, "eV", axis=1)
    values = one.mu if one.normalised is None else one.normalised
    scale = 1.0 if one.normalised is None else one.number("normalisation") or 1.0
    add_field(data, "data", values, "1", signal=1, long_name=one.text("normalised_by") or "signal over flux")
    add_field(data, "data_errors", one.sigma / scale, "1")
    try:
        return file_image(root)
    except (OSError, RuntimeError) as error:
        raise StoreError(f"it cannot be written: {error}", source=path) from error


def export_athena(run: Run, folder: Path) -> list[Path]:
    """Write ``<run>.prj``: all spectra as groups of one Athena project, with element, edge, e0 and ranges.

    Energies are calibrated already: the shift of every group is zero.

    Raises
    ------
    StoreError
        If arrays are damaged, or the file cannot be written.
    """
    spectra = list(_spectra(run))
    if not spectra:
        return []
    lines = ["# Athena project file -- Demeter version 0.9.25", f"# Written by layerscope {__version__}", ""]
    for number, one in enumerate(spectra):
        lines += [f"$old_group = '{_tag(number)}';", f"@args = ({_listed(_arguments(one, _tag(number)))});"]
        lines += [f"@x = ({_numbers(one.energy)});", f"@y = ({_numbers(one.mu)});"]
        lines += [f"@stddev = ({_numbers(one.sigma)});", "[record]", ""]
    lines += ["@journal = ();", "", "1;", "", "# Local Variables:", "# truncate-lines: t", "# End:", ""]
    path = folder / f"{run.folder.name}.prj"
    write_atomic(path, gzip.compress("\n".join(lines).encode(), mtime=0))
    return [path]


def _tag(number: int) -> str:
    """Return a name of five letters, as Athena's groups have."""
    letters = ""
    for _ in range(5):
        number, letter = divmod(number, 26)
        letters = chr(ord("a") + letter) + letters
    return letters


def _arguments(one: _Exported, tag: str) -> dict[str, str]:
    """Return the settings of a group; ranges are relative to e0, as Athena has them."""
    e0 = one.number("at_eV")
    shell = one.text("shell")
    found = {
        "label": one.sample if one.sample == one.title else f"{one.sample}, {one.text('edge')} {one.text('mode')}",
        "group": tag,
        "datagroup": tag,
        "tag": tag,
        "atsym": one.text("element"),
        "edge": shell,
        "fft_edge": shell.lower(),
        "bkg_z": one.text("element"),
        "bkg_eshift": "0",
        "bkg_nnorm": "1",
        "bkg_fixstep": "0",
        "datatype": "xmu",
        "is_xmu": "1",
        "is_xanes": "1",
        "is_col": "1",
        "is_nor": "0",
        "is_kev": "0",
        "npts": str(one.energy.size),
        "xmin": f"{one.energy[0]:.6f}",
        "xmax": f"{one.energy[-1]:.6f}",
        "source": one.text("raw_files").replace("\n", "; "),
    }
    if e0 is not None:
        found["bkg_e0"] = f"{e0!r}"
        ranges = {"pre1": "pre_low", "pre2": "pre_high", "nor1": "post_low", "nor2": "post_high"}
        for key, ours in ranges.items():
            if (limit := one.number(f"{ours}_eV")) is not None:
                found[f"bkg_{key}"] = f"{limit - e0:.6f}"
    return found


def _listed(settings: Mapping[str, str]) -> str:
    return ",".join(_quoted(text) for item in settings.items() for text in item)


def _quoted(text: str) -> str:
    plain = re.sub(r"[^\x20-\x7e]", "?", text)
    return "'" + plain.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _numbers(values: FloatArray) -> str:
    return ",".join(f"'{float(value)!r}'" for value in values)


def export_xdi(run: Run, folder: Path) -> list[Path]:
    """Write ``<spectrum>.xdi``: energy, signal over flux, its error, and the normalised spectrum where there is one.

    Raises
    ------
    StoreError
        If arrays are damaged, or a file cannot be written.
    """
    written = []
    for one in _spectra(run):
        path = folder / f"{one.name}.xdi"
        write_atomic(path, _xdi(one).encode())
        written.append(path)
    return written


def _xdi(one: _Exported) -> str:
    columns = {"energy": one.energy, "mu": one.mu, "mu_error": one.sigma}
    if one.normalised is not None:
        columns["norm"] = one.normalised
    fields = {
        "Element.symbol": one.text("element"),
        "Element.edge": one.text("shell"),
        "Sample.name": one.sample,
        "Scan.start_time": one.text("start_time"),
        "Scan.edge_energy": one.text("at_eV"),
        "Detector.mode": one.text("mode"),
        "Layerscope.energy_shift": f"{one.text('shift_eV')} eV",
        "Layerscope.normalised_by": one.text("normalised_by"),
        "Layerscope.convention": one.text("convention"),
    }
    fields |= {f"Raw.file_{k}": line for k, line in enumerate(one.text("raw_files").splitlines(), start=1)}
    head = [f"# XDI/1.0 layerscope/{__version__}", "# Column.1: energy eV"]
    head += [f"# Column.{k}: {name}" for k, name in enumerate(list(columns)[1:], start=2)]
    head += [f"# {key}: {_one_line(value)}" for key, value in fields.items() if value.strip()]
    head += ["# ///", f"# {_one_line(one.title)}", "# ---", "# " + " ".join(columns)]
    rows = (" ".join(f"{value:.12g}" for value in row) for row in zip(*columns.values(), strict=True))
    return "\n".join([*head, *rows, ""])


def _one_line(text: str) -> str:
    return " ".join(text.split())


FORMATS: Mapping[str, Callable[[Run, Path], list[Path]]] = MappingProxyType(
    {"nxxasproc": export_nxxasproc, "prj": export_athena, "xdi": export_xdi}
)
"""Writers by the name that ``layerscope export --format`` takes."""
