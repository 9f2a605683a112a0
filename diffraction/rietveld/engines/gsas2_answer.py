"""The answer of a refined project of GSAS-II, as plain numbers in its own units.

Loaded by the worker in GSAS-II's interpreter; knows nothing of layerscope. GSAS-II's own cell esds use a transposed
Jacobian, so they are computed here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["answer"]


def cell_slope(project: Any, index: int) -> tuple[Any, Any, list[str]]:
    """Give (a … gamma, volume), their derivatives by the strain terms, shape (7, n), and the names of these."""
    tensor, labels, matrix = project.lattice_tensor(index)

    def cell(a: Any) -> Any:
        return np.array([*project.lattice.A2cell(a), project.lattice.calc_V(a)])

    step = 1e-6 * abs(tensor).max()
    jacobian = np.array([(cell(tensor + e) - cell(tensor - e)) / (2 * step) for e in step * np.eye(6)]).T
    return cell(tensor), jacobian @ matrix, [f"{index}:0:{label}" for label in labels]


def cell_answer(project: Any, index: int, names: list[str], covariance: Any) -> tuple[Any, Any]:
    """Give (a … gamma, volume) and their esds, diag(J C Jᵀ) with C the covariance of the strain terms."""
    cell, slope, variables = cell_slope(project, index)
    used = [k for k, v in enumerate(variables) if v in names]
    where = [names.index(variables[k]) for k in used]
    full = slope[:, used] @ covariance[np.ix_(where, where)] @ slope[:, used].T
    return cell, np.sqrt(np.maximum(np.diag(full), 0.0))


def answer(project: Any) -> dict[str, Any]:
    """Everything the caller needs, as plain numbers."""
    block = project.gpx.data["Covariance"]["data"]
    names = [str(v) for v in block["varyList"]]
    covariance = np.array(block["covMatrix"], dtype=float).reshape(len(names), len(names))
    sigmas = {k: float(v[1]) for k, v in (block.get("depSigDict") or {}).items()}
    sigmas.update(zip(names, map(float, block["sig"]), strict=True))
    rvals = block["Rvals"]
    hist = project.hist
    curves = {k: np.array(hist.getdata(k), dtype=float) for k in ("x", "yobs", "yweight", "ycalc", "background")}
    low, high = hist.data["Limits"][1]
    keep = (curves["x"] >= low - 1e-9) & (curves["x"] <= high + 1e-9)
    arrays = {k: v[keep] for k, v in curves.items()}
    arrays["covariance"] = covariance
    derivatives = project.derivatives(names)
    if derivatives is not None and derivatives.shape[1] == keep.sum():
        arrays["derivatives"] = derivatives
    for index, spec in enumerate(project.spec["phases"]):
        table = hist.reflections().get(spec["name"], {}).get("RefList", np.zeros((0, 12)))
        arrays[f"slope_{index}"] = cell_slope(project, index)[1]
        arrays[f"ticks_{index}"] = np.sort(np.array(table, dtype=float).reshape(-1, np.shape(table)[1])[:, 5])
    np.savez(project.folder / "curves.npz", **arrays)
    return {
        "names": names,
        "sigmas": sigmas,
        "dropped": sorted(str(v) for v in set(block.get("varyListStart") or ()) if v not in sigmas),
        "rvals": {k: plain(v) for k, v in rvals.items()},
        "instrument": {k: float(v[1]) for k, v in hist.InstrumentParameters.items() if is_number(v[1])},
        "shift_um": float(hist.SampleParameters["Shift"][0]),
        "background": [float(v) for v in hist.data["Background"][0][3:]],
        "lines": [float(p[2]) for p in hist.data["Background"][1].get("peaksList", [])],
        "phases": [phase_answer(project, k, names, covariance) for k in range(len(project.spec["phases"]))],
    }


def phase_answer(project: Any, index: int, names: list[str], covariance: Any) -> dict[str, Any]:
    """Numbers of one phase in GSAS-II's own units, with the cell esds computed here."""
    hap = project.hap(index)
    values, esds = cell_answer(project, index, names, covariance)
    atoms = [
        {"x": a.coordinates[0], "y": a.coordinates[1], "z": a.coordinates[2], "occ": a.occupancy, "u": a.uiso}
        for a in project.phase(index).atoms()
    ]
    return {
        "cell": values.tolist(),
        "cell_esd": esds.tolist(),
        "scale": float(hap["Scale"][0]),
        "size_um": float(hap["Size"][1][0]),
        "mustrain": float(hap["Mustrain"][1][0]),
        "march": float(hap["Pref.Ori."][1]),
        "atoms": [{k: float(v) for k, v in a.items()} for a in atoms],
    }


def is_number(value: Any) -> bool:
    """Whether a value of GSAS-II's tables is a plain number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def plain(value: Any) -> Any:
    """Reduce a value of GSAS-II's tables to something JSON can hold."""
    if isinstance(value, (bool, str)) or value is None:
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)
