"""Athena projects (``.prj``): text of Perl assignments, mostly compressed, read as text; nothing of it is evaluated.

Each record has its settings in ``@args`` and its arrays in ``@x``, ``@y`` and others. Athena shows energies with the
record's ``bkg_eshift`` added, and so does this reader: what it had found and set stands in `Scan.given`.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.measurement import FloatArray
from layerscope.measured.text import decode, number, numbers

from ..edges import normalise_edge
from ..scan import Scan
from ._base import photon_energies

__all__ = ["read", "sniff"]

_MARK = b"# Athena project file"
_GZIP = b"\x1f\x8b"
_LARGEST = 1 << 28
_STATEMENT = re.compile(r"^([@$])(\w+)\s*=\s*(.*?);[ \t]*$", re.MULTILINE | re.DOTALL)
_TOKEN = re.compile(r"'((?:[^'\\]|\\.)*)'|([\[(])|([\])])|([^\s,'\[\]()]+)", re.DOTALL)
_NUMBERS = ("e0", "eshift", "pre1", "pre2", "nor1", "nor2", "nnorm", "step", "fitted_step", "fixstep")


def sniff(raw: RawFile) -> bool:
    """Tell whether the text begins with its mark, compressed or not."""
    if raw.data[:2] == _GZIP:
        try:
            return zlib.decompressobj(31).decompress(raw.data[:4000], 200).startswith(_MARK)
        except zlib.error:
            return False
    return raw.data.startswith(_MARK)


def read(raw: RawFile) -> list[Scan]:
    """Read every record that holds an absorption over energies, in the order of the file."""
    text = "\n".join(decode(_unpacked(raw)).splitlines())
    scans: list[Scan] = []
    group, record = "", dict[str, Any]()
    for sign, name, value in (match.groups() for match in _STATEMENT.finditer(text)):
        if sign == "$" and name == "old_group":
            scans += _scan(raw, group, record)
            group, record = next(iter(_values(value)), ""), {}
        elif sign == "@":
            record[name] = list(_values(value.strip().removeprefix("(").removesuffix(")")))
    scans += _scan(raw, group, record)
    begun, ended = text.count("\n$old_group"), len(re.findall(r"^\[record\]", text, re.MULTILINE))
    if ended < begun:
        raise raw.error(f"{begun} records are begun, {ended} are complete", hint="the file may be cut off")
    return scans


def _unpacked(raw: RawFile) -> bytes:
    if raw.data[:2] != _GZIP:
        return raw.data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw.data)) as packed:
            data = packed.read(_LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise raw.error(f"it cannot be unpacked: {error}", hint="the file may be cut off") from error
    if len(data) > _LARGEST:
        raise raw.error("it unpacks to more than 256 MiB")
    return data


def _values(text: str) -> Iterator[Any]:
    """Yield the items of a list of quoted texts, bare words and lists of such; lists inside are dropped to None."""
    depth = 0
    for quoted, opens, closes, bare in (match.groups() for match in _TOKEN.finditer(text)):
        if opens:
            depth += 1
        elif closes:
            depth -= 1
            if depth == 0:
                yield None
        elif depth == 0:
            yield re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare


def _scan(raw: RawFile, group: str, record: Mapping[str, list[Any]]) -> list[Scan]:
    """Return the scan of one record; of one that holds no absorption over energies, nothing."""
    if not record.get("args"):
        if group:
            raise raw.error(f"the record {group!r} has no settings", hint="the file may be cut off")
        return []
    args = record["args"]
    said = {str(k): "" if v is None else str(v) for k, v in zip(args[::2], args[1::2], strict=False)}
    label = said.get("label") or group
    if said.get("is_chi") == "1" or said.get("datatype") == "chi":
        return []
    arrays = {name: _array(raw, label, name, record[name]) for name in ("x", "y") if record.get(name)}
    if not {"x", "y"} <= arrays.keys():
        raise raw.error(f"the record {label!r} has no arrays x and y", hint="the file may be cut off")
    if len({array.size for array in arrays.values()}) > 1:
        sizes = ", ".join(f"{name} {array.size}" for name, array in arrays.items())
        raise raw.error(f"the arrays of the record {label!r} differ in length: {sizes}")
    given = {key: value for key in _NUMBERS if (value := number(said.get(f"bkg_{key}"))) is not None}
    energy = photon_energies(raw, f"x of {label}", arrays["x"] + given.get("eshift", 0.0))
    symbol, shell = said.get("bkg_z", ""), said.get("edge") or said.get("fft_edge", "")
    fixed = given.get("fixstep") == 1.0
    return [
        Scan.of(
            energy,
            {"mu": arrays["y"]},
            labels={"mu": "y"},
            ratios=frozenset({"mu"}),
            edge=normalise_edge(f"{symbol} {shell}") if symbol and shell else "",
            sample=label,
            given=given,
            metadata={"group": group, "source_file": said.get("source", "")},
            convention=f"Athena, eshift {given.get('eshift', 0.0):g} eV added",
            flags=(f"FIXED_STEP:{given.get('step', 0.0):g}",) if fixed else (),
        )
    ]


def _array(raw: RawFile, label: str, name: str, texts: list[Any]) -> FloatArray:
    try:
        return np.asarray(numbers([str(text) for text in texts]))
    except ValueError as error:
        raise raw.error(f"the array {name} of the record {label!r}: {error}") from None
