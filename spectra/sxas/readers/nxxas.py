"""NeXus files of X-ray absorption (NXxas): the released definition, the working group's, and Diamond's.

- released (NeXus 2024): a monochromator's energy, detectors ``incoming_beam`` and ``absorbed_beam``, ``data/mode``;
- working group (nexusformat/definitions, pull request 1352): ``energy``, ``intensity``, ``element``, ``edge``, ``mode``
  in the entry itself;
- Diamond (as its mmg_toolbox reads it): an NXsubentry, or entry, with one NXdata a detection mode and an NXmonitor.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from layerscope.measured.files import RawFile
from layerscope.measured.hdf import MAGIC, text, values
from layerscope.measured.measurement import FloatArray
from layerscope.measured.text import moment

from ..edges import normalise_edge
from ..scan import SIGNALS, Scan
from ._base import photon_energies

__all__ = ["read", "sniff"]

_MODES = {
    "total electron yield": "tey",
    "partial electron yield": "pey",
    "auger electron yield": "aey",
    "fluorescence yield": "tfy",
    "total fluorescence yield": "tfy",
    "partial fluorescence yield": "pfy",
    "transmission": "mu",
} | {mode: mode for mode in SIGNALS}
_ENERGIES = ("energy", "instrument/monochromator/energy", "data/energy", "monochromator/energy")


def sniff(raw: RawFile) -> bool:
    """Tell whether it is HDF5 that names the definition, and none that is derived from it."""
    return raw.data[:8] == MAGIC and b"NXxas" in raw.data.replace(b"NXxasproc", b"").replace(b"NXxas_", b"")


def read(raw: RawFile) -> list[Scan]:
    """Read every entry that follows one of the three."""
    h5py = import_module("h5py")
    with h5py.File(io.BytesIO(raw.data), "r") as file:
        return [_scan(raw, group) for group in _groups(file, ("NXentry", "NXsubentry"), deep=True) if _is(raw, group)]


def _is(raw: RawFile, group: Any) -> bool:
    return text(raw, group, "definition") == "NXxas"


def _attribute(group: Any, key: str) -> str:
    value = group.attrs.get(key, "")
    return value.decode() if isinstance(value, bytes) else str(value)


def _groups(parent: Any, classes: tuple[str, ...], *, deep: bool = False) -> Iterator[Any]:
    """Yield groups of NeXus classes in a group that lie in this file, and if `deep` those inside them."""
    h5py = import_module("h5py")
    for name in parent:
        if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
            continue
        group = parent[name]
        if isinstance(group, h5py.Group) and _attribute(group, "NX_class") in classes:
            yield group
            if deep:
                yield from _groups(group, classes, deep=True)


def _scan(raw: RawFile, entry: Any) -> Scan:
    where = f"the entry {entry.name!r}"
    found = values(raw, entry, _ENERGIES) or _of_instrument(raw, entry, "NXmonochromator", "energy")
    if found is None:
        raise raw.error(f"{where} has no energies")
    energy = photon_energies(raw, f"energy of {entry.name}", found[0], found[1] or "eV")
    channels, labels, divided = _channels(raw, entry)
    if not channels:
        raise raw.error(f"{where} has neither intensity nor absorbed_beam")
    symbol = text(raw, entry, "element/symbol") or text(raw, entry, "element")
    shell = text(raw, entry, "edge/name") or text(raw, entry, "edge")
    return Scan.of(
        energy,
        {role: array.ravel() for role, array in channels.items()},
        labels=labels,
        ratios=divided,
        edge=normalise_edge(f"{symbol} {shell}") if symbol and shell else "",
        sample=text(raw, entry, "sample/name") or text(raw, entry, "title"),
        start_time=moment(text(raw, entry, "start_time")),
        metadata={"entry": str(entry.name), "title": text(raw, entry, "title")},
        convention="as the file has it",
    )


def _channels(raw: RawFile, entry: Any) -> tuple[dict[str, FloatArray], dict[str, str], frozenset[str]]:
    """Return channels by role, their names, and which are divided by the incident flux."""
    mode = _MODES.get(_mode(raw, entry).lower(), "mu")
    plain = values(raw, entry, ("intensity",))
    if plain is not None:
        return {mode: plain[0]}, {mode: "intensity"}, frozenset({mode})
    channels: dict[str, FloatArray] = {}
    labels: dict[str, str] = {}
    for data in _groups(entry, ("NXdata",)):
        role = _MODES.get(text(raw, data, "mode").lower())
        one = values(raw, data, (_attribute(data, "signal") or "data", "absorbed_beam", "data"))
        if role is not None and one is not None:
            channels[role], labels[role] = one[0], data.name
    absorbed = values(raw, entry, ("instrument/absorbed_beam/data",)) or _of_instrument(
        raw, entry, "NXdetector", "data", "absorbed_beam"
    )
    if absorbed is not None and mode not in channels:
        channels[mode], labels[mode] = absorbed[0], "absorbed_beam"
    flux = values(raw, entry, ("instrument/incoming_beam/data", "monitor/data", "control/data"))
    for monitor in () if flux is not None else _groups(entry, ("NXmonitor",)):
        flux = values(raw, monitor, (_attribute(monitor, "signal") or "data", "data"))
    if flux is not None and channels:
        channels["i0"], labels["i0"] = flux[0], "incoming_beam"
    divided = frozenset() if flux is not None else frozenset(channels)
    return channels, labels, divided


def _mode(raw: RawFile, entry: Any) -> str:
    return text(raw, entry, "mode/name") or text(raw, entry, "data/mode") or text(raw, entry, "mode")


def _of_instrument(
    raw: RawFile, entry: Any, nx_class: str, field: str, name: str | None = None
) -> tuple[FloatArray, str] | None:
    """Return a field of the first group of a class inside the instrument."""
    for instrument in _groups(entry, ("NXinstrument",)):
        for group in _groups(instrument, (nx_class,)):
            if name is None or group.name.rsplit("/", 1)[-1] == name:
                found = values(raw, group, (field,))
                if found is not None:
                    return found
    return None
