"""Runs inside the interpreter that GSAS-II is installed in; knows nothing of layerscope.

Reads one job folder per line on stdin (``{"folder": ...}``), refines, answers one line on stdout. A folder holds
``job.json`` and ``pattern.xye`` and receives ``result.json``, ``curves.npz``, ``job.gpx`` and ``gsas2.log``.

Three defects of GSAS-II are worked around: wrong derivatives of the cell (``gsas2_project.py``), wrong esds of the cell
(``gsas2_answer.py``), and a coarse integral over the axial divergence (``gsas2_axial.py``).
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
import time
import traceback
from functools import cache
from pathlib import Path
from typing import Any

# A phase below this share of the calculated intensity has its scale alone until the others have settled, then its
# width, then its cell; texture and atoms never, unless the plan names the phase: GSAS-II's steps would drive its March
# coefficient or its cell through zero, and the whole refinement would be lost.
MINOR_SHARE = 0.1
# GSAS-II calculates with at least this SH/L; least squares that step below it find no slope back.
AXIAL_FLOOR = 0.002
AXIAL_TRIES = (AXIAL_FLOOR, 0.02, 0.04, 0.06, 0.09)


@cache
def beside(name: str) -> Any:
    """Return a module that stands beside this one: isolated mode keeps the folder out of the path."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{path.name} is missing beside the worker")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


class Job:
    """One refinement in one folder: which stage after which, and what is done where GSAS-II goes astray."""

    def __init__(self, folder: Path, spec: dict[str, Any]) -> None:
        """Build the project."""
        self.spec, self.project = spec, beside("gsas2_project").Project(folder, spec)
        self.failed: list[str] = []
        self.minor: set[int] = set()
        self.waiting: list[str] = []  # groups that minor phases have not got
        self.axial_at_floor = False  # held where it was best, since least squares drove it out of range
        self.own_profile: float | None = None  # chi² with GSAS-II's own axial profile

    def run_stage(self, stage: list[str]) -> bool:
        """Run one stage; if it fails, go back to where the stage before left the project."""
        before = self.project.state()
        for token in stage:
            self.waiting += self.project.free(token, self.minor)
        try:
            self.project.refine()
        except RuntimeError:
            self.project.back_to(before)
            return False
        return True

    def mend_axial(self) -> bool:
        """Where SH/L was driven below its floor try a few values of it, then free it; whether that was needed."""
        if not self.project.axial()[2] or float(self.project.axial()[1]) > AXIAL_FLOOR:
            return False
        origin, found = self.project.state(), {}
        for value in AXIAL_TRIES:
            self.project.back_to(origin)
            self.project.axial()[1:3] = [value, False]
            with contextlib.suppress(RuntimeError):
                found[float(self.project.refine()["Rwp"])] = self.project.state()
        if not found:
            raise RuntimeError("GSAS-II found no axial divergence that it can refine with: see its log")
        self.project.back_to(found[min(found)])
        if not self.run_stage(["sh_l"]) or float(self.project.axial()[1]) <= AXIAL_FLOOR:
            self.project.back_to(found[min(found)])
            self.axial_at_floor = True
        return True

    def close(self) -> None:
        """Fold the strain into the cells and converge."""
        for _ in range(self.spec.get("closing", 4)):
            self.project.fold_lattice()
            values = self.project.refine()
            if float(values.get("Max shft/sig") or 0.0) < 0.05:
                break

    def compare_profiles(self) -> None:
        """Agreement of the same parameters with GSAS-II's own axial profile: what the saved project shows there."""
        undo_axial_profile()
        self.own_profile = self.project.evaluate()
        replace_axial_profile()
        self.project.evaluate()

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
                self.project.hap(index)["LeBail"] = True
        for number, stage in enumerate(self.spec["stages"]):
            if number == 1:
                count = len(self.spec["phases"])
                self.minor = {k for k in range(count) if self.project.share(k) < MINOR_SHARE}
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
        if self.project.gpx.data["Covariance"]["data"]["Rvals"].get("Aborted"):
            self.project.evaluate()  # stuck least squares leave the pattern of their last trial, which was refused

    def answer(self) -> dict[str, Any]:
        """Everything the caller needs, as plain numbers."""
        found: dict[str, Any] = beside("gsas2_answer").answer(self.project)
        return {
            **found,
            "failed_stages": self.failed,
            "own_profile_chi2": self.own_profile,
            "axial_at_floor": self.axial_at_floor,
            "held": sorted({f"{name}/{group}" for group, _, name in (t.partition(":") for t in self.waiting)}),
        }


_undo: list[Any] = []


def replace_axial_profile() -> None:
    """Install our integral over the axial divergence.

    With ``LAYERSCOPE_GSAS2_OWN_AXIAL=1`` GSAS-II keeps its own: for comparing its speed, not for results.
    """
    if os.environ.get("LAYERSCOPE_GSAS2_OWN_AXIAL") == "1":
        return
    import GSASII.GSASIIpwd as powder  # type: ignore[import-not-found,unused-ignore]

    _undo.append(beside("gsas2_axial").install(powder))


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
            job.project.gpx.save()
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
