"""What a run says as lines of text that can be compared and read: records, arrays and figure tables.

``python tests/contract/locked.py RUN_FOLDER CASE`` writes them to ``tests/contract/locked/CASE``: only on purpose,
where a fault was mended, with a line in the changelog.
"""

from __future__ import annotations

import csv
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py
import numpy as np

import layerscope
from layerscope.records import Quantity, ResultRecord

LOCKED = Path(__file__).parent / "locked"
PARTS = ("records", "arrays", "figures")
#: Two machines' numbers may differ by this share of their standard error, or of themselves.
OF_SIGMA, OF_VALUE = 0.02, 2e-5
_NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?")


def content(run: Path) -> dict[str, list[str]]:
    """Return the lines of every part of a run."""
    return {"records": list(_records(run)), "arrays": list(_arrays(run)), "figures": list(_figures(run))}


def locked(case: str) -> dict[str, list[str]]:
    """Return the lines that a case had when they were last taken on purpose."""
    return {part: (LOCKED / case / f"{part}.tsv").read_text("utf-8").splitlines() for part in PARTS}


def differences(now: Iterable[str], then: Iterable[str]) -> list[str]:
    """Return the lines that are missing, new or different, by their keys."""
    found: dict[str, str] = dict(line.split("\t", 1) for line in now)
    known: dict[str, str] = dict(line.split("\t", 1) for line in then)
    lines = [f"gone: {key}\t{known[key]}" for key in known if key not in found]
    lines += [f"new: {key}\t{found[key]}" for key in found if key not in known]
    for key in found:
        if key in known and not alike(found[key], known[key]):
            lines.append(f"was: {key}\t{known[key]}\nnow: {key}\t{found[key]}")
    return lines


def alike(now: str, then: str) -> bool:
    """Tell whether two lines say the same: the same words, and numbers that agree within a part of their errors."""
    if now == then:  # a hash such as 427e340 is no number
        return True
    if _NUMBER.sub("#", now) != _NUMBER.sub("#", then):
        return False
    ours, theirs = ([float(n) for n in _NUMBER.findall(line)] for line in (now, then))
    scale = _sigma(then)
    return all(
        abs(a - b) <= OF_SIGMA * scale + OF_VALUE * max(abs(a), abs(b)) + 1e-12
        for a, b in zip(ours, theirs, strict=True)
    )


def _sigma(line: str) -> float:
    given = re.search(r"sigma=(\S+)", line)
    return float(given.group(1)) if given else 0.0


def _records(run: Path) -> Iterator[str]:
    seen: dict[str, int] = {}
    met: set[str] = set()
    for record in layerscope.load_run(run).records:
        key = _key(record)
        seen[key] = number = seen.get(key, 0) + 1
        key = key if number == 1 else f"{key} ({number})"
        yield f"{key}\tstatus={record.status} flags={' '.join(sorted(record.quality.flags)) if record.quality else ''}"
        if record.method not in met:
            met.add(record.method)
            inputs = ", ".join(f"{i.path} {i.selector}" for i in record.inputs)
            yield f"{key}|inputs\t{inputs}"
        for number, note in enumerate(record.notes):
            yield f"{key}|note {number}\t{note}"
        labels: dict[str, int] = {}
        for quantity in record.quantities:
            labels[quantity.label] = count = labels.get(quantity.label, 0) + 1
            yield f"{key}|{quantity.label}{'' if count == 1 else f' ({count})'}\t{_said(quantity)}"
        for number, other in enumerate(record.alternatives):
            yield f"{key}|alternative {number}\t{other.comparison} {other.name} {other.chosen}"


def _key(record: ResultRecord) -> str:
    state = record.state
    places = (state.sample, state.region, state.frame, state.etch_time_s, state.voltage_V)
    return "|".join(
        (record.method, *("" if p is None else f"{p:.6g}" if isinstance(p, float) else str(p) for p in places))
    )


def _said(q: Quantity) -> str:
    numbers = {"value": q.value, "sigma": q.sigma, "low": q.low, "high": q.high, "limit": q.upper_limit, **q.budget}
    words = [f"{n}={v:.9g}" if n == "value" else f"{n}={v:.5g}" for n, v in numbers.items() if v is not None]
    return " ".join((q.role, q.sigma_kind, q.unit, *words))


def _arrays(run: Path) -> Iterator[str]:
    for file in sorted((run / "arrays").glob("*.nxs")):
        with h5py.File(file) as opened:
            found: list[tuple[str, h5py.Dataset]] = []
            opened.visititems(lambda name, item, to=found: _keep(name, item, to))
            for name, item in found:
                unit = item.attrs.get("units", "")
                if item.dtype.kind in "fiu" and item.size:
                    yield f"{file.stem}:{name}\t{item.shape} {unit} {_fingerprint(np.asarray(item[()], dtype=float))}"
                else:
                    yield f"{file.stem}:{name}\t{item.shape} {unit}"


def _keep(name: str, item: h5py.Dataset | h5py.Group, found: list[tuple[str, h5py.Dataset]]) -> None:
    if isinstance(item, h5py.Dataset):
        found.append((name, item))


def _fingerprint(values: np.ndarray) -> str:
    """Return two numbers that hardly any change of the values leaves as they are, and how far they may differ."""
    flat = values.ravel()
    good = flat[np.isfinite(flat)]
    if not good.size:
        return "no number"
    weights = 1.0 + 0.5 * np.cos(1.7 * np.arange(good.size))
    rms = float(np.sqrt(np.mean(good**2)))
    return f"n={good.size} rms={rms:.6g} weighed={np.mean(weights * good):.6g} sigma={rms * 1e-3:.1g}"


def _figures(run: Path) -> Iterator[str]:
    for file in sorted((run / "figures").glob("*.csv")):
        with file.open(encoding="utf-8", newline="") as opened:
            rows = list(csv.reader(line for line in opened if not line.startswith("#")))
        head, *body = rows
        yield f"{file.stem}\t{len(body)} rows"
        for place, column in enumerate(head):
            cells = [row[place] for row in body if place < len(row) and row[place]]
            numbers = _numbers(cells)
            said = hashlib.sha256("|".join(cells).encode()).hexdigest()[:12]
            yield f"{file.stem}:{place} {column}\t{said if numbers is None else _fingerprint(numbers)}"


def _numbers(cells: list[str]) -> np.ndarray | None:
    try:
        return np.array([float(cell) for cell in cells])
    except ValueError:
        return None


def main() -> None:
    """Write the lines of a run."""
    run, case = Path(sys.argv[1]), sys.argv[2]
    folder = LOCKED / case
    folder.mkdir(parents=True, exist_ok=True)
    for part, lines in content(run).items():
        (folder / f"{part}.tsv").write_text("".join(f"{line}\n" for line in lines), "utf-8")


if __name__ == "__main__":
    main()
