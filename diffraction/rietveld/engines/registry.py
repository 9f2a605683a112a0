"""The engines by name; each loads when it is used."""

from __future__ import annotations

from collections.abc import Callable

from layerscope.errors import RecipeError

from .interface import Engine, EngineStatus

__all__ = ["ENGINES", "engine_statuses", "get_engine"]


def _rietx() -> Engine:
    from .rietx_engine import RietxEngine

    return RietxEngine()


def _gsas2() -> Engine:
    from .gsas2_engine import Gsas2Engine

    return Gsas2Engine()


ENGINES: dict[str, Callable[[], Engine]] = {"rietx": _rietx, "gsas2": _gsas2}


def get_engine(name: str) -> Engine:
    """Return an engine by name.

    Raises
    ------
    RecipeError
        Unknown name.
    """
    if name not in ENGINES:
        raise RecipeError(f"unknown Rietveld engine {name!r}", hint=f"engines: {sorted(ENGINES)} or 'both'")
    return ENGINES[name]()


def engine_statuses() -> tuple[EngineStatus, ...]:
    """Status of every engine, for ``layerscope doctor``."""
    return tuple(make().status() for make in ENGINES.values())
