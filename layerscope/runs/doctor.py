"""What is installed, what is not, and how to get it. Nothing optional is imported: versions come from the metadata."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from layerscope import __version__
from layerscope.errors import LayerscopeError
from layerscope.runs.hooks import Finding
from layerscope.runs.pipeline import find_pipeline, installed_pipelines

__all__ = ["Finding", "examine"]

_REQUIRED = (
    "numpy",
    "scipy",
    "lmfit",
    "pydantic",
    "typer",
    "rich",
    "h5py",
    "pandas",
    "pyarrow",
    "matplotlib",
    "openpyxl",
    "vgd-reader",
)
_OPTIONAL = {
    "xraylarch": ("X-ray absorption: readers and normalisation", 'pip install "layerscope[xas]"'),
    "gemmi": ("crystal structures, CIF", 'pip install "layerscope[xrd]"'),
    "rietx": ("Rietveld refinement", 'pip install "layerscope[xrd]"'),
    "threadpoolctl": ("Rietveld refinement", 'pip install "layerscope[xrd]"'),
    "galvani": ("Biologic .mpr files", 'pip install "layerscope[cycler]"'),
    "NewareNDA": ("Neware .nda and .ndax files", 'pip install "layerscope[cycler]"'),
    "hyperspy": ("electron microscopy data", 'pip install "layerscope[em]"'),
    "rosettasciio": ("electron microscopy files", 'pip install "layerscope[em]"'),
    "scikit-image": ("image analysis", 'pip install "layerscope[em]"'),
    "dask": ("many machines", 'pip install "layerscope[cluster]"'),
    "distributed": ("many machines", 'pip install "layerscope[cluster]"'),
}
_GSAS2_HINT = (
    "see https://advancedphotonsource.github.io/GSAS-II-tutorials/install.html, then set LAYERSCOPE_GSAS2_PYTHON"
)
_GSAS2_PROBE = (
    "import importlib.util as u, sys; sys.exit(0 if u.find_spec('GSASII') or u.find_spec('GSASIIscriptable') else 1)"
)


def examine() -> list[Finding]:
    """Return what is installed and what is not.

    Returns
    -------
    list of Finding
        In the order in which a person wants to read them.
    """
    return [*_system(), *_required(), *_optional(), _gsas2(), *_pipelines()]


def _system() -> Iterator[Finding]:
    yield Finding("system", "layerscope", "ok", __version__)
    yield Finding("system", "python", "ok", f"{platform.python_version()} ({sys.executable})")
    yield Finding("system", "platform", "ok", f"{platform.platform()}, {os.cpu_count()} cores")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _required() -> Iterator[Finding]:
    for package in _REQUIRED:
        found = _version(package)
        if found is None:
            yield Finding("required", package, "missing", "", f"pip install {package}")
        else:
            yield Finding("required", package, "ok", found)


def _optional() -> Iterator[Finding]:
    for package, (purpose, hint) in _OPTIONAL.items():
        found = _version(package)
        if found is None:
            yield Finding("optional", package, "missing", purpose, hint)
        else:
            yield Finding("optional", package, "ok", f"{found}: {purpose}")


def _gsas2() -> Finding:
    """Look for GSAS-II where LAYERSCOPE_GSAS2_PYTHON says, in this environment, and in ``~/g2full``."""
    told = os.environ.get("LAYERSCOPE_GSAS2_PYTHON")
    if told:
        where = shutil.which(told)
        if where is None:
            hint = "LAYERSCOPE_GSAS2_PYTHON must name a Python interpreter"
            return Finding("engine", "GSAS-II", "broken", f"{told} cannot be run", hint)
        if _has_gsas2(where):
            return Finding("engine", "GSAS-II", "ok", f"{where} (LAYERSCOPE_GSAS2_PYTHON)")
        return Finding("engine", "GSAS-II", "broken", f"{told} does not have GSAS-II", _GSAS2_HINT)
    if find_spec("GSASII") is not None:
        return Finding("engine", "GSAS-II", "ok", "in this environment")
    standard = Path.home() / "g2full" / "bin" / "python"
    if standard.is_file() and _has_gsas2(str(standard)):
        return Finding("engine", "GSAS-II", "ok", str(standard))
    return Finding("engine", "GSAS-II", "missing", "Rietveld refinement", _GSAS2_HINT)


def _has_gsas2(python: str) -> bool:
    try:
        done = subprocess.run([python, "-c", _GSAS2_PROBE], capture_output=True, timeout=60, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _pipelines() -> Iterator[Finding]:
    points = installed_pipelines()
    if not points:
        yield Finding("pipeline", "none", "missing", "no entry point found", "install layerscope with pip")
    for name, point in sorted(points.items()):
        try:
            pipeline = find_pipeline(name)
        except LayerscopeError as error:
            yield Finding("pipeline", name, "broken", error.message, "install again the package that it comes from")
        else:
            package = point.dist.name if point.dist else "unknown"
            yield Finding("pipeline", name, "ok", f"{pipeline.version} ({point.value}, from {package})")
