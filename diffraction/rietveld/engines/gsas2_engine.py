"""The second engine: GSAS-II, out of process, in whatever interpreter it is installed in.

GSAS-II is on no package registry, keeps global state, prints much and goes on after a failed refinement. So it runs in
its own interpreter (``gsas2_worker.py``), one folder a job, with a time limit; what it prints is kept as
``gsas2.log`` and the project as ``job.gpx``, which opens in GSAS-II.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.errors import FitError, MissingDependencyError, RecipeError

from ..model import EIGHT_LN2, ExtraLine, PowderPattern, PowderPhase, Problem
from ..plan import RefinementPlan
from ..result import RietveldResult
from .gsas2_result import read_result
from .gsas2_units import line_images, pseudo_voigt_widths
from .interface import EngineStatus, RefineOptions

__all__ = ["ENVIRONMENT_VARIABLE", "Gsas2Engine", "Gsas2Process", "find_interpreter"]

ENVIRONMENT_VARIABLE = "LAYERSCOPE_GSAS2_PYTHON"
_HINT = (
    "install GSAS-II by its own instructions (https://advancedphotonsource.github.io/GSAS-II-tutorials/install.html) "
    f"and set {ENVIRONMENT_VARIABLE} to its python"
)
_WORKER = Path(__file__).with_name("gsas2_worker.py")
_PROBE = "import importlib.util as u, sys; sys.exit(0 if u.find_spec('GSASII') else 3)"
_START_LIMIT_S = 120.0
_POLL_S = 0.25


def _candidates() -> list[Path]:
    if named := os.environ.get(ENVIRONMENT_VARIABLE):
        # a named interpreter, by its path or as a command, is the only one tried: no silent second choice
        found = shutil.which(Path(named).expanduser())
        return [] if found is None else [Path(found).absolute()]
    return [Path(sys.executable), Path.home() / "g2full" / "bin" / "python"]


@lru_cache(maxsize=8)
def _has_gsas2(python: str) -> bool:
    if not Path(python).is_file():
        return False
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run([python, "-I", "-c", _PROBE], capture_output=True, timeout=60, check=False)  # noqa: S603
        return done.returncode == 0
    return False


def find_interpreter() -> Path | None:
    """Return the python that has GSAS-II: the named one, this one, or ``~/g2full/bin/python``; None if none has."""
    for candidate in _candidates():
        if _has_gsas2(str(candidate)):
            return candidate
    return None


@dataclass
class Gsas2Process:
    """A running GSAS-II that takes one job after the other; restarted after it was killed or hung."""

    python: Path
    log: Path
    version: str = ""
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)
    _answers: queue.Queue[str | None] = field(default_factory=queue.Queue, repr=False)
    _reader: threading.Thread | None = field(default=None, repr=False)

    def __enter__(self) -> Gsas2Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, folder: Path, time_limit_s: float) -> None:
        """Run the job in ``folder``.

        Raises
        ------
        FitError
            The engine failed, died, used more CPU time than ``time_limit_s``, or none for as long; it is then stopped.
        """
        if self._process is None or self._process.poll() is not None:
            self._start()
        assert self._process is not None  # noqa: S101 - for the type checker; _start sets it
        assert self._process.stdin is not None  # noqa: S101
        try:
            self._process.stdin.write(json.dumps({"folder": str(folder)}) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._died(folder) from error
        reply = self._answer(time_limit_s, folder)
        if not reply.get("ok"):
            raise FitError(f"GSAS-II failed: {reply.get('error')}", source=folder, hint=f"see {folder / 'gsas2.log'}")

    def close(self) -> None:
        """Stop the process."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None:
            self._reader.join(timeout=2.0)

    def _start(self) -> None:
        self._answers = queue.Queue()
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with self.log.open("ab") as errors:
            self._process = subprocess.Popen(  # noqa: S603
                [str(self.python), "-I", str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
                cwd=self.log.parent,
            )
        self._reader = threading.Thread(target=_pump, args=(self._process, self._answers), daemon=True)
        self._reader.start()
        self.version = str(self._answer(_START_LIMIT_S, self.log).get("version", ""))

    def _answer(self, limit: float, source: Path) -> dict[str, Any]:
        clock = _WorkClock(self._process)
        while True:
            try:
                line = self._answers.get(timeout=min(_POLL_S, limit))
                break
            except queue.Empty:
                if not clock.is_over(limit):
                    continue
            if self._process is not None:
                self._process.kill()
            self.close()
            raise FitError(
                f"GSAS-II gave no answer within {limit:g} s of CPU time and was stopped",
                source=source,
                hint="raise time_limit_s, or look at gsas2.log in the job's folder",
            )
        if line is None:
            raise self._died(source)
        try:
            reply = json.loads(line)
        except (ValueError, RecursionError):
            reply = None
        if not isinstance(reply, dict):
            self.close()
            raise FitError(f"GSAS-II answered {line[:80]!r}", source=source)
        return reply

    def _died(self, source: Path) -> FitError:
        code = None if self._process is None else self._process.wait()
        self.close()
        return FitError(f"GSAS-II ended unexpectedly (exit code {code})", source=source, hint=f"see {self.log}")


class _WorkClock:
    """How long a process has worked: by its CPU time, which a busy machine does not use up, else by the clock."""

    def __init__(self, process: subprocess.Popen[str] | None) -> None:
        self._process = process
        self._began = self._progress = time.monotonic()
        self._first = self._last = self._cpu()

    def is_over(self, limit: float) -> bool:
        """Tell whether it has worked for longer than a limit in s, or not at all for as long."""
        now, cpu = time.monotonic(), self._cpu()
        if cpu is None or self._first is None:
            return now - self._began > limit
        if self._last is None or cpu > self._last:
            self._last, self._progress = cpu, now
        return cpu - self._first > limit or now - self._progress > limit

    def _cpu(self) -> float | None:
        """CPU seconds of the process so far; None where the system does not tell."""
        if self._process is None:
            return None
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError, AttributeError):
            return None


def _pump(process: subprocess.Popen[str], answers: queue.Queue[str | None]) -> None:
    """Move the worker's lines into the queue; None marks its end."""
    if process.stdout is not None:
        with process.stdout as lines:
            for line in lines:
                answers.put(line)
    answers.put(None)


@dataclass
class Gsas2Engine:
    """Adapter of GSAS-II behind the common interface; keeps its process between patterns until :meth:`close`."""

    name: str = "gsas2"
    python: Path | None = None
    _process: Gsas2Process | None = field(default=None, repr=False)

    def status(self) -> EngineStatus:
        """Say where GSAS-II was found, or else where it was looked for in vain."""
        python = self.python or find_interpreter()
        place = os.environ.get(ENVIRONMENT_VARIABLE, "") if python is None else str(python)
        return EngineStatus(self.name, python is not None, "", place, _HINT)

    def close(self) -> None:
        """Stop the process, if one runs."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def __enter__(self) -> Gsas2Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def refine(
        self, pattern: PowderPattern, problem: Problem, plan: RefinementPlan, options: RefineOptions
    ) -> RietveldResult:
        """Refine one pattern; see :func:`layerscope.diffraction.rietveld.refinement.refine`."""
        folder = options.folder or Path(tempfile.mkdtemp(prefix="layerscope-gsas2-"))
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        keep_open = self._process is not None
        process = self._running(folder)
        started = time.perf_counter()
        try:
            write_job(folder, pattern, problem, plan)
            process.run(folder, options.time_limit_s)
            return read_result(folder, pattern, problem, process.version, time.perf_counter() - started)
        finally:
            if not keep_open:
                self.close()

    def open(self, folder: Path) -> None:
        """Start the process now and keep it for the patterns to come (a series)."""
        folder.mkdir(parents=True, exist_ok=True)
        self._running(folder.resolve())

    def _running(self, folder: Path) -> Gsas2Process:
        if self._process is None:
            python = self.python or find_interpreter()
            if python is None:
                raise MissingDependencyError("GSAS-II was not found", hint=_HINT)
            self._process = Gsas2Process(python, folder / "gsas2_process.log")
        return self._process


# ---- writing a job -----------------------------------------------------------------------------------------------


def write_job(folder: Path, pattern: PowderPattern, problem: Problem, plan: RefinementPlan) -> None:
    """Write ``job.json`` and ``pattern.xye`` for the worker."""
    table = np.column_stack([pattern.two_theta, pattern.counts, pattern.sigma])
    np.savetxt(folder / "pattern.xye", table, fmt="%.7f %.8g %.8g")
    spec = {
        "phases": [_phase_spec(p) for p in problem.phases],
        "instrument": problem.instrument.model_dump(exclude={"geometry"}),
        "terms": problem.background.terms,
        "level": float(np.quantile(pattern.counts, 0.2)),
        "lines": [_line_spec(line, problem) for line in problem.background.lines],
        "le_bail": problem.le_bail,
        "stages": [list(stage.free) for stage in plan.stages],
    }
    (folder / "job.json").write_text(json.dumps(spec, indent=1))


def _phase_spec(phase: PowderPhase) -> dict[str, Any]:
    symbol, _, setting = phase.space_group.partition(":")
    if setting.strip() not in ("", "H", "2"):
        raise RecipeError(f"phase {phase.name}: GSAS-II takes hexagonal axes and origin 2, not {phase.space_group!r}")
    return {
        "name": phase.name,
        "space_group": symbol.strip(),
        "cell": phase.cell,
        "sites": [{k: getattr(s, k) for k in s.__dataclass_fields__} for s in phase.sites],
        "mixing": [{"labels": rule.labels, "total": rule.total} for rule in phase.mixing],
        "texture_axis": phase.texture_axis,
        "march": phase.march,
        "size_nm": phase.size_nm if math.isfinite(phase.size_nm) else 1e9,
        "microstrain_ppm": phase.microstrain_ppm,
        "start_scale": phase.start_scale,
    }


def _line_spec(line: ExtraLine, problem: Problem) -> dict[str, Any]:
    gauss, lorentz = pseudo_voigt_widths(line.fwhm, line.eta)
    images = line_images(line, problem)
    return {
        "images": [
            {"two_theta": angle, "area": max(line.area, 1e-3) * share, "share": share} for angle, share in images
        ],
        "sig": 1e4 * gauss**2 / EIGHT_LN2,
        "gam": 100.0 * lorentz,
    }
