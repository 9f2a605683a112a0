"""XDI, the exchange format for single scans (version 1.0), read strictly: what it forbids is refused or flagged.

A line that is no header, a table with rows of unequal length, texts or NaN in it, and energies that cannot be known are
errors. What the format requires or recommends of the header and the numbers do not rest on is a flag.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.measurement import FloatArray
from layerscope.measured.text import decode, number, numbers
from layerscope.reference import read_tables

from ..edges import normalise_edge
from ..scan import Scan
from ._base import ENERGY_UNITS, photon_energies

__all__ = ["read", "sniff"]

_VERSION = re.compile(rb"\s*#\s*XDI/1")
_FIELD = re.compile(r"([A-Za-z]\w*)\.(\w+):\s*(\S.*)")
_COLUMN = re.compile(r"^\s*column\.(\d+)$", re.IGNORECASE)
_ROLES = {
    "i0": "i0",
    "mutrans": "mu",
    "mufluor": "mu",
    "normtrans": "mu",
    "normfluor": "mu",
    "mu": "mu",
    "norm": "mu",
    "tey": "tey",
    "tfy": "tfy",
    "pfy": "pfy",
    "pey": "pey",
    "ifluor": "tfy",
    "iref": "reference",
    "irefer": "reference",
}
_EDGES = re.compile(r"K|L[1-3]?|M[1-5]?|N[1-7]?|O[1-7]?")
_RECOMMENDED = ("facility.name", "facility.xray_source", "beamline.name", "scan.start_time", "sample.name")
_UNITS = {"sample.temperature": "K C F", "facility.energy": "GeV MeV", "facility.current": "mA A"}
HC_EV_ANGSTROM = 12398.419843320026
"""Planck's constant times the speed of light (CODATA 2018, exact), eV times angstrom."""


def sniff(raw: RawFile) -> bool:
    """Tell whether the file says XDI at its top, or has the first field of its header there."""
    return _VERSION.match(raw.data[:80]) is not None or raw.data[:400].lstrip().lower().startswith(b"# column.1:")


def read(raw: RawFile) -> list[Scan]:
    """Read the one scan of a file."""
    if _VERSION.match(raw.data[:80]) is None:
        raise raw.error("the first line does not say '# XDI/1.0'")
    lines = decode(raw.data).splitlines()
    first = next((k for k, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), len(lines))
    header, comments, flags = _header(raw, lines[:first])
    values = _table(raw, lines, first)
    labels = _labels(raw, header, lines[:first], values.shape[1], flags)
    energy = _energies(raw, header, labels, values)
    flags += _about(header)
    known = {name.lower(): k for k, name in enumerate(labels) if k}
    roles = {_ROLES[name]: k for name, k in reversed(known.items()) if name in _ROLES}
    channels = {role: values[:, k] for role, k in roles.items()}
    if "mu" not in channels and {"i0", "itrans"} <= known.keys():
        ratio = np.clip(values[:, known["itrans"]], 1e-300, None) / values[:, known["i0"]]
        channels["mu"] = -np.log(np.clip(ratio, 1e-300, None))
    symbol, edge = header.get("element.symbol", ""), header.get("element.edge", "")
    known_edge = symbol.isalpha() and len(symbol) <= 2 and _EDGES.fullmatch(edge) is not None
    return [
        Scan.of(
            energy,
            channels,
            labels={role: labels[k] for role, k in roles.items()},
            ratios=frozenset({"mu"} & channels.keys()),
            edge=normalise_edge(f"{symbol} {edge}") if known_edge else "",
            sample=header.get("sample.name", ""),
            start_time=_moment(header.get("scan.start_time", "")),
            metadata={**{k: v for k, v in header.items() if "." in k}, "comments": "\n".join(comments)},
            convention=f"mono.name {header['mono.name']}" if "mono.name" in header else "as the file has it",
            flags=tuple(f"HEADER:{text}" for text in flags),
        )
    ]


def _header(raw: RawFile, lines: list[str]) -> tuple[dict[str, str], list[str], list[str]]:
    """Return the fields, the user's comments and what is loose about them."""
    version = lines[0].lstrip("# ").split()
    flags = [] if len(version) > 1 else ["no version of the program that wrote it"]
    texts = [line.lstrip().lstrip("#").strip() for line in lines[1:]]
    ends = [k for k, text in enumerate(texts) if re.fullmatch(r"-{3,}", text)]
    if not ends:
        flags.append("no line of dashes at its end")
    until = ends[0] if ends else len(texts)
    marks = [k for k, text in enumerate(texts[:until]) if re.fullmatch(r"/{3,}", text)]
    if not marks:
        flags.append("no comments of the user")
    elif not any(texts[marks[0] + 1 : until]):
        flags.append("a line of slashes, and no comments after it")
    fields: dict[str, str] = {}
    for text in texts[: marks[0] if marks else until - (0 if ends else 1)]:
        if not text:
            continue
        match = _FIELD.fullmatch(text)
        if match is None:
            raise raw.error(f"the header line {text[:60]!r} is not 'Family.key: value'")
        if match[2][0].isdigit() and match[1].lower() != "column":
            flags.append(f"the key {match[2]!r} begins with a digit")
        fields[f"{match[1]}.{match[2]}".lower()] = match[3].strip()
    return fields, texts[marks[0] + 1 : until] if marks else [], flags


def _table(raw: RawFile, lines: list[str], first: int) -> FloatArray:
    rows: list[FloatArray] = []
    for at, line in enumerate(lines[first:], start=first + 1):
        if not line.strip():
            continue
        if line.lstrip()[0] in "#;%":
            raise raw.error(f"line {at} is a comment inside the table: {line.strip()[:60]!r}")
        try:
            row = numbers(line.split())
        except ValueError as error:
            raise raw.error(f"line {at}: {error}") from None
        if rows and row.size != rows[0].size:
            raise raw.error(f"line {at} has {row.size} columns, the rows before it have {rows[0].size}")
        if not np.isfinite(row).all():
            raise raw.error(f"line {at} holds a value that is not finite: {line.strip()[:60]!r}")
        rows.append(row)
    if not rows:
        raise raw.error("there is no row of numbers", hint="the file may be cut off")
    return np.stack(rows)


def _labels(raw: RawFile, header: Mapping[str, str], lines: list[str], width: int, flags: list[str]) -> list[str]:
    """Return the names of the columns: those of the fields Column.N, which the last header line should repeat."""
    said = {int(match[1]): value for key, value in header.items() if (match := _COLUMN.match(key))}
    if not said:
        raise raw.error("no column is named: there is no 'Column.1'")
    if sorted(said) != list(range(1, width + 1)):
        flags.append(f"columns {', '.join(map(str, sorted(said)))} are named, {width} are there")
    names = [said.get(k + 1, f"col{k + 1}").split()[0] for k in range(width)]
    last = lines[-1].lstrip("# ").split()
    if not re.fullmatch(r"-{3,}", "".join(last)) and [n.lower() for n in last] != [n.lower() for n in names]:
        flags.append("the last line of the header names other columns")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise raw.error(f"two columns are named {twice[0]!r}")
    return names


def _energies(raw: RawFile, header: Mapping[str, str], labels: list[str], values: FloatArray) -> FloatArray:
    name, _, unit = header.get("column.1", "").partition(" ")
    if name.lower() == "angle":
        spacing = number((header.get("mono.d_spacing", "") or "x").split()[0])
        if spacing is None or not spacing > 0:
            raise raw.error("the first column is an angle, and mono.d_spacing is not given")
        theta = values[:, 0] if unit.strip().lower().startswith("rad") else np.radians(values[:, 0])
        return photon_energies(raw, name, HC_EV_ANGSTROM / (2 * spacing * np.sin(theta)))
    if name.lower() != "energy":
        raise raw.error(f"the first column is {labels[0]!r}, neither energy nor angle")
    word = unit.split()[0].lower() if unit.split() else "ev"
    return photon_energies(raw, name, values[:, 0], word if word in ENERGY_UNITS else unit)


def _about(header: Mapping[str, str]) -> list[str]:
    """Return what the format asks of single fields and is not so."""
    found = []
    symbol, edge = header.get("element.symbol"), header.get("element.edge")
    if symbol is None or symbol not in read_tables("elements")["masses"]["values"]:
        found.append("no element.symbol" if symbol is None else f"element.symbol is {symbol!r}")
    if edge is None or not _EDGES.fullmatch(edge):
        found.append("no element.edge" if edge is None else f"element.edge is {edge!r}")
    if "mono.d_spacing" in header:  # the format requires it; gratings have none
        spacing = number(header["mono.d_spacing"].split()[0])
        if spacing is None or not (0 < spacing < math.inf):
            found.append(f"mono.d_spacing is {header['mono.d_spacing']!r}")
    if "scan.start_time" in header and _moment(header["scan.start_time"]) is None:
        found.append(f"scan.start_time is {header['scan.start_time']!r}")
    for key, units in _UNITS.items():
        value, _, unit = header.get(key, "").partition(" ")
        if value and (number(value) is None or unit.strip().lower() not in units.lower().split()):
            found.append(f"{key} is {header[key]!r}")
    missing = [key for key in _RECOMMENDED if key not in header]
    return found + ([f"recommended: no {', '.join(missing)}"] if missing else [])


def _moment(text: str) -> datetime | None:
    """Return a time as the format wants it, ISO 8601."""
    try:
        return datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        return None
