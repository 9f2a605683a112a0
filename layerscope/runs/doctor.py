"""What is installed, what is not, and how to get it. Nothing optional is imported: versions come from the metadata."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, PackageNotFoundError, requires, version

from layerscope.errors import LayerscopeError
from layerscope.runs.hooks import Finding
from layerscope.runs.pipeline import find_pipeline, installed_pipelines
from layerscope.version import __version__

__all__ = ["Finding", "examine"]

_OF_CONTRIBUTORS = ("test", "browser", "docs", "verify")
"""The extras whose packages no user needs."""


def examine() -> list[Finding]:
    """Return what is installed and what is not.

    Returns
    -------
    list of Finding
        In the order in which a person wants to read them; last, what the pipelines found of their own parts.
    """
    found = [*_system(), *_packages(), *_pipelines()]
    order = ("system", "required", "optional", "engine", "pipeline")
    return sorted(found, key=lambda one: order.index(one.group) if one.group in order else len(order))


def _system() -> Iterator[Finding]:
    yield Finding("system", "layerscope", "ok", __version__)
    yield Finding("system", "python", "ok", f"{platform.python_version()} ({sys.executable})")
    yield Finding("system", "platform", "ok", f"{platform.platform()}, {os.cpu_count()} cores")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _packages() -> Iterator[Finding]:
    """Look for every package that layerscope asks for, by the metadata of its installation."""
    for text in requires("layerscope") or ():
        package = re.split(r"[^\w.-]", text)[0]
        extra = re.search(r"extra == ['\"](\w+)", text)
        if package == "layerscope" or (extra and extra[1] in _OF_CONTRIBUTORS):
            continue
        group, wanted = ("optional", f"layerscope[{extra[1]}]") if extra else ("required", "layerscope")
        found = _version(package)
        if found is None:
            yield Finding(group, package, "missing", f"asked for by {wanted}", f'pip install "{wanted}"')
        else:
            yield Finding(group, package, "ok", found)


def _pipelines() -> Iterator[Finding]:
    points = installed_pipelines()
    if not points:
        yield Finding("pipeline", "none", "missing", "no entry point found", "install layerscope with pip")
    for name, point in sorted(points.items()):
        yield from _pipeline(name, point)


def _pipeline(name: str, point: EntryPoint) -> Iterator[Finding]:
    try:
        pipeline = find_pipeline(name)
        of_its_own = list(pipeline.doctor())
    except LayerscopeError as error:
        yield Finding("pipeline", name, "broken", error.message, "install again the package that it comes from")
    except Exception as error:  # noqa: BLE001 - a technique from outside may fail in any way
        yield Finding("pipeline", name, "broken", f"{type(error).__name__}: {error}", "report it to its authors")
    else:
        package = point.dist.name if point.dist else "unknown"
        yield Finding("pipeline", name, "ok", f"{pipeline.version} ({point.value}, from {package})")
        yield from of_its_own
