"""One project of GSAS-II: built from a job, its groups freed, refined, and taken back where that failed.

Loaded by the worker in GSAS-II's interpreter; knows nothing of layerscope. With ``Cell`` refined the derivative of A0
is wrong for cubic, tetragonal, trigonal and hexagonal cells, so the lattice is refined through the histogram-phase
strain Dij, which is then folded into the cell.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Project", "dij_map"]

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
LE_BAIL_CYCLES = 10


def dij_map(laue: str) -> tuple[list[str], Any]:
    """Names of the strain terms of a Laue class and the (6, n) matrix that adds them to A."""
    terms = DIJ[LAUE[laue]]
    matrix = np.zeros((6, len(terms)))
    for column, (_, rows) in enumerate(terms):
        matrix[list(rows), column] = 1.0
    return [name for name, _ in terms], matrix


_seen: list[dict[str, Any]] = []


def _watch() -> None:
    """Keep what GSAS-II hands to its least squares: its derivatives are to be had nowhere else."""
    import inspect

    import GSASII.GSASIIstrMain as main  # type: ignore[import-not-found,unused-ignore]

    core = main.RefineCore
    if hasattr(core, "watched"):
        return
    parameters = list(inspect.signature(core).parameters)

    def watching(*args: Any, **more: Any) -> Any:
        _seen[:] = [dict(zip(parameters, args, strict=False)) | more]
        return core(*args, **more)

    watching.watched = True  # type: ignore[attr-defined]
    main.RefineCore = watching


class Project:
    """One project in one folder."""

    def __init__(self, folder: Path, spec: dict[str, Any]) -> None:
        """Build the project: histogram, phases, constraints."""
        import GSASII.GSASIIlattice as lattice  # type: ignore[import-not-found,unused-ignore]
        import GSASII.GSASIIscriptable as scriptable

        self.lattice, self.spec, self.folder = lattice, spec, folder
        self.last: dict[str, Any] | None = None  # what the least squares of the last refinement were given
        _watch()
        self.extracted = False  # whether Le Bail's intensities have a start
        instrument = spec["instrument"]
        (folder / "instrument.instprm").write_text(instprm(instrument))
        self.gpx = scriptable.G2Project(newgpx=str(folder / "job.gpx"))
        self.histogram = self.gpx.add_powder_histogram(
            str(folder / "pattern.xye"), str(folder / "instrument.instprm"), fmthint="xye"
        )
        self.phases = [self.add_phase(p) for p in spec["phases"]]
        self.setup_histogram(instrument)
        self.gpx.data["Controls"]["data"].update({"max cyc": spec.get("cycles", 15), "parmFrozen": {}})
        self.gpx.save()
        self.constrain()

    @property
    def hist(self) -> Any:
        """The histogram; looked up anew because a refinement reloads the project."""
        return self.gpx.histograms()[0]

    def phase(self, index: int) -> Any:
        """Phase by its number in the job."""
        return self.gpx.phase(self.spec["phases"][index]["name"])

    def hap(self, index: int) -> Any:
        """Histogram-phase data."""
        return self.phase(index).data["Histograms"][self.hist.name]

    def add_phase(self, spec: dict[str, Any]) -> Any:
        """Add one phase with its atoms and sample broadening."""
        phase = self.gpx.add_phase(
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
        add, sites = self.gpx, self.spec["phases"]
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

    def free(self, token: str, minor: Collection[int] = ()) -> list[str]:
        """Switch one group on; return what phases in ``minor`` have to wait for, unless the token names them."""
        waiting: list[str] = []
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
                if not only and group != "scale" and index in minor:
                    waiting.append(f"{group}:{spec['name']}")
                    continue
                self.free_phase(group, index, spec)
        return waiting

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
        self.gpx.data["Covariance"]["data"]["Rvals"] = {}  # a failed refinement would leave the last one's
        if self.spec["le_bail"]:
            self.extract()
        self.gpx.refine(makeBack=False)
        self.last = _seen[-1] if _seen else None
        values: dict[str, Any] = self.gpx.data["Covariance"]["data"].get("Rvals") or {}
        if not values.get("Rwp") or not math.isfinite(float(values["Rwp"])):
            raise RuntimeError(f"GSAS-II refined nothing: {values.get('msg', 'no message')}")
        return values

    def derivatives(self, names: list[str]) -> Any:
        """Give d(calculated) / d(parameter) / sigma at the last refinement, shape (q, n); None if it was another."""
        import GSASII.GSASIIstrMath as maths  # type: ignore[import-not-found,unused-ignore]

        if self.last is None or self.spec["le_bail"] or names != [str(v) for v in self.last["varyList"]]:
            return None
        seen = self.last
        known = [seen[k] for k in ("Histograms", "Phases", "restraintDict", "rigidbodyDict")]
        values = [seen["parmDict"][v] for v in seen["varyList"]]
        return np.asarray(
            maths.dervRefine(
                values, known, seen["parmDict"], seen["histDict1"], seen["varyList"], seen["calcControls"],
                seen["pawleyLookup"], None,
            ),
            dtype=float,
        )  # fmt: skip

    def extract(self) -> None:
        """Let Le Bail's intensities settle; a refinement alone moves them by one step, and the first needs a start."""
        import GSASII.GSASIIstrMain as main  # type: ignore[import-not-found,unused-ignore]

        self.gpx.index_ids()  # saves
        if not self.extracted:
            main.Refine(self.gpx.filename, makeBack=False, newLeBail=True)
        main.DoLeBail(self.gpx.filename, cycles=LE_BAIL_CYCLES)
        self.extracted = True
        self.gpx.reload()
        self.gpx.data["Covariance"]["data"]["Rvals"] = {}

    def state(self) -> bytes:
        """Project as it is now."""
        self.gpx.save()
        return (self.folder / "job.gpx").read_bytes()

    def back_to(self, state: bytes) -> None:
        """Take an earlier project up again."""
        (self.folder / "job.gpx").write_bytes(state)
        self.gpx.reload()

    def axial(self) -> Any:
        """SH/L as [start, value, refine]; looked up anew because a refinement reloads the project."""
        return self.hist.data["Instrument Parameters"][0]["SH/L"]

    def evaluate(self) -> float:
        """Calculate the pattern without refining and give chi²; parameters, covariance and agreement stay."""
        controls = self.gpx.data["Controls"]["data"]
        block, cycles = copy.deepcopy(self.gpx.data["Covariance"]["data"]), controls["max cyc"]
        controls["max cyc"] = 0
        self.gpx.refine(makeBack=False)
        self.gpx.data["Controls"]["data"]["max cyc"] = cycles
        self.gpx.data["Covariance"]["data"] = block
        shape = [np.array(self.hist.getdata(k), dtype=float) for k in ("yobs", "ycalc", "yweight")]
        return float(np.sum(shape[2] * (shape[0] - shape[1]) ** 2))

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
