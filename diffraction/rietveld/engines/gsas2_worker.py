"""Runs inside the interpreter that GSAS-II is installed in; knows nothing of layerscope.

Reads one job folder per line on stdin (``{"folder": ...}``), refines, answers one line on stdout. A folder holds
``job.json`` and ``pattern.xye`` and receives ``result.json``, ``curves.npz``, ``job.gpx`` and ``gsas2.log``.

Two defects of GSAS-II are worked around: with ``Cell`` refined the derivative of A0 is wrong for cubic, tetragonal,
trigonal and hexagonal cells, so the lattice is refined through the histogram-phase strain Dij; and its own cell esds
use a transposed Jacobian, so they are computed here.

A third one, its coarse integral over the axial divergence, is replaced: see ``gsas2_axial.py``.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import json
import math
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

DIJ = {
    "cubic": (("D11", (0, 1, 2)),),
    "axial": (("D11", (0, 1, 3)), ("D33", (2,))),
    "tetragonal": (("D11", (0, 1)), ("D33", (2,))),
    "mmm": (("D11", (0,)), ("D22", (1,)), ("D33", (2,))),
    "2/m": (("D11", (0,)), ("D22", (1,)), ("D33", (2,)), ("D13", (4,))),
    "-1": (("D11", (0,)), ("D22", (1,)), ("D33", (2,)), ("D12", (3,)), ("D13", (4,)), ("D23", (5,))),
}
LAUE = {
    "m3": "cubic",
    "m3m": "cubic",
    "3": "axial",
    "3m1": "axial",
    "31m": "axial",
    "6/m": "axial",
    "6/mmm": "axial",
    "4/m": "tetragonal",
    "4/mmm": "tetragonal",
    "mmm": "mmm",
    "2/m": "2/m",
    "-1": "-1",
}
CENTI = 1e4 / (8.0 * math.log(2.0))  # FWHM² in degree² -> variance in centidegree²
U_TO_B = 8.0 * math.pi**2
UNLIMITED_UM = 1e4
# A phase below this share of the calculated intensity has its scale alone until the others have settled, then its
# width, then its cell; texture and atoms never, unless the plan names the phase: GSAS-II's steps would drive its March
# coefficient or its cell through zero, and the whole refinement would be lost.
MINOR_SHARE = 0.1
# GSAS-II calculates with at least this SH/L; least squares that step below it find no slope back.
AXIAL_FLOOR = 0.002
AXIAL_TRIES = (AXIAL_FLOOR, 0.02, 0.04, 0.06, 0.09)
LE_BAIL_CYCLES = 10


def dij_map(laue: str) -> tuple[list[str], Any]:
    """Names of the strain terms of a Laue class and the (6, n) matrix that adds them to A."""
    terms = DIJ[LAUE[laue]]
    matrix = np.zeros((6, len(terms)))
    for column, (_, rows) in enumerate(terms):
        matrix[list(rows), column] = 1.0
    return [name for name, _ in terms], matrix


class Job:
    """One refinement in one folder."""

    def __init__(self, folder: Path, spec: dict[str, Any]) -> None:
        """Build the project: histogram, phases, constraints."""
        import GSASII.GSASIIlattice as lattice  # type: ignore[import-not-found,unused-ignore]
        import GSASII.GSASIIscriptable as scriptable

        self.lattice, self.spec, self.folder = lattice, spec, folder
        self.failed: list[str] = []
        self.minor: set[int] = set()
        self.waiting: list[str] = []  # groups that minor phases have not got
        self.axial_at_floor = False  # held where it was best, since least squares drove it out of range
        self.own_profile: float | None = None  # chi² with GSAS-II's own axial profile
        self.extracted = False  # whether Le Bail's intensities have a start
        instrument = spec["instrument"]
        (folder / "instrument.instprm").write_text(instprm(instrument))
        self.project = scriptable.G2Project(newgpx=str(folder / "job.gpx"))
        self.histogram = self.project.add_powder_histogram(
            str(folder / "pattern.xye"), str(folder / "instrument.instprm"), fmthint="xye"
        )
        self.phases = [self.add_phase(p) for p in spec["phases"]]
        self.setup_histogram(instrument)
        self.project.data["Controls"]["data"].update({"max cyc": spec.get("cycles", 15), "parmFrozen": {}})
        self.project.save()
        self.constrain()

    @property
    def hist(self) -> Any:
        """The histogram; looked up anew because a refinement reloads the project."""
        return self.project.histograms()[0]

    def phase(self, index: int) -> Any:
        """Phase by its number in the job."""
        return self.project.phase(self.spec["phases"][index]["name"])

    def hap(self, index: int) -> Any:
        """Histogram-phase data."""
        return self.phase(index).data["Histograms"][self.hist.name]

    def add_phase(self, spec: dict[str, Any]) -> Any:
        """Add one phase with its atoms and sample broadening."""
        phase = self.project.add_phase(
            phasename=spec["name"],
            spacegroup=spec["space_group"],
            cell=list(spec["cell"]),
            histograms=[self.histogram],
        )
        for site in spec["sites"]:
            xyz = (site["x"], site["y"], site["z"])
            phase.add_atom(*xyz, site["element"], site["label"], site["occupancy"], site["b_iso"] / U_TO_B)
        hap = phase.data["Histograms"][self.histogram.name]
        hap["Size"][0] = hap["Mustrain"][0] = "isotropic"
        hap["Size"][1][0] = min(spec["size_nm"] * 1e-3, UNLIMITED_UM)
        hap["Mustrain"][1][0] = spec["microstrain_ppm"]
        hap["Size"][1][2] = hap["Mustrain"][1][2] = 1.0
        hap["Scale"] = [spec["start_scale"] if spec["start_scale"] else 1.0, False]
        if spec["texture_axis"]:
            hap["Pref.Ori."][:4] = ["MD", spec["march"], False, list(spec["texture_axis"])]
        return phase

    def setup_histogram(self, instrument: dict[str, Any]) -> None:
        """Geometry, background, extra lines."""
        data = self.hist.data
        sample = data["Sample Parameters"]
        sample["Type"] = "Bragg-Brentano"
        sample["Gonio. radius"] = instrument["radius_mm"]
        for key in ("Shift", "Transparency", "SurfRoughA", "SurfRoughB"):
            sample.setdefault(key, [0.0, False])
        sample["Shift"] = [1e3 * instrument["displacement_mm"], False]
        sample["Scale"] = [1.0, False]
        data["Background"][0][:] = ["chebyschev-1", False, self.spec["terms"], *([0.0] * self.spec["terms"])]
        data["Background"][0][3] = self.spec["level"]
        for line in self.spec["lines"]:
            for image in line["images"]:
                self.hist.add_back_peak(
                    image["two_theta"], image["area"] * 100.0, line["sig"], line["gam"], [False] * 4
                )

    def constrain(self) -> None:
        """Mixed sites share Biso and coordinates and fill up to a total; doublet images keep their ratio."""
        add, sites = self.project, self.spec["phases"]
        for p, spec in enumerate(sites):
            number = {s["label"]: k for k, s in enumerate(spec["sites"])}
            for rule in spec["mixing"]:
                atoms = [number[label] for label in rule["labels"]]
                for name in ("AUiso", "dAx", "dAy", "dAz"):
                    add.add_EquivConstr([f"{p}::{name}:{k}" for k in atoms])
                add.add_EqnConstr(rule["total"], [f"{p}::Afrac:{k}" for k in atoms], [1.0] * len(atoms))
        start = 0
        for line in self.spec["lines"]:
            images = line["images"]
            if len(images) > 1:
                names = [f":0:BkPkint;{start + k}" for k in range(len(images))]
                ratios = [image["share"] / images[0]["share"] for image in images]
                add.add_EquivConstr(names, [1.0 / r for r in ratios])
            start += len(images)

    # ---- the plan --------------------------------------------------------------------------------------------------

    def free(self, token: str) -> None:
        """Switch the refinement flags of one group on; minor phases wait unless the token names them."""
        group, _, only = token.partition(":")
        hist = self.hist.data
        if group == "background":
            hist["Background"][0][1] = True
        elif group == "lines":
            for peak in hist["Background"][1].get("peaksList", []):
                peak[3] = True
        elif group == "displacement":
            hist["Sample Parameters"]["Shift"][1] = True
        elif group in ("u", "v", "w", "x", "y", "sh_l", "zero"):
            key = {"sh_l": "SH/L", "zero": "Zero"}.get(group, group.upper())
            hist["Instrument Parameters"][0][key][2] = True
        else:
            for index, spec in enumerate(self.spec["phases"]):
                if only and only != spec["name"]:
                    continue
                if not only and group != "scale" and index in self.minor:
                    self.waiting.append(f"{group}:{spec['name']}")
                    continue
                self.free_phase(group, index, spec)

    def share(self, index: int) -> float:
        """Share of a phase in the calculated intensity; 1 before anything was calculated."""
        power = []
        for spec in self.spec["phases"]:
            table = self.hist.reflections().get(spec["name"], {}).get("RefList")
            if table is None or not len(table):
                return 1.0
            lines = np.array(table, dtype=float)
            # F²calc and the product of scale, multiplicity, Lorentz-polarisation and texture over the volume
            power.append(float(np.sum(lines[:, 9] * lines[:, 11])))
        total = sum(power)
        return power[index] / total if total > 0.0 else 1.0

    def free_phase(self, group: str, index: int, spec: dict[str, Any]) -> None:
        """Switch on one group of one phase."""
        hap = self.hap(index)
        if group == "scale":
            hap["Scale"][1] = not self.spec["le_bail"]
        elif group == "cell":
            laue = self.phase(index).data["General"]["SGData"]["SGLaue"]
            count = len(dij_map(laue)[0])
            hap["HStrain"][1] = [k < count for k in range(len(hap["HStrain"][0]))]  # cubic: eA stays off
        elif group == "size":
            hap["Size"][2][0] = True
            hap["Size"][1][0] = min(hap["Size"][1][0], 1.0)
        elif group == "strain":
            hap["Mustrain"][2][0] = True
        elif group == "texture" and spec["texture_axis"]:
            hap["Pref.Ori."][2] = True
        elif group in ("b_iso", "xyz", "occupancy"):
            letter = {"b_iso": "U", "xyz": "X", "occupancy": "F"}[group]
            mixed = {label for rule in spec["mixing"] for label in rule["labels"]}
            for site, atom in zip(spec["sites"], self.phase(index).atoms(), strict=True):
                wanted = site[f"refine_{group}"] or (group == "occupancy" and site["label"] in mixed)
                if wanted and letter not in atom.refinement_flags:
                    atom.refinement_flags = "".join(sorted(atom.refinement_flags + letter))

    def refine(self) -> dict[str, Any]:
        """Run GSAS-II once; its failures do not raise, so the agreement is looked at."""
        self.project.data["Covariance"]["data"]["Rvals"] = {}  # a failed refinement would leave the last one's
        if self.spec["le_bail"]:
            self.extract()
        self.project.refine(makeBack=False)
        values: dict[str, Any] = self.project.data["Covariance"]["data"].get("Rvals") or {}
        if not values.get("Rwp") or not math.isfinite(float(values["Rwp"])):
            raise RuntimeError(f"GSAS-II refined nothing: {values.get('msg', 'no message')}")
        return values

    def extract(self) -> None:
        """Let Le Bail's intensities settle; a refinement alone moves them by one step, and the first needs a start."""
        import GSASII.GSASIIstrMain as main  # type: ignore[import-not-found,unused-ignore]

        self.project.index_ids()  # saves
        if not self.extracted:
            main.Refine(self.project.filename, makeBack=False, newLeBail=True)
        main.DoLeBail(self.project.filename, cycles=LE_BAIL_CYCLES)
        self.extracted = True
        self.project.reload()
        self.project.data["Covariance"]["data"]["Rvals"] = {}

    def run_stage(self, stage: list[str]) -> bool:
        """Run one stage; if it fails, go back to where the stage before left the project."""
        before = self.state()
        for token in stage:
            self.free(token)
        try:
            self.refine()
        except RuntimeError:
            self.back_to(before)
            return False
        return True

    def state(self) -> bytes:
        """Project as it is now."""
        self.project.save()
        return (self.folder / "job.gpx").read_bytes()

    def back_to(self, state: bytes) -> None:
        """Take an earlier project up again."""
        (self.folder / "job.gpx").write_bytes(state)
        self.project.reload()

    def axial(self) -> Any:
        """SH/L as [start, value, refine]; looked up anew because a refinement reloads the project."""
        return self.hist.data["Instrument Parameters"][0]["SH/L"]

    def mend_axial(self) -> bool:
        """Where SH/L was driven below its floor try a few values of it, then free it; whether that was needed."""
        if not self.axial()[2] or float(self.axial()[1]) > AXIAL_FLOOR:
            return False
        origin, found = self.state(), {}
        for value in AXIAL_TRIES:
            self.back_to(origin)
            self.axial()[1:3] = [value, False]
            with contextlib.suppress(RuntimeError):
                found[float(self.refine()["Rwp"])] = self.state()
        if not found:
            raise RuntimeError("GSAS-II found no axial divergence that it can refine with: see its log")
        self.back_to(found[min(found)])
        if not self.run_stage(["sh_l"]) or float(self.axial()[1]) <= AXIAL_FLOOR:
            self.back_to(found[min(found)])
            self.axial_at_floor = True
        return True

    def close(self) -> None:
        """Fold the strain into the cells and converge."""
        for _ in range(self.spec.get("closing", 4)):
            self.fold_lattice()
            values = self.refine()
            if float(values.get("Max shft/sig") or 0.0) < 0.05:
                break

    def evaluate(self) -> float:
        """Calculate the pattern without refining and give chi²; parameters, covariance and agreement stay."""
        controls = self.project.data["Controls"]["data"]
        block, cycles = copy.deepcopy(self.project.data["Covariance"]["data"]), controls["max cyc"]
        controls["max cyc"] = 0
        self.project.refine(makeBack=False)
        self.project.data["Controls"]["data"]["max cyc"] = cycles
        self.project.data["Covariance"]["data"] = block
        shape = [np.array(self.hist.getdata(k), dtype=float) for k in ("yobs", "ycalc", "yweight")]
        return float(np.sum(shape[2] * (shape[0] - shape[1]) ** 2))

    def compare_profiles(self) -> None:
        """Agreement of the same parameters with GSAS-II's own axial profile: what the saved project shows there."""
        undo_axial_profile()
        self.own_profile = self.evaluate()
        replace_axial_profile()
        self.evaluate()

    def run_minor(self) -> None:
        """Give minor phases their widths and then their cells, one by one; what they do not bear stays held."""
        for groups in (("size", "strain"), ("cell",)):
            for token in dict.fromkeys(t for t in self.waiting if t.startswith(groups)):
                if self.run_stage([token]):
                    self.waiting = [t for t in self.waiting if t != token]

    def run(self) -> None:
        """Run all stages, fold the strain into the cells, converge."""
        if self.spec["le_bail"]:
            for index in range(len(self.spec["phases"])):
                self.hap(index)["LeBail"] = True
        for number, stage in enumerate(self.spec["stages"]):
            if number == 1:
                count = len(self.spec["phases"])
                self.minor = {k for k in range(count) if self.share(k) < MINOR_SHARE}
            if self.run_stage(stage):
                self.mend_axial()
                continue
            named = [token for token in stage if ":" in token]  # of one phase, which may have left the pattern
            if number > 0:
                self.failed.append("+".join(stage))
            elif named and self.run_stage([token for token in stage if token not in named]):
                self.waiting += named
            else:
                raise RuntimeError("GSAS-II refined nothing: see its log")
        self.run_minor()
        self.close()
        if self.mend_axial():
            self.close()
        if any("sh_l" in stage for stage in self.spec["stages"]):
            self.compare_profiles()
        if self.project.data["Covariance"]["data"]["Rvals"].get("Aborted"):
            self.evaluate()  # stuck least squares leave the pattern of their last trial, which was refused

    def lattice_tensor(self, index: int) -> tuple[Any, list[str], Any]:
        """Reciprocal metric A with the refined strain, and the map of the strain terms."""
        phase = self.phase(index)
        names, matrix = dij_map(phase.data["General"]["SGData"]["SGLaue"])
        strain = np.array(self.hap(index)["HStrain"][0], dtype=float)[: len(names)]
        return np.array(self.lattice.cell2A(phase.data["General"]["Cell"][1:7])) + matrix @ strain, names, matrix

    def fold_lattice(self) -> None:
        """Move the refined strain into the cell, so that volumes and the saved project are those of the answer."""
        for index in range(len(self.spec["phases"])):
            tensor, _, _ = self.lattice_tensor(index)
            cell = self.phase(index).data["General"]["Cell"]
            cell[1:7] = [float(v) for v in self.lattice.A2cell(tensor)]
            cell[7] = float(self.lattice.calc_V(tensor))
            hap = self.hap(index)
            hap["HStrain"][0] = [0.0] * len(hap["HStrain"][0])

    # ---- the answer ------------------------------------------------------------------------------------------------

    def cell_answer(self, index: int, names: list[str], covariance: Any) -> tuple[Any, Any]:
        """Give (a … gamma, volume) and their esds, diag(J C Jᵀ) with C the covariance of the strain terms."""
        tensor, labels, matrix = self.lattice_tensor(index)

        def cell(a: Any) -> Any:
            return np.array([*self.lattice.A2cell(a), self.lattice.calc_V(a)])

        step = 1e-6 * abs(tensor).max()
        jacobian = np.array([(cell(tensor + e) - cell(tensor - e)) / (2 * step) for e in step * np.eye(6)]).T
        variables = [f"{index}:0:{label}" for label in labels]
        used = [k for k, v in enumerate(variables) if v in names]
        where = [names.index(variables[k]) for k in used]
        full = matrix[:, used] @ covariance[np.ix_(where, where)] @ matrix[:, used].T
        return cell(tensor), np.sqrt(np.maximum(np.diag(jacobian @ full @ jacobian.T), 0.0))

    def answer(self) -> dict[str, Any]:
        """Everything the caller needs, as plain numbers."""
        block = self.project.data["Covariance"]["data"]
        names = [str(v) for v in block["varyList"]]
        covariance = np.array(block["covMatrix"], dtype=float).reshape(len(names), len(names))
        sigmas = {k: float(v[1]) for k, v in (block.get("depSigDict") or {}).items()}
        sigmas.update(zip(names, map(float, block["sig"]), strict=True))
        rvals = block["Rvals"]
        hist = self.hist
        curves = {k: np.array(hist.getdata(k), dtype=float) for k in ("x", "yobs", "yweight", "ycalc", "background")}
        low, high = hist.data["Limits"][1]
        keep = (curves["x"] >= low - 1e-9) & (curves["x"] <= high + 1e-9)
        arrays = {k: v[keep] for k, v in curves.items()}
        arrays["covariance"] = covariance
        for index, spec in enumerate(self.spec["phases"]):
            table = hist.reflections().get(spec["name"], {}).get("RefList", np.zeros((0, 12)))
            arrays[f"ticks_{index}"] = np.sort(np.array(table, dtype=float).reshape(-1, np.shape(table)[1])[:, 5])
        np.savez(self.folder / "curves.npz", **arrays)
        return {
            "names": names,
            "sigmas": sigmas,
            "failed_stages": self.failed,
            "own_profile_chi2": self.own_profile,
            "axial_at_floor": self.axial_at_floor,
            "held": sorted({f"{name}/{group}" for group, _, name in (t.partition(":") for t in self.waiting)}),
            "dropped": sorted(str(v) for v in set(block.get("varyListStart") or ()) if v not in sigmas),
            "rvals": {k: plain(v) for k, v in rvals.items()},
            "instrument": {k: float(v[1]) for k, v in hist.InstrumentParameters.items() if is_number(v[1])},
            "shift_um": float(hist.SampleParameters["Shift"][0]),
            "background": [float(v) for v in hist.data["Background"][0][3:]],
            "lines": [float(p[2]) for p in hist.data["Background"][1].get("peaksList", [])],
            "phases": [self.phase_answer(k, names, covariance) for k in range(len(self.spec["phases"]))],
        }

    def phase_answer(self, index: int, names: list[str], covariance: Any) -> dict[str, Any]:
        """Numbers of one phase in GSAS-II's own units, with the cell esds computed here."""
        hap = self.hap(index)
        values, esds = self.cell_answer(index, names, covariance)
        atoms = [
            {"x": a.coordinates[0], "y": a.coordinates[1], "z": a.coordinates[2], "occ": a.occupancy, "u": a.uiso}
            for a in self.phase(index).atoms()
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


def instprm(instrument: dict[str, Any]) -> str:
    """Instrument parameters as GSAS-II reads them."""
    lines = instrument["wavelengths"]
    waves = [f"Lam1:{lines[0]}", f"Lam2:{lines[1]}", f"I(L2)/I(L1):{instrument['ratio']}"]
    rows = [
        "#GSAS-II instrument parameter file",
        "Type:PXC",
        "Bank:1.0",
        *(waves if len(lines) == 2 else [f"Lam:{lines[0]}"]),
        f"Zero:{instrument['zero']}",
        f"Polariz.:{instrument['polarisation']}",
        "Azimuth:0.0",
        *(f"{k.upper()}:{instrument[k] * CENTI}" for k in "uvw"),
        *(f"{k.upper()}:{instrument[k] * 100.0}" for k in "xy"),
        "Z:0.0",
        f"SH/L:{max(instrument['sh_l'], 0.002)}",
    ]
    return "\n".join(rows) + "\n"


_undo: list[Any] = []


def replace_axial_profile() -> None:
    """Install our integral over the axial divergence; isolated mode keeps this folder out of the path.

    With ``LAYERSCOPE_GSAS2_OWN_AXIAL=1`` GSAS-II keeps its own: for comparing its speed, not for results.
    """
    if os.environ.get("LAYERSCOPE_GSAS2_OWN_AXIAL") == "1":
        return
    import GSASII.GSASIIpwd as powder  # type: ignore[import-not-found,unused-ignore]

    path = Path(__file__).with_name("gsas2_axial.py")
    spec = importlib.util.spec_from_file_location("gsas2_axial", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{path.name} is missing beside the worker")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks itself up there
    spec.loader.exec_module(module)
    _undo.append(module.install(powder))


def undo_axial_profile() -> None:
    """Give GSAS-II its own axial profile back."""
    while _undo:
        _undo.pop()()


def run_job(folder: Path) -> None:
    """Run one job folder; everything GSAS-II prints goes to its log."""
    spec = json.loads((folder / "job.json").read_text())
    started = time.perf_counter()
    os.chdir(folder)
    with (folder / "gsas2.log").open("w") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        try:
            job = Job(folder, spec)
            job.run()
            answer = job.answer()
            job.project.save()
        except Exception:
            traceback.print_exc()
            raise
    answer["seconds"] = time.perf_counter() - started
    (folder / "result.json").write_text(json.dumps(answer))


def main() -> None:
    """Answer job folders from stdin until it closes."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    with Path(os.devnull).open("w") as sink:
        os.dup2(sink.fileno(), 1)  # C and Fortran code prints too; the reply channel stays clean
    with contextlib.redirect_stdout(sys.stderr):
        import GSASII
        import GSASII.GSASIIscriptable

        replace_axial_profile()
    print(json.dumps({"ready": True, "version": str(getattr(GSASII, "__version__", ""))}), file=replies, flush=True)
    for line in sys.stdin:
        try:
            run_job(Path(json.loads(line)["folder"]))
            reply: dict[str, Any] = {"ok": True}
        except Exception as error:  # noqa: BLE001 - any failure of the engine must reach the caller as an answer
            reply = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
